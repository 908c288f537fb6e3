//! What our files share: errors, whole files or none.

use crate::error::{Error, FileError, Result};
use std::fs::{self, File};
use std::io::{self, Write};
#[cfg(any(feature = "safetensors", feature = "gguf"))]
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is behind the name of a file until it is complete.
const PARTIAL: &str = ".partial";

pub(crate) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> Error + use<'a> {
    move |source| {
        Error::File(FileError::Failed {
            action,
            path: path.display().to_string(),
            source: Arc::new(source),
        })
    }
}

pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Error {
    Error::File(FileError::Damaged {
        path: path.display().to_string(),
        why: why.into(),
    })
}

/// The file ended before it should, or reading failed.
#[cfg(any(
    feature = "calibration",
    feature = "masks",
    feature = "npy",
    feature = "safetensors",
    feature = "gguf"
))]
pub(super) fn cut(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        damaged(path, "it became shorter while it was read")
    } else {
        failed("read", path)(error)
    }
}

/// Puts a file in its place, as a whole or not at all: written beside it, brought to the disk, renamed.
#[cfg(any(
    feature = "cache",
    feature = "calibration",
    feature = "masks",
    feature = "safetensors"
))]
pub(super) fn replace(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let mut replacement = Replacement::begin(path)?;
    for part in parts {
        replacement.append(part)?;
    }
    replacement.finish()
}

/// Puts a file in its place, as a whole or not at all.
#[cfg(feature = "recipe")]
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, &[bytes])
}

/// What a JSON file says; longer ones than any that belongs to a model are not read.
#[cfg(feature = "recipe")]
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    /// A report on a million tensors.
    const LONGEST: u64 = 1 << 28;
    let file = File::open(path).map_err(failed("read", path))?;
    let mut text = Vec::new();
    let read = io::Read::read_to_end(&mut io::Read::take(file, LONGEST + 1), &mut text);
    read.map_err(failed("read", path))?;
    if text.len() as u64 > LONGEST {
        return Err(damaged(path, "it is longer than any file of its kind"));
    }
    serde_json::from_slice(&text).map_err(|error| damaged(path, error.to_string()))
}

/// A file that is written beside its place and comes there as a whole or not at all.
///
/// It is `NAME.partial` until [`finish`](Self::finish) brings it to the disk and renames it. What is dropped before is
/// removed; what a kill leaves is overwritten by the next.
#[derive(Debug)]
pub(super) struct Replacement {
    file: File,
    path: PathBuf,
    partial: PathBuf,
    finished: bool,
}

impl Replacement {
    /// An empty file beside `path`, with the permissions of the file there, if there is one.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(PARTIAL);
        let partial = PathBuf::from(name);
        let file = File::create(&partial).map_err(failed("write", &partial))?;
        let begun = Self {
            file,
            path: path.to_owned(),
            partial,
            finished: false,
        };
        if let Ok(old) = fs::metadata(path) {
            let kept = begun.file.set_permissions(old.permissions());
            kept.map_err(failed("set permissions of", &begun.partial))?;
        }
        Ok(begun)
    }

    /// Writes behind what was written last.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(failed("write", &self.partial))
    }

    /// Writes from byte `from` on.
    #[cfg(any(feature = "safetensors", feature = "gguf"))]
    pub(super) fn write_at(&mut self, from: u64, bytes: &[u8]) -> Result<()> {
        let moved = self.file.seek(SeekFrom::Start(from));
        let written = moved.and_then(|_| self.file.write_all(bytes));
        written.map_err(failed("write", &self.partial))
    }

    /// Brings the file to the disk and to its place.
    pub(super) fn finish(mut self) -> Result<()> {
        let synced = self.file.sync_all();
        synced.map_err(failed("sync", &self.partial))?;
        fs::rename(&self.partial, &self.path).map_err(failed("replace", &self.path))?;
        self.finished = true;
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        sync(folder).map_err(failed("sync", folder))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.finished {
            // The failure before it is the one to tell of.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Brings the names of files to the disk.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A folder cannot be opened as a file here; its names are the file system's matter.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}
