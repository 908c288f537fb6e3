//! Rows of logits to divergences, with their gradients.
//!
//! Everything stays in log space. With m the largest logit of a row, e = exp((z − m)/T) and
//! Z = Σ e, the probabilities are e/Z and
//!
//! ```text
//! KL(p‖q) = Σ eₜ·((zₜ − mₜ) − (zₛ − mₛ))/T / Zₜ − ln Zₜ + ln Zₛ
//! ∂ KL / ∂ zₛ = (eₛ/Zₛ − eₜ/Zₜ) / T
//! ```
//!
//! A logit of −∞ is a class that cannot occur: its e is exactly 0 and it is left out of the sum.
//! The sums run in f64 in a fixed order. Subtracting the largest logit before anything else keeps
//! the value exact for nearly equal rows; folding it into the scaling saves an operation and loses
//! two digits there.
//!
//! Exponentials go through blocks that stay in the first-level cache, one loop for each side: both
//! sides in one loop need more registers than AVX2 has.
//!
//! Values and gradients of this module are without the factor T², and gradients are taken with respect
//! to z/T: whoever calls multiplies.

mod correction;
mod decoupled;
mod forward;
mod general;
pub(in crate::kernels) mod logits;
mod points;
mod row;
mod rows;
mod sigmoid;
pub(in crate::kernels) mod softmax;
pub(crate) mod sorted;
mod squares;
pub(in crate::kernels) mod sums;

use super::dispatch::vectorize;
use super::parallel::{CHUNK, map_ranges};
use super::real::Real;
pub(crate) use correction::{Correction, correct_rows};
pub(crate) use logits::find_fault;
use logits::first_largest;
pub(crate) use points::Kind;
pub(crate) use row::{Scratch, row_gradient, row_value};
pub(crate) use rows::{Room, RowSource, Rows, computes_in_f64};

/// Whose logits a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Student,
    Teacher,
}

/// What makes a row unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The logit of this class is NaN or +∞.
    NotALogit { side: Side, class: usize },
    /// The teacher's probability of this class is NaN, infinite or negative.
    NotAProbability { class: usize },
    /// Every logit is −∞, so there is no distribution.
    AllMasked { side: Side },
    /// One side gives this class a probability and the other, named here, rules it out: the value is
    /// +∞ and there is no gradient.
    RuledOut { side: Side, class: usize },
}

/// The first row that has a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultyRow {
    pub(crate) row: usize,
    pub(crate) fault: Fault,
}

/// How a gradient meets what is in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Replaces it.
    Write,
    /// Is added to it.
    Add,
}

/// What the teacher's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Logits, divided by the temperature as the student's are.
    Logits,
    /// Logarithms of probabilities, taken as they are.
    LogProbabilities,
    /// Probabilities, taken as they are.
    Probabilities,
}

/// What one row of a student is compared with.
#[derive(Clone, Copy, Debug)]
pub enum RowAgainst<'a, F> {
    /// The right class, of which `smoothing` is spread over all classes. No temperature.
    Label { label: usize, smoothing: F },
    /// Forward KL from a teacher's logits.
    Logits {
        teacher: &'a [F],
        inverse_temperature: F,
    },
    /// Another divergence, or from another form.
    Divergence {
        kind: Kind,
        teacher: &'a [F],
        given: Given,
        inverse_temperature: F,
    },
    /// Decoupled KL: weights of the part that asks for the label and of the part among the others.
    Decoupled {
        teacher: &'a [F],
        label: usize,
        weights: [f64; 2],
        inverse_temperature: F,
    },
    /// Squared differences of logits. No temperature.
    Squares { teacher: &'a [F] },
    /// A KL for each class by itself, of logistic probabilities.
    Sigmoid {
        teacher: &'a [F],
        inverse_temperature: F,
    },
}

/// Puts the rows of all tasks together, or gives the first fault in row order.
pub(in crate::kernels) fn collect<T>(
    parts: Vec<Result<Vec<T>, FaultyRow>>,
) -> Result<Vec<T>, FaultyRow> {
    let mut all = Vec::new();
    for part in parts {
        all.append(&mut part?);
    }
    Ok(all)
}

