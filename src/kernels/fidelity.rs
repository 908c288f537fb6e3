//! The sums that tell how far two tensors are apart.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, map_ranges};
use super::real::Real;

/// Sums in flight per chunk. Fixed, so that every instruction set adds in the same order.
const LANES: usize = 8;

/// Sums over pairs (x, y) of original and restored values, in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Sums {
    /// Σ x²
    pub(crate) original: f64,
    /// Σ y²
    pub(crate) restored: f64,
    /// Σ x·y
    pub(crate) product: f64,
    /// Σ (x − y)²
    pub(crate) noise: f64,
    /// max |x − y|
    pub(crate) largest_error: f64,
    /// How many y are zero.
    pub(crate) zeros: usize,
}

impl Sums {
    /// The sums over both parts.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            original: self.original + other.original,
            restored: self.restored + other.restored,
            product: self.product + other.product,
            noise: self.noise + other.noise,
            largest_error: self.largest_error.max(other.largest_error),
            zeros: self.zeros + other.zeros,
        }
    }

    /// Whether no sum overflowed, which also means that every value was finite.
    pub(crate) fn is_finite(self) -> bool {
        let sums = [self.original, self.restored, self.product, self.noise];
        sums.iter().all(|sum| sum.is_finite())
    }
}

/// The sums over all pairs of two slices of equal length.
pub(crate) fn sums<F: Real>(original: &[F], restored: &[F]) -> Sums {
    assert_eq!(original.len(), restored.len(), "pairs of values");
    map_ranges(original.len(), CHUNK, |range| {
        let (original, restored) = (&original[range.clone()], &restored[range]);
        vectorize(
            #[inline(always)]
            || sums_of_chunk(original, restored),
        )
    })
    .into_iter()
    .fold(Sums::default(), Sums::plus)
}

#[inline(always)]
fn sums_of_chunk<F: Real>(original: &[F], restored: &[F]) -> Sums {
    let mut lanes = Lanes::default();
    let (whole, rest) = original.as_chunks::<LANES>();
    let (whole_restored, rest_restored) = restored.as_chunks::<LANES>();
    for (x, y) in whole.iter().zip(whole_restored) {
        lanes = lanes.plus(x.map(F::widen), y.map(F::widen));
    }
    let mut sums = lanes.sums();
    for (x, y) in rest.iter().zip(rest_restored) {
        sums = sums.plus(pair(x.widen(), y.widen()));
    }
    sums
}

/// The sums of one pair.
#[inline(always)]
fn pair(x: f64, y: f64) -> Sums {
    let error = x - y;
    Sums {
        original: x * x,
        restored: y * y,
        product: x * y,
        noise: error * error,
        largest_error: error.abs(),
        zeros: usize::from(y == 0.0),
    }
}

/// Sums in flight. Each has an array of its own and a loop of its own: sums side by side in one
/// struct, or in one loop, do not become vectors, and take four times as long.
#[derive(Clone, Copy, Default)]
struct Lanes {
    original: [f64; LANES],
    restored: [f64; LANES],
    product: [f64; LANES],
    noise: [f64; LANES],
    largest_error: [f64; LANES],
    zeros: [u64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn plus(mut self, x: [f64; LANES], y: [f64; LANES]) -> Self {
        let error: [f64; LANES] = std::array::from_fn(|lane| x[lane] - y[lane]);
        for (sum, x) in self.original.iter_mut().zip(x) {
            *sum += x * x;
        }
        for (sum, y) in self.restored.iter_mut().zip(y) {
            *sum += y * y;
        }
        for (sum, (x, y)) in self.product.iter_mut().zip(x.into_iter().zip(y)) {
            *sum += x * y;
        }
        for (sum, error) in self.noise.iter_mut().zip(error) {
            *sum += error * error;
        }
        for (most, error) in self.largest_error.iter_mut().zip(error) {
            *most = if error.abs() > *most {
                error.abs()
            } else {
                *most
            };
        }
        for (zeros, y) in self.zeros.iter_mut().zip(y) {
            *zeros += u64::from(y == 0.0);
        }
        self
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a count no larger than a chunk"
    )]
    fn sums(self) -> Sums {
        let sum = |lanes: [f64; LANES]| lanes.iter().sum();
        Sums {
            original: sum(self.original),
            restored: sum(self.restored),
            product: sum(self.product),
            noise: sum(self.noise),
            largest_error: self.largest_error.into_iter().fold(0.0, f64::max),
            zeros: self.zeros.iter().sum::<u64>() as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sums, sums};
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;

    fn pairs(len: usize) -> (Vec<f32>, Vec<f32>) {
        let x: Vec<f32> = (0..len)
            .map(|i| ((i * 7919 % 2003) as f32 - 900.0) * 1e-3)
            .collect();
        let y = x.iter().map(|x| (x * 50.0).round() / 50.0).collect();
        (x, y)
    }

    #[test]
    fn sums_agree_with_a_plain_loop_and_with_one_another() {
        let (x, y) = pairs(2 * CHUNK + 1003);
        let mut slow = Sums::default();
        for (x, y) in x
            .iter()
            .zip(&y)
            .map(|(&x, &y)| (f64::from(x), f64::from(y)))
        {
            slow.noise += (x - y).powi(2);
            slow.product += x * y;
            slow.largest_error = slow.largest_error.max((x - y).abs());
            slow.zeros += usize::from(y == 0.0);
        }
        let first = sums(&x, &y);
        assert!((first.noise / slow.noise - 1.0).abs() < 1e-12);
        assert!((first.product / slow.product - 1.0).abs() < 1e-12);
        assert_eq!(first.largest_error, slow.largest_error);
        assert_eq!(first.zeros, slow.zeros);
        forced::at_every_level(|level| assert_eq!(sums(&x, &y), first, "at {level:?}"));
    }

    #[test]
    fn overflow_and_nan_are_seen() {
        assert!(sums(&[1.0_f64], &[2.0]).is_finite());
        assert!(!sums(&[1e200_f64], &[1.0]).is_finite());
        assert!(!sums(&[1.0_f32], &[f32::NAN]).is_finite());
        assert_eq!(sums::<f32>(&[], &[]), Sums::default());
    }
}
