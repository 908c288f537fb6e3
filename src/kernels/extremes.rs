//! The largest magnitude, and where the first NaN lies.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges};
use super::real::Real;

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
    use super::first_nan;
    use crate::kernels::parallel::CHUNK;

    #[test]
    fn the_first_nan_is_named() {
        let mut values = vec![1.0_f32; CHUNK + 100];
        values[CHUNK + 50] = f32::NAN;
        assert_eq!(first_nan(&values), Some(CHUNK + 50));
        values[70] = f32::NEG_INFINITY;
        assert_eq!(first_nan(&values[..CHUNK]), None);
    }
}
