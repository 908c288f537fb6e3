//! How far values move when they are rounded to evenly spaced numbers, for many spacings at once.
//!
//! ```text
//! y = x / s        error = sᵖ · Σ weight · |round(clamp(y, lowest, highest)) − y|ᵖ
//! ```
//!
//! Values are read from memory once for all candidates. Terms are summed in the type of the values, in lanes of
//! constant number over a constant number of values, and from there on in f64: the same bits on every machine and in
//! every pool, and with f32 within 2⁻¹⁸ of the exact sum.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, map_ranges};
use super::real::Real;
use std::ops::Range;

/// Sums in flight.
const LANES: usize = 32;
/// Values that stay in the innermost cache while all candidates are tried on them. A lane sums 64 of them before it is
/// widened.
const BLOCK: usize = 2048;

/// One way to round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spacing {
    /// Between neighbours.
    pub(crate) scale: f64,
    /// The outermost numbers, in units of it.
    pub(crate) lowest: i32,
    pub(crate) highest: i32,
}

/// What a distance counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Power {
    One,
    Two,
    Other(f64),
}

impl Power {
    pub(crate) fn of(power: f64) -> Self {
        if power == 1.0 {
            Self::One
        } else if power == 2.0 {
            Self::Two
        } else {
            Self::Other(power)
        }
    }

    fn of_scale(self, scale: f64) -> f64 {
        match self {
            Self::One => scale,
            Self::Two => scale * scale,
            Self::Other(power) => (scale.logarithm() * power).exponential(),
        }
    }
}

/// The error of each spacing, each value counted once or with its own weight.
pub(crate) fn errors<F: Real>(
    values: &[F],
    weights: Option<&[F]>,
    spacings: &[Spacing],
    power: Power,
) -> Vec<f64> {
    let ready: Vec<Ready<F>> = spacings.iter().map(Ready::new).collect();
    let mut sums = vec![0.0; ready.len()];
    add(values, weights, &ready, power, &mut sums);
    for (sum, spacing) in sums.iter_mut().zip(spacings) {
        *sum *= power.of_scale(spacing.scale);
    }
    sums
}

/// Adds the terms of some whole chunks, and what is behind the last, to the sums.
fn add<F: Real>(
    values: &[F],
    weights: Option<&[F]>,
    ready: &[Ready<F>],
    power: Power,
    sums: &mut [f64],
) {
    let parts = map_ranges(values.len(), CHUNK, |range| {
        let mut sums = vec![0.0; ready.len()];
        let part = &values[range.clone()];
        let weights = weights.map(|weights| &weights[range]);
        match power {
            Power::One => sweep(part, weights, ready, &mut sums, |d| d),
            Power::Two => sweep(part, weights, ready, &mut sums, |d| d * d),
            Power::Other(power) => {
                let power = F::narrow(power);
                let raised = |d: F| {
                    // The logarithm of 0 is no number to count with.
                    if d > F::zero() {
                        (d.logarithm() * power).exponential()
                    } else {
                        F::zero()
                    }
                };
                sweep(part, weights, ready, &mut sums, raised);
            }
        }
        sums
    });
    for part in parts {
        for (sum, part) in sums.iter_mut().zip(part) {
            *sum += part;
        }
    }
}

/// Chunks of the first round of a search for the least.
const FIRST_ROUND: usize = 4 * CHUNK;

/// The first of the spacings whose error, as [`errors`] has it, is the least; nothing if none is a number.
///
/// No term is negative, so sums only grow: a spacing whose sum has passed what another comes to in the end is not
/// followed further, which leaves out most of the work where most spacings are bad.
pub(crate) fn least<F: Real>(
    values: &[F],
    weights: Option<&[F]>,
    spacings: &[Spacing],
    power: Power,
) -> Option<usize> {
    let factor = |spacing: &Spacing| power.of_scale(spacing.scale);
    let factors: Vec<f64> = spacings.iter().map(factor).collect();
    let ready: Vec<Ready<F>> = spacings.iter().map(Ready::new).collect();
    let weights_of = |range: &Range<usize>| weights.map(|weights| &weights[range.clone()]);
    let first = 0..values.len().min(FIRST_ROUND);
    let mut sums = vec![0.0; ready.len()];
    add(
        &values[first.clone()],
        weights_of(&first),
        &ready,
        power,
        &mut sums,
    );
    let places: Vec<usize> = (0..ready.len()).collect();
    let guess = first_least(&places, &sums, &factors)?;
    if first.end == values.len() {
        return Some(guess);
    }
    // What the most promising comes to.
    let mut bound = [sums[guess]];
    let rest = first.end..values.len();
    add(
        &values[rest.clone()],
        weights_of(&rest),
        &ready[guess..=guess],
        power,
        &mut bound,
    );
    let bound = bound[0] * factors[guess];
    let (mut places, mut start, mut round) = (places, first.end, FIRST_ROUND);
    loop {
        places.retain(|&place| sums[place] * factors[place] <= bound);
        if start == values.len() {
            return first_least(&places, &sums, &factors);
        }
        let range = start..values.len().min(start + round);
        let followed: Vec<Ready<F>> = places.iter().map(|&place| ready[place]).collect();
        let mut own: Vec<f64> = places.iter().map(|&place| sums[place]).collect();
        add(
            &values[range.clone()],
            weights_of(&range),
            &followed,
            power,
            &mut own,
        );
        for (&place, own) in places.iter().zip(own) {
            sums[place] = own;
        }
        (start, round) = (range.end, 2 * round);
    }
}

