//! The sums that tell how far two tensors are apart.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, map_ranges};
use super::real::Real;

/// Sums in flight per chunk. Fixed, so that every instruction set adds in the same order.
const LANES: usize = 8;

/// Sums over pairs (x, y) of original and restored values, in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
        (self.original + self.restored + self.noise).is_finite() && self.product.is_finite()
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
    let mut lanes = [Sums::default(); LANES];
    let (whole, rest) = original.as_chunks::<LANES>();
    let (whole_restored, rest_restored) = restored.as_chunks::<LANES>();
    for (x, y) in whole.iter().zip(whole_restored) {
        for lane in 0..LANES {
            add(&mut lanes[lane], x[lane].widen(), y[lane].widen());
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(rest).zip(rest_restored) {
        add(lane, x.widen(), y.widen());
    }
    lanes.into_iter().fold(Sums::default(), Sums::plus)
}

#[inline(always)]
fn add(sums: &mut Sums, x: f64, y: f64) {
    let error = x - y;
    sums.original += x * x;
    sums.restored += y * y;
    sums.product += x * y;
    sums.noise += error * error;
    let error = error.abs();
    sums.largest_error = if error > sums.largest_error {
        error
    } else {
        sums.largest_error
    };
    sums.zeros += usize::from(y == 0.0);
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
        for (&x, &y) in x.iter().zip(&y) {
            super::add(&mut slow, x.into(), y.into());
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
