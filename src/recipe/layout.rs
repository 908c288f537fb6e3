//! Which tensors of a file a tensor of the model becomes.

use super::{Output, Quantization, Rule};
use crate::error::{Error, FileError, Result};
use crate::formats::{CompressedLayout, CompressedWeights, GgufType, GptqWeights};
use crate::quantize::{BlockFormat, Granularity};
use crate::tensors::{DType, TensorInfo};

/// How a tensor of the model lies in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// Byte for byte as it was.
    Same,
    /// As floats of its own type.
    Dense,
    /// As the values that stay, and a mask.
    Kept,
    /// As words of GPTQ.
    Gptq {
        bits: u32,
        group: Option<usize>,
        symmetric: bool,
    },
    /// As blocks of a GGUF file.
    Blocks(BlockFormat),
    /// As codes of compressed-tensors.
    Compressed {
        layout: CompressedLayout,
        weights: CompressedWeights,
        scales: DType,
    },
}

fn cannot(output: &Output, what: &str, must: &'static str) -> Error {
    Error::File(FileError::CannotHold {
        format: output.name(),
        what: what.to_owned(),
        must,
    })
}

/// The module that a tensor is the weight of.
pub(super) fn module(name: &str) -> Option<&str> {
    name.strip_suffix(".weight")
}

/// Fails unless a tensor has the name of a weight.
fn named(output: &Output, info: &TensorInfo) -> Result<()> {
    match module(&info.name) {
        Some(_) => Ok(()),
        None => Err(cannot(
            output,
            "codes of a tensor with this name",
            "names that end in .weight",
        )),
    }
}

impl Layout {
    /// The layout of a tensor that a rule changes.
    pub(super) fn new(output: &Output, rule: &Rule, info: &TensorInfo) -> Result<Self> {
        if let Some(pruning) = rule.prune {
            pruning.check()?;
        }
        if let Some(how) = rule.quantize {
            how.check(&info.shape, info.dtype)?;
        }
        if rule.prune.is_some() && rule.quantize.is_some_and(|how| !how.keeps_zero()) {
            let must = "a format in which a weight of 0 comes back as 0";
            return Err(cannot(
                output,
                "pruned weights in blocks that move zeros",
                must,
            ));
        }
        match (output, rule.quantize) {
            (Output::Dense, _) => Ok(Self::Dense),
            (Output::Kept, None) => Ok(Self::Kept),
            (Output::Kept, Some(_)) => {
                Err(cannot(output, "codes", "pruned weights that stay floats"))
            }
            (_, None) => Ok(Self::Dense),
            (Output::CompressedTensors(layout), Some(how)) => {
                Self::compressed(output, *layout, how, info)
            }
            (Output::Gptq, Some(how)) => Self::gptq(output, how, info),
            (Output::Gguf(_), Some(Quantization::Blocks(format))) => Ok(Self::Blocks(format)),
            (_, Some(_)) => Err(cannot(output, "codes", "block formats")),
        }
    }

    fn gptq(output: &Output, how: Quantization, info: &TensorInfo) -> Result<Self> {
        let parts = how.parts(info.shape.len())?;
        let Some((scheme, granularity)) = parts.filter(|(scheme, _)| scheme.is_integer()) else {
            return Err(cannot(output, "codes that are no integers", "integers"));
        };
        if how.asked_scales().is_some_and(|dtype| dtype != DType::F16) {
            return Err(cannot(
                output,
                "scales of the type asked for",
                "scales of F16",
            ));
        }
        named(output, info)?;
        Ok(Self::Gptq {
            bits: scheme.bits(),
            group: match granularity {
                Granularity::PerGroup { size, .. } => Some(size),
                _ => None,
            },
            symmetric: !scheme.has_zero_points(),
        })
    }

    fn compressed(
        output: &Output,
        layout: CompressedLayout,
        how: Quantization,
        info: &TensorInfo,
    ) -> Result<Self> {
        let Some((scheme, granularity)) = how.parts(info.shape.len())? else {
            return Err(cannot(output, "blocks", "integers, or floats of 8 bits"));
        };
        named(output, info)?;
        Ok(Self::Compressed {
            layout,
            weights: CompressedWeights::new(scheme, granularity)?,
            scales: how.scales(info.dtype),
        })
    }
}

/// The tensors that a tensor becomes, where its values do not decide about that.
pub(super) fn infos(layout: Layout, info: &TensorInfo) -> Result<Vec<TensorInfo>> {
    match layout {
        Layout::Same | Layout::Dense | Layout::Kept => Ok(vec![info.clone()]),
        Layout::Gptq { bits, group, .. } => {
            let &[outputs, inputs] = info.shape.as_slice() else {
                let what = format!("codes of shape {:?}", info.shape);
                return Err(cannot(&Output::Gptq, &what, "matrices"));
            };
            let module = module(&info.name).unwrap_or(&info.name);
            GptqWeights::infos(module, [outputs, inputs], bits, group)
        }
        // A GGUF file says which blocks they are; here only their bytes count.
        Layout::Blocks(format) => {
            let bytes = GgufType::from(format).bytes_for(&info.shape)?;
            Ok(vec![TensorInfo::new(&*info.name, DType::U8, [bytes])])
        }
        Layout::Compressed {
            layout,
            weights,
            scales,
        } => {
            let module = module(&info.name).unwrap_or(&info.name);
            layout.infos(module, &info.shape, weights, scales)
        }
    }
}
