//! Rows of logits against k classes and one bucket for all the others.
//!
//! With S the k classes of a row, p their probabilities by the teacher and q = softmax(z):
//!
//! ```text
//! p_tail = 1 − Σ_S p,    q_tail = Σ_{c ∉ S} q_c
//! value = Σ_S p·(ln p − ln q) + p_tail·(ln p_tail − ln q_tail)
//! ∂ value / ∂ z_c = q_c − p_c                       for c in S
//!                 = (q_tail − p_tail) · q_c / q_tail  otherwise
//! ```
//!
//! A student's tail is summed over the other classes, with their own largest logit taken off: taking
//! Σ_S q from 1 would lose it where the k classes have nearly everything. A teacher's tail is all
//! that is left of 1, and where it is no more than rounding it is none.

mod row;
mod sweep;

use super::divergence::{FaultyRow, Store, collect};
use super::memory;
use super::parallel::{CHUNK, map_chunks_mut, map_ranges};
use super::real::Real;
use row::Against;
use sweep::Scratch;

/// Student logits, and the k classes of each row with ln of the teacher's probabilities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailRows<'a, F> {
    pub(crate) student: &'a [F],
    pub(crate) classes: usize,
    /// Distinct in a row, and below `classes`.
    pub(crate) indices: &'a [u32],
    /// At most 0, at least one of a row finite.
    pub(crate) log_probabilities: &'a [F],
    pub(crate) k: usize,
}

