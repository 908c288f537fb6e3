//! One array in a file.

use super::header::{Header, encode};
use super::stream::{Stream, read};
use crate::error::Result;
use crate::formats::bytes::Bytes;
use crate::formats::file::{Replacement, cut};
use crate::tensors::{Element, StoredTensor};
use ndarray::{ArrayD, ArrayRef, Dimension};
use std::path::Path;

/// The bytes of a file from one place on.
struct Part<'a> {
    bytes: &'a Bytes,
    path: &'a Path,
    start: u64,
    at: u64,
}

impl Stream for Part<'_> {
    fn move_to(&mut self, at: u64) -> Result<()> {
        self.at = self.start + at;
        Ok(())
    }

    fn next(&mut self, to: &mut [u8]) -> Result<()> {
        let read = self.bytes.read_at(self.at, to);
        read.map_err(|error| cut(self.path, error))?;
        self.at += to.len() as u64;
        Ok(())
    }
}

/// Reads a `.npy` file of elements of the type `T`, which include truth values.
///
/// Any order of bytes and axes is read; the array is in row-major order. Nothing is allocated that the file does not have
/// the bytes for.
///
/// # Errors
///
/// [`FileError::Damaged`](crate::FileError::Damaged) if it is no such file, or not a whole one;
/// [`FileError::CannotHold`](crate::FileError::CannotHold) if its elements are texts, objects or records;
/// [`FileError::WrongDType`](crate::FileError::WrongDType) if they are of another type;
/// [`FileError::Failed`](crate::FileError::Failed).
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::formats::{read_npy, write_npy};
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-npy-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(rarefy::Error::external)?;
/// let path = folder.join("kept.npy");
/// write_npy(&path, &array![[true, false], [false, true]])?;
/// assert!(read_npy::<bool>(&path)?[[1, 1]]);
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
pub fn read_npy<T: Element>(path: impl AsRef<Path>) -> Result<ArrayD<T>> {
    read_npy_tensor(path)?.elements()
}

/// Reads a `.npy` file of elements of any type that NumPy and [`DType`](crate::tensors::DType) share.
///
/// # Errors
///
/// Those of [`read_npy`] but for the type.
pub fn read_npy_tensor(path: impl AsRef<Path>) -> Result<StoredTensor> {
    let path = path.as_ref();
    let bytes = Bytes::open(path)?;
    let mut part = Part {
        bytes: &bytes,
        path,
        start: 0,
        at: 0,
    };
    let header = Header::read(bytes.len(), &mut |to| part.next(to));
    let header = header.map_err(|fault| fault.in_file(path))?;
    part.start = header.before;
    // As many as the file has: that was compared.
    let mut elements = vec![0; header.bytes];
    read(&header, &mut part, 0, &mut elements)?;
    StoredTensor::new(header.dtype, header.shape, elements)
}

/// Writes a `.npy` file, byte for byte as NumPy writes an array in row-major order, as a whole or not at all.
///
/// # Errors
///
/// [`FileError::Failed`](crate::FileError::Failed).
pub fn write_npy<T: Element, D: Dimension>(
    path: impl AsRef<Path>,
    array: &ArrayRef<T, D>,
) -> Result<()> {
    write_npy_tensor(path, &StoredTensor::of(array))
}

/// The same of elements of any type that NumPy has.
///
/// # Errors
///
/// [`FileError::CannotHold`](crate::FileError::CannotHold) for floats of other than 16, 32 and 64 bits and for BF16, and
/// [`FileError::Failed`](crate::FileError::Failed).
pub fn write_npy_tensor(path: impl AsRef<Path>, tensor: &StoredTensor) -> Result<()> {
    let header = encode(tensor.dtype(), tensor.shape())?;
    let mut file = Replacement::begin(path.as_ref())?;
    file.append(&header)?;
    file.append(tensor.bytes())?;
    file.finish()
}
