//! A whole checkpoint.

use super::AwqConfig;
use crate::error::Result;
use crate::formats::dense::{Dense, read_dense};
use crate::formats::integers::{Modules, Packing, open};
use crate::quantize::QuantizedTensor;
use crate::tensors::TensorSource;

/// An AWQ checkpoint as the dense model that it stands for.
///
/// A module `m` is the tensor `m.weight` of shape outputs × inputs, of the type of its scales, in place of `m.qweight`,
/// `m.qzeros` and `m.scales`; all other tensors are what they are. Elements are scale · (code − zero point), rounded once
/// to the type of the scales.
///
/// A word holds eight outputs of one input, so any part of a tensor needs all of its codes: those of the tensor read last
/// are held from its first read until its last element is read, a quarter of the dense bytes. Threads that read different
/// tensors at once would take them from each other; give each a checkpoint of its own.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::formats::{AwqCheckpoint, AwqConfig};
/// use rarefy::tensors::{DType, StoredTensor, TensorMap, TensorSourceExt};
///
/// // Two inputs, eight outputs: nibbles are outputs 0, 2, 4, 6, 1, 3, 5, 7.
/// let words = StoredTensor::of(&array![[0x7531_6420_i32], [0x8]]);
/// let zeros = StoredTensor::of(&array![[0x1_i32]]);
/// let scales = StoredTensor::of_floats(&Array2::from_elem((1, 8), 0.5_f32), DType::F16)?;
/// let parts = [("m.qweight", words), ("m.qzeros", zeros), ("m.scales", scales)];
/// let parts = TensorMap::new(parts.map(|(name, part)| (name.to_owned(), part)))?;
/// let model = AwqCheckpoint::new(parts, AwqConfig::new(Some(2)))?;
///
/// let dense = model.floats::<f32>("m.weight")?;
/// assert_eq!(dense.shape(), [8, 2]);
/// assert_eq!((dense[[0, 0]], dense[[0, 1]], dense[[7, 0]]), (-0.5, 3.5, 3.5));
/// assert_eq!(model.quantized("m")?.dequantize::<f32>(), dense);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug)]
pub struct AwqCheckpoint<S> {
    dense: Dense<S, Modules<AwqConfig>>,
}

impl<S: TensorSource> AwqCheckpoint<S> {
    /// The checkpoint with these tensors. Modules are those that have a `qweight`; only names, types and shapes are read.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`](crate::FileError::NoTensor), [`FileError::WrongDType`](crate::FileError::WrongDType),
    /// [`FileError::WrongShape`](crate::FileError::WrongShape): a part is missing or not as the configuration says.
    /// [`FileError::CannotHold`](crate::FileError::CannotHold): no inputs or outputs, an odd number of inputs, or one that
    /// groups do not divide. [`Error::NameRepeated`](crate::Error::NameRepeated): a module has a `weight` as well.
    pub fn new(source: S, config: AwqConfig) -> Result<Self> {
        let dense = open(source, config)?;
        Ok(Self { dense })
    }

    /// The names of the quantized modules.
    pub fn modules(&self) -> &[String] {
        &self.dense.decoder().names
    }

    /// How the weights are quantized.
    pub const fn config(&self) -> AwqConfig {
        self.dense.decoder().packing
    }

    /// The tensors as they are stored.
    pub const fn source(&self) -> &S {
        self.dense.source()
    }

    /// The weights of a module as they are quantized: codes of 4 bits, unsigned, outputs × inputs.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), [`Error::ScaleOutOfRange`](crate::Error::ScaleOutOfRange) for a scale that is not
    /// finite and positive, and whatever reading can fail with.
    pub fn quantized(&self, module: &str) -> Result<QuantizedTensor> {
        let integers = self.config().read(self.source(), module)?;
        let quantized = integers.quantized();
        let (tensor, _) = quantized.map_err(|error| error.in_tensor(module))?;
        Ok(tensor)
    }
}

read_dense!(AwqCheckpoint);
