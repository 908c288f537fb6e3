//! One row: its value, its gradient; and forward KL and cross-entropy, which most rows are.

use super::general::{self, Pair};
use super::logits::{largest, ruled_out};
use super::sums::{BLOCK, LANES, Shifted, add, exponentials};
use super::{Fault, RowAgainst, Side, Store, decoupled, sigmoid, squares};
use crate::kernels::dispatch::vectorize;
use crate::kernels::real::{Real, Sealed};

/// Numbers on their way from one sweep to the next.
#[derive(Debug, Default)]
pub struct Scratch<F> {
    pub(super) teacher: Vec<F>,
    pub(super) student: Vec<F>,
    /// Rows without one class, for the decoupled divergence.
    pub(super) others: [Vec<F>; 2],
}

impl<F: Sealed> Scratch<F> {
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
            student,
            teacher,
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
    let keep = |gradient| match store {
        Store::Write => Keep::Student(gradient),
        Store::Add => Keep::Both,
    };
    match against {
        RowAgainst::Label { label, smoothing } => {
            let kept = keep(&mut *gradient);
            let outcome = labelled(student, label, smoothing, scratch, kept)?.check()?;
            let on_student = F::narrow(factor.widen() / outcome.student_total);
            let exponentials = &scratch.student;
            vectorize(
                #[inline(always)]
                || match store {
                    Store::Write => gradient.iter_mut().for_each(|g| *g = *g * on_student),
                    Store::Add => {
                        for (g, &s) in gradient.iter_mut().zip(exponentials) {
                            *g = *g + s * on_student;
                        }
                    }
                },
            );
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
            let kept = keep(&mut *gradient);
            let outcome = forward(student, teacher, inverse_temperature, scratch, kept)?.check()?;
            let on_student = F::narrow(factor.widen() / outcome.student_total);
            let on_teacher = F::narrow(factor.widen() / outcome.teacher_total);
            let teacher = &scratch.teacher[..gradient.len()];
            let student = &scratch.student;
            vectorize(
                #[inline(always)]
                || match store {
                    Store::Write => {
                        for (g, &t) in gradient.iter_mut().zip(teacher) {
                            *g = *g * on_student - t * on_teacher;
                        }
                    }
                    Store::Add => {
                        for ((g, &t), &s) in gradient.iter_mut().zip(teacher).zip(student) {
                            *g = *g + (s * on_student - t * on_teacher);
                        }
                    }
                },
            );
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
            let (slopes, exponentials) = (&scratch.teacher, &scratch.student);
            vectorize(
                #[inline(always)]
                || match store {
                    Store::Write => {
                        for ((g, &h), &e) in gradient.iter_mut().zip(slopes).zip(exponentials) {
                            *g = h * factor - e * on_student;
                        }
                    }
                    Store::Add => {
                        for ((g, &h), &e) in gradient.iter_mut().zip(slopes).zip(exponentials) {
                            *g = *g + (h * factor - e * on_student);
                        }
                    }
                },
            );
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
            let to = Some((factor, store, gradient));
            sigmoid::row(student, teacher, inverse_temperature, to)
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of classes above 2⁵³ do not occur"
)]
fn classes_of<F>(row: &[F]) -> f64 {
    row.len() as f64
}

/// Where the exponentials of a row go.
pub(super) enum Keep<'a, F> {
    /// Nowhere: the scratch holds one block and is used over and over.
    Nothing,
    /// The teacher's into the scratch, the student's here.
    Student(&'a mut [F]),
    /// Both into the scratch.
    Both,
}

/// Cross-entropy with a label.
fn labelled<F: Real>(
    student: &[F],
    label: usize,
    smoothing: F,
    scratch: &mut Scratch<F>,
    keep: Keep<'_, F>,
) -> Result<Outcome, Fault> {
    vectorize(
        #[inline(always)]
        || labelled_at_any_level(student, label, smoothing, scratch, keep),
    )
}

#[inline(always)]
fn labelled_at_any_level<F: Real>(
    student: &[F],
    label: usize,
    smoothing: F,
    scratch: &mut Scratch<F>,
    keep: Keep<'_, F>,
) -> Result<Outcome, Fault> {
    let most = largest(student, Side::Student)?;
    let shifted = Shifted {
        logits: student,
        most,
    };
    let student_total = total(shifted, scratch, keep);
    let hard = most.widen() - student[label].widen();
    let (mut value, mut ruled_out) = (student_total.ln() + hard, None);
    if student[label] == F::neg_infinity() {
        ruled_out = Some((Side::Student, label));
    }
    if smoothing > F::zero() {
        let mut sums = [0.0; LANES];
        add(&mut sums, [student], |[z]| most.widen() - z.widen());
        let (smoothing, mean) = (
            smoothing.widen(),
            sums.iter().sum::<f64>() / classes_of(student),
        );
        value = student_total.ln() + (1.0 - smoothing) * hard + smoothing * mean;
        let masked = student.iter().position(|&z| z == F::neg_infinity());
        ruled_out = masked.map(|class| (Side::Student, class));
    }
    if ruled_out.is_some() {
        value = f64::INFINITY;
    }
    Ok(Outcome {
        value,
        ruled_out,
        student_total,
        teacher_total: 1.0,
        largest: [most.widen(), 0.0],
        slopes: 0.0,
    })
}

/// Forward KL from a teacher's logits.
pub(super) fn forward<F: Real>(
    student: &[F],
    teacher: &[F],
    inverse_temperature: F,
    scratch: &mut Scratch<F>,
    keep: Keep<'_, F>,
) -> Result<Outcome, Fault> {
    vectorize(
        #[inline(always)]
        || forward_at_any_level(student, teacher, inverse_temperature, scratch, keep),
    )
}

#[inline(always)]
fn forward_at_any_level<F: Real>(
    student: &[F],
    teacher: &[F],
    inverse_temperature: F,
    scratch: &mut Scratch<F>,
    mut keep: Keep<'_, F>,
) -> Result<Outcome, Fault> {
    let student = Shifted {
        logits: student,
        most: largest(student, Side::Student)?,
    };
    let teacher = Shifted {
        logits: teacher,
        most: largest(teacher, Side::Teacher)?,
    };
    let [mut student_sums, mut teacher_sums, mut weighted_sums] = [[0.0; LANES]; 3];
    let mut masked = false;
    let classes = student.logits.len();
    let room = match keep {
        Keep::Nothing => classes.min(BLOCK),
        Keep::Student(_) | Keep::Both => classes,
    };
    let (all_es, all_et) = scratch.rows(room);
    for start in (0..classes).step_by(BLOCK) {
        let end = classes.min(start + BLOCK);
        let (s, t) = (&student.logits[start..end], &teacher.logits[start..end]);
        let (es, et) = match &mut keep {
            Keep::Nothing => (&mut all_es[..end - start], &mut all_et[..end - start]),
            Keep::Student(gradient) => (&mut gradient[start..end], &mut all_et[start..end]),
            Keep::Both => (&mut all_es[start..end], &mut all_et[start..end]),
        };
        exponentials(t, teacher.most, inverse_temperature, et);
        exponentials(s, student.most, inverse_temperature, es);
        let mut block_masked = false;
        for (&s, &t) in s.iter().zip(t) {
            block_masked |= (s == F::neg_infinity()) & (t > F::neg_infinity());
        }
        masked |= block_masked;
        add(&mut student_sums, [&*es], |[e]| e.widen());
        add(&mut teacher_sums, [&*et], |[e]| e.widen());
        add(&mut weighted_sums, [s, t, et], |[s, t, et]| {
            let difference = (t - teacher.most) - (s - student.most);
            let difference = if et > F::zero() {
                difference
            } else {
                F::zero()
            };
            et.widen() * difference.widen()
        });
    }
    let student_total: f64 = student_sums.iter().sum();
    let teacher_total: f64 = teacher_sums.iter().sum();
    let mut weighted: f64 = weighted_sums.iter().sum();
    if weighted.is_infinite() && !masked {
        // A difference of logits is beyond F. In f32 that has room in f64.
        weighted = weighted_in_f64(student, teacher, inverse_temperature);
    }
    let mean = weighted / teacher_total * inverse_temperature.widen();
    let value = mean - teacher_total.ln() + student_total.ln();
    let nothing = F::neg_infinity();
    let ruled_out = masked
        .then(|| ruled_out(student.logits, nothing, teacher.logits, nothing))
        .flatten()
        .map(|class| (Side::Student, class));
    Ok(Outcome {
        // The divergence is never negative; what lies below zero is the rounding of this sum.
        value: if ruled_out.is_some() {
            f64::INFINITY
        } else {
            value.max(0.0)
        },
        ruled_out,
        student_total,
        teacher_total,
        largest: [student.most.widen(), teacher.most.widen()],
        slopes: 0.0,
    })
}

/// Σ exp((zₜ − mₜ)/T)·((zₜ − mₜ) − (zₛ − mₛ)), one at a time.
#[cold]
fn weighted_in_f64<F: Real>(
    student: Shifted<'_, F>,
    teacher: Shifted<'_, F>,
    inverse_temperature: F,
) -> f64 {
    let off = |z: F, most: F| z.widen() - most.widen();
    let pairs = student.logits.iter().zip(teacher.logits);
    let terms = pairs.map(|(&s, &t)| {
        let e = ((t - teacher.most) * inverse_temperature).exponential();
        if e > F::zero() {
            e.widen() * (off(t, teacher.most) - off(s, student.most))
        } else {
            0.0
        }
    });
    terms.sum()
}

/// Σ exp(z − m).
#[inline(always)]
fn total<F: Real>(logits: Shifted<'_, F>, scratch: &mut Scratch<F>, mut keep: Keep<'_, F>) -> f64 {
    let mut sums = [0.0; LANES];
    let classes = logits.logits.len();
    let room = match keep {
        Keep::Nothing => classes.min(BLOCK),
        Keep::Student(_) => 0,
        Keep::Both => classes,
    };
    scratch.student.resize(room, F::zero());
    for start in (0..classes).step_by(BLOCK) {
        let end = classes.min(start + BLOCK);
        let e = match &mut keep {
            Keep::Nothing => &mut scratch.student[..end - start],
            Keep::Student(gradient) => &mut gradient[start..end],
            Keep::Both => &mut scratch.student[start..end],
        };
        exponentials(&logits.logits[start..end], logits.most, F::one(), e);
        add(&mut sums, [&*e], |[e]| e.widen());
    }
    sums.iter().sum()
}
