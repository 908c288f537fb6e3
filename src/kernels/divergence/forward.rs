//! Forward KL of one row, and cross-entropy with a label.

use super::logits::{largest, ruled_out};
use super::row::{Outcome, Scratch};
use super::softmax::{Keep, Whole, block, combine, ranges};
use super::sums::{BLOCK, LANES, add};
use super::{Fault, Side, Store};
use crate::kernels::arithmetic::{Arithmetic, Kernel};
use crate::kernels::dispatch::{vectorize, vectorize_arithmetic};
use crate::kernels::memory;
use crate::kernels::real::Real;

/// Forward KL from a teacher's logits; `without` one class it is that of the others among themselves.
pub(super) fn forward<F: Real>(
    [student, teacher]: [&[F]; 2],
    without: Option<usize>,
    inverse_temperature: F,
    scratch: &mut Scratch<F>,
    keep: Keep,
) -> Result<Outcome, Fault> {
    let softening = F::softening(inverse_temperature.widen());
    let inverse = softening.hardened();
    let [whole_student, whole_teacher] = vectorize_arithmetic(Exponentials {
        student,
        teacher,
        without,
        softening,
        scratch,
        keep,
    });
    for (whole, logits, side) in [
        (whole_student, student, Side::Student),
        (whole_teacher, teacher, Side::Teacher),
    ] {
        if !whole.is_fine() {
            largest(logits, side)?;
            // Not one of them is a fault: all but the class left out are masked.
            return Err(Fault::AllMasked { side });
        }
    }
    let mut weighted = 0.0;
    let parts = scratch.parts[0].iter().zip(&scratch.parts[1]);
    for ((student, teacher), sum) in parts.zip(&scratch.weighted) {
        let lead = (teacher.most - whole_teacher.most) - (student.most - whole_student.most);
        weighted += teacher.factor * (sum + teacher.total * lead);
    }
    let mut out_of_bounds = None;
    if !weighted.is_finite() {
        // A class that the student masks, or differences of logits beyond F, which have room in f64.
        let nothing = F::neg_infinity();
        let places = ranges(student.len(), without);
        out_of_bounds = places.clone().find_map(|at| {
            let class = ruled_out(&student[at.clone()], nothing, &teacher[at.clone()], nothing);
            class.map(|class| at.start + class)
        });
        let (most_s, most_t) = (whole_student.most, whole_teacher.most);
        let sums = places.map(|at| {
            weighted_in_f64(
                (&student[at.clone()], most_s),
                (&teacher[at], most_t),
                inverse,
            )
        });
        weighted = sums.sum();
    }
    let mean = weighted / whole_teacher.total * inverse;
    let value = mean - whole_teacher.total.ln() + whole_student.total.ln();
    Ok(Outcome {
        // The divergence is never negative; what lies below zero is the rounding of this sum.
        value: if out_of_bounds.is_some() {
            f64::INFINITY
        } else {
            value.max(0.0)
        },
        ruled_out: out_of_bounds.map(|class| (Side::Student, class)),
        student_total: whole_student.total,
        teacher_total: whole_teacher.total,
        largest: [whole_student.most, whole_teacher.most],
        slopes: 0.0,
    })
}

/// The blocks of both sides, and of each the sum of eₜ·((zₜ − mₜ) − (zₛ − mₛ)).
struct Exponentials<'a, F> {
    student: &'a [F],
    teacher: &'a [F],
    without: Option<usize>,
    softening: F,
    scratch: &'a mut Scratch<F>,
    keep: Keep,
}

impl<F: Real> Kernel for Exponentials<'_, F> {
    type Output = [Whole; 2];

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> [Whole; 2] {
        let Self {
            student,
            teacher,
            without,
            softening,
            scratch,
            keep,
        } = self;
        let classes = student.len();
        scratch.make_room(classes, keep);
        let Scratch {
            student: all_es,
            teacher: all_et,
            parts: [student_parts, teacher_parts],
            weighted,
            ..
        } = scratch;
        weighted.clear();
        for here in ranges(classes, without) {
            let kept = keep.place(here.clone());
            let (es, et) = (&mut all_es[kept.clone()], &mut all_et[kept]);
            let (s, t) = (&student[here.clone()], &teacher[here]);
            let (most_s, part_s) = block::<F, A>(s, softening, es);
            let (most_t, part_t) = block::<F, A>(t, softening, et);
            student_parts.push(part_s);
            teacher_parts.push(part_t);
            weighted.push(weighted_block([s, t, et], [most_s, most_t]));
        }
        let inverse = softening.hardened();
        [
            combine(student_parts, inverse),
            combine(teacher_parts, inverse),
        ]
    }
}

/// Σ eₜ·((zₜ − mₜ) − (zₛ − mₛ)) over a block. Added up in F, 32 terms a lane: its rounding is next to the
/// largest term what that of eₜ is. Not finite if the student masks a class that the teacher does not.
#[inline(always)]
fn weighted_block<F: Real>([s, t, e]: [&[F]; 3], [most_s, most_t]: [F; 2]) -> f64 {
    let term = |s: F, t: F, e: F| {
        let difference = (t - most_t) - (s - most_s);
        // Where the teacher masks the class this is −∞ or NaN, and nothing times it must be nothing.
        let difference = if difference > F::min_value() {
            difference
        } else {
            F::min_value()
        };
        e * difference
    };
    let mut sums = [F::zero(); LANES];
    let (s_groups, s_rest) = s.as_chunks::<LANES>();
    let (t_groups, t_rest) = t.as_chunks::<LANES>();
    let (e_groups, e_rest) = e.as_chunks::<LANES>();
    for ((s, t), e) in s_groups.iter().zip(t_groups).zip(e_groups) {
        for lane in 0..LANES {
            sums[lane] = sums[lane] + term(s[lane], t[lane], e[lane]);
        }
    }
    let rest = s_rest.iter().zip(t_rest).zip(e_rest);
    for (sum, ((&s, &t), &e)) in sums.iter_mut().zip(rest) {
        *sum = *sum + term(s, t, e);
    }
    sums.iter().map(|sum| sum.widen()).sum()
}

