//! Counts values outside a range, for each tile.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges};
use super::ranges::{Finite, first_not_finite};
use super::real::Real;
use super::tiling::Tiling;

/// Verdicts in flight.
const LANES: usize = 16;

/// How many values there are, and how many of them lie outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    pub(crate) values: u64,
    pub(crate) below: u64,
    pub(crate) above: u64,
}

impl Beyond {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            values: self.values.saturating_add(other.values),
            below: self.below.saturating_add(other.below),
            above: self.above.saturating_add(other.above),
        }
    }

    /// Of one value.
    #[inline(always)]
    fn of(value: f64, (low, high): (f64, f64)) -> Self {
        let finite = value.abs() < f64::INFINITY;
        Self {
            values: u64::from(finite),
            below: u64::from(finite & (value < low)),
            above: u64::from(finite & (value > high)),
        }
    }

    /// Of many.
    ///
    /// A one for each verdict, in f64: flags do not become vectors.
    #[inline(always)]
    fn of_all<F: Real>(values: &[F], (low, high): (f64, f64)) -> Self {
        let one = |holds: bool| if holds { 1.0 } else { 0.0 };
        let (mut finite, mut below, mut above) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        // Infinities are neither.
        let (least, most) = (-f64::MAX, f64::MAX);
        let (groups, rest) = values.as_chunks::<LANES>();
        for group in groups {
            for (lane, value) in group.iter().enumerate() {
                let value = value.widen();
                finite[lane] += one(value.abs() <= most);
                below[lane] += if value < low {
                    one(value >= least)
                } else {
                    0.0
                };
                above[lane] += if value > high {
                    one(value <= most)
                } else {
                    0.0
                };
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number: at most the values of a chunk"
        )]
        let counted = |lanes: [f64; LANES]| lanes.iter().sum::<f64>() as u64;
        let groups = Self {
            values: counted(finite),
            below: counted(below),
            above: counted(above),
        };
        let rest = rest
            .iter()
            .map(|value| Self::of(value.widen(), (low, high)));
        rest.fold(groups, Self::plus)
    }
}

/// What of each tile lies outside the tile's own range. Numbers that are not finite do not count; where there must be
/// none, fails with the index of the first.
pub(crate) fn beyond<F: Real>(
    values: &[F],
    tiling: &Tiling,
    ranges: &[(f64, f64)],
    finite: Finite,
) -> Result<Vec<Beyond>, usize> {
    let found = fold_ranges(
        values.len(),
        CHUNK,
        || vec![Beyond::default(); tiling.count()],
        |found, range| {
            let part = &values[range.clone()];
            vectorize(
                #[inline(always)]
                || {
                    tiling.stretches(
                        range,
                        #[inline(always)]
                        |stretch, tiles| {
                            let values = &part[stretch];
                            if let [one] = &mut found[tiles.clone()] {
                                let range = ranges[tiles.start];
                                *one = one.plus(Beyond::of_all(values, range));
                                return;
                            }
                            let found = found[tiles.clone()].iter_mut().zip(&ranges[tiles]);
                            for ((found, &range), value) in found.zip(values) {
                                *found = found.plus(Beyond::of(value.widen(), range));
                            }
                        },
                    );
                },
            );
        },
        |a, b| a.into_iter().zip(b).map(|(a, b)| a.plus(b)).collect(),
    );
    let counted: u64 = found.iter().map(|found| found.values).sum();
    if finite == Finite::Required && counted != values.len() as u64 {
        return Err(first_not_finite(values).unwrap_or_default());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Beyond, CHUNK, beyond};
    use crate::kernels::dispatch::forced;
    use crate::kernels::ranges::Finite;
    use crate::kernels::tiling::Tiling;

    #[test]
    fn counts_agree_with_a_plain_loop() {
        forced::at_every_level(|level| {
            for (shape, tile) in [
                ([1, CHUNK + 9], [1, usize::MAX]),
                ([5, 7], [1, usize::MAX]),
                ([900, 3], [usize::MAX, 1]),
                ([0, 3], [usize::MAX, 1]),
            ] {
                let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                let value = |i: usize| (i * 7919 % 1009) as f32 - 500.0;
                let mut values: Vec<f32> = (0..shape[0] * shape[1]).map(value).collect();
                let range = |tile: usize| (-300.0 - tile as f64, 12.0 * tile as f64);
                let ranges: Vec<(f64, f64)> = (0..tiling.count()).map(range).collect();
                let slow = |values: &[f32]| {
                    let mut right = vec![Beyond::default(); tiling.count()];
                    for (place, &value) in values.iter().enumerate() {
                        let tile = if tile[1] == 1 {
                            place % shape[1]
                        } else {
                            place / shape[1]
                        };
                        let (low, high) = ranges[tile];
                        right[tile].values += u64::from(value.is_finite());
                        right[tile].below += u64::from(value.is_finite() && f64::from(value) < low);
                        right[tile].above +=
                            u64::from(value.is_finite() && f64::from(value) > high);
                    }
                    right
                };
                let at = format!("{shape:?} {level:?}");
                let found = beyond(&values, &tiling, &ranges, Finite::Required);
                assert_eq!(found, Ok(slow(&values)), "{at}");
                if values.len() > 20 {
                    (values[4], values[20]) = (f32::NAN, f32::INFINITY);
                    let found = beyond(&values, &tiling, &ranges, Finite::Required);
                    assert_eq!(found, Err(4), "{at}");
                    let found = beyond(&values, &tiling, &ranges, Finite::Skipped);
                    assert_eq!(found, Ok(slow(&values)), "{at}");
                }
            }
        });
    }
}
