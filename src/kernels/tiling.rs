//! Which scale belongs to which element: tiles of any shape over a row-major array.
//!
//! A tile takes so many neighbours along each axis; the last along an axis may be shorter. Axes along which nothing
//! changes are merged, so that whatever is asked for becomes rows of some length, in which some neighbours share a
//! scale: a whole tensor and channels along the first axis are one row, channels along the last axis are rows
//! without neighbours that share.

use std::ops::Range;

/// An axis, or several that lie together: how long it is, and how many neighbours share a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Side {
    length: usize,
    tile: usize,
}

impl Side {
    fn tiles(self) -> usize {
        self.length.div_ceil(self.tile)
    }

    /// Both as one, if tiles then still are neighbours.
    fn merged(self, inner: Self) -> Option<Self> {
        let whole = inner.tile >= inner.length;
        let single = self.tile == 1 && inner.tile == 1;
        let tile = if whole { self.tile * inner.length } else { 1 };
        (whole || single).then_some(Self {
            length: self.length * inner.length,
            tile,
        })
    }
}

/// Tiles over an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Outermost first; the last is a row.
    outer: Vec<Side>,
    row: Side,
    count: usize,
}

impl Tiling {
    /// A length that is the whole of any axis, even of one without elements.
    pub(crate) const WHOLE: usize = usize::MAX;

    /// Tiles of `tile` elements along each axis of `shape`, none of them 0; nothing if there are more tiles than
    /// can be counted.
    pub(crate) fn new(shape: &[usize], tile: &[usize]) -> Option<Self> {
        assert_eq!(shape.len(), tile.len(), "a length for each axis");
        let count = shape
            .iter()
            .zip(tile)
            .try_fold(1_usize, |count, (&length, &tile)| {
                count.checked_mul(if tile == Self::WHOLE {
                    1
                } else {
                    length.div_ceil(tile)
                })
            })?;
        if shape.contains(&0) {
            let row = Side { length: 0, tile: 1 };
            return Some(Self {
                outer: Vec::new(),
                row,
                count,
            });
        }
        let mut sides: Vec<Side> = Vec::new();
        for (&length, &tile) in shape.iter().zip(tile) {
            let tile = tile.min(length);
            let side = Side { length, tile };
            match sides.last_mut().map(|last| (last.merged(side), last)) {
                Some((Some(merged), last)) => *last = merged,
                _ => sides.push(side),
            }
        }
        let row = sides.pop().unwrap_or(Side { length: 1, tile: 1 });
        Some(Self {
            outer: sides,
            row,
            count,
        })
    }

    /// One tile of so many elements.
    pub(crate) fn whole(len: usize) -> Self {
        Self {
            outer: Vec::new(),
            row: Side {
                length: len,
                tile: len.max(1),
            },
            count: 1,
        }
    }

    /// How many tiles there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many elements a tile has: fewer than others where it is the last along an axis.
    pub(crate) fn size(&self, mut tile: usize) -> usize {
        let mut size = 1;
        for side in std::iter::once(&self.row).chain(self.outer.iter().rev()) {
            let tiles = side.tiles().max(1);
            let start = tile % tiles * side.tile;
            size *= side.tile.min(side.length - start);
            tile /= tiles;
        }
        size
    }

    /// How many elements lie together, tile after tile, if no tile is ever left and entered again: so many that
    /// pieces of this length hold whole tiles, and the tiles of all pieces follow one another.
    pub(crate) fn piece(&self) -> Option<usize> {
        if self.row.length == 0 || self.outer.iter().any(|side| side.tile != 1) {
            return None;
        }
        let rows = !self.outer.is_empty();
        Some(if rows { self.row.length } else { self.row.tile })
    }

    /// The tiles of whole pieces.
    pub(crate) fn tiles_of(&self, range: &Range<usize>) -> Range<usize> {
        let tiles = |place: usize| {
            let (row, column) = (
                place / self.row.length.max(1),
                place % self.row.length.max(1),
            );
            row * self.row.tiles() + column.div_ceil(self.row.tile)
        };
        tiles(range.start)..tiles(range.end)
    }

    /// Calls `visit` for each stretch of elements of a tile, in their order. Not for an array without elements.
    pub(crate) fn runs(&self, tile: usize, mut visit: impl FnMut(Range<usize>)) {
        let Side { length, tile: most } = self.row;
        let mut start = tile % self.row.tiles() * most;
        let run = most.min(length - start);
        let mut rest = tile / self.row.tiles();
        // How many of the tile lie how far apart, innermost first.
        let mut steps = Vec::new();
        let mut stride = length;
        for side in self.outer.iter().rev() {
            let first = rest % side.tiles() * side.tile;
            start += first * stride;
            let count = side.tile.min(side.length - first);
            if count > 1 {
                steps.push((count, stride));
            }
            (rest, stride) = (rest / side.tiles(), stride * side.length);
        }
        let (inner, outer) = match steps.split_first() {
            Some((inner, outer)) => (*inner, outer),
            None => ((1, 0), &[][..]),
        };
        for number in 0..outer.iter().map(|(count, _)| count).product() {
            let (mut place, mut rest) = (start, number);
            for (count, stride) in outer {
                place += rest % count * stride;
                rest /= count;
            }
            for _ in 0..inner.0 {
                visit(place..place + run);
                place += inner.1;
            }
        }
    }

    /// The first tile of a row.
    #[inline(always)]
    fn first_tile(&self, mut row: usize) -> usize {
        let (mut first, mut tiles) = (0, self.row.tiles());
        for side in self.outer.iter().rev() {
            first += row % side.length / side.tile * tiles;
            row /= side.length;
            tiles *= side.tiles();
        }
        first
    }