impl<F: Real> TailRows<'_, F> {
    fn per_task(&self) -> usize {
        (CHUNK / self.classes).max(1)
    }

    fn count(&self) -> usize {
        self.student.len() / self.classes
    }

    fn row(&self, row: usize) -> Against<'_, F> {
        Against {
            student: &self.student[row * self.classes..(row + 1) * self.classes],
            indices: &self.indices[row * self.k..(row + 1) * self.k],
            log_probabilities: &self.log_probabilities[row * self.k..(row + 1) * self.k],
        }
    }

    /// The value of every row for which `reads` is true, and 0 for the others, which are not read.
    pub(crate) fn values(
        &self,
        reads: impl Fn(usize) -> bool + Sync,
    ) -> Result<Vec<f64>, FaultyRow> {
        let parts = map_ranges(self.count(), self.per_task(), |range| {
            let mut scratch = Scratch::default();
            let mut values = Vec::with_capacity(range.len());
            for row in range {
                let value = if reads(row) {
                    self.row(row)
                        .value(&mut scratch)
                        .map_err(|fault| FaultyRow { row, fault })?
                } else {
                    0.0
                };
                values.push(value);
            }
            Ok(values)
        });
        collect(parts)
    }

    /// The value of every row, and `factors[row]` times its gradient into `gradient`.
    ///
    /// Rows for which `reads` is false are not read: value and gradient are 0. If a row has a fault,
    /// [`Store::Add`] has left `gradient` alone, [`Store::Write`] need not have.
    pub(crate) fn gradient(
        &self,
        factors: &[f64],
        reads: impl Fn(usize) -> bool + Sync,
        store: Store,
        gradient: &mut [F],
    ) -> Result<Vec<f64>, FaultyRow> {
        if store == Store::Add {
            self.check(&reads)?;
        }
        let (classes, per_task) = (self.classes, self.per_task());
        let streams = store == Store::Write && memory::is_large(gradient);
        let parts = map_chunks_mut(gradient, per_task * classes, |task, gradient| {
            let mut scratch = Scratch::default();
            scratch.streams = streams;
            let mut values = Vec::with_capacity(per_task);
            for (row, gradient) in gradient.chunks_exact_mut(classes).enumerate() {
                let row = task * per_task + row;
                if !reads(row) {
                    if store == Store::Write {
                        gradient.fill(F::zero());
                    }
                    values.push(0.0);
                    continue;
                }
                let value = self
                    .row(row)
                    .gradient(factors[row], store, gradient, &mut scratch);
                values.push(value.map_err(|fault| FaultyRow { row, fault })?);
            }
            if streams {
                memory::fence();
            }
            Ok(values)
        });
        collect(parts)
    }

    /// Looks for faults without computing the student's exponentials.
    fn check(&self, reads: impl Fn(usize) -> bool + Sync) -> Result<(), FaultyRow> {
        let parts = map_ranges(self.count(), self.per_task(), |range| {
            let mut scratch = Scratch::default();
            for row in range.filter(|&row| reads(row)) {
                self.row(row)
                    .check(&mut scratch)
                    .map_err(|fault| FaultyRow { row, fault })?;
            }
            Ok(Vec::<()>::new())
        });
        collect(parts).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::TailRows;
    use crate::kernels::dispatch::forced;
    use crate::kernels::divergence::{Fault, Side, Store};
    use crate::kernels::real::Real;
    use crate::kernels::top_k::top_k;

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

    /// The obvious twin: k + 1 probabilities on each side, and the sum as it is written.
    fn slow<F: Real>(student: &[F], indices: &[u32], logs: &[F]) -> (f64, Vec<f64>) {
        let z: Vec<f64> = student.iter().map(|z| z.widen()).collect();
        let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = z.iter().map(|z| (z - most).exp()).sum();
        let q: Vec<f64> = z.iter().map(|z| (z - most).exp() / total).collect();
        let ln_q: Vec<f64> = z.iter().map(|z| z - most - total.ln()).collect();
        let inside = |class: usize| indices.iter().position(|&index| index as usize == class);
        let others: Vec<usize> = (0..z.len()).filter(|&c| inside(c).is_none()).collect();
        let mut p: Vec<f64> = logs.iter().map(|log| log.widen().exp()).collect();
        let sum: f64 = p.iter().sum();
        let mut p_tail = 1.0 - sum;
        if others.is_empty() || p_tail <= 16.0 * F::epsilon().widen() {
            p_tail = 0.0;
            p.iter_mut().for_each(|p| *p /= sum);
        }
        let terms = p.iter().zip(indices).filter(|(p, _)| **p > 0.0);
        let mut value: f64 = terms
            .map(|(p, &class)| p * (p.ln() - ln_q[class as usize]))
            .sum();
        // In log space here too: all of the others may be far below the rest.
        let others_most = others
            .iter()
            .map(|&c| z[c])
            .fold(f64::NEG_INFINITY, f64::max);
        let others_sum: f64 = others.iter().map(|&c| (z[c] - others_most).exp()).sum();
        let ln_q_tail = others_most + others_sum.ln() - most - total.ln();
        if p_tail > 0.0 {
            value += p_tail * (p_tail.ln() - ln_q_tail);
        }
        let share = |class: usize| (z[class] - others_most).exp() / others_sum;
        let grad = (0..z.len()).map(|class| match inside(class) {
            Some(place) => q[class] - p[place],
            None => (ln_q_tail.exp() - p_tail) * share(class),
        });
        (value, grad.collect())
    }

    fn check<F: Real>(tolerance: f64) {
        forced::at_every_level(|level| {
            for (rows, classes) in [(1, 1), (3, 2), (5, 17), (3, 512), (2, 1537)] {
                for k in [1, 2, 16, 100, classes] {
                    if k > classes {
                        continue;
                    }
                    for spread in [2.0, 20.0, 150.0, 4000.0] {
                        let at = format!("{rows} × {classes}, {k}, ±{spread}, {level:?}");
                        let mut student = noise::<F>(rows * classes, 1, spread);
                        let teacher = noise::<F>(rows * classes, 2, spread);
                        let (indices, logs) = top_k(&teacher, classes, k).unwrap();
                        let outside = |c: u32| !indices[..k].contains(&c);
                        if let Some(class) = (0..classes as u32).find(|&c| outside(c))
                            && k + 1 < classes
                        {
                            student[class as usize] = F::neg_infinity();
                        }
                        let batch = TailRows {
                            student: &student,
                            classes,
                            indices: &indices,
                            log_probabilities: &logs,
                            k,
                        };
                        let factors = vec![0.5; rows];
                        let mut gradient = vec![F::nan(); rows * classes];
                        let values = batch
                            .gradient(&factors, |_| true, Store::Write, &mut gradient)
                            .unwrap();
                        assert_eq!(batch.values(|_| true).unwrap(), values, "{at}");
                        let mut sum = vec![F::one(); rows * classes];
                        let again = batch
                            .gradient(&factors, |_| true, Store::Add, &mut sum)
                            .unwrap();
                        assert_eq!(again, values, "{at}");
                        for (row, &ours) in values.iter().enumerate() {
                            let whole = row * classes..(row + 1) * classes;
                            let set = row * k..(row + 1) * k;
                            let (value, right) =
                                slow(&student[whole.clone()], &indices[set.clone()], &logs[set]);
                            let error = (ours - value).abs();
                            assert!(error <= tolerance * (1.0 + value), "{error:e}, {at}");
                            for (place, right) in whole.zip(right) {
                                let g = gradient[place].widen();
                                assert!((g - 0.5 * right).abs() <= tolerance, "{at}");
                                let added = sum[place].widen() - 1.0;
                                assert!((added - g).abs() <= tolerance, "{at}");
                            }
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn f32_agrees_with_the_slow_twin() {
        check::<f32>(1e-6);
    }

    #[test]
    fn f64_agrees_with_the_slow_twin() {
        check::<f64>(1e-12);
    }

    #[test]
    fn large_gradients_are_those_of_any_size() {
        let (rows, classes, k) = (3, 700_001, 5);
        let student = noise::<f32>(rows * classes, 1, 9.0);
        let (indices, logs) = top_k(&noise(rows * classes, 2, 9.0), classes, k).unwrap();
        let batch = TailRows {
            student: &student,
            classes,
            indices: &indices,
            log_probabilities: &logs,
            k,
        };
        let mut written = vec![f32::NAN; rows * classes];
        assert!(crate::kernels::memory::is_large(&written));
        let factors = [1.0, 2.0, 0.5];
        let reads = |row| row != 1;
        let values = batch.gradient(&factors, reads, Store::Write, &mut written);
        let mut added = vec![0.0; rows * classes];
        assert_eq!(
            values,
            batch.gradient(&factors, reads, Store::Add, &mut added)
        );
        assert!(written == added);
    }

    #[test]
    fn faults_are_named_by_the_first_class_and_leave_a_sum_alone() {
        let none = f64::NEG_INFINITY;
        let half = [0.5_f64.ln()];
        let row = |student: &[f64]| {
            let batch = TailRows {
                student,
                classes: 3,
                indices: &[1],
                log_probabilities: &half,
                k: 1,
            };
            let mut sum = [7.0; 3];
            let added = batch.gradient(&[1.0], |_| true, Store::Add, &mut sum);
            let written = batch.gradient(&[1.0], |_| true, Store::Write, &mut [0.0; 3]);
            assert_eq!(added, written);
            assert!(added.is_ok() || sum == [7.0; 3]);
            (batch.values(|_| true), added.map_err(|faulty| faulty.fault))
        };
        let not = |class| {
            let side = Side::Student;
            Fault::NotALogit { side, class }
        };
        assert_eq!(row(&[0.0, f64::NAN, f64::NAN]).1, Err(not(1)));
        assert_eq!(row(&[f64::INFINITY, f64::NAN, 0.0]).1, Err(not(0)));
        let side = Side::Student;
        assert_eq!(row(&[none; 3]).1, Err(Fault::AllMasked { side }));
        for (student, class) in [([0.0, none, 0.0], 1), ([none, 0.0, none], 0)] {
            let (value, gradient) = row(&student);
            assert_eq!(value, Ok(vec![f64::INFINITY]));
            assert_eq!(gradient, Err(Fault::RuledOut { side, class }));
        }
        assert!(row(&[none, 0.0, 0.0]).1.is_ok());
    }
}
