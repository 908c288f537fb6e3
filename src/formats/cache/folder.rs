//! The folder of a cache: names, whole files, one writer.

use crate::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PREFIX: &str = "shard-";
const SUFFIX: &str = ".safetensors";
/// What a file is called until it is complete.
const PARTIAL: &str = ".safetensors.partial";
const LOCK: &str = "writer.lock";

pub(super) fn shard_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number:08}{SUFFIX}"))
}

pub(super) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> Error + use<'a> {
    move |source| Error::File {
        action,
        path: path.display().to_string(),
        source: Arc::new(source),
    }
}

pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Error {
    Error::DamagedFile {
        path: path.display().to_string(),
        why: why.into(),
    }
}

/// The numbers of the shards that are there, in order.
pub(super) fn shards(folder: &Path) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for name in names(folder)? {
        let digits = name
            .strip_prefix(PREFIX)
            .and_then(|n| n.strip_suffix(SUFFIX));
        // Only names that we would give: `shard-1` is not ours.
        let number = digits.and_then(|digits| digits.parse().ok());
        if let Some(number) = number
            && shard_path(folder, number).ends_with(&name)
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = failed("list", folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(&failed)? {
        let name = entry.map_err(&failed)?.file_name();
        names.extend(name.into_string().ok());
    }
    Ok(names)
}

/// Removes what a killed writer left half written.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    for name in names(folder)? {
        if name.starts_with(PREFIX) && name.ends_with(PARTIAL) {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// Makes this the only writer, for as long as the file is open.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let mut options = File::options();
    let options = options.create(true).write(true).truncate(false);
    let file = options.open(&path).map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::FileInUse {
            path: folder.display().to_string(),
        }),
        // A file system without locks has to do without.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}

/// Puts a shard in its place, as a whole or not at all.
pub(super) fn replace(folder: &Path, number: u64, parts: &[&[u8]]) -> Result<()> {
    let path = shard_path(folder, number);
    let partial = path.with_extension("safetensors.partial");
    let written = write(&partial, parts)
        .map_err(failed("write", &partial))
        .and_then(|()| fs::rename(&partial, &path).map_err(failed("replace", &path)));
    if written.is_err() {
        // The first failure is the one to tell of; what stays is swept by the next writer.
        let _ = fs::remove_file(&partial);
    }
    written?;
    sync(folder).map_err(failed("sync", folder))
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
