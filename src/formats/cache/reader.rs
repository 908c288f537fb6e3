//! Reads rows of a cache by their position.

use super::block::Rows;
use super::folder::{self, damaged, failed, shard_path};
use super::header::{self, Header};
use super::settings::CacheSettings;
use crate::distill::{Output, Teacher, TopKTarget};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::shape;
use ndarray::Array2;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const CACHED_BLOCKS: usize = 16;

/// Reads what a teacher said of each row, from a folder that a [`CacheWriter`](super::CacheWriter)
/// wrote.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`cached_blocks`](Self::cached_blocks) | how many blocks of rows stay in memory | 16 | at least 1 |
///
/// In memory are the headers, some blocks that were read last, and the answer. Each block is read as a
/// whole and its checksum verified before a row of it is believed; [`read`](Self::read) reads each block
/// once, in the order of the file, whatever the order of the positions.
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
    state: Mutex<State>,
}

struct State {
    /// The last shard, which a writer may replace by a longer one.
    last: Option<(u64, File)>,
    /// Another one that was read from.
    other: Option<(u64, File)>,
    /// Blocks that were read, the latest first.
    blocks: VecDeque<(Place, Rows)>,
    most: usize,
}

/// A block of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    shard: u64,
    block: usize,
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
            state: Mutex::new(State {
                last: last.filter(|(number, _)| *number == end),
                other: None,
                blocks: VecDeque::new(),
                most: CACHED_BLOCKS,
            }),
        })
    }

    /// The same with another number of blocks that stay in memory; 0 counts as 1.
    #[must_use]
    pub fn cached_blocks(self, most: usize) -> Self {
        self.with_state(|state| {
            state.most = most.max(1);
            state.blocks.truncate(state.most);
        });
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
        let rows = self.rows;
        if let Some(&position) = positions.iter().find(|&&position| position >= rows) {
            return Err(Error::PositionOutOfRange { position, rows });
        }
        let k = self.settings.k;
        let dimension = (positions.len(), k);
        shape::count(&[dimension.0, dimension.1])?;
        let mut order: Vec<usize> = (0..positions.len()).collect();
        order.sort_unstable_by_key(|&place| positions[place]);
        let mut indices = vec![0; positions.len() * k];
        let mut logs = vec![F::zero(); positions.len() * k];
        self.with_state(|state| {
            for &place in &order {
                let (block, row) = self.place(positions[place])?;
                let to = place * k..(place + 1) * k;
                let block = self.block(state, block)?;
                block.row(row, k, &mut indices[to.clone()], &mut logs[to]);
            }
            Ok::<(), Error>(())
        })?;
        let of_shape = |_| Error::ShapeOverflow {
            shape: vec![dimension.0, dimension.1],
        };
        let indices = Array2::from_shape_vec(dimension, indices).map_err(of_shape)?;
        let logs = Array2::from_shape_vec(dimension, logs).map_err(of_shape)?;
        TopKTarget::rounded(self.settings.classes, indices, logs)
            .map_err(|error| damaged(&self.folder, error.to_string()))
    }

    /// The block of a row, and the row's place in it.
    fn place(&self, position: u64) -> Result<(Place, usize)> {
        let full = self.settings.shard_rows as u64;
        // Less than `full`, which is a usize.
        let row = usize::try_from(position % full).unwrap_or(usize::MAX);
        let shard = position / full;
        match self.shards.get(&shard) {
            Some(Ok(_)) => {
                let block = row / self.settings.block_rows;
                Ok((Place { shard, block }, row % self.settings.block_rows))
            }
            Some(Err(error)) => Err(error.clone()),
            None => Err(self.missing(shard)),
        }
    }

    /// A block, verified, from memory or from disk.
    fn block<'a>(&self, state: &'a mut State, place: Place) -> Result<&'a Rows> {
        let known = state.blocks.iter().position(|(known, _)| *known == place);
        let rows = match known.and_then(|at| state.blocks.remove(at)) {
            Some((_, rows)) => rows,
            None => self.load(state, place)?,
        };
        state.blocks.truncate(state.most - 1);
        state.blocks.push_front((place, rows));
        Ok(&state.blocks[0].1)
    }

    fn load(&self, state: &mut State, place: Place) -> Result<Rows> {
        let path = shard_path(&self.folder, place.shard);
        let header = match self.shards.get(&place.shard) {
            Some(Ok(header)) => header,
            _ => return Err(self.missing(place.shard)),
        };
        match &mut state.last {
            Some((number, file)) if *number == place.shard => {
                header.block(file, &path, place.block)
            }
            _ => {
                let open = state.other.take();
                let mut file = match open.filter(|(number, _)| *number == place.shard) {
                    Some((_, file)) => file,
                    None => File::open(&path).map_err(failed("open", &path))?,
                };
                let rows = header.block(&mut file, &path, place.block)?;
                state.other = Some((place.shard, file));
                Ok(rows)
            }
        }
    }

    fn missing(&self, shard: u64) -> Error {
        damaged(&shard_path(&self.folder, shard), "it is missing")
    }

    fn with_state<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        // What is in memory is whole at any time, also if another thread panicked meanwhile.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
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