/// Σ exp((zₜ − mₜ)/T)·((zₜ − mₜ) − (zₛ − mₛ)), one at a time.
#[cold]
fn weighted_in_f64<F: Real>(
    (student, most_s): (&[F], f64),
    (teacher, most_t): (&[F], f64),
    inverse: f64,
) -> f64 {
    let terms = student.iter().zip(teacher).map(|(s, t)| {
        let t = t.widen() - most_t;
        let e = (t * inverse).exponential();
        if e > 0.0 {
            e * (t - (s.widen() - most_s))
        } else {
            0.0
        }
    });
    terms.sum()
}

/// Cross-entropy with a label.
pub(super) fn labelled<F: Real>(
    student: &[F],
    label: usize,
    smoothing: F,
    scratch: &mut Scratch<F>,
    keep: Keep,
) -> Result<Outcome, Fault> {
    let whole = vectorize_arithmetic(OneSide {
        student,
        scratch,
        keep,
    });
    if !whole.is_fine() {
        largest(student, Side::Student)?;
    }
    let most = whole.most;
    let hard = most - student[label].widen();
    let (mut value, mut ruled_out) = (whole.total.ln() + hard, None);
    if student[label] == F::neg_infinity() {
        ruled_out = Some((Side::Student, label));
    }
    if smoothing > F::zero() {
        let sum: f64 = vectorize(
            #[inline(always)]
            || {
                let mut sums = [0.0; LANES];
                add(&mut sums, [student], |[z]| most - z.widen());
                sums.iter().sum()
            },
        );
        let (smoothing, mean) = (smoothing.widen(), sum / super::row::classes_of(student));
        value = whole.total.ln() + (1.0 - smoothing) * hard + smoothing * mean;
        let masked = student.iter().position(|&z| z == F::neg_infinity());
        ruled_out = masked.map(|class| (Side::Student, class));
    }
    if ruled_out.is_some() {
        value = f64::INFINITY;
    }
    Ok(Outcome {
        value,
        ruled_out,
        student_total: whole.total,
        teacher_total: 1.0,
        largest: [most, 0.0],
        slopes: 0.0,
    })
}

/// The blocks of a student alone, at temperature 1.
struct OneSide<'a, F> {
    student: &'a [F],
    scratch: &'a mut Scratch<F>,
    keep: Keep,
}

impl<F: Real> Kernel for OneSide<'_, F> {
    type Output = Whole;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> Whole {
        let classes = self.student.len();
        self.scratch.make_room(classes, self.keep);
        let softening = F::softening(1.0);
        for here in ranges(classes, None) {
            let e = &mut self.scratch.student[self.keep.place(here.clone())];
            let logits = &self.student[here];
            let (_, part) = block::<F, A>(logits, softening, e);
            self.scratch.parts[0].push(part);
        }
        combine(&mut self.scratch.parts[0], softening.hardened())
    }
}

/// Puts eₛ·`on_student` − eₜ·`on_teacher` of a row into `gradient` or onto it, from the exponentials that
/// the scratch has kept; without a teacher if `on_teacher` is `None`. The class left out is left alone.
pub(super) fn put<F: Real>(
    scratch: &Scratch<F>,
    without: Option<usize>,
    (on_student, on_teacher): (f64, Option<f64>),
    store: Store,
    gradient: &mut [F],
) {
    vectorize(
        #[inline(always)]
        || {
            let mut buffer = [F::zero(); BLOCK];
            for (number, here) in ranges(scratch.student.len(), without).enumerate() {
                let gradient = &mut gradient[here.clone()];
                let e = &scratch.student[here.clone()];
                let a = F::narrow(scratch.parts[0][number].factor * on_student);
                let streams = store == Store::Write && scratch.streams;
                let to = if streams {
                    &mut buffer[..e.len()]
                } else {
                    &mut *gradient
                };
                match on_teacher {
                    None => put_each(
                        to,
                        store,
                        [e, e],
                        #[inline(always)]
                        |e, _| e * a,
                    ),
                    Some(on_teacher) => {
                        let b = F::narrow(scratch.parts[1][number].factor * on_teacher);
                        let pair = [e, &scratch.teacher[here]];
                        put_each(
                            to,
                            store,
                            pair,
                            #[inline(always)]
                            |e, t| e * a - t * b,
                        );
                    }
                }
                if streams {
                    memory::stream(&buffer[..e.len()], gradient);
                }
            }
        },
    );
}

#[inline(always)]
fn put_each<F: Real>(
    gradient: &mut [F],
    store: Store,
    [e, t]: [&[F]; 2],
    term: impl Fn(F, F) -> F,
) {
    let pairs = gradient.iter_mut().zip(e.iter().zip(t));
    match store {
        Store::Write => pairs.for_each(|(g, (&e, &t))| *g = term(e, t)),
        Store::Add => pairs.for_each(|(g, (&e, &t))| *g = *g + term(e, t)),
    }
}
