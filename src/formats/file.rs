//! What our files share: errors, headers of safetensors, whole files or none.

use crate::error::{Error, FileError, Result};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest header that safetensors allows.
const LONGEST: u64 = 100_000_000;
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

/// The checksum of keys and values, which must come in the order of the keys.
pub(super) fn checksum_of_texts<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut bytes = Vec::new();
    for text in texts.flat_map(|(key, value)| [key, value]) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    format!("{:08x}", checksum([&*bytes]))
}

/// A header as it stands in a file: its length, and spaces so that tensors begin at a multiple of 8.
pub(super) fn framed(header: &serde_json::Value) -> Vec<u8> {
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}

/// The text of a header, where the tensors begin, and how many bytes they have.
pub(super) fn read_header(file: &mut File, path: &Path) -> Result<(Vec<u8>, u64, u64)> {
    let failed = failed("read", path);
    let length = file.metadata().map_err(&failed)?.len();
    let mut size = [0; 8];
    if length < 8 {
        return Err(damaged(path, format!("{length} bytes are no header")));
    }
    file.seek(SeekFrom::Start(0)).map_err(&failed)?;
    file.read_exact(&mut size).map_err(&failed)?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST.min(length - 8) {
        let why = format!("a header of {size} bytes in a file of {length}");
        return Err(damaged(path, why));
    }
    let mut text = Vec::new();
    let read = file.take(size).read_to_end(&mut text).map_err(&failed)?;
    if read as u64 != size {
        return Err(damaged(path, "it became shorter while it was read"));
    }
    Ok((text, 8 + size, length - 8 - size))
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
