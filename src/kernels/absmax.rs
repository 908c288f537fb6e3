//! Scales from the largest magnitude of each tile: all of a range that symmetric codes ask for.
//!
//! One maximum of integers a number, where a range takes a minimum, a maximum and that maximum to find what is not
//! finite; and all scales of a chunk in one loop.

use super::dispatch::vectorize;
use super::fit::{Fit, Zero, check_scales};
use super::parallel::{CHUNK, fold_ranges};
use super::ranges::{LANES, by_halves};
use super::real::Real;
use super::tiling::Tiling;
use std::ops::Range;

/// Whether the largest magnitude says all that this fit asks of a range.
pub(super) fn suffices(fit: Fit) -> bool {
    matches!(fit.zero, Zero::Fixed(_)) && fit.divisor.to_bits() == fit.divisor_below.to_bits()
}

/// The largest magnitude of each tile.
pub(super) fn magnitudes<F: Real>(values: &[F], tiling: &Tiling) -> Vec<F::Bits> {
    let none = || vec![F::Bits::default(); tiling.count()];
    fold_ranges(
        values.len(),
        CHUNK,
        none,
        |largest, range| sweep(&values[range.clone()], range, tiling, 0, largest),
        |mut a, b| {
            for (a, b) in a.iter_mut().zip(b) {
                *a = (*a).max(b);
            }
            a
        },
    )
}

/// Raises the largest magnitudes of the tiles that `range` touches, of which the first given is number `first`, to
/// those of `values`.
pub(super) fn sweep<F: Real>(
    values: &[F],
    range: Range<usize>,
    tiling: &Tiling,
    first: usize,
    largest: &mut [F::Bits],
) {
    vectorize(
        #[inline(always)]
        || {
            tiling.stretches(
                range,
                #[inline(always)]
                |stretch, tiles| {
                    let largest = &mut largest[tiles.start - first..tiles.end - first];
                    let values = &values[stretch];
                    if let [one] = largest {
                        *one = (*one).max(largest_of(values));
                    } else {
                        for (largest, value) in largest.iter_mut().zip(values) {
                            *largest = larger(*largest, value.magnitude());
                        }
                    }
                },
            );
        },
    );
}

/// Not `max`, which is a call for each pair where it is not inlined early enough to become a vector's.
#[inline(always)]
fn larger<B: Ord>(a: B, b: B) -> B {
    if b > a { b } else { a }
}

/// The largest magnitude of some values, or none.
#[inline(always)]
pub(super) fn largest_of<F: Real>(values: &[F]) -> F::Bits {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut largest = [F::Bits::default(); LANES];
    for block in blocks {
        for (largest, value) in largest.iter_mut().zip(block) {
            *largest = larger(*largest, value.magnitude());
        }
    }
    for (largest, value) in largest.iter_mut().zip(rest) {
        *largest = larger(*largest, value.magnitude());
    }
    by_halves(largest, larger)
}

/// The scale of each largest magnitude, or the first tile whose scale does not fit an f32.
///
/// What [`Fit::parameters`] says of the range from −magnitude to magnitude, which [`suffices`].
pub(super) fn scales<F: Real>(
    largest: &[F::Bits],
    fit: Fit,
    scales: &mut [f32],
) -> Result<(), usize> {
    let most = vectorize(
        #[inline(always)]
        || {
            let mut most = 0.0;
            for (scale, &largest) in scales.iter_mut().zip(largest) {
                let quotient = F::from_magnitude(largest).widen() / fit.divisor;
                most = if quotient > most { quotient } else { most };
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "scales are stored in f32; this is one f32 division, as in `Fit::parameters`"
                )]
                let single = quotient as f32;
                *scale = if single < fit.least {
                    fit.instead
                } else {
                    single
                };
            }
            most
        },
    );
    if most < fit.near() {
        return Ok(());
    }
    for (scale, &largest) in scales.iter_mut().zip(largest) {
        let largest = F::from_magnitude(largest).widen();
        *scale = fit.parameters(-largest, largest).0;
    }
    check_scales(scales)
}

#[cfg(test)]
mod tests {
    use super::{magnitudes, scales, suffices};
    use crate::kernels::dispatch::forced;
    use crate::kernels::fit::{Fit, Zero};
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::real::Real;
    use crate::kernels::tiling::Tiling;

    fn symmetric(highest: i32) -> Fit {
        Fit {
            lowest: -highest,
            highest,
            zero: Zero::Fixed(0),
            divisor: f64::from(highest),
            divisor_below: f64::from(highest),
            least: f32::MIN_POSITIVE,
            instead: f32::MIN_POSITIVE,
            instead_zero: None,
            single: false,
            finite: true,
        }
    }

    fn check<F: Real>() {
        forced::at_every_level(|level| {
            for (shape, tile) in [
                ([1, 1000], [1, usize::MAX]),
                ([35, 3], [usize::MAX, 1]),
                ([7, 50], [1, 16]),
                ([7, 50], [2, 20]),
                ([2, CHUNK + 9], [1, usize::MAX]),
                ([300, 512], [1, 128]),
            ] {
                let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                let values: Vec<F> = (0..shape[0] * shape[1])
                    .map(|i| F::narrow(((i * 37 % 601) as f64 - 300.0) * 0.05))
                    .collect();
                let mut right = vec![0.0_f64; tiling.count()];
                tiling.stretches(0..values.len(), |stretch, tiles| {
                    for (place, value) in stretch.enumerate() {
                        let tile = if tiles.len() > 1 {
                            tiles.start + place
                        } else {
                            tiles.start
                        };
                        right[tile] = right[tile].max(value_of(&values, value));
                    }
                });
                let found = magnitudes(&values, &tiling);
                for fit in [symmetric(127), symmetric(7), symmetric(1)] {
                    let mut steps = vec![0.0; found.len()];
                    scales::<F>(&found, fit, &mut steps).expect("small numbers");
                    for (step, right) in steps.iter().zip(&right) {
                        let right = fit.parameters(-right, *right).0;
                        assert_eq!(step.to_bits(), right.to_bits(), "{shape:?} {level:?}");
                    }
                }
            }
        });
    }

    fn value_of<F: Real>(values: &[F], place: usize) -> f64 {
        values[place].widen().abs()
    }

    #[test]
    fn f32_agrees_with_ranges() {
        check::<f32>();
    }

    #[test]
    fn f64_agrees_with_ranges() {
        check::<f64>();
    }

    #[test]
    fn scales_near_both_ends_are_those_of_the_fit() {
        let fit = symmetric(127);
        let magnitudes = [f64::from(f32::MAX), 1e-45, 0.0, 1.0];
        let largest: Vec<u64> = magnitudes.iter().map(|value| value.to_bits()).collect();
        let mut steps = [0.0; 4];
        assert_eq!(scales::<f64>(&largest, fit, &mut steps), Ok(()));
        assert_eq!(
            steps,
            magnitudes.map(|largest| fit.parameters(-largest, largest).0)
        );
        assert!((steps[0] * 127.0).is_finite());
        let beyond = [1.0_f64.to_bits(), 1e300_f64.to_bits()];
        assert_eq!(
            scales::<f64>(&beyond, fit, &mut [0.0; 2]),
            Err(1),
            "the second does not fit"
        );
    }

    #[test]
    fn ranges_with_two_sides_need_more() {
        let two_sided = Fit {
            divisor_below: 128.0,
            ..symmetric(127)
        };
        assert!(suffices(symmetric(7)) && !suffices(two_sided));
    }
}
