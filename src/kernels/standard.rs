//! Brings rows to mean 0 and deviation 1, and takes gradients back through that.
//!
//! ```text
//! y = (z − μ) / σ                      ∂ / ∂z = (g − mean(g) − y · mean(g·y)) / σ
//! ```
//!
//! Sums in f64, of numbers in units of a power of two near the largest, whose squares neither overflow nor
//! vanish. A row stays in the second-level cache between its sweeps.

use super::dispatch::vectorize;
use super::divergence::sums::{LANES, add};
use super::extremes::largest_magnitude;
use super::parallel::{CHUNK, for_chunks_mut, map_chunks_mut};
use super::real::Real;

/// What a row was divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// 1/σ in units; 0 for a row without deviation, or one that was not read.
    inverse_deviation: f64,
    /// 1/unit, a power of two.
    inverse_unit: f64,
}

/// A row of zeros.
const FLAT: Scale = Scale {
    inverse_deviation: 0.0,
    inverse_unit: 1.0,
};

/// Writes the standardised rows to `to`, which holds zeros: rows for which `reads` is false are left alone.
///
/// Fails with the first row and class that is not finite; `to` may then have been written to.
pub(crate) fn standardise<F: Real>(
    from: &[F],
    classes: usize,
    reads: impl Fn(usize) -> bool + Sync,
    to: &mut [F],
) -> Result<Vec<Scale>, (usize, usize)> {
    assert_eq!(from.len(), to.len(), "as many numbers as there is room for");
    // Without classes there is nothing to do, but to divide by.
    let classes = classes.max(1);
    let per_task = (CHUNK / classes).max(1);
    let parts = map_chunks_mut(to, per_task * classes, |task, to| {
        let first = task * per_task;
        let from = &from[first * classes..];
        let pairs = from.chunks_exact(classes).zip(to.chunks_exact_mut(classes));
        let scales = pairs.enumerate().map(|(row, (from, to))| {
            if !reads(first + row) {
                return Ok(FLAT);
            }
            let scale = vectorize(
                #[inline(always)]
                || standardise_row(from, to),
            );
            scale.ok_or_else(|| {
                let class = from.iter().position(|z| !z.is_finite());
                (first + row, class.unwrap_or(0))
            })
        });
        scales.collect::<Result<Vec<_>, _>>()
    });
    let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(parts.concat())
}

/// `None` if a number is not finite.
#[inline(always)]
fn standardise_row<F: Real>(from: &[F], to: &mut [F]) -> Option<Scale> {
    let largest = largest_magnitude(from);
    if largest.is_nan() || largest.is_infinite() {
        return None;
    }
    let inverse_unit = inverse_unit(largest.widen());
    let count = count(from.len());
    let mut sums = [0.0; LANES];
    add(
        &mut sums,
        [from],
        #[inline(always)]
        |[z]| z.widen() * inverse_unit,
    );
    let mean = sums.iter().sum::<f64>() / count;
    let mut sums = [0.0; LANES];
    add(
        &mut sums,
        [from],
        #[inline(always)]
        |[z]| {
            let off = z.widen() * inverse_unit - mean;
            off * off
        },
    );
    let square = sums.iter().sum::<f64>() / count;
    let largest = largest.widen() * inverse_unit;
    // Rounding of equal numbers is no deviation.
    let inverse_deviation = if square > 1e-30 * largest * largest {
        square.sqrt().recip()
    } else {
        0.0
    };
    for (to, z) in to.iter_mut().zip(from) {
        *to = F::narrow((z.widen() * inverse_unit - mean) * inverse_deviation);
    }
    Some(Scale {
        inverse_deviation,
        inverse_unit,
    })
}

/// 1/2ᵏ, with 2ᵏ the power of two at or below this number, or 2⁻¹⁰⁰⁰ if that is larger.
#[inline(always)]
fn inverse_unit(largest: f64) -> f64 {
    const EXPONENT: u64 = 0x7FF0_0000_0000_0000;
    const LEAST: f64 = f64::from_bits(23 << 52);
    f64::from_bits(largest.to_bits() & EXPONENT)
        .max(LEAST)
        .recip()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of classes above 2⁵³ do not occur"
)]
fn count(classes: usize) -> f64 {
    classes as f64
}

/// From the gradient by standardised rows to that by the rows themselves, in place.
pub(crate) fn pull_back<F: Real>(
    standardised: &[F],
    scales: &[Scale],
    classes: usize,
    gradient: &mut [F],
) {
    assert_eq!(standardised.len(), gradient.len(), "one gradient a number");
    assert_eq!(scales.len() * classes, gradient.len(), "one scale a row");
    // Without classes there is nothing to do, but to divide by.
    let classes = classes.max(1);
    let per_task = (CHUNK / classes).max(1);
    for_chunks_mut(gradient, per_task * classes, |task, gradient| {
        let first = task * per_task;
        let rows = gradient
            .chunks_exact_mut(classes)
            .zip(standardised[first * classes..].chunks_exact(classes));
        for ((gradient, standardised), &scale) in rows.zip(&scales[first..]) {
            if scale.inverse_deviation == 0.0 {
                gradient.fill(F::zero());
                continue;
            }
            vectorize(
                #[inline(always)]
                || pull_row_back(standardised, scale, gradient),
            );
        }
    });
}

