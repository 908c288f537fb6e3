//! Reads rows of a cache by their position.

use super::block::{Rows, Wanted};
use super::folder::{self, damaged, failed, shard_path};
use super::header::{self, Header};
use super::memory::{Memory, Place};
use super::settings::CacheSettings;
use crate::distill::{Output, Teacher, TopKTarget};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::parallel::{CHUNK, map_chunks_mut};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads what a teacher said of each row, from a folder that a [`CacheWriter`](super::CacheWriter)
/// wrote.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`cached_blocks`](Self::cached_blocks) | how many blocks of rows stay in memory | 16 | at least 1 |
///
/// In memory are the headers, some blocks that were read last, the answer, and a list of its rows. Each block
/// is read as a whole and its checksum verified before a row of it is believed; [`read`](Self::read) reads
/// each block once, whatever the order of the positions, and several of them at once in the caller's rayon
/// pool, at most as many as stay in memory. [`read_into`](Self::read_into) does so in the memory of the batch
/// before, which is faster. Calls that run at the same time do not wait for one another; each has blocks of
/// its own in memory until it ends.
///
/// The cache is seen as it was when it was opened; rows that a writer adds meanwhile come with the next
/// opening.
///
/// As a [`Teacher`] of positions it gives logits: the log-probabilities of the k classes, and −∞ for
/// all others. Where the array of all classes is too large, use [`read`](Self::read) and a loss over
/// [`TopKTarget`].
///
/// # Examples
///
/// A batch of an epoch, and the same as a teacher:
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{Loss, Output, Target, Teacher, TopKDivergence, TopKTarget};
/// use rarefy::formats::{CacheReader, CacheSettings, CacheWriter};
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-reader-{}", std::process::id()));
/// # let _ = std::fs::remove_dir_all(&folder);
/// let mut writer = CacheWriter::create(&folder, CacheSettings::new(3, 2))?;
/// writer.append(&TopKTarget::from_logits(&array![[1.0_f32, 0.0, 4.0], [0.0, 2.0, 0.0]], 2)?)?;
/// writer.finish()?;
///
/// let reader = CacheReader::open(&folder)?;
/// let positions = [1, 0, 1];
/// let target: TopKTarget<f32> = reader.read(&positions)?;
/// let student = Output::from(array![[0.0_f32, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]);
/// let loss = TopKDivergence::new(1.0).evaluate(&student, Target::new().top_k(&target))?;
/// assert!(loss.value > 0.0);
///
/// let output: Output<f32> = reader.teach(&positions[..])?;
/// assert_eq!(output.logits[[1, 1]], f32::NEG_INFINITY);
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
pub struct CacheReader {
    folder: PathBuf,
    settings: CacheSettings,
    rows: u64,
    shards: BTreeMap<u64, Result<Header>>,
    memory: Mutex<Memory>,
}

/// A block, and the rows that are wanted of it.
struct Job<'a, 'b, F> {
    place: Place,
    source: Result<Source<'a>>,
    wanted: &'a mut [Wanted<'b, F>],
}

/// Where a block comes from.
enum Source<'a> {
    Memory(Arc<Rows>),
    /// The file, and memory for the block.
    Disk(&'a Header, Arc<File>, Rows),
}

