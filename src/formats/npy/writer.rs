//! Writes arrays by name.

use super::container::{Entry, closing, local_header};
use super::header::encode;
use crate::error::{Error, FileError, Result};
use crate::formats::file::{Replacement, failed};
use crate::tensors::{Element, StoredTensor};
use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use ndarray::{ArrayRef, Dimension};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The first number that a zip archive needs 64 bits for: all bits of 32 set mean that.
const LIMIT: u64 = u32::MAX as u64;

/// A `.npz` file that is being written, array by array.
///
/// It is written beside its place, as `NAME.partial`, brought to the disk, and renamed: at any time, whatever is killed, the
/// file is there as a whole or as it was. One at a time may write a file. The same arrays are the same bytes.
#[derive(Debug)]
pub struct NpzWriter {
    path: PathBuf,
    file: Replacement,
    compressed: bool,
    entries: Vec<Entry>,
    names: BTreeSet<String>,
    at: u64,
    limit: u64,
}

impl NpzWriter {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// [`FileError::Failed`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self {
            path: path.as_ref().to_owned(),
            file: Replacement::begin(path.as_ref())?,
            compressed: false,
            entries: Vec::new(),
            names: BTreeSet::new(),
            at: 0,
            limit: LIMIT,
        })
    }

    /// The same, with arrays compressed from here on: NumPy's `savez_compressed`. A compressed array is in memory as a
    /// whole.
    #[must_use]
    pub const fn compressed(mut self) -> Self {
        self.compressed = true;
        self
    }

    /// Writes an array.
    ///
    /// # Errors
    ///
    /// Those of [`write_tensor`](Self::write_tensor).
    pub fn write<T: Element, D: Dimension>(
        &mut self,
        name: &str,
        array: &ArrayRef<T, D>,
    ) -> Result<()> {
        self.write_tensor(name, &StoredTensor::of(array))
    }

    /// Writes an array of elements of any type that NumPy has.
    ///
    /// # Errors
    ///
    /// [`Error::NameRepeated`] if an array has this name, [`FileError::CannotHold`] for a name of more than 65 531 bytes, for
    /// floats of other than 16, 32 and 64 bits and for BF16, and [`FileError::Failed`].
    pub fn write_tensor(&mut self, name: &str, tensor: &StoredTensor) -> Result<()> {
        let header =
            encode(tensor.dtype(), tensor.shape()).map_err(|error| error.in_tensor(name))?;
        let entry_name = format!("{name}.npy");
        if u16::try_from(entry_name.len()).is_err() {
            return Err(Error::File(FileError::CannotHold {
                format: "npz",
                what: format!("a name of {} bytes", name.len()),
                must: "names of at most 65531 bytes",
            }));
        }
        if self.names.contains(name) {
            return Err(Error::NameRepeated {
                what: "arrays",
                name: name.to_owned(),
            });
        }
        let mut hasher = Hasher::new();
        hasher.update(&header);
        hasher.update(tensor.bytes());
        let size = (header.len() + tensor.bytes().len()) as u64;
        let packed = if self.compressed {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            let written = encoder.write_all(&header);
            let written = written.and_then(|()| encoder.write_all(tensor.bytes()));
            let packed = written.and_then(|()| encoder.finish());
            Some(packed.map_err(failed("compress an array of", &self.path))?)
        } else {
            None
        };
        let entry = Entry {
            name: entry_name,
            deflated: packed.is_some(),
            crc: hasher.finalize(),
            packed: packed.as_ref().map_or(size, |packed| packed.len() as u64),
            size,
            header: self.at,
            start: 0,
        };
        let before = local_header(&entry, self.limit);
        self.file.append(&before)?;
        match packed {
            Some(packed) => self.file.append(&packed)?,
            None => {
                self.file.append(&header)?;
                self.file.append(tensor.bytes())?;
            }
        }
        self.at += before.len() as u64 + entry.packed;
        self.names.insert(name.to_owned());
        self.entries.push(entry);
        Ok(())
    }

    /// Writes the directory and brings the file to the disk and to its place.
    ///
    /// # Errors
    ///
    /// [`FileError::Failed`]. The file is then as it was.
    pub fn finish(mut self) -> Result<()> {
        let end = closing(&self.entries, self.at, self.limit);
        self.file.append(&end)?;
        self.file.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::NpzWriter;
    use crate::formats::npy::NpzFile;
    use crate::tensors::{TensorSource, TensorSourceExt};
    use ndarray::{Array1, array};

    #[test]
    fn numbers_of_64_bits_are_written_and_read() {
        let path = std::env::temp_dir().join(format!("rarefy-npz64-{}", std::process::id()));
        for (limit, compressed) in [(0, false), (0, true), (300, false), (1000, false)] {
            let mut writer = NpzWriter::create(&path).unwrap();
            writer.limit = limit;
            writer.compressed = compressed;
            writer.write("small", &array![1_u8]).unwrap();
            writer.write("large", &Array1::<f64>::zeros(200)).unwrap();
            writer.write("ünï", &array![[1.0_f32], [2.0]]).unwrap();
            writer.finish().unwrap();
            let file = NpzFile::open(&path).unwrap();
            assert_eq!(file.infos().len(), 3);
            assert_eq!(
                file.floats::<f64>("large").unwrap(),
                Array1::<f64>::zeros(200).into_dyn()
            );
            assert_eq!(
                file.floats::<f32>("ünï").unwrap(),
                array![[1.0], [2.0]].into_dyn()
            );
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn more_files_than_16_bits_count_are_written_and_read() {
        let path = std::env::temp_dir().join(format!("rarefy-npz-many-{}", std::process::id()));
        let mut writer = NpzWriter::create(&path).unwrap();
        for number in 0..66_000 {
            writer.write(&number.to_string(), &array![number]).unwrap();
        }
        writer.finish().unwrap();
        let file = NpzFile::open(&path).unwrap();
        assert_eq!(file.infos().len(), 66_000);
        assert_eq!(
            file.elements::<i32>("65999").unwrap(),
            array![65_999].into_dyn()
        );
        std::fs::remove_file(&path).unwrap();
    }
}
