//! Reads one safetensors file.

use super::header::{Header, LONGEST};
use crate::error::{Error, FileError, Result};
use crate::formats::bytes::Bytes;
use crate::formats::file::{cut, damaged};
use crate::tensors::{TensorInfo, TensorSource};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// One safetensors file, open for reading.
///
/// Opening reads the header and checks it against the file: every length and offset, names that are there twice, holes
/// and overlaps. Nothing is allocated that the file does not have the bytes for. Tensors are read when they are asked for,
/// at their place, by any number of threads.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::formats::{SafetensorsFile, SafetensorsWriter};
/// use rarefy::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-reader-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # let path = folder.join("model.safetensors");
/// # let infos = vec![TensorInfo::new("layer.weight", DType::F32, [1, 2])];
/// # let mut writer = SafetensorsWriter::create(&path, infos, Default::default())?;
/// # writer.append("layer.weight", &[0, 0, 128, 63, 0, 0, 0, 192])?;
/// # writer.finish()?;
/// let file = SafetensorsFile::open(&path)?;
/// for info in file.infos() {
///     println!("{} {} {:?}", info.name, info.dtype, info.shape);
/// }
/// let weights = file.floats::<f32>("layer.weight")?;
/// assert_eq!(weights, array![[1.0, -2.0]].into_dyn());
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
pub struct SafetensorsFile {
    path: PathBuf,
    bytes: Bytes,
    header: Header,
    /// Where the first tensor begins.
    start: u64,
}

impl SafetensorsFile {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`] if it is no safetensors file, or not a whole one; [`FileError::Failed`] if it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::new(path.to_owned(), Bytes::open(path)?)
    }

    /// The same from bytes in memory.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`] if they are no safetensors file.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::new(PathBuf::from("safetensors in memory"), Bytes::Memory(bytes))
    }

    /// The same by mapping the file into memory: what is read comes from the system's cache without a call.
    ///
    /// # Safety
    ///
    /// While the value lives, nobody may change or shorten the file, this process or another: reading it would be
    /// undefined behaviour, or end the process with a bus error. [`open`](Self::open) has no such condition.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    #[cfg(feature = "mmap")]
    #[expect(unsafe_code, reason = "the caller vouches for what nobody can check")]
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // SAFETY: the caller vouches that the file stays as it is.
        let bytes = unsafe { Bytes::map(path) };
        Self::new(path.to_owned(), bytes?)
    }

    fn new(path: PathBuf, bytes: Bytes) -> Result<Self> {
        let len = bytes.len();
        let read = |from: u64, count: u64| {
            let mut part = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
            bytes
                .read_at(from, &mut part)
                .map_err(|error| cut(&path, error))?;
            Ok::<_, Error>(part)
        };
        if len < 8 {
            return Err(damaged(&path, format!("{len} bytes are no header")));
        }
        let mut size = [0; 8];
        size.copy_from_slice(&read(0, 8)?);
        let size = u64::from_le_bytes(size);
        if size > LONGEST.min(len - 8) {
            let why = format!("a header of {size} bytes in a file of {len}");
            return Err(damaged(&path, why));
        }
        let text = read(8, size)?;
        let start = 8 + size;
        let header = Header::parse(&text, len - start).map_err(|why| damaged(&path, why))?;
        Ok(Self {
            path,
            bytes,
            header,
            start,
        })
    }

    /// The texts of the header by key: `format` is `pt` where PyTorch wrote the file.
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.texts
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl TensorSource for SafetensorsFile {
    fn infos(&self) -> &[TensorInfo] {
        &self.header.infos
    }

    fn position(&self, name: &str) -> Option<usize> {
        let name_of = |&number: &usize| self.header.infos[number].name.as_str();
        let by_name = &self.header.by_name;
        let found = by_name.binary_search_by(|number| name_of(number).cmp(name));
        found.ok().map(|place| by_name[place])
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        let info = self.header.infos.get(tensor);
        let len = info.map_or(Ok(0), TensorInfo::bytes)?;
        let inside = from.checked_add(bytes.len()).is_some_and(|end| end <= len);
        let (true, Some(start)) = (inside, self.header.starts.get(tensor)) else {
            return Err(Error::File(FileError::NoSuchBytes {
                from,
                count: bytes.len(),
                len,
            }));
        };
        let place = self.start + start + from as u64;
        let read = self.bytes.read_at(place, bytes);
        read.map_err(|error| cut(&self.path, error))
    }
}

impl fmt::Debug for SafetensorsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SafetensorsFile")
            .field("path", &self.path)
            .field("tensors", &self.header.infos.len())
            .finish_non_exhaustive()
    }
}