    /// Calls `visit` for each stretch of `range` in which either the tile stays the same, or (where neighbours
    /// never share one) the tiles follow one another.
    ///
    /// It gets the stretch, counted from the start of `range`, and the tiles: one of them, or as many as there are
    /// elements.
    #[inline(always)]
    pub(crate) fn stretches(
        &self,
        range: Range<usize>,
        mut visit: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let Side { length, tile } = self.row;
        let mut start = range.start;
        while start < range.end {
            let (row, mut column) = (start / length, start % length);
            let first = self.first_tile(row);
            let row_end = length.min(column + (range.end - start));
            if tile == 1 {
                let end = start + (row_end - column);
                let here = start - range.start..end - range.start;
                visit(here, first + column..first + row_end);
                start = end;
                continue;
            }
            let mut number = column / tile;
            while column < row_end {
                let next = row_end.min((number + 1).saturating_mul(tile));
                let end = start + (next - column);
                let here = start - range.start..end - range.start;
                visit(here, first + number..first + number + 1);
                (start, column, number) = (end, next, number + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tiling;

    /// The tile of each element, from its index.
    fn slow(shape: &[usize], tile: &[usize]) -> Vec<usize> {
        let len = shape.iter().product();
        let tile_of = |mut place: usize| {
            let (mut number, mut tiles) = (0, 1);
            for (&length, &tile) in shape.iter().zip(tile).rev() {
                number += place % length / tile * tiles;
                place /= length;
                tiles *= length.div_ceil(tile);
            }
            number
        };
        (0..len).map(tile_of).collect()
    }

    #[test]
    fn every_element_has_the_tile_of_its_index() {
        let whole = usize::MAX;
        for (shape, tile) in [
            (vec![], vec![]),
            (vec![7], vec![whole]),
            (vec![7], vec![3]),
            (vec![4, 6], vec![whole, whole]),
            (vec![4, 6], vec![1, whole]),
            (vec![4, 6], vec![whole, 1]),
            (vec![4, 6], vec![1, 4]),
            (vec![4, 6], vec![1, 3]),
            (vec![5, 6], vec![2, 4]),
            (vec![5, 6], vec![2, 1]),
            (vec![3, 1, 5], vec![whole, 1, 1]),
            (vec![3, 4, 5], vec![1, 1, whole]),
            (vec![3, 4, 5], vec![whole, 1, whole]),
            (vec![3, 4, 5], vec![2, 3, 2]),
            (vec![2, 3, 4, 5], vec![1, 2, whole, 1]),
            (vec![2, 3, 4, 5], vec![1, 1, 1, 1]),
            (vec![3, 0, 5], vec![1, 1, whole]),
        ] {
            let right = slow(&shape, &tile);
            let tiling = Tiling::new(&shape, &tile).unwrap();
            let at = format!("{shape:?} in {tile:?}: {tiling:?}");
            let grid = shape.iter().zip(&tile).map(|(n, t)| n.div_ceil(*t));
            assert_eq!(tiling.count(), grid.product::<usize>(), "{at}");
            for tile in (0..tiling.count()).filter(|_| !right.is_empty()) {
                let mut places = Vec::new();
                tiling.runs(tile, |run| places.extend(run));
                let all = (0..right.len()).filter(|&place| right[place] == tile);
                assert_eq!(places, all.collect::<Vec<_>>(), "tile {tile} of {at}");
            }
            for tile in 0..tiling.count() {
                let size = right.iter().filter(|&&of| of == tile).count();
                assert_eq!(tiling.size(tile), size, "tile {tile} of {at}");
            }
            for start in [0, 1, 5, 17] {
                for end in [start, start + 1, start + 6, right.len()] {
                    if end > right.len() || end < start {
                        continue;
                    }
                    let mut tiles = Vec::new();
                    tiling.stretches(start..end, |stretch, numbers| {
                        assert_eq!(stretch.start, tiles.len(), "{at}");
                        if numbers.len() == 1 {
                            tiles.resize(stretch.end, numbers.start);
                        } else {
                            tiles.extend(numbers);
                        }
                        assert_eq!(stretch.end, tiles.len(), "{at}");
                    });
                    assert_eq!(tiles, right[start..end], "{start}..{end} of {at}");
                }
            }
            let Some(piece) = tiling.piece() else {
                assert!(right.is_empty() || right.windows(2).any(|pair| pair[0] > pair[1]));
                continue;
            };
            for start in (0..right.len()).step_by(piece) {
                let end = right.len().min(start + piece);
                let tiles = tiling.tiles_of(&(start..end));
                assert_eq!(tiles.start, right[start], "{at}");
                assert_eq!(tiles.end, right[end - 1] + 1, "{at}");
                assert!(end == right.len() || right[end] == tiles.end, "{at}");
            }
        }
    }

    #[test]
    fn a_whole_axis_has_a_tile_even_without_elements() {
        let count = |tile: &[usize]| Tiling::new(&[3, 0], tile).unwrap().count();
        assert_eq!(count(&[1, Tiling::WHOLE]), 3);
        assert_eq!(count(&[Tiling::WHOLE, Tiling::WHOLE]), 1);
        assert_eq!(count(&[1, 4]), 0);
    }

    #[test]
    fn more_tiles_than_can_be_counted_are_refused() {
        assert_eq!(Tiling::new(&[usize::MAX, 2], &[1, 1]), None);
        assert!(Tiling::new(&[usize::MAX, 0], &[1, 1]).is_some());
    }
}
