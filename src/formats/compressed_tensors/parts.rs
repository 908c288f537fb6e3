//! Which tensors a quantized weight becomes.

use super::layout::cannot;
use super::{CompressedLayout, CompressedWeights};
use crate::error::{FileError, Result};
use crate::formats::words::words_for;
use crate::quantize::Granularity;
use crate::shape;
use crate::tensors::{DType, TensorInfo};

/// Types that scales are stored in.
const SCALES: &str = "F32, F16 or BF16";

/// The tensors of a module's weight.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// The codes.
    pub(super) weight: TensorInfo,
    pub(super) scale: TensorInfo,
    pub(super) zero_point: Option<TensorInfo>,
    pub(super) shape: Option<TensorInfo>,
}

impl Parts {
    /// Those of a weight of this shape.
    pub(super) fn plan(
        layout: CompressedLayout,
        module: &str,
        shape: &[usize],
        weights: CompressedWeights,
        scale_dtype: DType,
    ) -> Result<Self> {
        layout.check(weights)?;
        let &[rows, columns] = shape else {
            let what = format!("a weight of {} axes", shape.len());
            return Err(cannot(layout.name(), what, "weights of two axes"));
        };
        // Whoever reads it back makes an array of it.
        shape::count(shape)?;
        if !is_scale(scale_dtype) {
            let what = format!("scales of type {scale_dtype}");
            return Err(cannot(layout.name(), what, SCALES));
        }
        let scales = scale_shape(layout, (rows, columns), weights)?;
        let part = |name, dtype, shape| TensorInfo::new(part_name(module, name), dtype, shape);
        let packed = layout == CompressedLayout::PackQuantized;
        let weight = match (packed, weights.is_float()) {
            (true, _) => {
                let words = words_for(columns, weights.bits());
                part(PACKED, DType::I32, vec![rows, words])
            }
            (false, true) => part(WEIGHT, DType::F8E4M3, shape.to_vec()),
            (false, false) => part(WEIGHT, DType::I8, shape.to_vec()),
        };
        let zero_point = (!weights.is_symmetric()).then(|| {
            if packed {
                // A group's zero points of all rows are one stream of bits, down a column.
                let groups = scales.get(1).copied().unwrap_or(1);
                let words = words_for(rows, weights.bits());
                part(ZERO_POINT, DType::I32, vec![words, groups])
            } else {
                part(ZERO_POINT, DType::I8, scales.clone())
            }
        });
        Ok(Self {
            weight,
            scale: part(SCALE, scale_dtype, scales),
            zero_point,
            shape: packed.then(|| part(SHAPE, DType::I64, vec![2])),
        })
    }

    /// In the order in which they are written.
    pub(super) fn into_infos(self) -> Vec<TensorInfo> {
        let beside = self.zero_point.into_iter().chain(self.shape);
        [self.weight, self.scale]
            .into_iter()
            .chain(beside)
            .collect()
    }
}

pub(super) const PACKED: &str = "weight_packed";
pub(super) const WEIGHT: &str = "weight";
pub(super) const SCALE: &str = "weight_scale";
pub(super) const ZERO_POINT: &str = "weight_zero_point";
pub(super) const SHAPE: &str = "weight_shape";

/// The name of a part; a module without a name is the model itself.
pub(super) fn part_name(module: &str, part: &str) -> String {
    match module {
        "" => part.to_owned(),
        _ => format!("{module}.{part}"),
    }
}

/// The module that a tensor is this part of.
pub(super) fn module_of<'a>(tensor: &'a str, part: &str) -> Option<&'a str> {
    match tensor.strip_suffix(part)? {
        "" => Some(""),
        module => module.strip_suffix('.'),
    }
}

pub(super) const fn is_scale(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::Bf16)
}

/// Fails unless scales are stored in this type.
pub(super) fn check_scale(dtype: DType) -> Result<(), FileError> {
    if is_scale(dtype) {
        return Ok(());
    }
    Err(FileError::WrongDType {
        given: dtype.name(),
        expected: SCALES,
    })
}

/// The shape of the scales of a weight of two axes.
fn scale_shape(
    layout: CompressedLayout,
    (rows, columns): (usize, usize),
    weights: CompressedWeights,
) -> Result<Vec<usize>> {
    match weights.granularity() {
        Granularity::PerChannel(_) => Ok(vec![rows, 1]),
        Granularity::PerGroup { size, .. } if columns.checked_rem(size) != Some(0) => {
            let what = format!("groups of {size} along {columns} inputs");
            Err(cannot(layout.name(), what, "groups that divide the inputs"))
        }
        Granularity::PerGroup { size, .. } => Ok(vec![rows, columns / size]),
        Granularity::PerBlock(block) => match block.lengths() {
            &[high, wide] => Ok(vec![rows.div_ceil(high), columns.div_ceil(wide)]),
            _ => Err(cannot(
                layout.name(),
                "blocks of other lengths than two",
                "two",
            )),
        },
        _ => Ok(vec![1]),
    }
}