impl CacheReader {
    /// Opens a cache and reads all its headers.
    ///
    /// # Errors
    ///
    /// * [`FileError::Damaged`](crate::FileError::Damaged): a shard is missing, cut off, changed in its header, or of another cache.
    ///   [`salvage`](Self::salvage) reads the others.
    /// * [`FileError::Failed`](crate::FileError::Failed): a file cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let reader = Self::salvage(folder)?;
        let damage = reader.damage().next();
        damage.map_or(Ok(reader), Err)
    }

    /// Opens what can be read of a damaged cache.
    ///
    /// Rows keep their positions. Reading one in a damaged shard is that shard's error, and
    /// [`damage`](Self::damage) lists them. If the last shard is damaged, its rows are not counted.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`](crate::FileError::Damaged), [`FileError::Failed`](crate::FileError::Failed) if the folder cannot be listed, or no shard can be read.
    pub fn salvage(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut settings: Option<CacheSettings> = None;
        let mut shards = BTreeMap::new();
        let mut last = None;
        for number in folder::shards(folder)? {
            let path = shard_path(folder, number);
            let opened = File::open(&path).map_err(failed("open", &path));
            let opened = opened.and_then(|mut file| {
                let header = header::read(&mut file, &path, number)?;
                let settings = settings.get_or_insert_with(|| header.settings.clone());
                if *settings != header.settings {
                    let why = "it belongs to another cache than the first";
                    return Err(damaged(&path, why));
                }
                Ok((file, header))
            });
            let header = opened.map(|(file, header)| {
                last = Some((number, file));
                header
            });
            shards.insert(number, header);
        }
        let Some(settings) = settings else {
            let first = shards.into_values().find_map(Result::err);
            return Err(first.unwrap_or_else(|| damaged(folder, "there is no shard in it")));
        };
        // All but the last are full; one that is not is damaged.
        let end = shards.last_key_value().map_or(0, |(&number, _)| number);
        let full = settings.shard_rows;
        for (&number, shard) in &mut shards {
            if let Ok(header) = shard
                && header.rows != full
                && number != end
            {
                let path = shard_path(folder, number);
                *shard = Err(damaged(&path, "it is not full and not the last"));
            }
        }
        let rows = match shards.get(&end) {
            Some(Ok(header)) => header.first_row + header.rows as u64,
            // A number of files times a number of rows; a folder named to overflow it has no rows.
            _ => end.checked_mul(full as u64).unwrap_or(0),
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            settings,
            rows,
            shards,
            memory: Mutex::new(Memory::new(last.filter(|(number, _)| *number == end))),
        })
    }

    /// The same with another number of blocks that stay in memory; 0 counts as 1.
    #[must_use]
    pub fn cached_blocks(self, most: usize) -> Self {
        self.memory().limit(most);
        self
    }

    /// What the cache is of.
    pub const fn settings(&self) -> &CacheSettings {
        &self.settings
    }

    /// How many rows there are.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// What is wrong with each shard that cannot be read. Rows of others are not read for this.
    pub fn damage(&self) -> impl Iterator<Item = Error> + '_ {
        let mut expected = 0;
        self.shards.iter().flat_map(move |(&number, shard)| {
            // The first of a gap stands for all of it.
            let gap = (number != expected).then(|| self.missing(expected));
            expected = number.saturating_add(1);
            gap.into_iter().chain(shard.as_ref().err().cloned())
        })
    }

    /// The rows at these positions, in any order and any of them more than once.
    ///
    /// # Errors
    ///
    /// * [`Error::PositionOutOfRange`]: there is no such row.
    /// * [`FileError::Damaged`](crate::FileError::Damaged): a checksum is not that of the rows, or they are no probabilities.
    /// * [`FileError::Failed`](crate::FileError::Failed): a file cannot be read.
    pub fn read<F: Float>(&self, positions: &[u64]) -> Result<TopKTarget<F>> {
        let mut target = TopKTarget::without_rows(self.settings.classes, self.settings.k)?;
        self.read_into(positions, &mut target)?;
        Ok(target)
    }

    /// As [`read`](Self::read), into the memory of a target that is not needed any more, of whatever it is.
    ///
    /// New memory is asked for only where that of the target is too small: a loop over batches of equal
    /// size needs none after the first, and is spared what a system takes to hand out pages.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::distill::TopKTarget;
    /// use rarefy::formats::{CacheReader, CacheSettings, CacheWriter};
    ///
    /// # let folder = std::env::temp_dir().join(format!("rarefy-read-into-{}", std::process::id()));
    /// # let _ = std::fs::remove_dir_all(&folder);
    /// let mut writer = CacheWriter::create(&folder, CacheSettings::new(3, 2))?;
    /// writer.append(&TopKTarget::from_logits(&array![[1.0_f32, 0.0, 4.0], [0.0, 2.0, 0.0]], 2)?)?;
    /// writer.finish()?;
    ///
    /// let reader = CacheReader::open(&folder)?;
    /// let mut target: TopKTarget<f32> = reader.read(&[0])?;
    /// for batch in [[1, 0], [0, 1]] {
    ///     reader.read_into(&batch, &mut target)?;
    ///     assert_eq!(target.rows(), 2);
    /// }
    /// assert_eq!(target.indices(), array![[2, 0], [1, 0]]);
    /// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read). After [`Error::PositionOutOfRange`] the target is what it was, after
    /// another error it has no rows.
    pub fn read_into<F: Float>(&self, positions: &[u64], target: &mut TopKTarget<F>) -> Result<()> {
        let rows = self.rows;
        if let Some(&position) = positions.iter().find(|&&position| position >= rows) {
            return Err(Error::PositionOutOfRange { position, rows });
        }
        let CacheSettings { classes, k, .. } = self.settings;
        let filled = target.refill(classes, [positions.len(), k], |indices, logs| {
            let rows = indices.chunks_exact_mut(k).zip(logs.chunks_exact_mut(k));
            let wanted = positions.iter().zip(rows);
            let mut wanted: Vec<Wanted<'_, F>> = wanted
                .map(|(&position, (indices, logs))| {
                    let (place, row) = self.place(position);
                    Wanted {
                        place,
                        row,
                        indices,
                        logs,
                    }
                })
                .collect();
            wanted
                .sort_unstable_by_key(|Wanted { place, row, .. }| (place.shard, place.block, *row));
            self.fetch(&mut wanted)
        });
        filled.map_err(|error| match error {
            // What a row is that is no distribution. The others come from here.
            Error::File(_) | Error::ShapeOverflow { .. } => error,
            error => damaged(&self.folder, error.to_string()),
        })
    }

    /// The block of a row, and the row's place in it.
    fn place(&self, position: u64) -> (Place, usize) {
        let full = self.settings.shard_rows as u64;
        // Less than `full`, which is a usize.
        let row = usize::try_from(position % full).unwrap_or(usize::MAX);
        let place = Place {
            shard: position / full,
            block: row / self.settings.block_rows,
        };
        (place, row % self.settings.block_rows)
    }

    /// Brings rows, sorted by their place, to where they are wanted: as many blocks at a time as stay in
    /// memory, several of them at once.
    fn fetch<F: Float>(&self, wanted: &mut [Wanted<'_, F>]) -> Result<()> {
        let k = self.settings.k;
        let entries = self.settings.block_rows.saturating_mul(k);
        let most = self.memory().most();
        let mut blocks = wanted.chunk_by_mut(|a, b| a.place == b.place);
        loop {
            let mut jobs = self.prepare(blocks.by_ref().take(most));
            if jobs.is_empty() {
                return Ok(());
            }
            let results = map_chunks_mut(&mut jobs, (CHUNK / entries).max(1), |_, jobs| {
                jobs.iter_mut().try_for_each(|job| self.run(job))
            });
            let mut memory = self.memory();
            for job in jobs {
                if let Ok(Source::Disk(_, _, rows)) = job.source {
                    memory.keep(job.place, rows);
                }
            }
            drop(memory);
            results.into_iter().collect::<Result<()>>()?;
        }
    }

    /// Finds out for each block whether it is in memory, and gives the others memory and a file.
    fn prepare<'a, 'b, F>(
        &'a self,
        blocks: impl Iterator<Item = &'a mut [Wanted<'b, F>]>,
    ) -> Vec<Job<'a, 'b, F>> {
        let mut memory = self.memory();
        let known = blocks.filter_map(|wanted| {
            let place = wanted.first()?.place;
            Some((place, memory.known(place), wanted))
        });
        let known: Vec<_> = known.collect();
        let missing = known.iter().filter(|(_, rows, _)| rows.is_none()).count();
        let mut spare = memory.room(missing);
        let job = |(place, rows, wanted): (Place, Option<Arc<Rows>>, _)| {
            let source = match rows {
                Some(rows) => Ok(Source::Memory(rows)),
                None => self.file(&mut memory, place.shard).map(|(header, file)| {
                    Source::Disk(header, file, spare.pop().unwrap_or_default())
                }),
            };
            Job {
                place,
                source,
                wanted,
            }
        };
        known.into_iter().map(job).collect()
    }

    fn file(&self, memory: &mut Memory, shard: u64) -> Result<(&Header, Arc<File>)> {
        let header = match self.shards.get(&shard) {
            Some(Ok(header)) => header,
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(self.missing(shard)),
        };
        let path = shard_path(&self.folder, shard);
        let open = || File::open(&path).map_err(failed("open", &path));
        Ok((header, memory.file(shard, open)?))
    }

    /// Reads a block if it must, verifies it, and takes the rows from it. On an error that is the job's source.
    fn run<F: Float>(&self, job: &mut Job<'_, '_, F>) -> Result<()> {
        let rows = match &mut job.source {
            Ok(Source::Memory(rows)) => &**rows,
            Ok(Source::Disk(header, file, rows)) => {
                let path = shard_path(&self.folder, job.place.shard);
                if let Err(error) = header.block(file, &path, job.place.block, rows) {
                    job.source = Err(error.clone());
                    return Err(error);
                }
                rows
            }
            Err(error) => return Err(error.clone()),
        };
        rows.copy(self.settings.k, job.wanted);
        Ok(())
    }

    fn missing(&self, shard: u64) -> Error {
        damaged(&shard_path(&self.folder, shard), "it is missing")
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // It is whole at any time, also if another thread panicked meanwhile.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Float> Teacher<F, [u64]> for CacheReader {
    fn teach(&self, positions: &[u64]) -> Result<Output<F>> {
        let logits = self.read::<F>(positions)?.to_logits()?;
        Ok(Output::from(logits))
    }
}

