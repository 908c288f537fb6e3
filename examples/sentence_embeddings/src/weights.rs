//! Arrays of a checkpoint by their names: the only file that knows how checkpoints are stored.

use crate::Result;
use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};
use safetensors::{Dtype, SafeTensors};
use std::fs;
use std::path::Path;

/// The bytes of a safetensors file of floats.
#[derive(Debug)]
pub struct Weights(Vec<u8>);

impl Weights {
    /// Reads `model.safetensors` of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("model.safetensors");
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(bytes))
    }

    pub fn vector(&self, name: &str) -> Result<Array1<f32>> {
        Ok(self.array(name)?.into_dimensionality::<Ix1>()?)
    }

    pub fn matrix(&self, name: &str) -> Result<Array2<f32>> {
        Ok(self.array(name)?.into_dimensionality::<Ix2>()?)
    }

    fn array(&self, name: &str) -> Result<ArrayD<f32>> {
        let file = SafeTensors::deserialize(&self.0)?;
        let tensor = file
            .tensor(name)
            .map_err(|error| format!("{name}: {error}"))?;
        if tensor.dtype() != Dtype::F32 {
            return Err(format!("{name} is stored as {:?}, F32 is read", tensor.dtype()).into());
        }
        let (numbers, _) = tensor.data().as_chunks();
        let numbers = numbers.iter().copied().map(f32::from_le_bytes).collect();
        Ok(ArrayD::from_shape_vec(tensor.shape(), numbers)?)
    }
}
