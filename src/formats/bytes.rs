//! Where the bytes of a file are: on the disk, in memory, or mapped.

use super::file::failed;
#[cfg(feature = "mmap")]
use crate::kernels::mapped::Mapped;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// The bytes of a file, any part of which can be read at any time, by several threads.
#[derive(Debug)]
pub(super) enum Bytes {
    /// On the disk, and how many there were when it was opened.
    File(Positioned, u64),
    /// In memory.
    Memory(Vec<u8>),
    /// Mapped into memory.
    #[cfg(feature = "mmap")]
    Mapped(Mapped),
}

impl Bytes {
    /// Those of the file at `path`, on the disk.
    pub(super) fn open(path: &Path) -> crate::error::Result<Self> {
        let opened = File::open(path).and_then(|file| {
            let len = file.metadata()?.len();
            Ok(Self::File(Positioned::new(file), len))
        });
        opened.map_err(failed("open", path))
    }

    /// Those of the file at `path`, mapped.
    ///
    /// # Safety
    ///
    /// Nobody may change or shorten the file while the value lives.
    #[cfg(feature = "mmap")]
    #[expect(unsafe_code, reason = "the caller vouches for what nobody can check")]
    pub(super) unsafe fn map(path: &Path) -> crate::error::Result<Self> {
        let file = File::open(path).map_err(failed("open", path))?;
        // SAFETY: the caller vouches that the file stays as it is.
        let mapped = unsafe { Mapped::new(&file) };
        mapped.map(Self::Mapped).map_err(failed("map", path))
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File(_, len) => *len,
            Self::Memory(bytes) => bytes.len() as u64,
            #[cfg(feature = "mmap")]
            Self::Mapped(mapped) => mapped.bytes().len() as u64,
        }
    }

    /// Reads those from number `from` on.
    pub(super) fn read_at(&self, from: u64, to: &mut [u8]) -> Result<()> {
        let all = match self {
            Self::File(file, _) => return file.read_at(from, to),
            Self::Memory(bytes) => bytes.as_slice(),
            #[cfg(feature = "mmap")]
            Self::Mapped(mapped) => mapped.bytes(),
        };
        let part = usize::try_from(from)
            .ok()
            .and_then(|from| all.get(from..)?.get(..to.len()));
        let part = part.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        to.copy_from_slice(part);
        Ok(())
    }
}

/// A file that is read at any place without moving the place of another reader.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Positioned(File);

#[cfg(unix)]
impl Positioned {
    fn new(file: File) -> Self {
        Self(file)
    }

    fn read_at(&self, from: u64, to: &mut [u8]) -> Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, to, from)
    }
}

/// A file that is read at any place, one reader at a time.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Positioned(std::sync::Mutex<File>);

#[cfg(not(unix))]
impl Positioned {
    fn new(file: File) -> Self {
        Self(std::sync::Mutex::new(file))
    }

    fn read_at(&self, from: u64, to: &mut [u8]) -> Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        // A reader that panicked left no more behind than a place, and that is set anew.
        let mut file = self.0.lock().unwrap_or_else(|held| held.into_inner());
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(to)
    }
}
