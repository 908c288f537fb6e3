//! Reads one GGUF file.

use super::cursor::{Cursor, Fault};
use super::header::Header;
use super::{GgufTensorInfo, GgufType, GgufValue};
use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::formats::bytes::Bytes;
use crate::formats::file::{cut, damaged};
use crate::quantize::{BlockFormat, BlockTensor};
use crate::tensors::{TensorInfo, TensorSource, TensorSourceExt};
use ndarray::ArrayD;
use std::fmt;
use std::path::{Path, PathBuf};

/// One GGUF file, open for reading: what llama.cpp, candle and others run.
///
/// Opening reads the header and checks it against the file: every count, length and offset before anything is allocated
/// for it, names that are there twice, tensors that overlap. Versions 2 and 3, little-endian. Tensors are read when they
/// are asked for, at their place, by any number of threads.
///
/// As a [`TensorSource`] it gives blocks decoded, as `F32`, bit for bit what ggml makes of them, a part at a time: so
/// whatever reads models reads this one. [`block_tensor`](Self::block_tensor) gives blocks as they are.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use rarefy::formats::{GgufFile, GgufTensorInfo, GgufWriter};
/// use rarefy::quantize::BlockFormat;
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-gguf-reader-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # let path = folder.join("model.gguf");
/// # let metadata = vec![("general.architecture".to_owned(), "llama".into())];
/// # let tensors = vec![GgufTensorInfo::new("output.weight", BlockFormat::Q8_0, [2, 32])];
/// # let mut writer = GgufWriter::create(&path, metadata, tensors)?;
/// # writer.write_floats("output.weight", &Array2::<f32>::ones((2, 32)))?;
/// # writer.finish()?;
/// let file = GgufFile::open(&path)?;
/// println!("{:?}", file.value("general.architecture"));
/// for tensor in file.tensors() {
///     println!("{} {} {:?}", tensor.name, tensor.kind, tensor.shape);
/// }
/// let blocks = file.block_tensor("output.weight")?; // for a layer that computes with them
/// let weights = file.floats::<f32>("output.weight")?;
/// assert_eq!(blocks.dequantize::<f32>(), weights);
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
pub struct GgufFile {
    path: PathBuf,
    bytes: Bytes,
    header: Header,
}

