//! Writes a cache, shard by shard.

use super::block::Rows;
use super::folder::{self, damaged, failed, shard_path};
use super::header::{self, Header};
use super::settings::CacheSettings;
use crate::distill::TopKTarget;
use crate::error::{Error, FileError, Result};
use crate::float::Float;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Writes what a teacher said of each row to a folder, for [`CacheReader`](super::CacheReader).
///
/// Rows are numbered from 0 in the order in which they are appended. They stay in memory until a file
/// is full, or until [`flush`](Self::flush) or [`finish`](Self::finish); what is in a file survives any
/// kill, what is not is lost. [`resume`](Self::resume) goes on after one: its [`rows`](Self::rows)
/// says where. Only one writer at a time gets hold of a folder.
///
/// Log-probabilities are rounded to half precision: to a relative error of 2⁻¹¹ (below 2⁻¹⁴, to an
/// absolute one of 2⁻²⁵), so that a probability p changes by at most |ln p| / 2048 of itself. A finite
/// one below −65 504 becomes that, so that a class that is possible stays possible.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::TopKTarget;
/// use rarefy::formats::{CacheReader, CacheSettings, CacheWriter};
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-writer-{}", std::process::id()));
/// # let _ = std::fs::remove_dir_all(&folder);
/// let teacher = TopKTarget::from_logits(&array![[1.0_f32, 0.0, 4.0], [0.0, 2.0, 0.0]], 2)?;
/// let mut writer = CacheWriter::create(&folder, CacheSettings::new(3, 2).teacher("a small one"))?;
/// writer.append(&teacher)?;
/// drop(writer); // or a kill: nothing was flushed
///
/// let mut writer = CacheWriter::resume(&folder)?;
/// assert_eq!(writer.rows(), 0);
/// writer.append(&teacher)?;
/// assert_eq!(writer.finish()?, 2);
///
/// let again: TopKTarget<f32> = CacheReader::open(&folder)?.read(&[1])?;
/// assert_eq!(again.indices(), array![[1, 0]]);
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug)]
pub struct CacheWriter {
    folder: PathBuf,
    settings: CacheSettings,
    /// Which shard comes next, or is replaced by a longer one.
    number: u64,
    /// The rows of that shard ...
    pending: Rows,
    /// ... and how many of them are on disk.
    flushed: usize,
    /// Held, not read.
    _lock: File,
}

impl CacheWriter {
    /// Starts a cache in a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// * [`Error::NumberOutOfRange`]: a setting is out of its range.
    /// * [`FileError::Exists`](crate::FileError::Exists): there is a cache already.
    /// * [`FileError::InUse`](crate::FileError::InUse): it is being written.
    /// * [`FileError::Failed`](crate::FileError::Failed): the folder cannot be made or written.
    pub fn create(folder: impl AsRef<Path>, settings: CacheSettings) -> Result<Self> {
        settings.check()?;
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let lock = folder::lock(folder)?;
        if !folder::shards(folder)?.is_empty() {
            let path = folder.display().to_string();
            return Err(Error::File(FileError::Exists { path }));
        }
        folder::sweep(folder)?;
        let mut writer = Self {
            folder: folder.to_path_buf(),
            settings,
            number: 0,
            pending: Rows::default(),
            flushed: 0,
            _lock: lock,
        };
        // A shard without rows, so that the settings survive from the start.
        writer.write()?;
        Ok(writer)
    }

