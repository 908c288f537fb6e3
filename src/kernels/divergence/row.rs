//! One row: its exponentials and sums, its value, its gradient.

use super::logits::{largest, ruled_out};
use super::{Fault, RowAgainst, Side, Store};
use crate::kernels::real::Real;

/// Sums in flight. Fixed, so that every instruction set adds in the same order.
const LANES: usize = 16;
/// Logits per block: two blocks of f64 and their sources fit in 32 KiB.
pub(super) const BLOCK: usize = 512;

/// Exponentials on their way from one sweep to the next.
pub(super) struct Scratch<F> {
    teacher: Vec<F>,
    student: Vec<F>,
}

impl<F: Real> Scratch<F> {
    pub(super) fn new(teacher: usize, student: usize) -> Self {
        Self {
            teacher: vec![F::zero(); teacher],
            student: vec![F::zero(); student],
        }
    }
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

pub(super) struct Forward {
    pub(super) value: f64,
    student_total: f64,
    teacher_total: f64,
}

#[inline(always)]
pub(super) fn row_gradient<F: Real>(
    student: &[F],
    against: RowAgainst<'_, F>,
    factor: F,
    store: Store,
    gradient: &mut [F],
    scratch: &mut Scratch<F>,
) -> Result<f64, Fault> {
    let keep = match store {
        Store::Write => Keep::Student(gradient),
        Store::Add => Keep::Both,
    };
    let forward = forward(student, against, scratch, keep)?;
    if let (RowAgainst::Label(class), true) = (against, forward.value.is_infinite()) {
        return Err(Fault::RuledOut { class });
    }
    if let (RowAgainst::Logits { teacher, .. }, true) = (against, forward.value.is_infinite()) {
        return Err(Fault::RuledOut {
            class: ruled_out(student, teacher),
        });
    }
    let on_student = F::narrow(factor.widen() / forward.student_total);
    match against {
        RowAgainst::Logits { .. } => {
            let on_teacher = F::narrow(factor.widen() / forward.teacher_total);
            let teacher = &scratch.teacher[..gradient.len()];
            match store {
                Store::Write => {
                    for (g, &t) in gradient.iter_mut().zip(teacher) {
                        *g = *g * on_student - t * on_teacher;
                    }
                }
                Store::Add => {
                    for ((g, &t), &s) in gradient.iter_mut().zip(teacher).zip(&scratch.student) {
                        *g = *g + (s * on_student - t * on_teacher);
                    }
                }
            }
        }
        RowAgainst::Label(label) => {
            match store {
                Store::Write => gradient.iter_mut().for_each(|g| *g = *g * on_student),
                Store::Add => {
                    for (g, &s) in gradient.iter_mut().zip(&scratch.student) {
                        *g = *g + s * on_student;
                    }
                }
            }
            gradient[label] = gradient[label] - factor;
        }
    }
    Ok(forward.value)
}

#[inline(always)]
pub(super) fn forward<F: Real>(
    student: &[F],
    against: RowAgainst<'_, F>,
    scratch: &mut Scratch<F>,
    keep: Keep<'_, F>,
) -> Result<Forward, Fault> {
    let student_most = largest(student, Side::Student)?;
    match against {
        RowAgainst::Logits {
            teacher,
            inverse_temperature,
        } => {
            let teacher_most = largest(teacher, Side::Teacher)?;
            let student = Shifted {
                logits: student,
                most: student_most,
            };
            let teacher = Shifted {
                logits: teacher,
                most: teacher_most,
            };
            Ok(forward_logits(
                student,
                teacher,
                inverse_temperature,
                scratch,
                keep,
            ))
        }
        RowAgainst::Label(label) => {
            let most = student_most;
            let shifted = Shifted {
                logits: student,
                most,
            };
            let student_total = total(shifted, scratch, keep);
            let value = student_total.ln() + (most.widen() - student[label].widen());
            Ok(Forward {
                value,
                student_total,
                teacher_total: 1.0,
            })
        }
    }
}

/// Logits of which the largest is taken off.
#[derive(Clone, Copy)]
struct Shifted<'a, F> {
    logits: &'a [F],
    most: F,
}