/// The first of these places with the least product.
fn first_least(places: &[usize], sums: &[f64], factors: &[f64]) -> Option<usize> {
    let (mut best, mut least) = (None, f64::INFINITY);
    for &place in places {
        let error = sums[place] * factors[place];
        if error < least {
            (best, least) = (Some(place), error);
        }
    }
    best
}

/// A spacing in the type of the values.
#[derive(Clone, Copy)]
struct Ready<F> {
    inverse: F,
    lowest: F,
    highest: F,
}

impl<F: Real> Ready<F> {
    fn new(spacing: &Spacing) -> Self {
        Self {
            inverse: F::narrow(1.0 / spacing.scale),
            lowest: F::from_integer(spacing.lowest),
            highest: F::from_integer(spacing.highest),
        }
    }

    /// How far a value is from the nearest of the evenly spaced numbers, in units of the spacing.
    #[inline(always)]
    fn distance(self, value: F) -> F {
        let steps = value * self.inverse;
        let held = if steps > self.lowest {
            steps
        } else {
            self.lowest
        };
        let held = if held < self.highest {
            held
        } else {
            self.highest
        };
        (held.rounded() - steps).abs()
    }
}

fn sweep<F: Real>(
    values: &[F],
    weights: Option<&[F]>,
    ready: &[Ready<F>],
    sums: &mut [f64],
    raised: impl Fn(F) -> F + Copy,
) {
    vectorize(
        #[inline(always)]
        || match weights {
            None => {
                for block in values.chunks(BLOCK) {
                    for (sum, &ready) in sums.iter_mut().zip(ready) {
                        *sum += plain(block, ready, raised);
                    }
                }
            }
            Some(weights) => {
                for (block, weights) in values.chunks(BLOCK).zip(weights.chunks(BLOCK)) {
                    for (sum, &ready) in sums.iter_mut().zip(ready) {
                        *sum += weighted(block, weights, ready, raised);
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn plain<F: Real>(block: &[F], ready: Ready<F>, raised: impl Fn(F) -> F) -> f64 {
    let mut lanes = [F::zero(); LANES];
    let (groups, rest) = block.as_chunks::<LANES>();
    for group in groups {
        for (lane, &value) in lanes.iter_mut().zip(group) {
            *lane = *lane + raised(ready.distance(value));
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = *lane + raised(ready.distance(value));
    }
    lanes.iter().fold(0.0, |sum, lane| sum + lane.widen())
}

#[inline(always)]
fn weighted<F: Real>(block: &[F], weights: &[F], ready: Ready<F>, raised: impl Fn(F) -> F) -> f64 {
    let mut lanes = [F::zero(); LANES];
    let (groups, rest) = block.as_chunks::<LANES>();
    let (weights, of_rest) = weights.as_chunks::<LANES>();
    for (group, weights) in groups.iter().zip(weights) {
        for ((lane, &value), &weight) in lanes.iter_mut().zip(group).zip(weights) {
            *lane = *lane + weight * raised(ready.distance(value));
        }
    }
    for ((lane, &value), &weight) in lanes.iter_mut().zip(rest).zip(of_rest) {
        *lane = *lane + weight * raised(ready.distance(value));
    }
    lanes.iter().fold(0.0, |sum, lane| sum + lane.widen())
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Power, Spacing, errors, least};
    use crate::kernels::dispatch::forced;

    const POWERS: [f64; 5] = [1.0, 2.0, 2.4, 3.0, 0.5];

    fn spacings() -> Vec<Spacing> {
        let spacing = |i: i32| Spacing {
            scale: 0.01 * f64::from(100 - i * 7),
            lowest: -8 + i,
            highest: 7 + i,
        };
        (0..12).map(spacing).collect()
    }

    /// From the definition, in f64.
    fn slow(values: &[f64], weights: Option<&[f64]>, spacing: &Spacing, power: f64) -> f64 {
        let mut sum = 0.0;
        for (place, x) in values.iter().enumerate() {
            let code = (x / spacing.scale)
                .clamp(f64::from(spacing.lowest), f64::from(spacing.highest))
                .round_ties_even();
            let weight = weights.map_or(1.0, |weights| weights[place]);
            sum += weight * (code * spacing.scale - x).abs().powf(power);
        }
        sum
    }

    #[test]
    fn errors_agree_with_a_plain_loop() {
        forced::at_every_level(|level| {
            for len in [0, 1, 31, 100, 2049, CHUNK + 7] {
                let value = |i: usize| ((i * 7919 % 2003) as f64 - 1000.0) * 0.0117;
                let values: Vec<f64> = (0..len).map(value).collect();
                let weights: Vec<f64> = (0..len).map(|i| (i % 5) as f64 * 0.5).collect();
                let single: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                let of_single: Vec<f32> = weights.iter().map(|&x| x as f32).collect();
                for power in POWERS {
                    for weighted in [false, true] {
                        let found = errors(
                            &values,
                            weighted.then_some(&weights[..]),
                            &spacings(),
                            Power::of(power),
                        );
                        let narrow = errors(
                            &single,
                            weighted.then_some(&of_single[..]),
                            &spacings(),
                            Power::of(power),
                        );
                        for ((spacing, found), narrow) in spacings().iter().zip(found).zip(narrow) {
                            let own = weighted.then_some(&weights[..]);
                            let right = slow(&values, own, spacing, power);
                            let at = format!("{len} {power} {weighted} {spacing:?} {level:?}");
                            let near = |x: f64, by: f64| (x - right).abs() <= by * (right + 1e-9);
                            assert!(near(found, 1e-11), "{found} for {right}: {at}");
                            // The values themselves are rounded here.
                            assert!(near(narrow, 1e-3), "{narrow} for {right}: {at}");
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn the_least_is_the_first_of_all_errors() {
        forced::at_every_level(|level| {
            for len in [0, 1, 1000, 4 * CHUNK, 4 * CHUNK + 1, 21 * CHUNK + 77] {
                // Larger numbers towards the end, so that the first guess is wrong.
                let value = |i: usize| {
                    let slope = 0.5 + i as f32 / (4 * CHUNK) as f32;
                    ((i * 7919 % 2003) as f32 - 1000.0) * 0.0117 * slope
                };
                let values: Vec<f32> = (0..len).map(value).collect();
                let weights: Vec<f32> = (0..len).map(|i| (i % 3) as f32).collect();
                let spacing = |i: i32| Spacing {
                    scale: 0.1 * f64::from(40 - i / 2),
                    lowest: -8,
                    highest: 7,
                };
                let spacings: Vec<Spacing> = (0..60).map(spacing).collect();
                for power in [Power::One, Power::Two, Power::Other(2.4)] {
                    for weights in [None, Some(&weights[..])] {
                        let all = errors(&values, weights, &spacings, power);
                        let mut right = 0;
                        for (place, error) in all.iter().enumerate() {
                            if *error < all[right] {
                                right = place;
                            }
                        }
                        let found = least(&values, weights, &spacings, power);
                        assert_eq!(found, Some(right), "{len} {power:?} {level:?}");
                    }
                }
            }
        });
    }

    #[test]
    fn f32_sums_are_near_those_of_f64() {
        let value = |i: usize| ((i * 7919 % 100_003) as f32 - 50_000.0) * 0.000_237;
        let values: Vec<f32> = (0..3 * CHUNK).map(value).collect();
        let wide: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
        // Scales that are powers of two: the distances are those of f64 then.
        let spacing = |i: i32| Spacing {
            scale: 2.0_f64.powi(-i),
            lowest: -128,
            highest: 127,
        };
        let spacings: Vec<Spacing> = (1..6).map(spacing).collect();
        for power in [Power::One, Power::Two] {
            let found = errors(&values, None, &spacings, power);
            let right = errors(&wide, None, &spacings, power);
            for (found, right) in found.into_iter().zip(right) {
                let apart = (found / right - 1.0).abs();
                assert!(apart <= 2.0_f64.powi(-18), "{found} for {right}");
            }
        }
    }

    #[test]
    fn every_machine_and_pool_has_the_same_bits() {
        let value = |i: usize| ((i * 7919 % 100_003) as f32 - 50_000.0) * 0.000_237;
        let values: Vec<f32> = (0..3 * CHUNK + 11).map(value).collect();
        let bits = |power: f64| -> Vec<u64> {
            let found = errors(&values, None, &spacings(), Power::of(power));
            found.into_iter().map(f64::to_bits).collect()
        };
        for power in POWERS {
            let right = bits(power);
            forced::at_every_level(|level| assert_eq!(bits(power), right, "{level:?}"));
            for threads in [1, 2, 3, 16] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                assert_eq!(pool.unwrap().install(|| bits(power)), right, "{threads}");
            }
        }
    }
}
