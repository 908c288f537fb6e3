//! The likeliest class of each row that is read.

use super::dispatch::vectorize;
use super::divergence::logits::{first_largest, largest};
use super::divergence::{FaultyRow, Side, collect};
use super::parallel::{CHUNK, map_ranges};
use super::real::Real;

/// The index of the largest number of each row for which `reads` is true, the first of them on a
/// tie, and 0 for the other rows; or the first row with a NaN, a +∞ or nothing but −∞.
pub(crate) fn best_classes<F: Real>(
    scores: &[F],
    classes: usize,
    reads: impl Fn(usize) -> bool + Sync,
) -> Result<Vec<usize>, FaultyRow> {
    let per_task = (CHUNK / classes).max(1);
    let parts = map_ranges(scores.len() / classes, per_task, |range| {
        let mut best = vec![0; range.len()];
        for (row, best) in range.zip(&mut best) {
            if !reads(row) {
                continue;
            }
            let scores = &scores[row * classes..(row + 1) * classes];
            *best = vectorize(
                #[inline(always)]
                || largest(scores, Side::Teacher).map(|_| first_largest(scores)),
            )
            .map_err(|fault| FaultyRow { row, fault })?;
        }
        Ok(best)
    });
    collect(parts)
}

#[cfg(test)]
mod tests {
    use super::best_classes;
    use crate::kernels::dispatch::forced;
    use crate::kernels::divergence::{Fault, FaultyRow, Side};
    use crate::kernels::parallel::CHUNK;

    #[test]
    fn the_first_of_the_largest_is_found_in_every_row() {
        forced::at_every_level(|level| {
            for classes in [1, 2, 7, 40, 1000] {
                let rows = 2 * CHUNK / classes + 3;
                let scores: Vec<f32> = (0..rows * classes)
                    .map(|place| (place.wrapping_mul(0x9E37_79B1) >> 7 & 0xFF) as f32)
                    .collect();
                let best = best_classes(&scores, classes, |row| row % 3 != 1).unwrap();
                for (row, best) in best.into_iter().enumerate() {
                    let scores = &scores[row * classes..(row + 1) * classes];
                    let most = scores.iter().copied().fold(f32::MIN, f32::max);
                    let right = scores.iter().position(|&score| score == most).unwrap();
                    let right = if row % 3 == 1 { 0 } else { right };
                    assert_eq!(best, right, "row {row} of {classes} at {level:?}");
                }
            }
        });
    }

    #[test]
    fn the_first_fault_is_named_and_rows_that_are_not_read_have_none() {
        let nan = f64::NAN;
        let scores = [1.0, nan, 0.0, 1.0, 2.0, nan];
        let side = Side::Teacher;
        let fault = Fault::NotALogit { side, class: 1 };
        assert_eq!(
            best_classes(&scores, 2, |row| row > 0),
            Err(FaultyRow { row: 2, fault })
        );
        assert_eq!(best_classes(&scores, 2, |row| row == 1), Ok(vec![0, 1, 0]));
        assert_eq!(best_classes::<f32>(&[], 5, |_| true), Ok(vec![]));
    }
}
