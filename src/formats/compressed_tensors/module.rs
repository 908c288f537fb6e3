//! From the tensors of a file to a quantized tensor, all rows or some.

use super::encode::flip_signs;
use super::layout::cannot;
use super::narrow::narrow;
use super::parts::{self, Parts, SCALE, SHAPE, ZERO_POINT, check_scale, part_name};
use super::{CompressedLayout, CompressedWeights};
use crate::error::{Error, FileError, Result};
use crate::formats::words::unpack_rows;
use crate::kernels::{array, pack};
use crate::quantize::{Granularity, Parameters, QuantizedTensor};
use crate::shape;
use crate::tensors::{DType, StoredTensor, TensorInfo, TensorSource, TensorSourceExt};
use std::ops::Range;

/// Bytes of a word.
const WORD: usize = 4;

/// The quantized weight of a module, with the places of its parts.
#[derive(Clone, Debug)]
pub(super) struct Module {
    layout: CompressedLayout,
    weights: CompressedWeights,
    rows: usize,
    columns: usize,
    scale_dtype: DType,
    /// How many scales a row, or a row of blocks, has.
    scales: usize,
    weight: usize,
    scale: usize,
    zero_point: Option<usize>,
}

impl Module {
    /// The parts of this module, all of which must be there and fit each other.
    pub(super) fn find(
        layout: CompressedLayout,
        source: &dyn TensorSource,
        module: &str,
        weights: CompressedWeights,
    ) -> Result<Self> {
        layout.check(weights)?;
        let packed = layout == CompressedLayout::PackQuantized;
        let codes = part_name(module, if packed { parts::PACKED } else { parts::WEIGHT });
        let given = source.info(&codes)?;
        let shape = if packed {
            let shape = stored_shape(source, &part_name(module, SHAPE))?;
            shape.to_vec()
        } else {
            given.shape.clone()
        };
        let scale_name = part_name(module, SCALE);
        let scale = source.info(&scale_name)?;
        check_scale(scale.dtype).map_err(|error| Error::File(error).in_tensor(&*scale_name))?;
        let (scale_dtype, scale) = (scale.dtype, source.number(&scale_name)?);
        let parts = Parts::plan(layout, module, &shape, weights, scale_dtype)
            .map_err(|error| error.in_tensor(&*codes))?;
        check(source, &parts.weight)?;
        check_scales(source, &parts.scale)?;
        let zero_point = match &parts.zero_point {
            Some(info) => {
                check(source, info)?;
                Some(source.number(&info.name)?)
            }
            None => {
                let name = part_name(module, ZERO_POINT);
                if source.position(&name).is_some() {
                    let must = "zero points only where weights are not symmetric";
                    return Err(cannot(layout.name(), "zero points", must).in_tensor(name));
                }
                None
            }
        };
        refuse_others(layout, source, module)?;
        let (rows, columns) = match shape.as_slice() {
            &[rows, columns] => (rows, columns),
            _ => (0, 0),
        };
        Ok(Self {
            layout,
            weights: weights.of_columns(columns),
            rows,
            columns,
            scale_dtype,
            scales: parts.scale.shape.get(1).copied().unwrap_or(1),
            weight: source.number(&codes)?,
            scale,
            zero_point,
        })
    }

    /// The shape of the weight.
    pub(super) const fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The type that its values are rounded to.
    pub(super) const fn dtype(&self) -> DType {
        self.scale_dtype
    }

    /// What tells how it is read: another one of the same parts with the same answer gives the same tensor.
    pub(super) const fn weights(&self) -> CompressedWeights {
        self.weights
    }

    /// How many rows share scales.
    pub(super) fn high(&self) -> usize {
        match self.weights.granularity() {
            Granularity::PerBlock(block) => block.lengths().first().copied().unwrap_or(1),
            _ => 1,
        }
    }

    /// Some rows, the first of which begins a row of blocks if there are blocks.
    pub(super) fn rows(
        &self,
        source: &dyn TensorSource,
        rows: Range<usize>,
    ) -> Result<QuantizedTensor> {
        let granularity = self.weights.granularity();
        let scale_rows = match granularity {
            Granularity::PerTensor => 0..1,
            _ => rows.start / self.high()..rows.end.div_ceil(self.high()),
        };
        let scales = self.scales(source, scale_rows.clone())?;
        let mut parameters = Parameters::new(self.weights.scheme()?, granularity, scales);
        if parameters.scheme().has_zero_points() {
            parameters = parameters.with_zero_points(self.zero_points(source, scale_rows)?);
        }
        let packed = self.packed(source, rows.clone())?;
        QuantizedTensor::from_packed(vec![rows.len(), self.columns], packed, parameters)
            .map_err(|error| self.in_part(source, error, rows.start))
    }

