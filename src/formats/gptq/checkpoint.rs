//! A whole checkpoint.

use super::{GptqConfig, GptqWeights};
use crate::error::Result;
use crate::formats::dense::{Dense, read_dense};
use crate::formats::integers::{Modules, open};
use crate::tensors::TensorSource;

/// A GPTQ checkpoint as the dense model that it stands for.
///
/// A module `m` is the tensor `m.weight` of shape outputs × inputs, of the type of its scales, in place of `m.qweight`,
/// `m.qzeros`, `m.scales` and `m.g_idx`; so whatever reads models reads it. All other tensors, biases among them, are what
/// they are.
///
/// Elements are scale · (code − zero point), rounded once to the type of the scales: the bits that PyTorch's readers
/// compute. Zero points of 2ᵇ, which v1 can say, scales of any sign and orders of inputs with groups of any size are
/// computed with; a [`QuantizedTensor`](crate::quantize::QuantizedTensor) has none of these.
///
/// Codes of many outputs lie side by side, so any part of a tensor needs all of its codes: those of the tensor read last are
/// held from its first read until its last element is read, a quarter of the dense bytes with 4 bits. Threads that read
/// different tensors at once would take them from each other; give each a checkpoint of its own.
///
/// # Examples
///
/// ```no_run
/// use rarefy::formats::{Checkpoint, GptqCheckpoint, GptqConfig};
/// use rarefy::tensors::{TensorSource, TensorSourceExt};
///
/// let config = std::fs::read("model/config.json").map_err(rarefy::Error::external)?;
/// let config = serde_json::from_slice(&config).map_err(rarefy::Error::external)?;
/// let model = GptqCheckpoint::new(Checkpoint::open("model")?, GptqConfig::from_json(&config)?)?;
/// let dense = model.floats::<f32>("model.layers.0.self_attn.q_proj.weight")?;
/// let weights = model.quantized("model.layers.0.self_attn.q_proj")?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug)]
pub struct GptqCheckpoint<S> {
    dense: Dense<S, Modules<GptqConfig>>,
}

impl<S: TensorSource> GptqCheckpoint<S> {
    /// The checkpoint with these tensors. Modules are those that have a `qweight`; only names, types and shapes are read.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`](crate::FileError::NoTensor), [`FileError::WrongDType`](crate::FileError::WrongDType),
    /// [`FileError::WrongShape`](crate::FileError::WrongShape), [`FileError::CannotHold`](crate::FileError::CannotHold):
    /// a part is missing or not as the configuration says. [`Error::NameRepeated`](crate::Error::NameRepeated): a module
    /// has a `weight` as well.
    pub fn new(source: S, config: GptqConfig) -> Result<Self> {
        let dense = open(source, config)?;
        Ok(Self { dense })
    }

    /// The names of the quantized modules.
    pub fn modules(&self) -> &[String] {
        &self.dense.decoder().names
    }

    /// How the weights are quantized.
    pub const fn config(&self) -> GptqConfig {
        self.dense.decoder().packing
    }

    /// The tensors as they are stored.
    pub const fn source(&self) -> &S {
        self.dense.source()
    }

    /// The weights of a module as they are quantized.
    ///
    /// # Errors
    ///
    /// Those of [`GptqWeights::read`].
    pub fn quantized(&self, module: &str) -> Result<GptqWeights> {
        GptqWeights::read(self.source(), module, &self.config())
    }
}

read_dense!(GptqCheckpoint);