impl fmt::Debug for CacheReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheReader")
            .field("folder", &self.folder)
            .field("settings", &self.settings)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{CacheReader, CacheSettings, Rows};
    use crate::distill::TopKTarget;
    use crate::error::{Error, FileError};
    use crate::formats::cache::{folder, header};
    use half::f16;
    use ndarray::array;

    /// A file whose checksums are right, and whose rows are what a writer would refuse.
    #[test]
    fn forged_rows_are_damage() {
        let path = std::env::temp_dir().join(format!("rarefy-forged-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let settings = CacheSettings::new(5, 2).block_rows(2);
        let good = (array![3_u32, 4], array![-1.0_f32, -2.0]);
        let forged = [
            (array![3, 5], array![-1.0, -2.0], "class"),
            (array![u32::MAX, 0], array![-1.0, -2.0], "class"),
            (array![3, 3], array![-1.0, -2.0], "class 3"),
            (array![3, 4], array![f32::NAN, -2.0], "log-probability"),
            (array![3, 4], array![1.0, -2.0], "log-probability"),
            (array![3, 4], array![-0.1, -0.2], "probabilities"),
            (
                array![3, 4],
                array![f32::NEG_INFINITY, f32::NEG_INFINITY],
                "row 2",
            ),
        ];
        for (indices, logs, says) in forged {
            let mut rows = Rows::default();
            for _ in 0..2 {
                rows.push(&good.0, &good.1);
            }
            // Not by `push`, which knows no NaN.
            rows.indices
                .extend(indices.iter().flat_map(|class| class.to_le_bytes()));
            let halves = logs.iter().map(|&log| f16::from_f32(log));
            rows.logs.extend(halves.flat_map(f16::to_le_bytes));
            let text = header::encode(&settings, 0, &rows);
            folder::replace(&path, 0, &[&text, &rows.indices, &rows.logs]).unwrap();
            let reader = CacheReader::open(&path).unwrap();
            let mut target: TopKTarget<f32> = reader.read(&[1]).unwrap();
            assert_eq!(target.indices(), array![[3, 4]]);
            let error = reader.read_into(&[0, 1, 2], &mut target).unwrap_err();
            let damaged = matches!(error, Error::File(FileError::Damaged { .. }));
            assert!(
                damaged && error.to_string().contains(says),
                "{error}, {says}"
            );
            assert_eq!((target.rows(), target.k()), (0, 2));
            reader.read_into(&[0], &mut target).unwrap();
            assert_eq!(target.rows(), 1);
        }
        std::fs::remove_dir_all(&path).unwrap();
    }
}