impl GgufFile {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`] if it is no GGUF file that can be read, or not a whole one; [`FileError::Failed`] if it
    /// cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::new(path.to_owned(), Bytes::open(path)?)
    }

    /// The same from bytes in memory.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`] if they are no GGUF file.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::new(PathBuf::from("GGUF in memory"), Bytes::Memory(bytes))
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
        let header = Header::read(&mut Cursor::new(&bytes)).map_err(|fault| match fault {
            Fault::Wrong(why) => damaged(&path, why),
            Fault::Io(error) => cut(&path, error),
        })?;
        Ok(Self {
            path,
            bytes,
            header,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the format that it is in: 2 or 3.
    pub const fn version(&self) -> u32 {
        self.header.version
    }

    /// All keys and what they say, in the order of the file.
    pub fn metadata(&self) -> &[(String, GgufValue)] {
        &self.header.metadata
    }

    /// What a key says.
    pub fn value(&self, key: &str) -> Option<&GgufValue> {
        let Header { keys, metadata, .. } = &self.header;
        let found = keys.binary_search_by_key(&key, |&number| metadata[number].0.as_str());
        found.ok().map(|place| &metadata[keys[place]].1)
    }

    /// All tensors in the types that they are stored in, in the order of the file: the order, and the numbers, of
    /// [`infos`](TensorSource::infos).
    pub fn tensors(&self) -> &[GgufTensorInfo] {
        &self.header.tensors
    }

    /// The tensor with this name as the blocks that it is stored in.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if there is none; [`FileError::WrongDType`] if it is stored element by element, and
    /// [`FileError::TypeNotRead`] if in blocks of another format; [`Error::NotANumber`] and [`Error::Infinite`] if a
    /// scale is no finite number; and [`FileError::Failed`].
    pub fn block_tensor(&self, name: &str) -> Result<BlockTensor> {
        let number = self.number(name)?;
        let info = &self.header.tensors[number];
        let format = format(info.kind).map_err(|error| error.in_tensor(name))?;
        let mut bytes = vec![0; info.bytes()?];
        self.read_stored(number, 0, &mut bytes)?;
        let tensor = BlockTensor::from_bytes(format, info.shape.clone(), bytes);
        tensor.map_err(|error| error.in_tensor(name))
    }

    /// The tensor with this name as floats: what [`TensorSourceExt::floats`] gives, blocks decoded by all threads at once.
    ///
    /// Beside the array it takes the tensor's bytes in the file, where they are blocks.
    ///
    /// # Errors
    ///
    /// Those of [`TensorSourceExt::floats`] and [`block_tensor`](Self::block_tensor).
    pub fn floats<F: Float>(&self, name: &str) -> Result<ArrayD<F>> {
        match self.header.tensors[self.number(name)?].kind {
            GgufType::Blocks(_) => Ok(self.block_tensor(name)?.dequantize()),
            _ => TensorSourceExt::floats(self, name),
        }
    }

    /// Reads as many bytes of tensor number `tensor` as `bytes` has, from byte `from` of it on, as they lie in the file:
    /// of [`GgufTensorInfo::bytes`].
    ///
    /// # Errors
    ///
    /// [`FileError::NoSuchBytes`] if the tensor does not have them, [`FileError::TypeNotRead`] if it is not known how many
    /// it has, and [`FileError::Failed`].
    pub fn read_stored(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        let info = self.header.tensors.get(tensor);
        let len = info.map_or(Ok(0), |info| {
            let len = info.bytes();
            len.map_err(|error| error.in_tensor(info.name.as_str()))
        })?;
        let inside = from.checked_add(bytes.len()).is_some_and(|end| end <= len);
        let (true, Some(start)) = (inside, self.header.starts.get(tensor)) else {
            return Err(no_such_bytes(from, bytes.len(), len));
        };
        let read = self.bytes.read_at(start + from as u64, bytes);
        read.map_err(|error| cut(&self.path, error))
    }
}

/// Which blocks these are.
pub(super) fn format(kind: GgufType) -> Result<BlockFormat> {
    match kind {
        GgufType::Blocks(format) => Ok(format),
        GgufType::Other(_) => Err(kind.not_read()),
        GgufType::Plain(dtype) => Err(Error::File(FileError::WrongDType {
            given: dtype.name(),
            expected: "blocks of a format",
        })),
    }
}

fn no_such_bytes(from: usize, count: usize, len: usize) -> Error {
    Error::File(FileError::NoSuchBytes { from, count, len })
}

impl TensorSource for GgufFile {
    fn infos(&self) -> &[TensorInfo] {
        &self.header.infos
    }

    fn position(&self, name: &str) -> Option<usize> {
        let Header { names, tensors, .. } = &self.header;
        let found = names.binary_search_by_key(&name, |&number| tensors[number].name.as_str());
        found.ok().map(|place| names[place])
    }

    /// Blocks are decoded: of those that the bytes lie in, some at a time: half a megabyte of values at the most.
    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        let Some(info) = self.header.infos.get(tensor) else {
            return Err(no_such_bytes(from, bytes.len(), 0));
        };
        let kind = self.header.tensors[tensor].kind;
        if matches!(kind, GgufType::Plain(_)) {
            return self.read_stored(tensor, from, bytes);
        }
        let format = format(kind).map_err(|error| error.in_tensor(info.name.as_str()))?;
        let len = info.bytes()?;
        if from.checked_add(bytes.len()).is_none_or(|end| end > len) {
            return Err(no_such_bytes(from, bytes.len(), len));
        }
        let read = |from: usize, bytes: &mut [u8]| self.read_stored(tensor, from, bytes);
        let decoded = super::decode::range(format, from, bytes, &read);
        decoded.map_err(|error| error.in_tensor(info.name.as_str()))
    }
}

impl fmt::Debug for GgufFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GgufFile")
            .field("path", &self.path)
            .field("keys", &self.header.metadata.len())
            .field("tensors", &self.header.tensors.len())
            .finish_non_exhaustive()
    }
}
