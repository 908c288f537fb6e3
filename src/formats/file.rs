//! What our files share: errors, checksums, whole files or none.

use crate::error::{Error, FileError, Result};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is behind the name of a file until it is complete.
const PARTIAL: &str = ".partial";

pub(super) fn failed<'a>(
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

pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Error {
    Error::File(FileError::Damaged {
        path: path.display().to_string(),
        why: why.into(),
    })
}

/// CRC-32 (IEEE) of these bytes, one part after the other.
pub(super) fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Puts a file in its place, as a whole or not at all: written beside it, brought to the disk, renamed.
pub(super) fn replace(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let partial = partial(path);
    let written = write(&partial, parts)
        .map_err(failed("write", &partial))
        .and_then(|()| fs::rename(&partial, path).map_err(failed("replace", path)));
    if written.is_err() {
        // The first failure is the one to tell of; what stays is swept by the next writer.
        let _ = fs::remove_file(&partial);
    }
    written?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    sync(folder).map_err(failed("sync", folder))
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL);
    PathBuf::from(name)
}

fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = File::create(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
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
