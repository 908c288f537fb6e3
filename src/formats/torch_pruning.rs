//! The state of a model that PyTorch pruned: `NAME_orig` and `NAME_mask` in place of `NAME`.

use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::mask::Mask;
use crate::shape;
use crate::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};
use ndarray::ArrayD;
use std::collections::BTreeMap;

const ORIGINAL: &str = "_orig";
const MASK: &str = "_mask";

/// A model whose weights `torch.nn.utils.prune` holds as pairs, seen as the model that it is: `NAME` in place of
/// `NAME_orig` and `NAME_mask`, with the weights that PyTorch computes with.
///
/// It is a [`TensorSource`] itself, so that whatever reads a model reads this one, at the size of the original weights and in
/// their type. A product with the mask is taken where it is read: what is kept has its bits, what is pruned is a zero of the
/// weight's sign (PyTorch multiplies, and −x · 0 is −0), and where an infinite weight or NaN is pruned the product is NaN.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::formats::TorchPruning;
/// use rarefy::tensors::{StoredTensor, TensorMap, TensorSourceExt};
///
/// let state = TensorMap::new([
///     ("layer.weight_orig".to_owned(), StoredTensor::of(&array![[0.3_f32, -1.2]])),
///     ("layer.weight_mask".to_owned(), StoredTensor::of(&array![[0.0_f32, 1.0]])),
///     ("layer.bias".to_owned(), StoredTensor::of(&array![0.5_f32])),
/// ])?;
/// let model = TorchPruning::new(state)?;
/// assert_eq!(model.pruned().collect::<Vec<_>>(), ["layer.weight"]);
/// assert_eq!(model.mask("layer.weight")?.kept(), 1);
/// assert_eq!(model.floats::<f32>("layer.weight")?, array![[0.0, -1.2]].into_dyn());
/// assert_eq!(model.original::<f32>("layer.weight")?, array![[0.3, -1.2]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TorchPruning<S> {
    source: S,
    infos: Vec<TensorInfo>,
    /// Of each tensor, its number in the source and that of its mask, if it is pruned.
    places: Vec<(usize, Option<usize>)>,
    numbers: BTreeMap<String, usize>,
}

impl<S: TensorSource> TorchPruning<S> {
    /// The pairs are found by name; nothing is read but whatever [`TensorSource::infos`] needs.
    ///
    /// Tensors keep their order, a pruned one that of its original. A mask without an original, or the other way round, is a
    /// tensor like any other.
    ///
    /// # Errors
    ///
    /// [`FileError::WrongShape`] if a mask has another shape than its weights, [`FileError::WrongDType`] if the weights are not
    /// F16, BF16, F32 or F64, or the mask is neither that nor BOOL nor U8; [`Error::NameRepeated`] if there is a `NAME` beside the pair.
    pub fn new(source: S) -> Result<Self> {
        let all = source.infos();
        let by_name: BTreeMap<&str, usize> =
            all.iter().map(|info| info.name.as_str()).zip(0..).collect();
        let beside = |info: &TensorInfo, end: &str, other: &str| {
            let name = info.name.strip_suffix(end)?;
            by_name.get(format!("{name}{other}").as_str()).copied()
        };
        let mut infos = Vec::with_capacity(all.len());
        let mut places = Vec::with_capacity(all.len());
        for (number, info) in all.iter().enumerate() {
            if beside(info, MASK, ORIGINAL).is_some() {
                continue;
            }
            let mask = beside(info, ORIGINAL, MASK);
            let mut seen = info.clone();
            if let Some(mask) = mask {
                seen.name.truncate(info.name.len() - ORIGINAL.len());
                check(info, &all[mask])?;
            }
            infos.push(seen);
            places.push((number, mask));
        }
        let mut numbers = BTreeMap::new();
        for (number, info) in infos.iter().enumerate() {
            if numbers.insert(info.name.clone(), number).is_some() {
                return Err(Error::NameRepeated {
                    what: "tensors",
                    name: info.name.clone(),
                });
            }
        }
        Ok(Self {
            source,
            infos,
            places,
            numbers,
        })
    }

    /// The names of the tensors that are pruned: those of [`infos`](TensorSource::infos) that are pairs.
    pub fn pruned(&self) -> impl Iterator<Item = &str> {
        let pairs = self.infos.iter().zip(&self.places);
        let pruned = pairs.filter(|(_, (_, mask))| mask.is_some());
        pruned.map(|(info, _)| info.name.as_str())
    }

    /// What a pruned tensor keeps.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if no pruned tensor has this name, [`FileError::NotAMask`] if an element is neither 0 nor 1,
    /// and whatever reading can fail with.
    pub fn mask(&self, name: &str) -> Result<Mask> {
        let (_, mask) = self.pair(name)?;
        let info = &self.source.infos()[mask];
        let mut kept = Vec::with_capacity(info.elements()?.div_ceil(64));
        let size = info.dtype.bits() / 8;
        let mut buffer = vec![0; (MOST * size).min(info.bytes()?)];
        let (mut at, len) = (0, info.bytes()?);
        while at < len {
            let part_len = buffer.len().min(len - at);
            let part = &mut buffer[..part_len];
            self.source.read_bytes(mask, at, part)?;
            for (word, elements) in part.chunks(64 * size).enumerate() {
                let mut bits = 0_u64;
                for (place, element) in elements.chunks_exact(size).enumerate() {
                    let number = at / size + word * 64 + place;
                    let flag = flag(info, element).ok_or_else(|| not_a_mask(info, number))?;
                    bits |= u64::from(flag) << place;
                }
                kept.push(bits);
            }
            at += part_len;
        }
        Mask::from_parts(info.shape.clone(), kept)
    }