    /// An error of rows from `first` on, as one of the file's tensors.
    fn in_part(&self, source: &dyn TensorSource, error: Error, first: usize) -> Error {
        let (part, error) = match error {
            Error::ScaleOutOfRange { index, scale } => {
                let before = match self.weights.granularity() {
                    Granularity::PerTensor => 0,
                    _ => first / self.high() * self.scales,
                };
                let index = before + index;
                (Some(self.scale), Error::ScaleOutOfRange { index, scale })
            }
            Error::CodeOutOfRange { .. } => (self.zero_point, error),
            Error::NotANumber { what, mut index } => {
                if let Some(row) = index.first_mut() {
                    *row += first;
                }
                (None, Error::NotANumber { what, index })
            }
            error => (None, error),
        };
        let part = part.unwrap_or(self.weight);
        error.in_tensor(&*source.infos()[part].name)
    }

    /// What the codes of some rows mean, each rounded once to the type of the scales, as bytes.
    pub(super) fn values(&self, source: &dyn TensorSource, rows: Range<usize>) -> Result<Vec<u8>> {
        let first = rows.start;
        let tensor = self.rows(source, rows)?;
        // In f32 these products are exact where scales have 16 bits, so there is one rounding here too.
        let values = tensor.dequantize::<f32>();
        narrow(&array::elements(&values), self.scale_dtype).map_err(|place| {
            let mut index = shape::index_of(place, values.shape());
            if let Some(row) = index.first_mut() {
                *row += first;
            }
            let dtype = self.scale_dtype.name();
            let error = Error::File(FileError::TooLarge { dtype, index });
            error.in_tensor(&*source.infos()[self.weight].name)
        })
    }

    fn scales(&self, source: &dyn TensorSource, rows: Range<usize>) -> Result<Vec<f32>> {
        let len = rows.len() * self.scales;
        let size = self.scale_dtype.bits() / 8;
        let bytes = read(
            source,
            self.scale,
            rows.start * self.scales * size,
            len * size,
        )?;
        let stored = StoredTensor::new(self.scale_dtype, vec![len], bytes)?;
        Ok(stored.floats()?.into_raw_vec_and_offset().0)
    }

    /// As codes of the scheme, one for each scale.
    fn zero_points(&self, source: &dyn TensorSource, rows: Range<usize>) -> Result<Vec<i32>> {
        let bits = self.weights.bits();
        let middle = 1 << (bits - 1);
        // Codes of one bit are unsigned.
        let zero = if bits == 1 { middle } else { 0 };
        let Some(number) = self.zero_point else {
            return Ok(vec![zero; rows.len() * self.scales]);
        };
        if self.layout != CompressedLayout::PackQuantized {
            let bytes = read(
                source,
                number,
                rows.start * self.scales,
                rows.len() * self.scales,
            )?;
            let signed = bytes.into_iter().map(|byte| i32::from(byte.cast_signed()));
            return Ok(signed.map(|point| point + zero).collect());
        }
        let offset = self.packed_zero_points(source, number, rows)?;
        let signed = offset.into_iter().map(|point| i32::from(point) - middle);
        Ok(signed.map(|point| point + zero).collect())
    }

    /// Of these rows, from words that hold zero points of several rows each.
    fn packed_zero_points(
        &self,
        source: &dyn TensorSource,
        number: usize,
        rows: Range<usize>,
    ) -> Result<Vec<u8>> {
        let (bits, groups) = (self.weights.bits(), self.scales);
        if groups == 0 {
            return Ok(Vec::new());
        }
        let in_words = WORD * 8;
        // 32 rows fill a whole number of words, so from there on the stream is one of its own.
        let first = rows.start / in_words * in_words;
        let words = first / in_words * bits as usize..rows_to_words(rows.end, bits);
        let bytes = read(
            source,
            number,
            words.start * groups * WORD,
            words.len() * groups * WORD,
        )?;
        let (wide, high) = (bytes.as_chunks::<WORD>().0, words.len());
        let mut down = Vec::with_capacity(bytes.len());
        for group in 0..groups {
            for row in 0..high {
                down.extend_from_slice(&wide[row * groups + group]);
            }
        }
        let count = rows.end - first;
        let points = unpack_rows(&down, count, bits);
        let mut in_order = Vec::with_capacity(rows.len() * groups);
        for row in rows.start - first..count {
            in_order.extend((0..groups).map(|group| points[group * count + row]));
        }
        Ok(in_order)
    }

