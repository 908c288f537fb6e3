//! Largest magnitudes, and where the first number that is not finite lies.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges};
use super::real::Real;
use std::ops::Range;

/// A row-major array seen as outer × channels × inner: which scale belongs to which element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    /// How many channels there are.
    pub(crate) count: usize,
    /// How many neighbours in memory share a channel.
    pub(crate) inner: usize,
}

impl Channels {
    /// Calls `visit` for each stretch of `range` in which either the channel stays the same, or
    /// (where neighbours never share one) the channels follow one another.
    ///
    /// It gets the stretch, counted from the start of `range`, and the channels: one of them, or as
    /// many as there are elements.
    #[inline(always)]
    pub(crate) fn stretches(
        self,
        range: Range<usize>,
        mut visit: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let mut start = range.start;
        while start < range.end {
            let channel = start / self.inner % self.count;
            let (end, channels) = if self.inner == 1 {
                let end = range.end.min(start + self.count - channel);
                (end, channel..channel + (end - start))
            } else {
                let end = range
                    .end
                    .min((start / self.inner + 1).saturating_mul(self.inner));
                (end, channel..channel + 1)
            };
            visit(start - range.start..end - range.start, channels);
            start = end;
        }
    }
}

/// The largest magnitude; infinity or NaN if one number is, NaN before infinity.
#[inline(always)]
pub(super) fn largest_magnitude<F: Real>(row: &[F]) -> F {
    const LANES: usize = 32;
    // As integers, among which NaN is the largest.
    let mut most = [F::Bits::default(); LANES];
    let (groups, rest) = row.as_chunks::<LANES>();
    for group in groups {
        for (most, &z) in most.iter_mut().zip(group) {
            *most = (*most).max(z.magnitude());
        }
    }
    for (most, &z) in most.iter_mut().zip(rest) {
        *most = (*most).max(z.magnitude());
    }
    F::from_magnitude(most.into_iter().max().unwrap_or_default())
}

/// The largest magnitude of each channel; zero for a channel without elements.
///
/// Fails with the index of the first element that is NaN or infinite.
pub(crate) fn largest_magnitudes<F: Real>(
    values: &[F],
    channels: Channels,
) -> Result<Vec<F::Bits>, usize> {
    let largest = fold_ranges(
        values.len(),
        CHUNK,
        || vec![F::Bits::default(); channels.count],
        |largest, range| {
            let part = &values[range.clone()];
            vectorize(
                #[inline(always)]
                || {
                    channels.stretches(range, |stretch, channels| {
                        let part = &part[stretch];
                        let largest = &mut largest[channels];
                        if let [one] = largest {
                            *one = (*one).max(largest_of(part));
                        } else {
                            for (one, value) in largest.iter_mut().zip(part) {
                                *one = (*one).max(value.magnitude());
                            }
                        }
                    });
                },
            );
        },
        |mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).max(b));
            a
        },
    );
    if largest.iter().all(|&magnitude| magnitude < F::INFINITE) {
        return Ok(largest);
    }
    match values
        .iter()
        .position(|value| value.magnitude() >= F::INFINITE)
    {
        Some(index) => Err(index),
        None => Ok(largest),
    }
}

#[inline(always)]
fn largest_of<F: Real>(values: &[F]) -> F::Bits {
    values.iter().fold(F::Bits::default(), |largest, value| {
        largest.max(value.magnitude())
    })
}

/// The index of the first NaN.
pub(crate) fn first_nan<F: Real>(values: &[F]) -> Option<usize> {
    let found = fold_ranges(
        values.len(),
        CHUNK,
        || false,
        |found, range| {
            let values = &values[range];
            *found |= vectorize(
                #[inline(always)]
                // Not `any`, which stops early and so does not vectorise.
                || {
                    values
                        .iter()
                        .fold(false, |found, value| found | value.is_nan())
                },
            );
        },
        |a, b| a | b,
    );
    if found {
        values.iter().position(|value| value.is_nan())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Channels, first_nan, largest_magnitudes};
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::real::{Real, Sealed};

    fn slow(values: &[f32], channels: Channels) -> Vec<u32> {
        let mut largest = vec![0.0_f32; channels.count];
        for (index, value) in values.iter().enumerate() {
            let channel = index / channels.inner % channels.count;
            largest[channel] = largest[channel].max(value.abs());
        }
        largest.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn largest_magnitudes_agree_with_a_plain_loop() {
        forced::at_every_level(|level| {
            for (outer, count, inner) in [
                (1, 1, 1),
                (1, 1, 70_000),
                (3, 5, 7),
                (40_000, 3, 1),
                (2, 300, 333),
                (0, 4, 3),
            ] {
                let channels = Channels { count, inner };
                let values: Vec<f32> = (0..outer * count * inner)
                    .map(|i| ((i * 7919 % 1009) as f32 - 700.0) * 0.01)
                    .collect();
                assert_eq!(
                    largest_magnitudes(&values, channels),
                    Ok(slow(&values, channels)),
                    "{channels:?} at {level:?}"
                );
            }
        });
    }

    #[test]
    fn the_first_that_is_not_finite_is_named() {
        let mut values = vec![1.0_f32; CHUNK + 100];
        values[CHUNK + 50] = f32::NAN;
        assert_eq!(first_nan(&values), Some(CHUNK + 50));
        values[70] = f32::NEG_INFINITY;
        let channels = Channels {
            count: 1,
            inner: values.len(),
        };
        assert_eq!(largest_magnitudes(&values, channels), Err(70));
        assert_eq!(first_nan(&values[..CHUNK]), None);
        assert!(1.0_f64.magnitude() < f64::INFINITE);
    }
}