    /// The weights as they were before they were multiplied by the mask.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if no pruned tensor has this name, and those of
    /// [`floats`](TensorSourceExt::floats).
    pub fn original<F: Float>(&self, name: &str) -> Result<ArrayD<F>> {
        let (original, _) = self.pair(name)?;
        self.source.floats(&self.source.infos()[original].name)
    }

    /// The numbers of the original and the mask in the source.
    fn pair(&self, name: &str) -> Result<(usize, usize)> {
        let place = self.numbers.get(name).map(|&number| self.places[number]);
        match place {
            Some((original, Some(mask))) => Ok((original, mask)),
            _ => Err(Error::File(FileError::NoTensor {
                name: format!("{name}{MASK}"),
            })),
        }
    }

    /// The model as PyTorch stored it.
    pub const fn source(&self) -> &S {
        &self.source
    }
}

impl<S: TensorSource> TensorSource for TorchPruning<S> {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        let Some(&(original, mask)) = self.places.get(tensor) else {
            return Err(Error::File(FileError::NoSuchBytes {
                from,
                count: bytes.len(),
                len: 0,
            }));
        };
        self.source.read_bytes(original, from, bytes)?;
        let Some(mask) = mask else {
            return Ok(());
        };
        let (weights, flags) = (&self.infos[tensor], &self.source.infos()[mask]);
        let (size, width) = (weights.dtype.bits() / 8, flags.dtype.bits() / 8);
        let mut buffer = [0; MOST * 8];
        let (mut at, end) = (from, from + bytes.len());
        while at < end {
            // The elements that bytes from `at` on belong to, the first and the last perhaps in part.
            let first = at / size;
            let count = (end.div_ceil(size) - first).min(MOST);
            let part = &mut buffer[..count * width];
            self.source.read_bytes(mask, first * width, part)?;
            for (place, element) in part.chunks_exact(width).enumerate() {
                let number = first + place;
                let kept = flag(flags, element).ok_or_else(|| not_a_mask(flags, number))?;
                if !kept {
                    self.prune(original, weights.dtype, number, (from, &mut *bytes))?;
                }
            }
            at = (first + count) * size;
        }
        Ok(())
    }
}

impl<S: TensorSource> TorchPruning<S> {
    /// Makes of what is there of element `number` the same of its product with 0.
    fn prune(
        &self,
        original: usize,
        dtype: DType,
        number: usize,
        (from, bytes): (usize, &mut [u8]),
    ) -> Result<()> {
        let size = dtype.bits() / 8;
        let start = number * size;
        let mut element = [0; 8];
        let element = &mut element[..size];
        let (first, last) = (start.max(from), (start + size).min(from + bytes.len()));
        if (first, last) == (start, start + size) {
            element.copy_from_slice(&bytes[first - from..last - from]);
        } else {
            self.source.read_bytes(original, start, element)?;
        }
        times_nothing(dtype, element);
        bytes[first - from..last - from].copy_from_slice(&element[first - start..last - start]);
        Ok(())
    }
}

/// How many elements of a mask are looked at at a time; a multiple of 64.
const MOST: usize = 512;

/// Makes of a float its product with 0: a zero of its sign, or NaN of what is not finite.
fn times_nothing(dtype: DType, element: &mut [u8]) {
    let (mantissa, exponent): (u64, u64) = match dtype {
        DType::F16 => (10, 0x1F),
        DType::Bf16 => (7, 0xFF),
        DType::F32 => (23, 0xFF),
        _ => (52, 0x7FF),
    };
    let mut wide = [0; 8];
    wide[..element.len()].copy_from_slice(element);
    let bits = u64::from_le_bytes(wide);
    let sign = bits & (1 << (element.len() * 8 - 1));
    let is_finite = (bits >> mantissa) & exponent != exponent;
    // A NaN keeps what else its bits say.
    let product = if is_finite {
        sign
    } else {
        bits | 1 << (mantissa - 1)
    };
    element.copy_from_slice(&product.to_le_bytes()[..element.len()]);
}

/// What an element of a mask says, if it is 0 or 1.
fn flag(info: &TensorInfo, element: &[u8]) -> Option<bool> {
    let one: u64 = match info.dtype {
        DType::F16 => 0x3C00,
        DType::Bf16 => 0x3F80,
        DType::F32 => 0x3F80_0000,
        DType::F64 => 0x3FF0_0000_0000_0000,
        _ => 1,
    };
    let mut wide = [0; 8];
    wide[..element.len()].copy_from_slice(element);
    match u64::from_le_bytes(wide) {
        0 => Some(false),
        bits => (bits == one).then_some(true),
    }
}

/// The element with this number is neither 0 nor 1.
fn not_a_mask(info: &TensorInfo, number: usize) -> Error {
    let index = shape::index_of(number, &info.shape);
    Error::File(FileError::NotAMask { index }).in_tensor(&*info.name)
}

/// A mask must be one of these weights.
fn check(weights: &TensorInfo, mask: &TensorInfo) -> Result<()> {
    let wrong = |info: &TensorInfo, expected| {
        let given = info.dtype.name();
        Err(Error::File(FileError::WrongDType { given, expected }).in_tensor(&*info.name))
    };
    if !weights.dtype.is_float() {
        return wrong(weights, "F16, BF16, F32 or F64");
    }
    if !mask.dtype.is_float() && !matches!(mask.dtype, DType::Bool | DType::U8) {
        return wrong(mask, "F16, BF16, F32, F64, BOOL or U8");
    }
    if mask.shape != weights.shape {
        let (given, expected) = (mask.shape.clone(), weights.shape.clone());
        let error = Error::File(FileError::WrongShape { given, expected });
        return Err(error.in_tensor(&*mask.name));
    }
    Ok(())
}
