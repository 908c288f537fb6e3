//! One row: its value, its gradient.

use super::forward::{forward, labelled, put};
use super::general::{self, Pair};
use super::softmax::{Keep, Part};
use super::sums::BLOCK;
use super::{Fault, RowAgainst, Side, Store, decoupled, sigmoid, squares};
use crate::kernels::dispatch::vectorize;
use crate::kernels::memory;
use crate::kernels::real::{Real, Sealed};

/// Numbers on their way from one sweep to the next.
#[derive(Debug, Default)]
pub struct Scratch<F> {
    pub(super) teacher: Vec<F>,
    pub(super) student: Vec<F>,
    /// The blocks of each side, student's first.
    pub(super) parts: [Vec<Part>; 2],
    /// What each block adds to Σ p·(ln p − ln q), up to a factor.
    pub(super) weighted: Vec<f64>,
    /// Whether gradients that replace others go past the caches.
    pub(super) streams: bool,
}

impl<F: Sealed> Scratch<F> {
    /// Room for a row of each side or for a block, and no parts.
    #[inline(always)]
    pub(super) fn make_room(&mut self, classes: usize, keep: Keep) {
        self.rows(keep.room(classes));
        self.parts.iter_mut().for_each(Vec::clear);
    }

    /// Room for a row of each side, student's first. What is in there may be anything.
    #[inline(always)]
    pub(super) fn rows(&mut self, classes: usize) -> (&mut [F], &mut [F]) {
        self.student.resize(classes, F::zero());
        self.teacher.resize(classes, F::zero());
        (&mut self.student, &mut self.teacher)
    }
}

/// What the gradient needs beside the scratch.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    pub(super) value: f64,
    /// The class that one side rules out and must not.
    pub(super) ruled_out: Option<(Side, usize)>,
    pub(super) student_total: f64,
    pub(super) teacher_total: f64,
    /// The largest logit of each side, student's first, for the divergence that asks for it.
    pub(super) largest: [f64; 2],
    /// Σh, for the divergences that have slopes.
    pub(super) slopes: f64,
}

impl Outcome {
    pub(super) fn check(self) -> Result<Self, Fault> {
        match self.ruled_out {
            None => Ok(self),
            Some((side, class)) => Err(Fault::RuledOut { side, class }),
        }
    }
}

/// The value of a row.
pub(crate) fn row_value<F: Real>(
    student: &[F],
    against: RowAgainst<'_, F>,
    scratch: &mut Scratch<F>,
) -> Result<f64, Fault> {
    let outcome = match against {
        RowAgainst::Label { label, smoothing } => {
            labelled(student, label, smoothing, scratch, Keep::Nothing)?
        }
        RowAgainst::Logits {
            teacher,
            inverse_temperature,
        } => forward(
            [student, teacher],
            None,
            inverse_temperature,
            scratch,
            Keep::Nothing,
        )?,
        RowAgainst::Divergence {
            kind,
            teacher,
            given,
            inverse_temperature,
        } => {
            let pair = Pair {
                student,
                teacher,
                given,
                inverse_temperature,
            };
            general::forward(pair, kind, scratch)?
        }
        RowAgainst::Squares { teacher } => return squares::row(student, teacher, None),
        RowAgainst::Decoupled { .. } => decoupled::row(student, against, scratch, None)?,
        RowAgainst::Sigmoid {
            teacher,
            inverse_temperature,
        } => return sigmoid::row(student, teacher, inverse_temperature, None),
    };
    Ok(outcome.value)
}

/// The value of a row, and `factor` times its gradient into `gradient` or onto it.
pub(crate) fn row_gradient<F: Real>(
    student: &[F],
    against: RowAgainst<'_, F>,
    factor: F,
    store: Store,
    gradient: &mut [F],
    scratch: &mut Scratch<F>,
) -> Result<f64, Fault> {
    match against {
        RowAgainst::Label { label, smoothing } => {
            let outcome = labelled(student, label, smoothing, scratch, Keep::Exponentials)?;
            let outcome = outcome.check()?;
            let on_student = factor.widen() / outcome.student_total;
            put(scratch, None, (on_student, None), store, gradient);
            if smoothing > F::zero() {
                let each = factor * smoothing / F::narrow(classes_of(student));
                gradient.iter_mut().for_each(|g| *g = *g - each);
            }
            gradient[label] = gradient[label] - factor * (F::one() - smoothing);
            Ok(outcome.value)
        }
        RowAgainst::Logits {
            teacher,
            inverse_temperature,
        } => {
            let kept = Keep::Exponentials;
            let outcome =
                forward([student, teacher], None, inverse_temperature, scratch, kept)?.check()?;
            let on_student = factor.widen() / outcome.student_total;
            let on_teacher = factor.widen() / outcome.teacher_total;
            let on_both = (on_student, Some(on_teacher));
            put(scratch, None, on_both, store, gradient);
            Ok(outcome.value)
        }
        RowAgainst::Divergence {
            kind,
            teacher,
            given,
            inverse_temperature,
        } => {
            let pair = Pair {
                student,
                teacher,
                given,
                inverse_temperature,
            };
            let outcome = general::forward(pair, kind, scratch)?.check()?;
            let on_student = F::narrow(factor.widen() * outcome.slopes / outcome.student_total);
            put_slopes(scratch, [factor, on_student], store, gradient);
            Ok(outcome.value)
        }
        RowAgainst::Squares { teacher } => {
            squares::row(student, teacher, Some((factor, store, gradient)))
        }
        RowAgainst::Decoupled { .. } => {
            let outcome =
                decoupled::row(student, against, scratch, Some((factor, store, gradient)))?;
            Ok(outcome.value)
        }
        RowAgainst::Sigmoid {
            teacher,
            inverse_temperature,
        } => {
            let gradient = sigmoid::Gradient {
                factor,
                store,
                to: gradient,
                streams: scratch.streams,
            };
            sigmoid::row(student, teacher, inverse_temperature, Some(gradient))
        }
    }
}

/// Puts h·`factor` − eₛ·`on_student` of a row into `gradient` or onto it.
fn put_slopes<F: Real>(
    scratch: &Scratch<F>,
    [factor, on_student]: [F; 2],
    store: Store,
    gradient: &mut [F],
) {
    let pairs = scratch
        .teacher
        .chunks(BLOCK)
        .zip(scratch.student.chunks(BLOCK));
    vectorize(
        #[inline(always)]
        || {
            let mut buffer = [F::zero(); BLOCK];
            for (gradient, (slopes, exponentials)) in gradient.chunks_mut(BLOCK).zip(pairs) {
                let terms = slopes.iter().zip(exponentials);
                let streams = store == Store::Write && scratch.streams;
                let to = if streams {
                    &mut buffer[..gradient.len()]
                } else {
                    &mut *gradient
                };
                match store {
                    Store::Write => {
                        for (g, (&h, &e)) in to.iter_mut().zip(terms) {
                            *g = h * factor - e * on_student;
                        }
                    }
                    Store::Add => {
                        for (g, (&h, &e)) in to.iter_mut().zip(terms) {
                            *g = *g + (h * factor - e * on_student);
                        }
                    }
                }
                if streams {
                    memory::stream(&buffer[..gradient.len()], gradient);
                }
            }
        },
    );
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of classes above 2⁵³ do not occur"
)]
pub(super) fn classes_of<F>(row: &[F]) -> f64 {
    row.len() as f64
}
