//! What a reader keeps between calls: blocks that were read, and open files.
//!
//! It is locked for a moment before and after blocks are read, never while they are: a thread of a pool that
//! waits for others may begin another read of the same cache meanwhile.

use super::block::Rows;
use crate::error::Result;
use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

const CACHED_BLOCKS: usize = 16;

/// A block of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shard: u64,
    pub(super) block: usize,
}

#[derive(Debug)]
pub(super) struct Memory {
    /// The last shard, which a writer may replace by a longer one.
    last: Option<(u64, Arc<File>)>,
    /// Another one that was read from.
    other: Option<(u64, Arc<File>)>,
    /// Blocks that were read, the latest first.
    blocks: VecDeque<(Place, Arc<Rows>)>,
    most: usize,
}

impl Memory {
    pub(super) fn new(last: Option<(u64, File)>) -> Self {
        Self {
            last: last.map(|(shard, file)| (shard, Arc::new(file))),
            other: None,
            blocks: VecDeque::new(),
            most: CACHED_BLOCKS,
        }
    }

    /// How many blocks stay at most.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    pub(super) fn limit(&mut self, most: usize) {
        self.most = most.max(1);
        self.blocks.truncate(self.most);
    }

    /// The file of a shard, opened if it is not open.
    pub(super) fn file(
        &mut self,
        shard: u64,
        open: impl FnOnce() -> Result<File>,
    ) -> Result<Arc<File>> {
        for (number, file) in [&self.last, &self.other].into_iter().flatten() {
            if *number == shard {
                return Ok(Arc::clone(file));
            }
        }
        // Closed first, so that one file more than the last is open at a time.
        self.other = None;
        let file = Arc::new(open()?);
        self.other = Some((shard, Arc::clone(&file)));
        Ok(file)
    }

    /// A block that is here, which becomes the latest.
    pub(super) fn known(&mut self, place: Place) -> Option<Arc<Rows>> {
        let at = self.blocks.iter().position(|(known, _)| *known == place)?;
        let (_, rows) = self.blocks.remove(at)?;
        self.blocks.push_front((place, Arc::clone(&rows)));
        Some(rows)
    }

    /// Throws out the oldest blocks, so that there is room for this many; their memory, if nobody reads them.
    pub(super) fn room(&mut self, count: usize) -> Vec<Rows> {
        let stay = self.most.saturating_sub(count).min(self.blocks.len());
        let old = self.blocks.split_off(stay);
        old.into_iter()
            .filter_map(|(_, rows)| Arc::into_inner(rows))
            .collect()
    }

    /// Keeps a block as the latest.
    pub(super) fn keep(&mut self, place: Place, rows: Rows) {
        // Another thread may have read it too.
        self.blocks.retain(|(known, _)| *known != place);
        self.blocks.truncate(self.most - 1);
        self.blocks.push_front((place, Arc::new(rows)));
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, Place};
    use crate::formats::cache::block::Rows;

    #[test]
    fn the_oldest_block_goes_and_its_memory_comes_back() {
        let place = |block| Place { shard: 0, block };
        let mut memory = Memory::new(None);
        memory.limit(3);
        for block in 0..4 {
            memory.keep(place(block), Rows::default());
        }
        memory.keep(place(3), Rows::default());
        assert!(memory.known(place(0)).is_none());
        let read = memory.known(place(1));
        assert!(read.is_some());
        assert_eq!(memory.room(1).len(), 1, "of 2");
        assert!(memory.known(place(2)).is_none());
        assert_eq!(memory.room(0).len(), 0);
        assert_eq!(memory.room(9).len(), 1, "one of two is being read");
    }
}
