//! Rows of a teacher, corrected by their labels.
//!
//! With p the row as probabilities, y its label, b the likeliest class and τ the threshold, a share m of the row
//! is given to the label:
//!
//! ```text
//! p' = (1 − m)·p + m·onehot(y)
//! m = (p_b − p_y + τ) / (1 + p_b − p_y)     where b ≠ y: then p'_y = p'_b + τ
//! m = min(τ, 1 − p_y) / (1 − p_y)           where b = y and that is asked for: then p'_y = min(p_y + τ, 1)
//! ```

use super::logits::{first_largest, largest, probabilities_are_fine};
use super::sums::{LANES, add};
use super::{Fault, FaultyRow, Given, Side};
use crate::kernels::dispatch::vectorize;
use crate::kernels::parallel::{CHUNK, map_chunks_mut, map_ranges};
use crate::kernels::real::Real;

/// How rows are corrected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Correction {
    pub(crate) threshold: f64,
    /// Whether a label that is the likeliest class already is raised as well.
    pub(crate) raises_leaders: bool,
}

impl Correction {
    /// The probabilities of a teacher's row in its place, corrected by the label.
    pub(crate) fn of_row<F: Real>(
        self,
        row: &mut [F],
        label: usize,
        given: Given,
        inverse_temperature: F,
    ) -> Result<(), Fault> {
        vectorize(
            #[inline(always)]
            || {
                to_probabilities(row, given, inverse_temperature)?;
                self.correct(row, label);
                Ok(())
            },
        )
    }

    #[inline(always)]
    fn correct<F: Real>(self, p: &mut [F], label: usize) {
        let best = first_largest(p);
        let (p_best, p_label) = (p[best].widen(), p[label].widen());
        // m and 1 − m, each by itself: 1 less a rounded m may be negative.
        let (share, rest) = if best != label {
            let behind = p_best - p_label;
            let whole = 1.0 + behind;
            (
                (behind + self.threshold) / whole,
                (1.0 - self.threshold) / whole,
            )
        } else if self.raises_leaders && p_label < 1.0 {
            let room = 1.0 - p_label;
            let raise = self.threshold.min(room);
            (raise / room, (room - raise) / room)
        } else {
            return;
        };
        let others = F::narrow(rest);
        for p in p.iter_mut() {
            *p = *p * others;
        }
        p[label] = F::narrow(p_label * rest + share);
    }
}

/// The probabilities of a row in its place.
#[inline(always)]
fn to_probabilities<F: Real>(
    row: &mut [F],
    given: Given,
    inverse_temperature: F,
) -> Result<(), Fault> {
    let (most, inverse_temperature) = match given {
        Given::Probabilities => return probabilities_are_fine(row),
        Given::LogProbabilities => {
            largest(row, Side::Teacher)?;
            (F::zero(), F::one())
        }
        Given::Logits => (largest(row, Side::Teacher)?, inverse_temperature),
    };
    for z in row.iter_mut() {
        *z = ((*z - most) * inverse_temperature).exponential();
    }
    if given == Given::Logits {
        let mut sums = [0.0; LANES];
        add(&mut sums, [&*row], |[e]| e.widen());
        let each = sums.iter().sum::<f64>().recip();
        for e in row.iter_mut() {
            *e = F::narrow(e.widen() * each);
        }
    }
    Ok(())
}

/// The probabilities of all rows in their place, each corrected as and by the label that `correction` gives for
/// it, if any.
///
/// Probabilities are unchanged if a row has a fault; of logits some may have been replaced.
pub(crate) fn correct_rows<F: Real>(
    rows: &mut [F],
    classes: usize,
    correction: impl Fn(usize) -> Option<(Correction, usize)> + Sync,
    given: Given,
    inverse_temperature: F,
) -> Result<(), FaultyRow> {
    let per_task = (CHUNK / classes).max(1);
    if given == Given::Probabilities {
        let checked = map_ranges(rows.len() / classes, per_task, |range| {
            for row in range {
                let p = &rows[row * classes..(row + 1) * classes];
                probabilities_are_fine(p).map_err(|fault| FaultyRow { row, fault })?;
            }
            Ok(())
        });
        checked.into_iter().collect::<Result<(), _>>()?;
    }
    let parts = map_chunks_mut(rows, per_task * classes, |task, rows| {
        for (row, p) in rows.chunks_exact_mut(classes).enumerate() {
            let row = task * per_task + row;
            let done = match correction(row) {
                Some((correction, label)) => {
                    correction.of_row(p, label, given, inverse_temperature)
                }
                None => vectorize(
                    #[inline(always)]
                    || to_probabilities(p, given, inverse_temperature),
                ),
            };
            done.map_err(|fault| FaultyRow { row, fault })?;
        }
        Ok(())
    });
    parts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::Correction;
    use crate::kernels::dispatch::forced;
    use crate::kernels::divergence::Given;
    use crate::kernels::real::Real;

    /// The formulas as they are written.
    fn slow(logits: &[f64], label: usize, threshold: f64, raises: bool, t: f64) -> Vec<f64> {
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let e: Vec<f64> = logits.iter().map(|z| ((z - most) / t).exp()).collect();
        let total: f64 = e.iter().sum();
        let p: Vec<f64> = e.iter().map(|e| e / total).collect();
        let best = logits.iter().position(|&z| z == most).unwrap();
        let m = match (best == label, raises) {
            (false, _) => (p[best] - p[label] + threshold) / (1.0 + p[best] - p[label]),
            (true, true) if p[label] + threshold >= 1.0 => 1.0,
            (true, true) => threshold / (1.0 - p[label]),
            (true, false) => 0.0,
        };
        let classes = p.iter().enumerate();
        classes
            .map(|(class, p)| (1.0 - m) * p + if class == label { m } else { 0.0 })
            .collect()
    }

    fn check<F: Real>(tolerance: f64) {
        for classes in [2, 3, 17, 40, 600] {
            for label in [0, 1, classes - 1] {
                for (threshold, t) in [(0.0, 1.0), (0.2, 1.0), (0.7, 3.0), (1.0, 0.5)] {
                    for raises_leaders in [true, false] {
                        let number = |class: usize| ((class * 37 + 5) % 41) as f64 / 6.0;
                        let logits: Vec<f64> = (0..classes).map(number).collect();
                        let correction = Correction {
                            threshold,
                            raises_leaders,
                        };
                        let mut row: Vec<F> = logits.iter().map(|&z| F::narrow(z)).collect();
                        let inverse = F::narrow(1.0 / t);
                        let done = correction.of_row(&mut row, label, Given::Logits, inverse);
                        done.unwrap();
                        let right = slow(&logits, label, threshold, raises_leaders, t);
                        for (ours, right) in row.iter().zip(right) {
                            let error = (ours.widen() - right).abs();
                            assert!(error <= tolerance, "{error:e}, {correction:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn rows_agree_with_the_formulas() {
        forced::at_every_level(|_| {
            check::<f32>(1e-6);
            check::<f64>(1e-14);
        });
    }
}
