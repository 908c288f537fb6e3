//! One row: its sums, its value, its gradient.

use crate::kernels::divergence::logits::largest;
use crate::kernels::divergence::sums::{BLOCK, LANES, add};
use crate::kernels::divergence::{Fault, Side};
use crate::kernels::real::Real;

/// A teacher's tail of so many units of the last place of 1 is none.
const ROUNDING: f64 = 16.0;

/// What a row looks like after its logits have been swept.
pub(super) struct Row {
    pub(super) value: f64,
    /// ln Σ exp(z) over all classes.
    log_total: f64,
    /// What the exponentials of the other classes are multiplied by in the gradient.
    others: f64,
    /// By how much the teacher's log-probabilities of S are too large.
    teacher_excess: f64,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Against<'a, F> {
    pub(super) student: &'a [F],
    pub(super) indices: &'a [u32],
    pub(super) log_probabilities: &'a [F],
}

/// The teacher's side: what its probabilities of S must be divided by, and what is left for the tail.
pub(super) struct Teacher {
    excess: f64,
    /// Zero if there is no tail.
    tail: f64,
    log_tail: f64,
}

impl<F: Real> Against<'_, F> {
    #[inline(always)]
    pub(super) fn teacher(&self) -> Teacher {
        let logs = self.log_probabilities;
        let most = logs.iter().copied().fold(F::neg_infinity(), F::max).widen();
        let total: f64 = logs
            .iter()
            .map(|log| (log.widen() - most).exponential())
            .sum();
        // The largest adds exactly 1, so this keeps the digits of a mass that is nearly 1.
        let log_mass = most + (total - 1.0).ln_1p();
        let tail = if log_mass > -std::f64::consts::LN_2 {
            -log_mass.exp_m1()
        } else {
            1.0 - log_mass.exp()
        };
        if logs.len() == self.student.len() || tail <= ROUNDING * F::epsilon().widen() {
            Teacher {
                excess: log_mass,
                tail: 0.0,
                log_tail: f64::NEG_INFINITY,
            }
        } else {
            Teacher {
                excess: 0.0,
                tail,
                log_tail: tail.ln(),
            }
        }
    }

    /// Copies the logits of the other classes into `buffer`, −∞ for those of S, and gives the largest
    /// of them: −∞ if there is none. A fault in any logit is found here.
    #[inline(always)]
    pub(super) fn others(&self, buffer: &mut [F]) -> Result<F, Fault> {
        let mut bad = false;
        buffer.copy_from_slice(self.student);
        let mut any = F::neg_infinity();
        for &index in self.indices {
            let logit = self.student[index as usize];
            bad |= logit.is_nan() | (logit == F::infinity());
            any = any.max(logit);
            buffer[index as usize] = F::neg_infinity();
        }
        match largest(buffer, Side::Student) {
            Ok(most) if !bad => Ok(most),
            Err(Fault::AllMasked { .. }) if !bad && any > F::neg_infinity() => {
                Ok(F::neg_infinity())
            }
            // The first fault of the whole row, not of the others alone.
            _ => match largest(self.student, Side::Student) {
                Err(fault) => Err(fault),
                Ok(_) => Ok(F::neg_infinity()),
            },
        }
    }

    /// Fails where the teacher gives something a probability that the student rules out.
    #[inline(always)]
    pub(super) fn ruled_out(&self, teacher: &Teacher, others: F) -> Result<(), Fault> {
        let none = F::neg_infinity();
        let pairs = self.indices.iter().zip(self.log_probabilities);
        let class = pairs
            .filter(|&(&index, &log)| log > none && self.student[index as usize] == none)
            .map(|(&index, _)| index as usize)
            .min();
        let tail = || {
            // All other classes are masked; the first of them stands for the tail.
            let mut other = 0..self.student.len();
            other.find(|&class| !self.indices.iter().any(|&index| index as usize == class))
        };
        match class {
            Some(class) => Err(Fault::RuledOut {
                side: Side::Student,
                class,
            }),
            None if teacher.tail > 0.0 && others == none => Err(Fault::RuledOut {
                side: Side::Student,
                class: tail().unwrap_or(0),
            }),
            None => Ok(()),
        }
    }

    /// Leaves exp(z − others) in `buffer`, 0 for the classes of S.
    #[inline(always)]
    pub(super) fn forward(&self, buffer: &mut [F]) -> Result<Row, Fault> {
        let others_most = self.others(buffer)?;
        let teacher = self.teacher();
        let mut sums = [0.0; LANES];
        if others_most > F::neg_infinity() {
            for block in buffer.chunks_mut(BLOCK) {
                // In place: an exponential reads its logit before it is written.
                in_place(block, others_most);
                add(&mut sums, [&*block], |[e]| e.widen());
            }
        } else {
            buffer.fill(F::zero());
        }
        let others: f64 = sums.iter().sum();
        let log_others = others_most.widen() + others.ln();

        let logit = |index: u32| self.student[index as usize].widen();
        let logits = self.indices.iter().map(|&index| logit(index));
        let most = logits.fold(others_most.widen(), f64::max);
        let inside: f64 = self
            .indices
            .iter()
            .map(|&index| (logit(index) - most).exponential())
            .sum();
        let log_total = most + (inside + (log_others - most).exponential()).ln();

        let mut value = 0.0;
        for (&index, log) in self.indices.iter().zip(self.log_probabilities) {
            let log = log.widen() - teacher.excess;
            let probability = log.exponential();
            if probability > 0.0 {
                value += probability * (log - (logit(index) - log_total));
            }
        }
        let log_tail = log_others - log_total;
        if teacher.tail > 0.0 {
            value += teacher.tail * (teacher.log_tail - log_tail);
        }
        let value = if self.ruled_out(&teacher, others_most).is_err() {
            f64::INFINITY
        } else {
            // The divergence is never negative; what lies below zero is the rounding of this sum.
            value.max(0.0)
        };
        let tail = log_tail.exponential();
        Ok(Row {
            value,
            log_total,
            others: if others > 0.0 {
                (tail - teacher.tail) / others
            } else {
                0.0
            },
            teacher_excess: teacher.excess,
        })
    }

    /// The gradient by the logit of each class of S.
    #[inline(always)]
    fn inside(&self, row: &Row, factor: f64) -> impl Iterator<Item = (usize, F)> {
        let pairs = self.indices.iter().zip(self.log_probabilities);
        pairs.map(move |(&index, log)| {
            let q = (self.student[index as usize].widen() - row.log_total).exponential();
            let p = (log.widen() - row.teacher_excess).exponential();
            (index as usize, F::narrow(factor * (q - p)))
        })
    }

    #[inline(always)]
    fn finite(&self, buffer: &mut [F]) -> Result<Row, Fault> {
        let row = self.forward(buffer)?;
        if row.value.is_infinite() {
            let others = self.others(buffer)?;
            self.ruled_out(&self.teacher(), others)?;
        }
        Ok(row)
    }

    #[inline(always)]
    pub(super) fn write(&self, factor: f64, gradient: &mut [F]) -> Result<f64, Fault> {
        let row = self.finite(gradient)?;
        let others = F::narrow(factor * row.others);
        for g in gradient.iter_mut() {
            *g = *g * others;
        }
        for (class, g) in self.inside(&row, factor) {
            gradient[class] = g;
        }
        Ok(row.value)
    }

    #[inline(always)]
    pub(super) fn add(
        &self,
        factor: f64,
        gradient: &mut [F],
        buffer: &mut [F],
    ) -> Result<f64, Fault> {
        let row = self.finite(buffer)?;
        let others = F::narrow(factor * row.others);
        for (g, &e) in gradient.iter_mut().zip(&*buffer) {
            *g = *g + e * others;
        }
        for (class, g) in self.inside(&row, factor) {
            gradient[class] = gradient[class] + g;
        }
        Ok(row.value)
    }
}

#[inline(always)]
fn in_place<F: Real>(logits: &mut [F], most: F) {
    for z in logits {
        *z = (*z - most).exponential();
    }
}