    /// The codes of some rows as one stream of bits.
    fn packed(&self, source: &dyn TensorSource, rows: Range<usize>) -> Result<Vec<u8>> {
        let bits = self.weights.bits();
        let info = &source.infos()[self.weight];
        let row = info.shape.get(1).copied().unwrap_or(0) * (info.dtype.bits() / 8);
        let bytes = read(source, self.weight, rows.start * row, rows.len() * row)?;
        if self.weights.is_float() {
            return Ok(bytes);
        }
        let signed = bits > 1;
        let codes = if self.layout == CompressedLayout::PackQuantized {
            let mut codes = unpack_rows(&bytes, self.columns, bits);
            if signed {
                flip_signs(&mut codes, bits);
            }
            codes
        } else {
            let range = -(1_i16 << (bits - 1))..1 << (bits - 1);
            let outside = |byte: &u8| !range.contains(&i16::from(byte.cast_signed()));
            if let Some(place) = bytes.iter().position(outside) {
                let index = [rows.start + place / self.columns, place % self.columns];
                return Err(code_outside(index, bytes[place], bits).in_tensor(&*info.name));
            }
            let mut codes = bytes;
            if !signed {
                flip_signs(&mut codes, bits);
            }
            codes
        };
        let mut packed = vec![0; pack::bytes_for(codes.len(), bits)];
        pack::pack(&codes, bits, &mut packed);
        Ok(packed)
    }
}

/// How many words `rows` zero points of a group take, one below the other.
const fn rows_to_words(rows: usize, bits: u32) -> usize {
    crate::formats::words::words_for(rows, bits)
}

fn code_outside(index: [usize; 2], byte: u8, bits: u32) -> Error {
    Error::CodeOutOfRange {
        what: "code",
        index: index.to_vec(),
        value: byte.cast_signed().into(),
        least: -(1 << (bits - 1)),
        most: (1 << (bits - 1)) - 1,
    }
}

fn read(source: &dyn TensorSource, tensor: usize, from: usize, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    source.read_bytes(tensor, from, &mut bytes)?;
    Ok(bytes)
}

/// The lengths that a packed weight had.
fn stored_shape(source: &dyn TensorSource, name: &str) -> Result<[usize; 2]> {
    check(source, &TensorInfo::new(name, DType::I64, [2]))?;
    let lengths = source.elements::<i64>(name)?;
    let mut shape = [0; 2];
    for (length, &given) in shape.iter_mut().zip(&lengths) {
        *length = usize::try_from(given).map_err(|_| {
            let must = "lengths that are not negative";
            cannot(
                CompressedLayout::PackQuantized.name(),
                format!("the length {given}"),
                must,
            )
            .in_tensor(name)
        })?;
    }
    Ok(shape)
}

/// Fails unless the source has this tensor.
fn check(source: &dyn TensorSource, info: &TensorInfo) -> Result<()> {
    let given = source.info(&info.name)?;
    let wrong = if given.dtype != info.dtype {
        FileError::WrongDType {
            given: given.dtype.name(),
            expected: info.dtype.name(),
        }
    } else if given.shape != info.shape {
        FileError::WrongShape {
            given: given.shape.clone(),
            expected: info.shape.clone(),
        }
    } else {
        return Ok(());
    };
    Err(Error::File(wrong).in_tensor(&*info.name))
}

/// The same for scales, of which a single one may have no axis.
fn check_scales(source: &dyn TensorSource, info: &TensorInfo) -> Result<()> {
    let given = source.info(&info.name)?;
    if info.shape == [1] && given.shape.is_empty() {
        return Ok(());
    }
    check(source, info)
}

/// Fails if the module has parts that change what its codes mean and that are not read.
fn refuse_others(layout: CompressedLayout, source: &dyn TensorSource, module: &str) -> Result<()> {
    for other in ["weight_g_idx", "weight_global_scale"] {
        let name = part_name(module, other);
        if source.position(&name).is_some() {
            let must = "codes, scales, zero points and a shape";
            return Err(cannot(layout.name(), other, must).in_tensor(name));
        }
    }
    Ok(())
}
