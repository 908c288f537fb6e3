//! The values of each tile together.

use super::parallel::map_ranges;
use super::tiling::Tiling;
use std::borrow::Cow;
use std::ops::Range;

/// Values tile after tile.
#[derive(Debug)]
pub(crate) struct Grouped<'a, T: Clone> {
    values: Cow<'a, [T]>,
    /// Where each tile starts, and where the last ends.
    starts: Vec<usize>,
}

impl<'a, T: Copy + Default> Grouped<'a, T> {
    /// Borrows where tiles lie together already.
    pub(crate) fn new(values: &'a [T], tiling: &Tiling) -> Self {
        let mut starts = vec![0; tiling.count() + 1];
        each(values.len(), tiling, |_, tile, len| starts[tile + 1] += len);
        for tile in 0..tiling.count() {
            starts[tile + 1] += starts[tile];
        }
        if tiling.piece().is_some() {
            let values = Cow::Borrowed(values);
            return Self { values, starts };
        }
        let mut next = starts.clone();
        let mut grouped = vec![T::default(); values.len()];
        each(values.len(), tiling, |place, tile, len| {
            let to = next[tile];
            grouped[to..to + len].copy_from_slice(&values[place..place + len]);
            next[tile] += len;
        });
        let values = Cow::Owned(grouped);
        Self { values, starts }
    }

    /// The values of one tile, in row-major order.
    pub(crate) fn tile(&self, tile: usize) -> &[T] {
        &self.values[self.starts[tile]..self.starts[tile + 1]]
    }
}

/// Calls `visit` with the start, the tile and the length of each stretch.
fn each(len: usize, tiling: &Tiling, mut visit: impl FnMut(usize, usize, usize)) {
    tiling.stretches(0..len, |stretch, tiles| {
        if tiles.len() == 1 {
            return visit(stretch.start, tiles.start, stretch.len());
        }
        for (place, tile) in stretch.zip(tiles) {
            visit(place, tile, 1);
        }
    });
}

/// What `task` says of each tile, in order; some tiles go together.
pub(crate) fn map_tiles<R: Send>(tiles: usize, task: impl Fn(usize) -> R + Sync) -> Vec<R> {
    const TOGETHER: usize = 8;
    let parts = map_ranges(tiles, TOGETHER, |range: Range<usize>| {
        range.map(&task).collect::<Vec<_>>()
    });
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::{Grouped, map_tiles};
    use crate::kernels::tiling::Tiling;

    #[test]
    fn tiles_have_the_values_that_belong_to_them() {
        let whole = usize::MAX;
        for (shape, tile) in [
            ([4, 6], [whole, whole]),
            ([4, 6], [1, whole]),
            ([4, 6], [whole, 1]),
            ([4, 6], [1, 4]),
            ([5, 7], [2, 3]),
        ] {
            let tiling = Tiling::new(&shape, &tile).unwrap();
            let values: Vec<usize> = (0..shape[0] * shape[1]).collect();
            let grouped = Grouped::new(&values, &tiling);
            let across = shape[1].div_ceil(tile[1]);
            for number in 0..tiling.count() {
                let own = |&place: &usize| {
                    let (row, column) = (place / shape[1], place % shape[1]);
                    row / tile[0] * across + column / tile[1] == number
                };
                let right: Vec<usize> = values.iter().copied().filter(own).collect();
                assert_eq!(grouped.tile(number), right, "{shape:?} {tile:?}");
            }
        }
    }

    #[test]
    fn tiles_are_asked_in_order() {
        assert_eq!(map_tiles(35, |tile| tile), (0..35).collect::<Vec<_>>());
    }
}
