//! A file whose tensors have their places before their bytes come.

use super::file::Replacement;
use crate::error::{Error, FileError, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// A file whose tensors come in any order and in pieces, each at the place that the header gave it.
#[derive(Debug)]
pub(super) struct Pieces {
    file: Replacement,
    tensors: BTreeMap<String, Place>,
}

/// Where a tensor begins in the file, how many bytes it has, and how many came.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    len: usize,
    written: usize,
}

impl Pieces {
    /// Begins a file of `header` and of tensors: name, where it begins behind the header, how many bytes it has.
    ///
    /// Nothing is touched if a name is there twice.
    pub(super) fn begin<'a>(
        path: &Path,
        header: &[u8],
        tensors: impl IntoIterator<Item = (&'a str, u64, usize)>,
    ) -> Result<Self> {
        let mut places = BTreeMap::new();
        for (name, start, len) in tensors {
            let place = Place {
                start: (header.len() as u64).saturating_add(start),
                len,
                written: 0,
            };
            if places.insert(name.to_owned(), place).is_some() {
                return Err(Error::NameRepeated {
                    what: "tensors",
                    name: name.to_owned(),
                });
            }
        }
        let mut file = Replacement::begin(path)?;
        file.append(header)?;
        Ok(Self {
            file,
            tensors: places,
        })
    }

    /// Writes bytes that belong to no tensor.
    #[cfg(feature = "gguf")]
    pub(super) fn fill(&mut self, from: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_at(from, bytes)
    }

    /// Writes the next bytes of a tensor.
    pub(super) fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let place = self.tensors.get_mut(name).ok_or_else(|| {
            Error::File(FileError::NoTensor {
                name: name.to_owned(),
            })
        })?;
        if bytes.len() > place.len - place.written {
            let too_many = Error::File(FileError::NoSuchBytes {
                from: place.written,
                count: bytes.len(),
                len: place.len,
            });
            return Err(too_many.in_tensor(name));
        }
        let from = place.start + place.written as u64;
        self.file.write_at(from, bytes)?;
        place.written += bytes.len();
        Ok(())
    }

    /// Brings the file to the disk and to its place, if all bytes came.
    pub(super) fn finish(self) -> Result<()> {
        let unfinished = |(_, place): &(&String, &Place)| place.written != place.len;
        if let Some((name, place)) = self.tensors.iter().find(unfinished) {
            let missing = Error::File(FileError::Unfinished {
                written: place.written,
                len: place.len,
            });
            return Err(missing.in_tensor(name.as_str()));
        }
        self.file.finish()
    }
}

/// Fails unless type and shape of a tensor are as they were said.
pub(super) fn check_said(
    given: (&'static str, &[usize]),
    said: (&'static str, &[usize]),
) -> Result<(), FileError> {
    if given.0 != said.0 {
        return Err(FileError::WrongDType {
            given: given.0,
            expected: said.0,
        });
    }
    if given.1 != said.1 {
        return Err(FileError::WrongShape {
            given: given.1.to_vec(),
            expected: said.1.to_vec(),
        });
    }
    Ok(())
}
