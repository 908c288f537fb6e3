//! Reads arrays by name.

use super::container::{Entry, entries};
use super::header::{Fault, Header};
use super::stream::{Stream, read};
use crate::error::{Error, FileError, Result};
use crate::formats::bytes::Bytes;
use crate::formats::file::{cut, damaged};
use crate::tensors::{TensorInfo, TensorSource};
use crc32fast::Hasher;
use flate2::read::DeflateDecoder;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Compressed bytes that are read at a time.
const BUFFER: usize = 4096;

/// A `.npz` file, open for reading: arrays by name, compressed or not, read one by one.
///
/// It is a [`TensorSource`], so that [`TensorSourceExt`](crate::tensors::TensorSourceExt) reads arrays as floats or as what
/// they are. Opening reads the archive's directory and each array's header, and compares them with the file; an array in
/// another order of bytes or axes than row-major and lowest byte first is gone through as a whole for each part that is asked
/// for. Whoever reads an array from its beginning to its end, in one part or in several, has its checksum compared.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::formats::{NpzFile, NpzWriter};
/// use rarefy::tensors::TensorSourceExt;
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-npz-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(rarefy::Error::external)?;
/// let path = folder.join("model.npz");
/// let mut writer = NpzWriter::create(&path)?.compressed();
/// writer.write("weight", &array![[1.0_f32, -2.0]])?;
/// writer.write("steps", &array![7_i64])?;
/// writer.finish()?;
///
/// let file = NpzFile::open(&path)?;
/// assert_eq!(file.floats::<f64>("weight")?, array![[1.0, -2.0]].into_dyn());
/// assert_eq!(file.elements::<i64>("steps")?, array![7].into_dyn());
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
pub struct NpzFile {
    path: PathBuf,
    bytes: Arc<Bytes>,
    infos: Vec<TensorInfo>,
    arrays: Vec<Array>,
    others: Vec<String>,
    reading: Mutex<Option<Reading>>,
}

/// Where an array is, and how it lies there.
struct Array {
    entry: Entry,
    header: Header,
    /// The checksum of the header, which that of the file goes on from.
    crc: u32,
}

impl NpzFile {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`] if it is no such archive or not a whole one, or if an array in it is not whole;
    /// [`FileError::Failed`] if it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::new(path.to_owned(), Bytes::open(path)?)
    }

    /// The same from bytes in memory.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`] if they are no such archive.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::new(PathBuf::from("npz in memory"), Bytes::Memory(bytes))
    }

    fn new(path: PathBuf, bytes: Bytes) -> Result<Self> {
        let bytes = Arc::new(bytes);
        let read_at = |from: u64, to: &mut [u8]| {
            let read = bytes.read_at(from, to);
            read.map_err(|error| cut(&path, error))
        };
        let entries = entries(&path, bytes.len(), &read_at)?;
        let mut arrays = Vec::with_capacity(entries.len());
        let mut infos = Vec::with_capacity(entries.len());
        let mut others = Vec::new();
        for entry in entries {
            let Some(name) = entry.name.strip_suffix(".npy") else {
                others.push(entry.name);
                continue;
            };
            let mut source = Source::new(&bytes, &entry);
            let mut hasher = Hasher::new();
            let header = Header::read(entry.size, &mut |to| {
                source.next(&path, to)?;
                hasher.update(to);
                Ok(())
            });
            let header = match header {
                Ok(header) => header,
                Err(Fault::Type(_)) => {
                    others.push(name.to_owned());
                    continue;
                }
                Err(fault) => return Err(fault.in_file(&path).in_tensor(name)),
            };
            infos.push(TensorInfo::new(name, header.dtype, &*header.shape));
            arrays.push(Array {
                crc: hasher.finalize(),
                entry,
                header,
            });
        }
        Ok(Self {
            path,
            bytes,
            infos,
            arrays,
            others,
            reading: Mutex::new(None),
        })
    }

    /// The names of what is in the archive and cannot be read: arrays of texts, objects or records, and other files.
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The bytes of a file in an archive, from the first on.
enum Source {
    /// As they lie there; the next is at this place.
    Stored(Arc<Bytes>, u64),
    Deflated(Box<DeflateDecoder<Packed>>),
}

/// The packed bytes of a file.
struct Packed {
    bytes: Arc<Bytes>,
    at: u64,
    end: u64,
}

