//! What is known of a tensor without its elements.

use super::DType;
use crate::error::{Error, FileError, Result};
use crate::shape;

/// What is known of a tensor without its elements: name, type, shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TensorInfo {
    /// Its name in the model.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its lengths, outermost first; row-major.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// A tensor of this name, type and shape.
    pub fn new(name: impl Into<String>, dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self {
            name: name.into(),
            dtype,
            shape: shape.into(),
        }
    }

    /// How many elements it has.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`] if that cannot be counted.
    pub fn elements(&self) -> Result<usize> {
        shape::count(&self.shape)
    }

    /// How many bytes its elements take.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`] if that cannot be counted, [`FileError::PartOfAByte`] if elements of 4 or 6 bits do not
    /// fill their last byte.
    pub fn bytes(&self) -> Result<usize> {
        let bits = self.elements()?.checked_mul(self.dtype.bits());
        match bits {
            Some(bits) if bits % 8 == 0 => Ok(bits / 8),
            Some(_) => Err(Error::File(FileError::PartOfAByte {
                dtype: self.dtype.name(),
                shape: self.shape.clone(),
            })),
            None => Err(Error::ShapeOverflow {
                shape: self.shape.clone(),
            }),
        }
    }
}
