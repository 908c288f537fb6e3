//! What becomes of weights that stay.

use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::quantize::{
    BlockFormat, BlockTensor, ErrorSearch, Float8, Granularity, Linear, Parameters,
    QuantizedTensor, QuantizerExt, Scheme,
};
use crate::tensors::{DType, StoredTensor};
use half::{bf16, f16};
use ndarray::{ArrayRefD, Axis};
use serde::{Deserialize, Serialize};

/// What becomes of weights that stay. In JSON, for example, `{"linear": {"bits": 4, "sharing": {"group": 128}}}`,
/// `{"float8": {"sharing": "channel"}}`, `{"blocks": "Q4K"}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Quantization {
    /// Integers: [`Linear`].
    ///
    /// | field | default | meaning |
    /// |---|---|---|
    /// | `bits` | | 2 to 8 |
    /// | `affine` | `false` | whether there are zero points |
    /// | `sharing` | `"tensor"` | who shares a scale |
    /// | `range` | `"min_max"` | which range codes reach |
    /// | `scales` | the tensor's own type, F32 for F64 | the type that scales are stored in |
    Linear {
        /// Bits of a code.
        bits: u32,
        /// Whether there are zero points.
        #[serde(default)]
        affine: bool,
        /// Who shares a scale.
        #[serde(default)]
        sharing: Sharing,
        /// Which range codes reach.
        #[serde(default)]
        range: Range,
        /// The type that scales are stored in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scales: Option<DType>,
    },
    /// Floats of 8 bits, E4M3: [`Float8`]. Fields as above.
    Float8 {
        /// Who shares a scale.
        #[serde(default)]
        sharing: Sharing,
        /// The type that scales are stored in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scales: Option<DType>,
    },
    /// A block format of GGUF files.
    Blocks(BlockFormat),
}

/// Who shares a scale, of a weight of shape `[outputs, inputs]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Sharing {
    /// All weights.
    #[default]
    Tensor,
    /// Those of one output: an index on the first axis.
    Channel,
    /// So many neighbours along the last axis.
    Group(usize),
}

/// Which range codes reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Range {
    /// That of the weights.
    #[default]
    MinMax,
    /// The one of the least squared error: [`ErrorSearch`] with norm 2, and patience for all of its grid.
    ErrorSearch,
}

impl Sharing {
    pub(super) fn granularity(self, axes: usize) -> Granularity {
        match self {
            Self::Tensor => Granularity::PerTensor,
            Self::Channel => Granularity::PerChannel(Axis(0)),
            Self::Group(size) => Granularity::PerGroup {
                axis: Axis(axes.saturating_sub(1)),
                size,
            },
        }
    }
}

impl Quantization {
    /// What codes will mean and who will share a scale, of a tensor with so many axes; `None` for blocks.
    pub(super) fn parts(self, axes: usize) -> Result<Option<(Scheme, Granularity)>> {
        Ok(match self {
            Self::Linear {
                bits,
                affine,
                sharing,
                ..
            } => Some((linear(bits, affine).scheme()?, sharing.granularity(axes))),
            Self::Float8 { sharing, .. } => {
                Some((Float8::e4m3().scheme(), sharing.granularity(axes)))
            }
            Self::Blocks(_) => None,
        })
    }

    /// Fails for what can never be: bits, groups, a type of scales that is none.
    pub(super) fn check(self, shape: &[usize], dtype: DType) -> Result<()> {
        if let Some((_, granularity)) = self.parts(shape.len())? {
            granularity.scales(shape)?;
        }
        let scales = self.scales(dtype);
        if matches!(scales, DType::F16 | DType::Bf16 | DType::F32) {
            return Ok(());
        }
        Err(Error::File(FileError::WrongDType {
            given: scales.name(),
            expected: "F16, BF16 or F32 for scales",
        }))
    }

    /// The type that the recipe asks for, if it does.
    pub(super) const fn asked_scales(self) -> Option<DType> {
        match self {
            Self::Linear { scales, .. } | Self::Float8 { scales, .. } => scales,
            Self::Blocks(_) => None,
        }
    }

