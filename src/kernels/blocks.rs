//! Units that are blocks of A × B neighbours, in any number of axes.
//!
//! Where a length is no multiple of the block's, the last block along that axis is shorter.

use super::dispatch::vectorize;
use super::parallel::map_ranges;
use super::real::Real;
use super::runs;
use super::units::{Fold, Layout};

/// How a tensor falls into blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    shape: Vec<usize>,
    block: Vec<usize>,
    /// How many blocks lie along each axis.
    counts: Vec<usize>,
}

impl Blocks {
    /// Blocks of these lengths, none of them zero, as many as there are axes.
    pub(crate) fn new(shape: &[usize], block: &[usize]) -> Self {
        assert_eq!(shape.len(), block.len(), "a length for each axis");
        let counts = shape.iter().zip(block).map(|(&n, &b)| n.div_ceil(b));
        Self {
            shape: shape.to_vec(),
            block: block.to_vec(),
            counts: counts.collect(),
        }
    }

    /// The number of the first block of this row, a row being what shares all indices but the last.
    fn first_of_row(&self, mut row: usize) -> usize {
        let axes = self.shape.len().saturating_sub(1);
        let mut unit = 0;
        let mut stride = self.counts.last().copied().unwrap_or(1);
        for axis in (0..axes).rev() {
            unit += row % self.shape[axis] / self.block[axis] * stride;
            row /= self.shape[axis];
            stride *= self.counts[axis];
        }
        unit
    }

    /// How long a row is, and how much of it a block takes.
    fn row(&self) -> (usize, usize) {
        let last = |lengths: &[usize]| lengths.last().copied().unwrap_or(1);
        (last(&self.shape), last(&self.block))
    }
}

impl Layout for Blocks {
    fn units(&self) -> usize {
        self.counts.iter().product()
    }

    fn size(&self, mut unit: usize) -> usize {
        let mut size = 1;
        for (axis, &count) in self.counts.iter().enumerate().rev() {
            let start = unit % count * self.block[axis];
            size *= self.block[axis].min(self.shape[axis] - start);
            unit /= count;
        }
        size
    }

    fn fold<F: Real, O: Fold<F>>(&self, values: &[F], fold: &O) -> Vec<f64> {
        if values.is_empty() {
            return vec![O::START; self.units()];
        }
        let (row, width) = self.row();
        let rows = values.len() / row;
        // Blocks that start at the same index of the first axis share nothing with the others.
        let (bands, band_rows) = match self.shape.as_slice() {
            [] | [_] => (1, rows),
            [first, ..] => (self.counts[0], rows / first * self.block[0]),
        };
        let per_band = self.units() / bands;
        let parts = map_ranges(bands, 1, |band| {
            let first = band.start * per_band;
            let mut results = vec![O::START; per_band];
            vectorize(
                #[inline(always)]
                || {
                    for number in band.start * band_rows..rows.min(band.end * band_rows) {
                        let start = self.first_of_row(number);
                        let values = &values[number * row..(number + 1) * row];
                        for (across, values) in values.chunks(width).enumerate() {
                            let unit = start + across;
                            let result = &mut results[unit - first];
                            for &value in values {
                                *result = fold.step(unit, *result, value);
                            }
                        }
                    }
                },
            );
            results
        });
        parts.concat()
    }

    fn expand(&self, kept: &[u64]) -> Vec<u64> {
        let (row, width) = self.row();
        runs::paint(self.shape.iter().product(), |place| {
            let (number, column) = (place / row, place % row);
            let across = column / width;
            let unit = self.first_of_row(number) + across;
            let end = row.min((across + 1) * width);
            (runs::is_set(kept, unit), number * row + end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Blocks;
    use crate::kernels::folds::SumAbs;
    use crate::kernels::runs;
    use crate::kernels::units::Layout;

    /// The block of each value, by its index, in the plainest way.
    fn units(shape: &[usize], block: &[usize]) -> Vec<usize> {
        let len: usize = shape.iter().product();
        (0..len)
            .map(|place| {
                let (mut place, mut unit, mut stride) = (place, 0, 1);
                for (&n, &b) in shape.iter().zip(block).rev() {
                    unit += place % n / b * stride;
                    stride *= n.div_ceil(b);
                    place /= n;
                }
                unit
            })
            .collect()
    }

    #[test]
    fn blocks_of_any_rank_agree_with_a_plain_loop() {
        let cases: [(&[usize], &[usize]); 9] = [
            (&[], &[]),
            (&[10], &[4]),
            (&[4, 6], &[2, 3]),
            (&[5, 7], &[2, 3]),
            (&[5, 7], &[9, 1]),
            (&[300, 410], &[4, 1]),
            (&[3, 4, 5], &[2, 2, 2]),
            (&[2, 3, 3, 3], &[1, 2, 3, 3]),
            (&[3, 0], &[2, 2]),
        ];
        for (shape, block) in cases {
            let blocks = Blocks::new(shape, block);
            let units = units(shape, block);
            let values: Vec<f64> = (0..units.len()).map(|i| (i % 101) as f64 - 50.0).collect();
            let mut sums = vec![0.0; blocks.units()];
            let mut sizes = vec![0; blocks.units()];
            for (&unit, value) in units.iter().zip(&values) {
                sums[unit] += value.abs();
                sizes[unit] += 1;
            }
            assert_eq!(blocks.fold(&values, &SumAbs), sums, "{blocks:?}");
            for (unit, &size) in sizes.iter().enumerate() {
                assert_eq!(blocks.size(unit), size, "{blocks:?} {unit}");
            }
            let kept = runs::paint(blocks.units(), |unit| (unit % 3 == 0, unit + 1));
            let words = blocks.expand(&kept);
            for (place, unit) in units.iter().enumerate() {
                assert_eq!(runs::is_set(&words, place), unit % 3 == 0, "{blocks:?}");
            }
        }
    }
}
