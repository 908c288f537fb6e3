//! Arrays of a checkpoint by their names, whatever its format.

use crate::Result;
use ndarray::{Array1, Array2, Ix1, Ix2};
use rarefy::formats::{Checkpoint, Decompressed, GgufFile, open_model};
use rarefy::quantize::QuantizedTensor;
use rarefy::tensors::{TensorSource, TensorSourceExt};
use std::path::Path;

/// A model on disk: a folder, a safetensors file or a GGUF file, of floats or of codes.
#[derive(Debug)]
pub struct Weights {
    /// What its codes mean.
    decoded: Box<dyn TensorSource>,
    /// Its codes, where they are those of compressed-tensors.
    codes: Option<Decompressed<Checkpoint>>,
    /// Names and bytes of the tensors as they are stored.
    stored: Vec<(String, usize)>,
}

impl Weights {
    pub fn open(path: &Path) -> Result<Self> {
        let stored: rarefy::Result<Vec<_>> = if path.extension().is_some_and(|end| end == "gguf") {
            let file = GgufFile::open(path)?;
            let sizes = file
                .tensors()
                .iter()
                .map(|info| Ok((info.name.clone(), info.bytes()?)));
            sizes.collect()
        } else {
            let file = Checkpoint::open(path)?;
            let sizes = file
                .infos()
                .iter()
                .map(|info| Ok((info.name.clone(), info.bytes()?)));
            sizes.collect()
        };
        Ok(Self {
            decoded: open_model(path)?,
            // What is damaged has failed above; here it can only be of another kind.
            codes: Decompressed::open(path).ok(),
            stored: stored?,
        })
    }

    pub fn vector(&self, name: &str) -> Result<Array1<f32>> {
        Ok(self.decoded.floats(name)?.into_dimensionality::<Ix1>()?)
    }

    pub fn matrix(&self, name: &str) -> Result<Array2<f32>> {
        Ok(self.decoded.floats(name)?.into_dimensionality::<Ix2>()?)
    }

    /// The weights of this name as codes, if they are stored as such.
    pub fn codes(&self, name: &str) -> Result<Option<QuantizedTensor>> {
        match &self.codes {
            Some(model) => Ok(model.quantized(name)?),
            None => Ok(None),
        }
    }

    /// The bytes of everything whose name begins like this: the weights of a layer, or their codes, scales and zero points.
    pub fn bytes(&self, begin: &str) -> usize {
        let own = self
            .stored
            .iter()
            .filter(|(name, _)| name.starts_with(begin));
        own.map(|(_, bytes)| bytes).sum()
    }
}
