//! Pruned weights as the values that stay and a mask.
//!
//! The weights `NAME` of a model are three tensors in a file:
//!
//! | tensor | type | what |
//! |---|---|---|
//! | `NAME.kept` | that of the weights, one axis | the values that the mask keeps, in row-major order |
//! | `NAME.mask` | U8, one axis | a bit a weight: bit i mod 8 of byte ⌊i / 8⌋ belongs to weight i in row-major order, 1 for kept; as in [`MaskFile`](super::MaskFile) |
//! | `NAME.shape` | I64, one axis | the lengths of the axes |

use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::mask::Mask;
use crate::shape;
use crate::tensors::{DType, StoredTensor, TensorInfo, TensorSource, TensorSourceExt};
use ndarray::{Array1, ArrayD, ArrayRef, Dimension, IxDyn};

/// Pruned weights as the values that stay and a mask: what a sparse layer is made of.
///
/// The tensors are `NAME.kept`, the values in row-major order; `NAME.mask`, U8, a bit a weight from the lowest of the first
/// byte on, 1 for kept; `NAME.shape`, I64.
///
/// # Examples
///
/// ```
/// use ndarray::{Ix2, array};
/// use rarefy::formats::KeptWeights;
/// use rarefy::infer::{SparseFormat, SparseLinear};
/// use rarefy::prune;
/// use rarefy::tensors::{DType, TensorMap};
///
/// let mut weights = array![[0.5_f32, -1.0, 0.25, 2.0]];
/// let mask = prune::l1_unstructured(&mut weights, 0.5)?;
/// let kept = KeptWeights::new(&weights, mask, DType::F16)?;
/// assert_eq!(kept.bytes(), 2 * 2 + 1); // two values, a byte of mask
///
/// let file = TensorMap::new(kept.tensors("layer.weight")?)?;
/// let back = KeptWeights::read(&file, "layer.weight")?;
/// let weights = back.weights::<f32>()?.into_dimensionality::<Ix2>()?;
/// assert_eq!(weights, array![[0.0, -1.0, 0.0, 2.0]]);
/// let layer = SparseLinear::masked(&weights, back.mask(), None, SparseFormat::Bitmask)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct KeptWeights {
    mask: Mask,
    values: StoredTensor,
}

impl KeptWeights {
    /// The weights that a mask keeps, each rounded once to a type of floats; what it drops is not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if the mask is of another shape; [`FileError::WrongDType`] unless `dtype` is F16, BF16, F32
    /// or F64; [`FileError::TooLarge`] if a finite value becomes infinite.
    pub fn new<F: Float, D: Dimension>(
        weights: &ArrayRef<F, D>,
        mask: Mask,
        dtype: DType,
    ) -> Result<Self> {
        shape::check_same("weights", weights.shape(), "mask", mask.shape())?;
        let mut kept = weights.iter().zip(mask.iter()).filter(|(_, kept)| *kept);
        let size = dtype.bits() / 8;
        let mut bytes = Vec::with_capacity(mask.kept().saturating_mul(size));
        loop {
            // In blocks, as floats are up to four times as large as what is stored.
            const BLOCK: usize = 1 << 16;
            let block: Array1<F> = kept
                .by_ref()
                .take(BLOCK)
                .map(|(weight, _)| *weight)
                .collect();
            bytes.extend_from_slice(StoredTensor::of_floats(&block, dtype)?.bytes());
            if block.len() < BLOCK {
                break;
            }
        }
        drop(kept);
        let values = StoredTensor::new(dtype, vec![mask.kept()], bytes)?;
        Ok(Self { mask, values })
    }

    /// Which tensors weights of this type and shape become in a file, `kept` of them staying.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`].
    pub fn infos(
        name: &str,
        dtype: DType,
        shape: &[usize],
        kept: usize,
    ) -> Result<Vec<TensorInfo>> {
        let bytes = shape::count(shape)?.div_ceil(8);
        Ok(vec![
            TensorInfo::new(format!("{name}.kept"), dtype, [kept]),
            TensorInfo::new(format!("{name}.mask"), DType::U8, [bytes]),
            TensorInfo::new(format!("{name}.shape"), DType::I64, [shape.len()]),
        ])
    }