/// The index of the largest logit of each row, the first of them on a tie. Not for NaN.
pub(crate) fn most_likely<F: Real>(logits: &[F], classes: usize) -> Vec<usize> {
    let per_task = (CHUNK / classes).max(1);
    let parts = map_ranges(logits.len() / classes, per_task, |range| {
        logits[range.start * classes..range.end * classes]
            .chunks_exact(classes)
            .map(|row| {
                vectorize(
                    #[inline(always)]
                    || first_largest(row),
                )
            })
            .collect::<Vec<_>>()
    });
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::{Fault, FaultyRow, RowAgainst, RowSource, Rows, Side, Store, most_likely};
    use crate::kernels::dispatch::forced;
    use crate::kernels::real::Real;

    fn noise<F: Real>(len: usize, seed: u64, spread: f64) -> Vec<F> {
        let mut state = seed * 2 + 1;
        (0..len)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
                F::narrow(uniform * spread)
            })
            .collect()
    }

    /// The obvious twin, in f64: probabilities, their logarithms, the sum as it is written.
    fn slow<F: Real>(student: &[F], teacher: &[F], temperature: f64) -> (f64, Vec<f64>) {
        let log_softmax = |row: &[F]| -> Vec<f64> {
            let z: Vec<f64> = row.iter().map(|z| z.widen() / temperature).collect();
            let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total = z.iter().map(|z| (z - most).exp()).sum::<f64>().ln();
            z.iter().map(|z| z - most - total).collect()
        };
        let (q, p) = (log_softmax(student), log_softmax(teacher));
        let terms = p.iter().zip(&q).filter(|(p, _)| p.is_finite());
        let value = terms.map(|(p, q)| p.exp() * (p - q)).sum();
        let grad = p
            .iter()
            .zip(&q)
            .map(|(p, q)| (q.exp() - p.exp()) / temperature)
            .collect();
        (value, grad)
    }

    fn kl<'a, F: Real>(
        student: &'a [F],
        teacher: &'a [F],
        classes: usize,
        t: f64,
    ) -> Rows<'a, F, impl Fn(usize) -> RowAgainst<'a, F> + Sync> {
        Rows {
            student,
            classes,
            against: move |row| RowAgainst::Logits {
                teacher: &teacher[row * classes..(row + 1) * classes],
                inverse_temperature: F::narrow(t.recip()),
            },
        }
    }

    fn check<F: Real>(tolerance: f64) {
        forced::at_every_level(|level| {
            for (rows, classes) in [(1, 1), (3, 2), (5, 17), (2, 511), (3, 512), (2, 1537)] {
                for (spread, temperature) in [(2.0, 1.0), (20.0, 3.0), (150.0, 1.0), (8.0, 0.3)] {
                    let at = format!("{rows} × {classes}, ±{spread}, T {temperature}, {level:?}");
                    let student = noise::<F>(rows * classes, 1, spread);
                    let mut teacher = noise::<F>(rows * classes, 2, spread);
                    if classes > 2 {
                        teacher[1] = F::neg_infinity();
                    }
                    let batch = kl(&student, &teacher, classes, temperature);
                    let factors = vec![F::narrow(0.5 / temperature); rows];
                    let mut gradient = vec![F::nan(); rows * classes];
                    let values = batch
                        .gradient(&factors, |_| true, Store::Write, &mut gradient)
                        .unwrap();
                    assert_eq!(batch.values(|_| true).unwrap(), values, "{at}");
                    for (row, &ours) in values.iter().enumerate() {
                        let range = row * classes..(row + 1) * classes;
                        let (value, right) = slow(
                            &student[range.clone()],
                            &teacher[range.clone()],
                            temperature,
                        );
                        let error = (ours - value).abs();
                        assert!(error <= tolerance * (1.0 + value), "{error:e}, {at}");
                        for (g, right) in gradient[range].iter().zip(right) {
                            assert!((g.widen() - 0.5 * right).abs() <= tolerance, "{at}");
                        }
                    }
                    let ones = vec![F::one(); rows * classes];
                    let mut sum = ones.clone();
                    let again = batch
                        .gradient(&factors, |_| true, Store::Add, &mut sum)
                        .unwrap();
                    assert_eq!(again, values, "{at}");
                    for ((sum, one), g) in sum.iter().zip(ones).zip(gradient) {
                        assert!(*sum == one + g, "{at}");
                    }
                }
            }
        });
    }

    #[test]
    fn f32_rows_agree_with_the_slow_twin() {
        check::<f32>(2e-6);
    }

    #[test]
    fn f64_rows_agree_with_the_slow_twin() {
        check::<f64>(1e-13);
    }

    #[test]
    fn labels_agree_with_a_one_hot_teacher() {
        let classes = 700;
        let student = noise::<f64>(4 * classes, 3, 9.0);
        let labels = [0_usize, 699, 512, 30];
        let mut teacher = vec![f64::NEG_INFINITY; 4 * classes];
        for (row, &label) in labels.iter().enumerate() {
            teacher[row * classes + label] = 0.0;
        }
        let hard = Rows {
            student: &student,
            classes,
            against: |row| RowAgainst::Label {
                label: labels[row],
                smoothing: 0.0,
            },
        };
        let soft = kl(&student, &teacher, classes, 1.0);
        let (mut g, mut h) = (vec![0.0; 4 * classes], vec![0.0; 4 * classes]);
        let factors = [1.0, 2.0, 3.0, 4.0];
        let hard = hard
            .gradient(&factors, |_| true, Store::Write, &mut g)
            .unwrap();
        let soft = soft
            .gradient(&factors, |_| true, Store::Write, &mut h)
            .unwrap();
        for (hard, soft) in hard.iter().zip(soft).chain(g.iter().zip(h)) {
            assert!((hard - soft).abs() < 1e-13);
        }
    }

    #[test]
    fn nearly_equal_rows_keep_their_digits() {
        let teacher = noise::<f32>(32_000, 4, 8.0);
        let student: Vec<f32> = teacher
            .iter()
            .zip(noise::<f32>(32_000, 5, 7e-3))
            .map(|(t, e)| t + e)
            .collect();
        let (right, _) = slow(&student, &teacher, 1.0);
        assert!((1e-6..3e-6).contains(&right), "{right:e}");
        let value = kl(&student, &teacher, 32_000, 1.0)
            .values(|_| true)
            .unwrap()[0];
        assert!(
            (value / right - 1.0).abs() < 1e-3,
            "{value:e} instead of {right:e}"
        );
    }

    #[test]
    fn faults_name_row_and_class_and_adding_leaves_the_gradient_alone() {
        let nan = f64::NAN;
        let none = f64::NEG_INFINITY;
        let good = [0.0, 1.0, 2.0];
        let cases: [([f64; 3], [f64; 3], Fault); 6] = [
            (
                [0.0, nan, 0.0],
                good,
                Fault::NotALogit {
                    side: Side::Student,
                    class: 1,
                },
            ),
            (
                [f64::INFINITY; 3],
                good,
                Fault::NotALogit {
                    side: Side::Student,
                    class: 0,
                },
            ),
            (
                good,
                [none, none, nan],
                Fault::NotALogit {
                    side: Side::Teacher,
                    class: 2,
                },
            ),
            (
                [none; 3],
                good,
                Fault::AllMasked {
                    side: Side::Student,
                },
            ),
            (
                good,
                [none; 3],
                Fault::AllMasked {
                    side: Side::Teacher,
                },
            ),
            (
                [0.0, 0.0, none],
                good,
                Fault::RuledOut {
                    side: Side::Student,
                    class: 2,
                },
            ),
        ];
        for (student, teacher, fault) in cases {
            let student = [good, good, student].concat();
            let teacher = [good, good, teacher].concat();
            let batch = kl(&student, &teacher, 3, 1.0);
            let mut gradient = vec![7.0; 9];
            let faulty = FaultyRow { row: 2, fault };
            for store in [Store::Add, Store::Write] {
                let result = batch.gradient(&[1.0; 3], |_| true, store, &mut gradient);
                assert_eq!(result, Err(faulty), "{store:?}");
                if store == Store::Add {
                    assert_eq!(gradient, [7.0; 9]);
                }
            }
            let values = batch.gradient(&[1.0; 3], |row| row < 2, Store::Write, &mut gradient);
            assert_eq!(values.unwrap()[2], 0.0);
            assert_eq!(gradient[6..], [0.0; 3]);
            let values = batch.values(|_| true);
            if matches!(fault, Fault::RuledOut { .. }) {
                assert_eq!(values.unwrap()[2], f64::INFINITY);
            } else {
                assert_eq!(values, Err(faulty));
            }
        }
    }

    #[test]
    fn a_masked_class_adds_exactly_nothing() {
        let student = [1.0_f32, 50.0, 2.0];
        let teacher = [3.0_f32, f32::NEG_INFINITY, 4.0];
        let batch = kl(&student, &teacher, 3, 1.0);
        let mut gradient = [0.0; 3];
        let values = batch
            .gradient(&[1.0], |_| true, Store::Write, &mut gradient)
            .unwrap();
        let (value, right) = slow(&student, &teacher, 1.0);
        assert!(
            (values[0] - value).abs() < 1e-4,
            "{} instead of {value}",
            values[0]
        );
        assert!((f64::from(gradient[1]) - right[1]).abs() < 1e-6);
        let both = [1.0_f32, f32::NEG_INFINITY, 2.0];
        let values = kl(&both, &teacher, 3, 1.0).values(|_| true).unwrap();
        assert_eq!(values, [0.0]);
    }

    #[test]
    fn the_first_of_equal_logits_is_the_most_likely() {
        assert_eq!(
            most_likely(&[1.0, 3.0, 3.0, 0.0, -1.0, -1.0_f32], 3),
            [1, 0]
        );
    }
}
