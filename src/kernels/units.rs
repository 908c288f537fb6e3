//! Sums and extremes over parts of a tensor that go together: whole slices, or blocks.
//!
//! The order of additions depends on the shape alone: lanes of constant number, then stretches in
//! row-major order, no fused multiply-add. So all machines and all pools agree to the bit.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, map_chunks_mut, map_ranges};
use super::real::Real;

/// Sums in flight within a stretch.
const LANES: usize = 8;
/// Neighbouring values, and so at most as many slices, that one task adds up: their sums stay in the first-level cache.
const TOGETHER: usize = 1024;
/// Rows that are added to sums between fetching and storing them.
const ROWS_AT_ONCE: usize = 8;
/// The fewest rows that one task adds up, so that the sums of all tasks are few beside the tensor.
const ROWS: usize = 64;

/// What is computed of the values of a unit.
pub(crate) trait Fold<F>: Sync {
    /// What an empty unit gives.
    const START: f64;
    /// The result so far with one more value of this unit.
    fn step(&self, unit: usize, total: f64, value: F) -> f64;
    /// Two results as one.
    fn merge(&self, a: f64, b: f64) -> f64;
}

/// How a row-major tensor falls into units.
pub(crate) trait Layout: Sync {
    /// How many units there are.
    fn units(&self) -> usize;
    /// How many values a unit has.
    fn size(&self, unit: usize) -> usize;
    /// The result of each unit.
    fn fold<F: Real, O: Fold<F>>(&self, values: &[F], fold: &O) -> Vec<f64>;
    /// Mask bits of the values, from those of the units.
    fn expand(&self, kept: &[u64]) -> Vec<u64>;
}

#[inline(always)]
pub(crate) fn stretch<F: Real, O: Fold<F>>(fold: &O, unit: usize, values: &[F]) -> f64 {
    let mut lanes = [O::START; LANES];
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for (lane, &value) in lanes.iter_mut().zip(group) {
            *lane = fold.step(unit, *lane, value);
        }
    }
    let mut total = lanes
        .into_iter()
        .fold(O::START, |total, lane| fold.merge(total, lane));
    for &value in rest {
        total = fold.step(unit, total, value);
    }
    total
}

/// Units that are slices along an axis: outer × count × inner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slices {
    /// The product of the lengths before the axis.
    pub(crate) outer: usize,
    /// How many units lie along the axis.
    pub(crate) count: usize,
    /// How many neighbours in memory belong to one unit.
    pub(crate) inner: usize,
}

impl Slices {
    fn row(self) -> usize {
        self.count * self.inner
    }

    fn total(self) -> usize {
        self.outer * self.row()
    }

    /// Slices along the first axis: each lies in one piece.
    fn fold_whole<F: Real, O: Fold<F>>(self, values: &[F], fold: &O) -> Vec<f64> {
        let mut results = vec![O::START; self.count];
        let inner = self.inner;
        let together = (CHUNK / inner).max(1);
        map_chunks_mut(&mut results, together, |chunk, results| {
            let start = chunk * together;
            if inner > CHUNK {
                for (number, result) in results.iter_mut().enumerate() {
                    let unit = start + number;
                    *result = long(fold, unit, &values[unit * inner..(unit + 1) * inner]);
                }
                return;
            }
            let values = &values[start * inner..(start + results.len()) * inner];
            vectorize(
                #[inline(always)]
                || {
                    for (number, result) in results.iter_mut().enumerate() {
                        let values = &values[number * inner..(number + 1) * inner];
                        *result = stretch(fold, start + number, values);
                    }
                },
            );
        });
        results
    }

    /// Slices along any other axis: rows × units, in tiles.
    fn fold_rows<F: Real, O: Fold<F>>(self, values: &[F], fold: &O) -> Vec<f64> {
        let (row, inner) = (self.row(), self.inner);
        let rows = ROWS.max(CHUNK / row);
        let together = (TOGETHER / inner).max(1);
        let tiles_across = self.count.div_ceil(together);
        let tiles = self.outer.div_ceil(rows) * tiles_across;
        let parts = map_ranges(tiles, 1, |tile| {
            let (down, across) = (tile.start / tiles_across, tile.start % tiles_across);
            let units = across * together..self.count.min((across + 1) * together);
            let mut results = vec![O::START; units.len()];
            vectorize(
                #[inline(always)]
                || {
                    let rows = down * rows..self.outer.min((down + 1) * rows);
                    let values = |number: usize| {
                        let start = number * row + units.start * inner;
                        &values[start..start + units.len() * inner]
                    };
                    let mut number = rows.start;
                    while inner == 1 && number + ROWS_AT_ONCE <= rows.end {
                        let rows = std::array::from_fn(|i| values(number + i));
                        add_rows::<F, O, ROWS_AT_ONCE>(fold, units.start, rows, &mut results);
                        number += ROWS_AT_ONCE;
                    }
                    for number in number..rows.end {
                        add_row(fold, units.start, inner, values(number), &mut results);
                    }
                },
            );
            results
        });
        let mut results = vec![O::START; self.count];
        for (tile, part) in parts.into_iter().enumerate() {
            let start = tile % tiles_across * together;
            for (result, part) in results[start..].iter_mut().zip(part) {
                *result = fold.merge(*result, part);
            }
        }
        results
    }
}