    /// The tensors of a file by their names.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`] if a length is beyond an i64.
    pub fn tensors(self, name: &str) -> Result<Vec<(String, StoredTensor)>> {
        let words = self.mask.words().iter().flat_map(|word| word.to_le_bytes());
        let bits: Array1<u8> = words.take(self.mask.len().div_ceil(8)).collect();
        let lengths = self
            .mask
            .shape()
            .iter()
            .map(|&length| i64::try_from(length));
        let lengths = lengths.collect::<Result<Array1<i64>, _>>();
        let lengths = lengths.map_err(|_| Error::ShapeOverflow {
            shape: self.mask.shape().to_vec(),
        })?;
        Ok(vec![
            (format!("{name}.kept"), self.values),
            (format!("{name}.mask"), StoredTensor::of(&bits)),
            (format!("{name}.shape"), StoredTensor::of(&lengths)),
        ])
    }

    /// Reads weights.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`], [`FileError::WrongDType`], [`FileError::WrongShape`] if a tensor is missing or is not as it
    /// must be; [`Error::ShapeOverflow`], [`Error::WrongCount`] if shape, mask and values do not fit each other.
    pub fn read(source: &dyn TensorSource, name: &str) -> Result<Self> {
        let part = |what: &str| format!("{name}.{what}");
        let lengths = source.info(&part("shape"))?;
        // No array has more axes; so nothing is read that is not needed.
        const MOST_AXES: usize = 64;
        if lengths.shape.len() != 1 || lengths.shape[0] > MOST_AXES {
            let wrong = Error::File(FileError::WrongShape {
                given: lengths.shape.clone(),
                expected: vec![2],
            });
            return Err(wrong.in_tensor(part("shape")));
        }
        let lengths = source.elements::<i64>(&part("shape"))?;
        let shape = lengths.iter().map(|&length| usize::try_from(length));
        let shape: Vec<usize> = shape.collect::<Result<_, _>>().map_err(|_| {
            let negative = Error::WrongCount {
                what: "lengths that are no lengths",
                given: lengths.iter().filter(|&&length| length < 0).count(),
                expected: 0,
            };
            negative.in_tensor(part("shape"))
        })?;
        let expected = shape::count(&shape)
            .map_err(|error| error.in_tensor(part("shape")))?
            .div_ceil(8);
        let info = source.info(&part("mask"))?;
        if info.shape != [expected] {
            let wrong = Error::File(FileError::WrongShape {
                given: info.shape.clone(),
                expected: vec![expected],
            });
            return Err(wrong.in_tensor(part("mask")));
        }
        let bits = source.elements::<u8>(&part("mask"))?;
        let bits = bits.as_slice().unwrap_or(&[]);
        let words = bits.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let mask = Mask::from_parts(shape, words.collect())
            .map_err(|error| error.in_tensor(part("mask")))?;
        let info = source.info(&part("kept"))?;
        if !info.dtype.is_float() {
            let wrong = Error::File(FileError::WrongDType {
                given: info.dtype.name(),
                expected: "F16, BF16, F32 or F64",
            });
            return Err(wrong.in_tensor(part("kept")));
        }
        if info.shape != [mask.kept()] {
            let wrong = Error::File(FileError::WrongShape {
                given: info.shape.clone(),
                expected: vec![mask.kept()],
            });
            return Err(wrong.in_tensor(part("kept")));
        }
        let values = source.tensor(&part("kept"))?;
        Ok(Self { mask, values })
    }

    /// Which weights stay.
    pub const fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The values that stay, in row-major order.
    pub const fn values(&self) -> &StoredTensor {
        &self.values
    }

    /// Bytes of values and mask.
    pub fn bytes(&self) -> usize {
        self.values.bytes().len() + self.mask.len().div_ceil(8)
    }

    /// The weights with zeros where the mask drops.
    ///
    /// # Errors
    ///
    /// [`FileError::TooLarge`] if a finite F64 is too large for f32.
    pub fn weights<F: Float>(&self) -> Result<ArrayD<F>> {
        let mut weights = ArrayD::zeros(IxDyn(self.mask.shape()));
        let mut values = self.values.floats::<F>()?.into_iter();
        for (weight, kept) in weights.iter_mut().zip(self.mask.iter()) {
            if kept {
                *weight = values.next().unwrap_or_else(F::zero);
            }
        }
        Ok(weights)
    }
}
