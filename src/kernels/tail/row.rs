//! One row: its sums, its value, its gradient.

use super::sweep::{Inside, Scratch, others, put};
use crate::kernels::dispatch::vectorize;
use crate::kernels::divergence::logits::largest;
use crate::kernels::divergence::softmax::Keep;
use crate::kernels::divergence::{Fault, Side, Store};
use crate::kernels::real::Real;

/// A teacher's tail of so many units of the last place of 1 is none.
const ROUNDING: f64 = 16.0;

/// What a row looks like after its logits have been swept.
struct Row {
    value: f64,
    /// The class that the student rules out and must not.
    ruled_out: Option<usize>,
    /// What makes probabilities of the exponentials of S, student's first.
    on_inside: [f64; 2],
    /// What the exponentials of the other classes are multiplied by in the gradient.
    on_others: f64,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Against<'a, F> {
    pub(super) student: &'a [F],
    pub(super) indices: &'a [u32],
    pub(super) log_probabilities: &'a [F],
}

/// The teacher's side: what its probabilities of S must be divided by, and what is left for the tail.
struct Teacher {
    /// The largest logarithm of a probability.
    most: f64,
    excess: f64,
    /// Zero if there is no tail.
    tail: f64,
    log_tail: f64,
}

impl<F: Real> Against<'_, F> {
    /// Leaves exp(ln p − most) of S in `exponentials`.
    fn teacher(&self, exponentials: &mut Vec<f64>) -> Teacher {
        let logs = self.log_probabilities;
        let most = logs.iter().copied().fold(F::neg_infinity(), F::max).widen();
        exponentials.clear();
        exponentials.extend(logs.iter().map(|log| log.widen() - most));
        let total = exponentiate(exponentials);
        // The largest adds exactly 1, so this keeps the digits of a mass that is nearly 1.
        let log_mass = most + (total - 1.0).ln_1p();
        let tail = if log_mass > -std::f64::consts::LN_2 {
            -log_mass.exp_m1()
        } else {
            1.0 - log_mass.exp()
        };
        let none = logs.len() == self.student.len() || tail <= ROUNDING * F::epsilon().widen();
        Teacher {
            most,
            excess: if none { log_mass } else { 0.0 },
            tail: if none { 0.0 } else { tail },
            log_tail: if none { f64::NEG_INFINITY } else { tail.ln() },
        }
    }

    /// The first class that the teacher gives a probability and the student rules out. `others` says
    /// whether the student leaves anything to the classes outside S.
    fn ruled_out(&self, teacher: &Teacher, others: bool) -> Option<usize> {
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
        class.or_else(|| {
            (teacher.tail > 0.0 && !others)
                .then(tail)
                .map(Option::unwrap_or_default)
        })
    }

    /// Looks for a fault without the exponentials of the whole row.
    pub(super) fn check(&self, scratch: &mut Scratch<F>) -> Result<(), Fault> {
        let none = F::neg_infinity();
        let finite = vectorize(
            #[inline(always)]
            || {
                largest(self.student, Side::Student)?;
                Ok(self.student.iter().filter(|z| **z > none).count())
            },
        )?;
        let inside = self.indices.iter();
        let inside = inside.filter(|&&index| self.student[index as usize] > none);
        let teacher = self.teacher(&mut scratch.inside.teacher);
        refuse(self.ruled_out(&teacher, finite > inside.count()))
    }

    /// The sums and the value; what the gradient is made of stays in the scratch if it is kept.
    fn forward(&self, scratch: &mut Scratch<F>, keep: Keep) -> Result<Row, Fault> {
        let whole = others(self.student, self.indices, scratch, keep);
        let logit = |index: u32| self.student[index as usize].widen();
        let is_logit = |&index: &u32| logit(index) < f64::INFINITY;
        // Not fine are others that are all masked, too: only a fault if S is.
        if !whole.is_fine() || !self.indices.iter().all(is_logit) {
            vectorize(
                #[inline(always)]
                || largest(self.student, Side::Student),
            )?;
        }
        let log_others = if whole.is_fine() {
            whole.most + whole.total.ln()
        } else {
            f64::NEG_INFINITY
        };
        let Inside {
            student, teacher, ..
        } = &mut scratch.inside;
        let side = self.teacher(teacher);
        let logits = self.indices.iter().map(|&index| logit(index));
        let most = logits.clone().fold(log_others, f64::max);
        student.clear();
        student.extend(logits.map(|logit| logit - most));
        let inside = exponentiate(student);
        let log_total = most + (inside + (log_others - most).exponential()).ln();

        // ln p − ln q is the first less the second, but for these.
        let on_teacher = (side.most - side.excess).exponential();
        let mut value = 0.0;
        let logs = self.indices.iter().zip(self.log_probabilities);
        for ((&index, log), e) in logs.zip(&*teacher) {
            let probability = e * on_teacher;
            if probability > 0.0 {
                let log = log.widen() - side.excess;
                value += probability * (log - (logit(index) - log_total));
            }
        }
        let log_tail = log_others - log_total;
        if side.tail > 0.0 {
            value += side.tail * (side.log_tail - log_tail);
        }
        let ruled_out = self.ruled_out(&side, whole.is_fine());
        let value = if ruled_out.is_some() {
            f64::INFINITY
        } else {
            // The divergence is never negative; what lies below zero is the rounding of this sum.
            value.max(0.0)
        };
        Ok(Row {
            value,
            ruled_out,
            on_inside: [(most - log_total).exponential(), on_teacher],
            on_others: if whole.is_fine() {
                (log_tail.exponential() - side.tail) / whole.total
            } else {
                0.0
            },
        })
    }

    pub(super) fn value(&self, scratch: &mut Scratch<F>) -> Result<f64, Fault> {
        Ok(self.forward(scratch, Keep::Nothing)?.value)
    }

    /// The value, and `factor` times the gradient into `gradient` or onto it.
    pub(super) fn gradient(
        &self,
        factor: f64,
        store: Store,
        gradient: &mut [F],
        scratch: &mut Scratch<F>,
    ) -> Result<f64, Fault> {
        let row = self.forward(scratch, Keep::Exponentials)?;
        refuse(row.ruled_out)?;
        let [on_student, on_teacher] = row.on_inside;
        let inside = &mut scratch.inside;
        inside.gradient.clear();
        let pairs = inside.student.iter().zip(&inside.teacher);
        inside
            .gradient
            .extend(pairs.map(|(q, p)| F::narrow(factor * (q * on_student - p * on_teacher))));
        put(
            scratch,
            self.indices,
            factor * row.on_others,
            store,
            gradient,
        );
        Ok(row.value)
    }
}

fn refuse(ruled_out: Option<usize>) -> Result<(), Fault> {
    let side = Side::Student;
    ruled_out.map_or(Ok(()), |class| Err(Fault::RuledOut { side, class }))
}

/// Makes exponentials of these numbers, and adds them up.
fn exponentiate(numbers: &mut [f64]) -> f64 {
    vectorize(
        #[inline(always)]
        || {
            for number in &mut *numbers {
                *number = number.exponential();
            }
        },
    );
    numbers.iter().sum()
}
