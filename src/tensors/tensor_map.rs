//! Tensors in memory.

use super::{StoredTensor, TensorInfo, TensorSource};
use crate::error::{Error, FileError, Result};
use std::collections::BTreeMap;

/// Tensors in memory by name: a small model, or the parts of one tensor.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::tensors::{DType, StoredTensor, TensorMap, TensorSourceExt};
///
/// let weight = StoredTensor::of_floats(&array![[0.5_f32, -1.0]], DType::F16)?;
/// let model = TensorMap::new([("layer.weight".to_owned(), weight)])?;
/// assert_eq!(model.floats::<f64>("layer.weight")?, array![[0.5, -1.0]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorMap {
    infos: Vec<TensorInfo>,
    tensors: Vec<StoredTensor>,
    numbers: BTreeMap<String, usize>,
}

impl TensorMap {
    /// These tensors, in this order.
    ///
    /// # Errors
    ///
    /// [`Error::NameRepeated`] if two have one name.
    pub fn new(tensors: impl IntoIterator<Item = (String, StoredTensor)>) -> Result<Self> {
        let mut map = Self::default();
        for (name, tensor) in tensors {
            map.insert(name, tensor)?;
        }
        Ok(map)
    }

    /// Adds a tensor behind the others.
    ///
    /// # Errors
    ///
    /// [`Error::NameRepeated`] if there is one of this name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: StoredTensor) -> Result<()> {
        let name = name.into();
        if self.numbers.contains_key(&name) {
            return Err(Error::NameRepeated {
                what: "tensors",
                name,
            });
        }
        self.push(name, tensor);
        Ok(())
    }

    fn push(&mut self, name: String, tensor: StoredTensor) {
        self.numbers.insert(name.clone(), self.infos.len());
        let info = TensorInfo::new(name, tensor.dtype(), tensor.shape());
        self.infos.push(info);
        self.tensors.push(tensor);
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.numbers.get(name).map(|&number| &self.tensors[number])
    }

    /// Names and tensors, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &StoredTensor)> {
        let names = self.infos.iter().map(|info| info.name.as_str());
        names.zip(&self.tensors)
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }
}

impl IntoIterator for TensorMap {
    type Item = (String, StoredTensor);
    type IntoIter = std::iter::Zip<std::vec::IntoIter<String>, std::vec::IntoIter<StoredTensor>>;

    fn into_iter(self) -> Self::IntoIter {
        let names: Vec<String> = self.infos.into_iter().map(|info| info.name).collect();
        names.into_iter().zip(self.tensors)
    }
}

impl TensorSource for TensorMap {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        let all = self
            .tensors
            .get(tensor)
            .map_or(&[][..], StoredTensor::bytes);
        let part = all.get(from..).and_then(|rest| rest.get(..bytes.len()));
        let part = part.ok_or(Error::File(FileError::NoSuchBytes {
            from,
            count: bytes.len(),
            len: all.len(),
        }))?;
        bytes.copy_from_slice(part);
        Ok(())
    }
}