    /// The block format, if it is one.
    pub(super) const fn blocks(self) -> Option<BlockFormat> {
        match self {
            Self::Blocks(format) => Some(format),
            _ => None,
        }
    }

    /// Whether a weight of 0 comes back as 0.
    pub(super) fn keeps_zero(self) -> bool {
        self.blocks().is_none_or(BlockFormat::keeps_zero)
    }

    /// The type of the scales of a tensor of this type.
    pub(super) fn scales(self, dtype: DType) -> DType {
        let own = if dtype == DType::F64 {
            DType::F32
        } else {
            dtype
        };
        match self {
            Self::Linear { scales, .. } | Self::Float8 { scales, .. } => scales.unwrap_or(own),
            Self::Blocks(_) => own,
        }
    }

    /// Codes whose scales are numbers of this type. Scales are rounded first and codes computed with what they became.
    pub(super) fn quantize<F: Float>(
        self,
        weights: &ArrayRefD<F>,
        scales: DType,
    ) -> Result<QuantizedTensor> {
        match self {
            Self::Linear {
                bits,
                affine,
                sharing,
                range,
                ..
            } => {
                let linear = linear(bits, affine).granularity(sharing.granularity(weights.ndim()));
                let codes = match range {
                    Range::MinMax => linear.quantize(weights)?,
                    Range::ErrorSearch => {
                        let ranges = search(linear).ranges(weights)?;
                        linear.quantize_with(weights, &linear.parameters(&ranges)?)?
                    }
                };
                match rounded(codes.parameters(), scales)? {
                    None => Ok(codes),
                    Some(parameters) => linear.quantize_with(weights, &parameters),
                }
            }
            Self::Float8 { sharing, .. } => {
                let float8 = Float8::e4m3().granularity(sharing.granularity(weights.ndim()));
                let codes = float8.quantize(weights)?;
                match rounded(codes.parameters(), scales)? {
                    None => Ok(codes),
                    Some(parameters) => float8.quantize_with(weights, &parameters),
                }
            }
            Self::Blocks(_) => Err(Error::CodesNotIntegers),
        }
    }

    /// Puts what codes mean in the place of weights.
    pub(super) fn restore<F: Float>(self, weights: &mut ArrayRefD<F>, scales: DType) -> Result<()> {
        match self.blocks() {
            Some(format) => BlockTensor::encode(weights, format)?.dequantize_into(weights),
            None => self.quantize(weights, scales)?.dequantize_into(weights),
        }
    }
}

fn linear(bits: u32, affine: bool) -> Linear {
    let linear = Linear::new(bits);
    if affine { linear.affine() } else { linear }
}

fn search(linear: Linear) -> ErrorSearch {
    /// More than there are candidates, so that none is left out.
    const ALL: usize = 1000;
    ErrorSearch::new(linear).norm(2.0).patience(ALL)
}

/// The parameters with their scales rounded to a type, at least its smallest positive number; `None` if they are such
/// numbers already.
fn rounded(parameters: &Parameters, dtype: DType) -> Result<Option<Parameters>> {
    let least = match dtype {
        DType::F16 => f16::MIN_POSITIVE_SUBNORMAL.to_f32(),
        DType::Bf16 => bf16::MIN_POSITIVE.to_f32(),
        _ => return Ok(None),
    };
    let exact = ndarray::ArrayView1::from(parameters.scales());
    let stored = StoredTensor::of_floats(&exact, dtype)?;
    // Where all weights are 0 the scale is as small as an f32 can be.
    let scales = stored
        .floats::<f32>()?
        .mapv(|scale| if scale > least { scale } else { least });
    let scales: Vec<f32> = scales.into_iter().collect();
    if scales == parameters.scales() {
        return Ok(None);
    }
    let with = Parameters::new(parameters.scheme(), parameters.granularity(), scales);
    Ok(Some(if parameters.scheme().has_zero_points() {
        with.with_zero_points(parameters.zero_points().to_vec())
    } else {
        with
    }))
}
