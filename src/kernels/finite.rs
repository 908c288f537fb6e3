//! Finds what is not a finite number.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges};
use super::real::Real;
use ndarray::{ArrayRef, Dimension};

/// Verdicts in flight.
const LANES: usize = 16;

/// The place in row-major order of the first element that is NaN or infinite.
///
/// Copies nothing, whatever the memory order.
pub(crate) fn first_not_finite<F: Real, D: Dimension>(array: &ArrayRef<F, D>) -> Option<usize> {
    let search = || array.iter().position(|value| !value.is_finite());
    match array.as_slice_memory_order() {
        Some(slice) if all_finite(slice) => None,
        _ => search(),
    }
}

/// The place of the first value that is NaN or infinite.
pub(crate) fn first_not_finite_in<F: Real>(values: &[F]) -> Option<usize> {
    if all_finite(values) {
        return None;
    }
    values.iter().position(|value| !value.is_finite())
}

/// Whether there is neither NaN nor infinity. Allocates nothing.
pub(crate) fn all_finite<F: Real>(values: &[F]) -> bool {
    fold_ranges(
        values.len(),
        CHUNK,
        || true,
        |finite, range| {
            *finite &= vectorize(
                #[inline(always)]
                || chunk_is_finite(&values[range]),
            );
        },
        |a, b| a && b,
    )
}

/// [`all_finite`] on the thread of the caller, without allocating.
pub(crate) fn all_finite_here<F: Real>(values: &[F]) -> bool {
    vectorize(
        #[inline(always)]
        || chunk_is_finite(values),
    )
}

/// A number for each verdict: flags do not become vectors.
#[inline(always)]
fn chunk_is_finite<F: Real>(values: &[F]) -> bool {
    let mut fault = [F::zero(); LANES];
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for (fault, &value) in fault.iter_mut().zip(group) {
            // NaN fails every comparison.
            *fault = if value.abs() < F::infinity() {
                *fault
            } else {
                F::one()
            };
        }
    }
    fault.iter().all(|&fault| fault == F::zero()) && rest.iter().all(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::{LANES, all_finite, all_finite_here, first_not_finite};
    use crate::kernels::dispatch::forced;
    use ndarray::{Array2, s};

    #[test]
    fn every_place_is_looked_at() {
        forced::at_every_level(|level| {
            for len in [0, 1, LANES, 3 * LANES + 5] {
                let good = vec![f32::MAX; len];
                assert!(all_finite(&good) && all_finite_here(&good), "{level:?}");
                for place in 0..len {
                    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                        let mut values = good.clone();
                        values[place] = bad;
                        let missed = all_finite(&values) || all_finite_here(&values);
                        assert!(!missed, "{bad} at {place} of {len}, {level:?}");
                    }
                }
            }
        });
    }

    #[test]
    fn the_first_is_in_row_major_order_whatever_the_layout() {
        let mut values = Array2::<f64>::zeros((4, 6));
        values[[1, 3]] = f64::NAN;
        values[[2, 1]] = f64::INFINITY;
        assert_eq!(first_not_finite(&values), Some(9));
        assert_eq!(first_not_finite(&values.t()), Some(6));
        assert_eq!(first_not_finite(&values.slice(s![.., ..;2])), None);
        assert_eq!(first_not_finite(&values.slice(s![.., 1..;2])), Some(4));
    }
}
