//! What a config says of quantized weights.

use super::layout::no_layout;
use super::setting::{Setting, json_number};
use crate::error::Result;
use crate::quantize::{BlockShape, Granularity, Minifloat, QuantizedTensor, Scheme};
use ndarray::Axis;
use serde_json::{Value, json};

/// What compressed-tensors says of the quantized weights of modules: bits, integers or floats, with zero points or without,
/// who shares a scale. It is the object `weights` of a group in `config.json`.
///
/// | [`Granularity`] of `[N, K]` | `strategy` |
/// |---|---|
/// | `PerTensor` | `tensor` |
/// | `PerChannel(Axis(0))`, `PerToken` | `channel` |
/// | `PerGroup` along `Axis(1)` | `group` |
/// | `PerBlock` of two lengths | `block` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CompressedWeights {
    bits: u32,
    float: bool,
    symmetric: bool,
    /// One of the table, `PerToken` as `PerChannel`.
    granularity: Granularity,
}

impl CompressedWeights {
    /// Weights of this scheme and granularity; symmetric where the scheme has no zero points.
    ///
    /// Codes of [`Scheme::unsigned`] are stored less 2ᵇ⁻¹, and so are their zero points. If all of these will be 2ᵇ⁻¹, or with
    /// [`Scheme::affine`] 0, say so by [`symmetric`](Self::symmetric): then none are stored, which more programs load.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::Axis;
    /// use rarefy::formats::CompressedWeights;
    /// use rarefy::quantize::{Granularity, Scheme};
    ///
    /// let rows = Granularity::PerChannel(Axis(0));
    /// assert!(CompressedWeights::new(Scheme::symmetric(8)?, rows)?.is_symmetric());
    /// let unsigned = CompressedWeights::new(Scheme::unsigned(4)?, rows)?;
    /// assert!(!unsigned.is_symmetric() && unsigned.symmetric().is_symmetric());
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FileError::CannotHold`](crate::FileError::CannotHold) for codes of 16 bits, floats other than E4M3, codebooks, zero points that are floats, signs
    /// alone, and for a granularity along another axis.
    pub fn new(scheme: Scheme, granularity: Granularity) -> Result<Self> {
        let integers = "integers of 1 to 8 bits or E4M3";
        if scheme.has_float_zero_points() {
            return Err(no_layout(
                "zero points that are floats",
                "zero points that are codes",
            ));
        }
        let float = match scheme.minifloat() {
            Some(Minifloat::E4M3) => true,
            Some(other) => return Err(no_layout(format!("{other:?}"), integers)),
            None if scheme.has_codebook() => return Err(no_layout("a codebook", integers)),
            None if !scheme.is_integer() => return Err(no_layout("signs alone", integers)),
            None if scheme.bits() > 8 => {
                return Err(no_layout(
                    format!("codes of {} bits", scheme.bits()),
                    integers,
                ));
            }
            None => false,
        };
        Ok(Self {
            bits: scheme.bits(),
            float,
            symmetric: !scheme.has_zero_points(),
            granularity: along_inputs(granularity)?,
        })
    }

    /// Those of this tensor; symmetric where all zero points are the middle code.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn of(tensor: &QuantizedTensor) -> Result<Self> {
        let mut weights = Self::new(tensor.scheme(), tensor.granularity())?;
        weights.symmetric |= first_off_middle(tensor).is_none();
        Ok(weights)
    }

    /// The same without zero points: all of them are the middle code.
    #[must_use]
    pub const fn symmetric(mut self) -> Self {
        self.symmetric = true;
        self
    }

    /// Bits of a code.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// Whether codes are floats of 8 bits, E4M3.
    pub const fn is_float(self) -> bool {
        self.float
    }

    /// Whether there are no zero points.
    pub const fn is_symmetric(self) -> bool {
        self.symmetric
    }

    /// Who shares a scale.
    pub const fn granularity(self) -> Granularity {
        self.granularity
    }

    /// What codes mean that were read.
    pub(super) fn scheme(self) -> Result<Scheme> {
        match (self.float, self.symmetric) {
            (true, _) => Ok(Scheme::float(Minifloat::E4M3)),
            // Two's complement of one bit is no scheme: −1 and 0 are 0 and 1 with the zero point 1.
            _ if self.bits == 1 => Scheme::unsigned(1),
            (_, true) => Scheme::symmetric_full_range(self.bits),
            (_, false) => Scheme::affine(self.bits),
        }
    }

    /// The same where a group is a row: its other name.
    pub(super) fn of_columns(mut self, columns: usize) -> Self {
        if matches!(self.granularity, Granularity::PerGroup { size, .. } if size == columns) {
            self.granularity = Granularity::PerChannel(Axis(0));
        }
        self
    }

    pub(super) fn to_json(self) -> Value {
        let (strategy, group, block) = match self.granularity {
            Granularity::PerChannel(_) => ("channel", Value::Null, None),
            Granularity::PerGroup { size, .. } => ("group", json!(size), None),
            Granularity::PerBlock(block) => ("block", Value::Null, Some(json!(block.lengths()))),
            _ => ("tensor", Value::Null, None),
        };
        let mut weights = json!({
            "num_bits": self.bits,
            "type": if self.float { "float" } else { "int" },
            "symmetric": self.symmetric,
            "strategy": strategy,
            "group_size": group,
            "dynamic": false,
        });
        if let (Some(block), Some(weights)) = (block, weights.as_object_mut()) {
            weights.insert("block_structure".to_owned(), block);
        }
        weights
    }

    pub(super) fn from_json(weights: &Setting<'_>) -> Result<Self> {
        weights.object()?;
        let dynamic = weights.get("dynamic");
        if !matches!(
            dynamic.value(),
            None | Some(Value::Null | Value::Bool(false))
        ) {
            return Err(dynamic.wrong("false for weights"));
        }
        let float = match weights.get("type").text_or("int")?.to_lowercase().as_str() {
            "int" => false,
            "float" => true,
            _ => return Err(weights.get("type").wrong("int or float")),
        };
        let bits = weights.get("num_bits");
        let bits = match (bits.whole_or(8)?, float) {
            (8, true) => 8,
            (_, true) => return Err(bits.wrong("8 for floats")),
            (count @ 1..=8, false) => u32::try_from(count).unwrap_or(8),
            _ => return Err(bits.wrong("1 to 8")),
        };
        let symmetric = weights.get("symmetric").truth_or(true)?;
        if float && !symmetric {
            return Err(weights.get("symmetric").wrong("true for floats"));
        }
        Ok(Self {
            bits,
            float,
            symmetric,
            granularity: granularity(weights)?,
        })
    }
}

/// The granularity by its names here.
fn along_inputs(granularity: Granularity) -> Result<Granularity> {
    let must =
        "one scale, or scales per output, in groups along the inputs or in blocks of two lengths";
    match granularity {
        Granularity::PerTensor | Granularity::PerChannel(Axis(0)) => Ok(granularity),
        Granularity::PerToken => Ok(Granularity::PerChannel(Axis(0))),
        Granularity::PerGroup {
            axis: Axis(1),
            size,
        } if size > 0 => Ok(granularity),
        Granularity::PerBlock(block) if block.lengths().len() == 2 => Ok(granularity),
        Granularity::PerChannel(axis) => Err(no_layout(
            format!("scales along axis {}", axis.index()),
            must,
        )),
        Granularity::PerGroup { axis, size } => Err(no_layout(
            format!("groups of {size} along axis {}", axis.index()),
            must,
        )),
        Granularity::PerBlock(block) => Err(no_layout(
            format!("blocks of {} lengths", block.lengths().len()),
            must,
        )),
    }
}

/// The granularity of a config, which may leave out its name.
fn granularity(weights: &Setting<'_>) -> Result<Granularity> {
    let (strategy, size) = (weights.get("strategy"), weights.get("group_size"));
    let count = size.value().and_then(json_number);
    let named = match (strategy.value(), count) {
        (None | Some(Value::Null), None) => "tensor".to_owned(),
        (None | Some(Value::Null), Some(-1)) => "channel".to_owned(),
        (None | Some(Value::Null), Some(_)) => "group".to_owned(),
        _ => strategy.text()?.to_lowercase(),
    };
    match named.as_str() {
        "tensor" => Ok(Granularity::PerTensor),
        "channel" => Ok(Granularity::PerChannel(Axis(0))),
        "group" => {
            let size = match size.whole()? {
                0 => return Err(size.wrong("at least 1")),
                size => size,
            };
            Ok(Granularity::PerGroup {
                axis: Axis(1),
                size,
            })
        }
        "block" => {
            let block = weights.get("block_structure");
            let lengths: Vec<usize> = block.wholes()?;
            match BlockShape::new(&lengths) {
                Ok(shape) if lengths.len() == 2 => Ok(Granularity::PerBlock(shape)),
                _ => Err(block.wrong("two lengths, at least 1 each")),
            }
        }
        _ => Err(strategy.wrong("tensor, channel, group or block")),
    }
}

/// The number of the first zero point that is not the middle code.
pub(super) fn first_off_middle(tensor: &QuantizedTensor) -> Option<usize> {
    let middle = middle(tensor.scheme());
    let zeros = tensor.zero_points();
    zeros.iter().position(|&zero| zero != middle)
}

/// The code that means 0 in symmetric weights.
fn middle(scheme: Scheme) -> i32 {
    if scheme.is_signed() {
        0
    } else {
        1 << (scheme.bits() - 1)
    }
}
