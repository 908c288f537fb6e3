//! The folder of a cache: names, whole files, one writer.

use crate::error::{Error, FileError, Result};
use crate::formats::file;
use std::fs::{self, File, TryLockError};
use std::io;
#[cfg(any(not(unix), test))]
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
#[cfg(any(not(unix), test))]
use std::sync::{Mutex, PoisonError};

pub(super) use crate::formats::file::{damaged, failed};

const PREFIX: &str = "shard-";
const SUFFIX: &str = ".safetensors";
/// What a file is called until it is complete.
const PARTIAL: &str = ".safetensors.partial";
const LOCK: &str = "writer.lock";

pub(super) fn shard_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number:08}{SUFFIX}"))
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
        Err(TryLockError::WouldBlock) => Err(Error::File(FileError::InUse {
            path: folder.display().to_string(),
        })),
        // A file system without locks has to do without.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}

/// Puts a shard in its place, as a whole or not at all.
pub(super) fn replace(folder: &Path, number: u64, parts: &[&[u8]]) -> Result<()> {
    file::replace(&shard_path(folder, number), parts)
}

/// Fills the buffer from a place in a file that several threads may read.
#[cfg(unix)]
pub(super) fn read_at(file: &File, to: &mut [u8], from: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, to, from)
}

#[cfg(not(unix))]
pub(super) use read_in_turn as read_at;

/// The same where a file has one position for all who read it.
#[cfg(any(not(unix), test))]
pub(super) fn read_in_turn(mut file: &File, to: &mut [u8], from: u64) -> io::Result<()> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(from))?;
    file.read_exact(to)
}

#[cfg(test)]
mod tests {
    use super::{read_at, read_in_turn};
    use std::fs::{self, File};
    use std::io::ErrorKind;

    #[test]
    fn both_ways_to_read_at_a_place_agree() {
        let path = std::env::temp_dir().join(format!("rarefy-read-at-{}", std::process::id()));
        fs::write(&path, b"0123456789").unwrap();
        let file = File::open(&path).unwrap();
        for read in [read_at, read_in_turn] {
            let mut four = [0; 4];
            read(&file, &mut four, 6).unwrap();
            assert_eq!(&four, b"6789");
            read(&file, &mut four, 1).unwrap();
            assert_eq!(&four, b"1234");
            let error = read(&file, &mut four, 7).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
        fs::remove_file(&path).unwrap();
    }
}