impl Read for Packed {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let rest = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let count = to.len().min(rest);
        self.bytes.read_at(self.at, &mut to[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Source {
    fn new(bytes: &Arc<Bytes>, entry: &Entry) -> Self {
        let bytes = Arc::clone(bytes);
        if !entry.deflated {
            return Self::Stored(bytes, entry.start);
        }
        let packed = Packed {
            bytes,
            at: entry.start,
            end: entry.start + entry.packed,
        };
        let decoder = DeflateDecoder::new_with_buf(packed, vec![0; BUFFER]);
        Self::Deflated(Box::new(decoder))
    }

    fn next(&mut self, path: &Path, to: &mut [u8]) -> Result<()> {
        match self {
            Self::Stored(bytes, at) => {
                let read = bytes.read_at(*at, to);
                *at += to.len() as u64;
                read.map_err(|error| cut(path, error))
            }
            Self::Deflated(decoder) => {
                let read = decoder.read_exact(to);
                read.map_err(|error| damaged(path, format!("it cannot be inflated: {error}")))
            }
        }
    }

    /// Whether nothing comes any more.
    fn is_at_end(&mut self) -> bool {
        match self {
            // As long as it should be: that was compared.
            Self::Stored(..) => true,
            Self::Deflated(decoder) => matches!(decoder.read(&mut [0]), Ok(0)),
        }
    }
}

/// An array that is being read, and how far.
struct Reading {
    array: usize,
    source: Source,
    /// The next byte among the elements.
    at: u64,
    /// The checksum of all before it, unless some were passed over.
    hasher: Option<Hasher>,
}

/// The elements of an array while they are read.
struct Elements<'a> {
    file: &'a NpzFile,
    array: usize,
    reading: &'a mut Option<Reading>,
}

impl Elements<'_> {
    /// The array from its beginning on.
    fn begin(&mut self) -> Result<&mut Reading> {
        let Array { entry, header, crc } = &self.file.arrays[self.array];
        let mut source = Source::new(&self.file.bytes, entry);
        match &mut source {
            Source::Stored(_, at) => *at += header.before,
            Source::Deflated(_) => pass(&mut source, &self.file.path, header.before, &mut None)?,
        }
        Ok(self.reading.insert(Reading {
            array: self.array,
            source,
            at: 0,
            hasher: Some(Hasher::new_with_initial_len(*crc, header.before)),
        }))
    }
}

/// Reads bytes that nobody asked for.
fn pass(source: &mut Source, path: &Path, count: u64, hasher: &mut Option<Hasher>) -> Result<()> {
    let (mut buffer, mut rest) = ([0; BUFFER], count);
    while rest > 0 {
        let part = usize::try_from(rest).map_or(BUFFER, |rest| rest.min(BUFFER));
        let part = &mut buffer[..part];
        source.next(path, part)?;
        if let Some(hasher) = hasher {
            hasher.update(part);
        }
        rest -= part.len() as u64;
    }
    Ok(())
}

impl Stream for Elements<'_> {
    fn move_to(&mut self, at: u64) -> Result<()> {
        let number = self.array;
        let goes_on = |reading: &Reading| reading.array == number && reading.at <= at;
        if !self.reading.as_ref().is_some_and(goes_on) {
            self.begin()?;
        }
        let Some(reading) = self.reading.as_mut() else {
            return Ok(());
        };
        let count = at - reading.at;
        match &mut reading.source {
            Source::Stored(_, place) if count > 0 => {
                *place += count;
                reading.hasher = None;
            }
            source => pass(source, &self.file.path, count, &mut reading.hasher)?,
        }
        reading.at = at;
        Ok(())
    }

    fn next(&mut self, to: &mut [u8]) -> Result<()> {
        let path = &self.file.path;
        let Array { entry, header, .. } = &self.file.arrays[self.array];
        let Some(reading) = self.reading.as_mut() else {
            return Err(damaged(path, "nothing is being read"));
        };
        reading.source.next(path, to)?;
        reading.at += to.len() as u64;
        if let Some(hasher) = &mut reading.hasher {
            hasher.update(to);
            if reading.at == header.bytes as u64 {
                let right = hasher.clone().finalize() == entry.crc && reading.source.is_at_end();
                if !right {
                    let error = damaged(path, "its checksum is another");
                    return Err(error.in_tensor(&*self.file.infos[self.array].name));
                }
            }
        }
        Ok(())
    }
}

impl TensorSource for NpzFile {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        let len = self
            .arrays
            .get(tensor)
            .map_or(0, |array| array.header.bytes);
        let inside = from.checked_add(bytes.len()).is_some_and(|end| end <= len);
        let (true, Some(array)) = (inside, self.arrays.get(tensor)) else {
            return Err(Error::File(FileError::NoSuchBytes {
                from,
                count: bytes.len(),
                len,
            }));
        };
        // A reader that panicked left a place behind that may not be what it says.
        let mut reading = self.reading.lock().unwrap_or_else(|held| {
            let mut reading = PoisonError::into_inner(held);
            *reading = None;
            reading
        });
        let mut elements = Elements {
            file: self,
            array: tensor,
            reading: &mut reading,
        };
        let done = read(&array.header, &mut elements, from, bytes);
        let ended = |reading: &Reading| reading.at == len as u64;
        if done.is_err() || reading.as_ref().is_some_and(ended) {
            *reading = None;
        }
        done
    }
}

impl fmt::Debug for NpzFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NpzFile")
            .field("path", &self.path)
            .field("arrays", &self.arrays.len())
            .finish_non_exhaustive()
    }
}
