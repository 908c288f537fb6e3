//! What is the same for all shards of a cache.

use crate::error::{Error, Result};

/// What a cache of a teacher's likeliest classes is of.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `classes` | how many classes there are | none | 1 to 2³² |
/// | `k` | how many of them are kept of a row | none | 1 to `classes` |
/// | [`shard_rows`](Self::shard_rows) | rows of a file; what a kill can lose, and what the writer holds in memory | 65 536 | at least 1 |
/// | [`block_rows`](Self::block_rows) | rows that share a checksum; what is read from disk at once | 1024 | at least 1 |
/// | [`teacher`](Self::teacher) | the teacher's name | empty | any text |
/// | [`notes`](Self::notes) | what else should be known in a year: data, order, tokenizer | empty | any text |
///
/// A row takes 6 · k bytes: with the defaults and k = 64 a file has 25 MB.
///
/// # Examples
///
/// ```
/// use rarefy::formats::CacheSettings;
///
/// let settings = CacheSettings::new(32_000, 64).teacher("large-7b, step 90000");
/// assert_eq!((settings.classes(), settings.k()), (32_000, 64));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    pub(super) classes: usize,
    pub(super) k: usize,
    pub(super) shard_rows: usize,
    pub(super) block_rows: usize,
    pub(super) teacher: String,
    pub(super) notes: String,
}

impl CacheSettings {
    /// A cache of `k` of `classes` classes for each row.
    pub const fn new(classes: usize, k: usize) -> Self {
        Self {
            classes,
            k,
            shard_rows: 1 << 16,
            block_rows: 1 << 10,
            teacher: String::new(),
            notes: String::new(),
        }
    }

    /// The same with another number of rows of a file.
    #[must_use]
    pub const fn shard_rows(mut self, rows: usize) -> Self {
        self.shard_rows = rows;
        self
    }

    /// The same with another number of rows that share a checksum.
    #[must_use]
    pub const fn block_rows(mut self, rows: usize) -> Self {
        self.block_rows = rows;
        self
    }

    /// The same with the teacher's name.
    #[must_use]
    pub fn teacher(mut self, teacher: impl Into<String>) -> Self {
        self.teacher = teacher.into();
        self
    }

    /// The same with a note.
    #[must_use]
    pub fn notes(mut self, notes: impl Into<String>) -> Self {
        self.notes = notes.into();
        self
    }

    /// How many classes there are.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// How many of them are kept of a row.
    pub const fn k(&self) -> usize {
        self.k
    }

    /// The teacher's name.
    pub fn teacher_name(&self) -> &str {
        &self.teacher
    }

    /// The notes.
    pub fn notes_text(&self) -> &str {
        &self.notes
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers for a message")]
    pub(super) fn check(&self) -> Result<()> {
        let out_of_range = |what, must, value: usize| {
            let value = value as f64;
            Err(Error::NumberOutOfRange { what, must, value })
        };
        // How many there are minus one is the largest of their numbers.
        if self.classes == 0 || u32::try_from(self.classes - 1).is_err() {
            let must = "at least 1 and at most 2^32";
            return out_of_range("number of classes", must, self.classes);
        }
        if self.k == 0 || self.k > self.classes {
            let must = "at least 1 and at most the number of classes";
            return out_of_range("k", must, self.k);
        }
        if self.shard_rows == 0 {
            return out_of_range("rows of a shard", "at least 1", 0);
        }
        if self.block_rows == 0 {
            return out_of_range("rows of a block", "at least 1", 0);
        }
        Ok(())
    }
}