/// What [`add_row`] does of one row after the other, where each value is of a unit of its own.
#[inline(always)]
fn add_rows<F: Real, O: Fold<F>, const N: usize>(
    fold: &O,
    first: usize,
    rows: [&[F]; N],
    results: &mut [f64],
) {
    // All as long as the results, so that the compiler knows that no index is out of bounds.
    let rows = rows.map(|row| &row[..results.len()]);
    for (number, result) in results.iter_mut().enumerate() {
        let mut total = *result;
        for row in rows {
            total = fold.step(first + number, total, row[number]);
        }
        *result = total;
    }
}

#[inline(always)]
fn add_row<F: Real, O: Fold<F>>(
    fold: &O,
    first: usize,
    inner: usize,
    values: &[F],
    results: &mut [f64],
) {
    if inner == 1 {
        for (number, (result, &value)) in results.iter_mut().zip(values).enumerate() {
            *result = fold.step(first + number, *result, value);
        }
        return;
    }
    for (number, (result, values)) in results.iter_mut().zip(values.chunks(inner)).enumerate() {
        *result = fold.merge(*result, stretch(fold, first + number, values));
    }
}

/// A unit that is longer than a chunk.
fn long<F: Real, O: Fold<F>>(fold: &O, unit: usize, values: &[F]) -> f64 {
    map_ranges(values.len(), CHUNK, |range| {
        vectorize(
            #[inline(always)]
            || stretch(fold, unit, &values[range]),
        )
    })
    .into_iter()
    .fold(O::START, |total, part| fold.merge(total, part))
}

impl Layout for Slices {
    fn units(&self) -> usize {
        self.count
    }

    fn size(&self, _: usize) -> usize {
        self.outer * self.inner
    }

    fn fold<F: Real, O: Fold<F>>(&self, values: &[F], fold: &O) -> Vec<f64> {
        assert_eq!(values.len(), self.total(), "slices of these values");
        if values.is_empty() {
            vec![O::START; self.count]
        } else if self.outer == 1 {
            self.fold_whole(values, fold)
        } else {
            self.fold_rows(values, fold)
        }
    }

    fn expand(&self, kept: &[u64]) -> Vec<u64> {
        let row = if self.inner == 1 {
            kept.to_vec()
        } else if self.inner == 0 {
            Vec::new()
        } else {
            super::runs::paint(self.row(), |place| {
                let unit = place / self.inner;
                (super::runs::is_set(kept, unit), (unit + 1) * self.inner)
            })
        };
        if self.outer == 1 {
            return row;
        }
        super::runs::repeat(&row, self.row(), self.total())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fold, Layout, Slices};
    use crate::kernels::dispatch::forced;
    use crate::kernels::runs;

    struct Sum;

    impl Fold<f32> for Sum {
        const START: f64 = 0.0;
        fn step(&self, _: usize, total: f64, value: f32) -> f64 {
            total + f64::from(value)
        }
        fn merge(&self, a: f64, b: f64) -> f64 {
            a + b
        }
    }

    const LAYOUTS: [(usize, usize, usize); 10] = [
        (1, 1, 1),
        (1, 5, 7),
        (1, 3, 70_000),
        (1, 70_000, 3),
        (3, 5, 1),
        (300, 257, 1),
        (2, 9000, 1),
        (90, 7, 9),
        (0, 3, 2),
        (2, 3, 0),
    ];

    #[test]
    fn sums_of_integers_are_those_of_a_plain_loop_at_every_level() {
        forced::at_every_level(|level| {
            for (outer, count, inner) in LAYOUTS {
                let slices = Slices {
                    outer,
                    count,
                    inner,
                };
                // Integers, so that every order of adding gives the same.
                let values: Vec<f32> = (0..outer * count * inner)
                    .map(|i| (i * 7919 % 1009) as f32)
                    .collect();
                let mut right = vec![0.0; count];
                for (index, &value) in values.iter().enumerate() {
                    right[index / inner % count] += f64::from(value);
                }
                assert_eq!(slices.fold(&values, &Sum), right, "{slices:?} {level:?}");
            }
        });
    }

    #[test]
    fn expanding_gives_each_value_the_bit_of_its_unit() {
        for (outer, count, inner) in LAYOUTS {
            let slices = Slices {
                outer,
                count,
                inner,
            };
            let kept = runs::paint(count, |unit| (unit % 3 != 1, unit + 1));
            let words = slices.expand(&kept);
            for place in 0..outer * count * inner {
                let unit = place / inner % count;
                assert_eq!(runs::is_set(&words, place), unit % 3 != 1, "{slices:?}");
            }
        }
    }
}