    /// Goes on with a cache that is there, finished or not.
    ///
    /// Files that a kill left half written are removed.
    ///
    /// # Errors
    ///
    /// * [`FileError::Damaged`](crate::FileError::Damaged): the header of a shard, or the rows of a last one that is not full, are
    ///   not what was written. If that is the last shard, remove the file that the error names, and
    ///   resume from the one before.
    /// * [`FileError::InUse`](crate::FileError::InUse): it is being written.
    /// * [`FileError::Failed`](crate::FileError::Failed): something cannot be read.
    pub fn resume(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        // Not before there is a folder: a lock would leave a file in a place that was only mistyped.
        let numbers = folder::shards(folder)?;
        let lock = match numbers.last() {
            Some(_) => folder::lock(folder)?,
            None => return Err(damaged(folder, "there is no shard in it")),
        };
        folder::sweep(folder)?;
        let mut settings: Option<CacheSettings> = None;
        let mut last: Option<(PathBuf, File, Header)> = None;
        // Once more, now that nobody else writes.
        for (expected, number) in (0..).zip(folder::shards(folder)?) {
            let path = shard_path(folder, expected);
            if number != expected {
                return Err(damaged(&path, "it is missing"));
            }
            let mut file = File::open(&path).map_err(failed("open", &path))?;
            let header = header::read(&mut file, &path, number)?;
            if settings.as_ref().is_some_and(|s| *s != header.settings) {
                return Err(damaged(&path, "it belongs to another cache than the first"));
            }
            if let Some((path, _, before)) = &last
                && before.rows != before.settings.shard_rows
            {
                return Err(damaged(path, "it is not full and not the last"));
            }
            settings = Some(header.settings.clone());
            last = Some((path, file, header));
        }
        let Some((path, file, header)) = last else {
            return Err(damaged(folder, "there is no shard in it"));
        };
        let mut writer = Self {
            folder: folder.to_path_buf(),
            number: header.first_row / header.settings.shard_rows as u64,
            settings: header.settings.clone(),
            pending: Rows::default(),
            flushed: header.rows,
            _lock: lock,
        };
        if header.rows == header.settings.shard_rows {
            writer.number += 1;
            writer.flushed = 0;
            return Ok(writer);
        }
        let mut rows = Rows::default();
        for block in 0..header.blocks() {
            header.block(&file, &path, block, &mut rows)?;
            writer.pending.indices.append(&mut rows.indices);
            writer.pending.logs.append(&mut rows.logs);
        }
        Ok(writer)
    }

    /// What the cache is of.
    pub const fn settings(&self) -> &CacheSettings {
        &self.settings
    }

    /// How many rows there are, those in memory too.
    pub fn rows(&self) -> u64 {
        self.on_disk() + (self.pending.count(self.settings.k) - self.flushed) as u64
    }

    /// How many rows a kill would leave.
    pub const fn on_disk(&self) -> u64 {
        self.number * self.settings.shard_rows as u64 + self.flushed as u64
    }

    /// Adds rows, and writes the shards that become full.
    ///
    /// # Errors
    ///
    /// * [`Error::WrongCount`]: the target is of another number of classes, or another k.
    /// * [`FileError::Failed`](crate::FileError::Failed): a shard cannot be written. [`rows`](Self::rows) says how many rows are in;
    ///   those of this call that would have gone into that shard are not.
    pub fn append<F: Float>(&mut self, target: &TopKTarget<F>) -> Result<()> {
        let pairs = [
            ("classes", target.classes(), self.settings.classes),
            ("top-k classes of a row", target.k(), self.settings.k),
        ];
        for (what, given, expected) in pairs {
            if given != expected {
                return Err(Error::WrongCount {
                    what,
                    given,
                    expected,
                });
            }
        }
        let k = self.settings.k;
        let rows = target.indices().rows().into_iter();
        let mut before = self.pending.count(k);
        for (indices, logs) in rows.zip(target.log_probabilities().rows()) {
            self.pending.push(&indices, &logs);
            if self.pending.count(k) == self.settings.shard_rows {
                if let Err(error) = self.write() {
                    self.pending.truncate(before, k);
                    return Err(error);
                }
                self.number += 1;
                self.flushed = 0;
                self.pending = Rows::default();
                before = 0;
            }
        }
        Ok(())
    }

    /// Brings all rows to the disk, also those of a shard that is not full: a checkpoint.
    ///
    /// It writes that whole shard again, so not after every batch.
    ///
    /// # Errors
    ///
    /// [`FileError::Failed`](crate::FileError::Failed) if the shard cannot be written; the rows stay in memory.
    pub fn flush(&mut self) -> Result<()> {
        if self.pending.count(self.settings.k) == self.flushed {
            return Ok(());
        }
        self.write()
    }

    /// Brings all rows to the disk and says how many there are.
    ///
    /// A finished cache can be resumed like any other.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush).
    pub fn finish(mut self) -> Result<u64> {
        self.flush()?;
        Ok(self.rows())
    }

    fn write(&mut self) -> Result<()> {
        let first_row = self.number * self.settings.shard_rows as u64;
        let header = header::encode(&self.settings, first_row, &self.pending);
        let parts = [&*header, &*self.pending.indices, &*self.pending.logs];
        folder::replace(&self.folder, self.number, &parts)?;
        self.flushed = self.pending.count(self.settings.k);
        Ok(())
    }
}