#[inline(always)]
fn forward_logits<F: Real>(
    student: Shifted<'_, F>,
    teacher: Shifted<'_, F>,
    inverse_temperature: F,
    scratch: &mut Scratch<F>,
    mut keep: Keep<'_, F>,
) -> Forward {
    let mut sums = [[0.0; LANES]; 3];
    let mut ruled_out = false;
    let classes = student.logits.len();
    for start in (0..classes).step_by(BLOCK) {
        let end = classes.min(start + BLOCK);
        let (s, t) = (&student.logits[start..end], &teacher.logits[start..end]);
        let (es, et) = match &mut keep {
            Keep::Nothing => (
                &mut scratch.student[..end - start],
                &mut scratch.teacher[..end - start],
            ),
            Keep::Student(gradient) => {
                (&mut gradient[start..end], &mut scratch.teacher[start..end])
            }
            Keep::Both => (
                &mut scratch.student[start..end],
                &mut scratch.teacher[start..end],
            ),
        };
        exponentials(t, teacher.most, inverse_temperature, et);
        exponentials(s, student.most, inverse_temperature, es);
        let mut block_ruled_out = false;
        for (&s, &t) in s.iter().zip(t) {
            block_ruled_out |= (s == F::neg_infinity()) & (t > F::neg_infinity());
        }
        ruled_out |= block_ruled_out;
        add_block(
            [s, t, es, et],
            |[s, t, es, et]| {
                let difference = (t - teacher.most) - (s - student.most);
                let difference = if et > F::zero() {
                    difference
                } else {
                    F::zero()
                };
                [es.widen(), et.widen(), et.widen() * difference.widen()]
            },
            &mut sums,
        );
    }
    let [student_total, teacher_total, weighted] = sums.map(|lanes| lanes.iter().sum::<f64>());
    let mean = weighted / teacher_total * inverse_temperature.widen();
    let value = mean - teacher_total.ln() + student_total.ln();
    // The divergence is never negative; what lies below zero is the rounding of this sum.
    let value = if ruled_out {
        f64::INFINITY
    } else {
        value.max(0.0)
    };
    Forward {
        value,
        student_total,
        teacher_total,
    }
}

/// Σ exp(z − m).
#[inline(always)]
fn total<F: Real>(logits: Shifted<'_, F>, scratch: &mut Scratch<F>, mut keep: Keep<'_, F>) -> f64 {
    let mut sums = [[0.0; LANES]];
    let classes = logits.logits.len();
    for start in (0..classes).step_by(BLOCK) {
        let end = classes.min(start + BLOCK);
        let e = match &mut keep {
            Keep::Nothing => &mut scratch.student[..end - start],
            Keep::Student(gradient) => &mut gradient[start..end],
            Keep::Both => &mut scratch.student[start..end],
        };
        exponentials(&logits.logits[start..end], logits.most, F::one(), e);
        add_block([&*e], |[e]| [e.widen()], &mut sums);
    }
    sums[0].iter().sum()
}

#[inline(always)]
fn exponentials<F: Real>(logits: &[F], most: F, inverse_temperature: F, to: &mut [F]) {
    for (to, &z) in to.iter_mut().zip(logits) {
        *to = ((z - most) * inverse_temperature).exponential();
    }
}

/// Adds `terms` of every index to sums that take turns by index.
#[inline(always)]
fn add_block<F: Real, const SOURCES: usize, const SUMS: usize>(
    sources: [&[F]; SOURCES],
    terms: impl Fn([F; SOURCES]) -> [f64; SUMS],
    sums: &mut [[f64; LANES]; SUMS],
) {
    let length = sources[0].len();
    let sources = sources.map(|source| &source[..length]);
    let whole = length - length % LANES;
    for start in (0..whole).step_by(LANES) {
        let groups = sources.map(|source| &source[start..start + LANES]);
        for lane in 0..LANES {
            let terms = terms(groups.map(|group| group[lane]));
            for (sums, term) in sums.iter_mut().zip(terms) {
                sums[lane] += term;
            }
        }
    }
    for lane in 0..length - whole {
        let terms = terms(sources.map(|source| source[whole + lane]));
        for (sums, term) in sums.iter_mut().zip(terms) {
            sums[lane] += term;
        }
    }
}
