//! A model in one file or in many.

use super::SafetensorsFile;
use super::index::{self, INDEX};
use crate::error::{Error, FileError, Result};
use crate::formats::file::{damaged, failed};
use crate::tensors::{TensorInfo, TensorSource};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A model in one safetensors file or in many, open for reading.
///
/// Tensors are in the order of the files' names, and in a file in the order of their bytes.
///
/// # Examples
///
/// ```no_run
/// use rarefy::formats::Checkpoint;
/// use rarefy::tensors::{TensorSource, TensorSourceExt};
///
/// let model = Checkpoint::open("all-MiniLM-L6-v2")?; // a folder, a file, or the index of files
/// let bytes: usize = model.infos().iter().map(|info| info.bytes().unwrap_or(0)).sum();
/// println!("{} tensors, {bytes} bytes", model.infos().len());
/// let weights = model.floats::<f32>("encoder.layer.0.output.dense.weight")?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<SafetensorsFile>,
    infos: Vec<TensorInfo>,
    /// The file of each tensor, and its number there.
    places: Vec<(usize, usize)>,
    by_name: BTreeMap<String, usize>,
}

impl Checkpoint {
    /// Opens the model at `path`: a safetensors file, the index of several (`*.index.json`), or a folder that has
    /// `model.safetensors.index.json`, `model.safetensors`, or one safetensors file.
    ///
    /// Of files with an index, only tensors that it names are the model's.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`] if a file is not whole, or the index and the files contradict each other;
    /// [`FileError::Failed`] if something cannot be read; [`FileError::NoTensor`] if the index names a tensor that its file
    /// does not have.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path.as_ref(), &|file| SafetensorsFile::open(file))
    }

    /// The same by mapping the files into memory.
    ///
    /// # Safety
    ///
    /// That of [`SafetensorsFile::map`], for each file.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    #[cfg(feature = "mmap")]
    #[expect(unsafe_code, reason = "the caller vouches for what nobody can check")]
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path.as_ref(), &|file| {
            // SAFETY: the caller vouches that the files stay as they are.
            unsafe { SafetensorsFile::map(file) }
        })
    }

    fn open_with(path: &Path, open: &dyn Fn(&Path) -> Result<SafetensorsFile>) -> Result<Self> {
        let is_index = |path: &Path| path.extension().is_some_and(|end| end == "json");
        let is_folder = fs::metadata(path).map_err(failed("open", path))?.is_dir();
        let (folder, chosen) = if is_folder {
            (path.to_owned(), of_folder(path)?)
        } else {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            (folder, path.to_owned())
        };
        let mut model = Self {
            folder,
            files: Vec::new(),
            infos: Vec::new(),
            places: Vec::new(),
            by_name: BTreeMap::new(),
        };
        if is_index(&chosen) {
            model.add_indexed(&chosen, open)?;
        } else {
            let file = open(&chosen)?;
            model.add(file, |_| true);
        }
        Ok(model)
    }

    fn add_indexed(
        &mut self,
        index: &Path,
        open: &dyn Fn(&Path) -> Result<SafetensorsFile>,
    ) -> Result<()> {
        let map = index::read(index)?;
        let mut names: Vec<&str> = map.values().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let file = open(&self.folder.join(name))?;
            self.add(file, |tensor| {
                map.get(tensor).is_some_and(|file| file == name)
            });
        }
        match map
            .keys()
            .find(|tensor| !self.by_name.contains_key(*tensor))
        {
            None => Ok(()),
            Some(lost) => Err(Error::File(FileError::NoTensor { name: lost.clone() })),
        }
    }

    fn add(&mut self, file: SafetensorsFile, is_ours: impl Fn(&str) -> bool) {
        for (number, info) in file.infos().iter().enumerate() {
            if is_ours(&info.name) {
                self.by_name.insert(info.name.clone(), self.infos.len());
                self.places.push((self.files.len(), number));
                self.infos.push(info.clone());
            }
        }
        self.files.push(file);
    }

    /// The folder that the model is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its files.
    pub fn files(&self) -> &[SafetensorsFile] {
        &self.files
    }

    /// The number of the file that a tensor is in.
    pub fn file_of(&self, tensor: usize) -> Option<usize> {
        self.places.get(tensor).map(|&(file, _)| file)
    }
}

/// The file that a folder's model begins with.
fn of_folder(folder: &Path) -> Result<PathBuf> {
    for name in [INDEX, "model.safetensors"] {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    let failed = failed("list", folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(&failed)? {
        let path = entry.map_err(&failed)?.path();
        if path.extension().is_some_and(|end| end == "safetensors") {
            found.push(path);
        }
    }
    match found.pop() {
        Some(path) if found.is_empty() => Ok(path),
        Some(_) => Err(damaged(
            folder,
            format!("{} safetensors files and no {INDEX}", found.len() + 1),
        )),
        None => Err(damaged(folder, "it has no safetensors file")),
    }
}

impl TensorSource for Checkpoint {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        match self.places.get(tensor) {
            Some(&(file, number)) => self.files[file].read_bytes(number, from, bytes),
            None => Err(Error::File(FileError::NoSuchBytes {
                from,
                count: bytes.len(),
                len: 0,
            })),
        }
    }
}