#[inline(always)]
fn pull_row_back<F: Real>(standardised: &[F], scale: Scale, gradient: &mut [F]) {
    let count = count(gradient.len());
    let [mut sums, mut products] = [[0.0; LANES]; 2];
    add(
        &mut sums,
        [&*gradient],
        #[inline(always)]
        |[g]| g.widen(),
    );
    add(
        &mut products,
        [&*gradient, standardised],
        #[inline(always)]
        |[g, y]| g.widen() * y.widen(),
    );
    let mean = sums.iter().sum::<f64>() / count;
    let along = products.iter().sum::<f64>() / count;
    for (g, y) in gradient.iter_mut().zip(standardised) {
        let across = g.widen() - mean - y.widen() * along;
        *g = F::narrow(across * scale.inverse_deviation * scale.inverse_unit);
    }
}

#[cfg(test)]
mod tests {
    use super::{pull_back, standardise};
    use crate::kernels::dispatch::forced;
    use crate::kernels::real::Real;

    fn noise<F: Real>(len: usize, seed: u64, spread: f64) -> Vec<F> {
        let mut state = seed * 2 + 1;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.3
        };
        (0..len).map(|_| F::narrow(next() * spread)).collect()
    }

    /// The formulas as they are written: y, and the gradient by z from that by y.
    fn slow(z: &[f64], g: &[f64]) -> [Vec<f64>; 2] {
        let count = z.len() as f64;
        let mean = |x: &[f64]| x.iter().sum::<f64>() / count;
        let off: Vec<f64> = z.iter().map(|x| x - mean(z)).collect();
        let deviation = mean(&off.iter().map(|x| x * x).collect::<Vec<_>>()).sqrt();
        let y: Vec<f64> = off.iter().map(|x| x / deviation).collect();
        let along = mean(&y.iter().zip(g).map(|(y, g)| y * g).collect::<Vec<_>>());
        let mean_g = mean(g);
        let pairs = g.iter().zip(&y);
        let pulled = pairs.map(|(g, y)| (g - mean_g - y * along) / deviation);
        let pulled = pulled.collect();
        [y, pulled]
    }

    fn check<F: Real>(tolerance: f64) {
        forced::at_every_level(|level| {
            for (rows, classes) in [(1, 2), (3, 17), (2, 1537), (200, 400)] {
                for spread in [1e-30, 1.0, 1e30] {
                    let at = format!("{rows} × {classes}, {spread}, {level:?}");
                    let z = noise::<F>(rows * classes, 1, spread);
                    let g = noise::<F>(rows * classes, 2, 1.0);
                    let mut y = vec![F::zero(); z.len()];
                    let mut pulled = g.clone();
                    let scales = standardise(&z, classes, |row| row != 1, &mut y).unwrap();
                    pull_back(&y, &scales, classes, &mut pulled);
                    for row in 0..rows {
                        let here = row * classes..(row + 1) * classes;
                        if row == 1 {
                            let mut both = y[here.clone()].iter().chain(&pulled[here]);
                            assert!(both.all(|&x| x == F::zero()), "{at}");
                            continue;
                        }
                        let wide = |x: &[F]| -> Vec<f64> { x.iter().map(|x| x.widen()).collect() };
                        let right = slow(&wide(&z[here.clone()]), &wide(&g[here.clone()]));
                        for (ours, right) in [&y, &pulled].into_iter().zip(right) {
                            let most = right.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
                            for (ours, right) in ours[here.clone()].iter().zip(right) {
                                let error = (ours.widen() - right).abs();
                                assert!(error <= tolerance * most, "{ours:?} for {right}, {at}");
                            }
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn f32_rows_agree_with_the_slow_twin() {
        check::<f32>(1e-6);
    }

    #[test]
    fn f64_rows_agree_with_the_slow_twin() {
        check::<f64>(1e-13);
    }

    #[test]
    fn any_size_has_a_shape_and_equal_numbers_have_none() {
        for unit in [f64::from_bits(1), f64::MIN_POSITIVE, 1.0, f64::MAX / 4.0] {
            let mut y = [0.0; 3];
            let z = [unit, 2.0 * unit, 3.0 * unit];
            let scales = standardise(&z, 3, |_| true, &mut y).unwrap();
            let right = 1.5_f64.sqrt();
            for (y, right) in y.iter().zip([-right, 0.0, right]) {
                assert!((y - right).abs() < 1e-15, "{y} for {right}");
            }
            let mut gradient = [1.0, 0.0, 0.0];
            pull_back(&y, &scales, 3, &mut gradient);
            assert!(gradient.iter().all(|g| !g.is_nan()));
            let mut y = [7.0; 3];
            let scales = standardise(&[0.1 * unit; 3], 3, |_| true, &mut y).unwrap();
            assert_eq!(y, [0.0; 3]);
            pull_back(&y, &scales, 3, &mut gradient);
            assert_eq!(gradient, [0.0; 3]);
        }
    }

    #[test]
    fn what_is_not_finite_is_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in 0..60 {
                let mut z = vec![1.0; 60];
                z[place] = bad;
                z[59] = f32::NAN;
                let place = (place / 20, place % 20);
                let mut y = vec![0.0; 60];
                assert_eq!(standardise(&z, 20, |_| true, &mut y), Err(place));
            }
        }
    }
}
