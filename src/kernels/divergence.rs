//! Rows of logits to Kullback-Leibler divergence and cross-entropy, with their gradients.
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

use super::dispatch::vectorize;
use super::parallel::{CHUNK, map_chunks_mut, map_ranges};
use super::real::Real;

/// Sums and extremes in flight. Fixed, so that every instruction set adds in the same order.
const LANES: usize = 16;
/// Logits per block: two blocks of f64 and their sources fit in 32 KiB.
const BLOCK: usize = 512;

/// Whose logits a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Student,
    Teacher,
}

/// What makes a row unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The logit of this class is NaN or +∞.
    NotALogit { side: Side, class: usize },
    /// Every logit is −∞, so there is no distribution.
    AllMasked { side: Side },
    /// The teacher gives this class a probability and the student rules it out: the value is +∞
    /// and there is no gradient.
    RuledOut { class: usize },
}

/// The first row that has a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultyRow {
    pub(crate) row: usize,
    pub(crate) fault: Fault,
}

/// How a gradient meets what is in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// Replaces it.
    Write,
    /// Is added to it.
    Add,
}

/// What the student's rows are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Against<'a, F> {
    /// Teacher's logits, as many as the student's; both are divided by the temperature.
    Logits {
        teacher: &'a [F],
        inverse_temperature: F,
    },
    /// The right class of each row.
    Labels(&'a [usize]),
}

impl<'a, F: Copy> Against<'a, F> {
    fn row(&self, row: usize, classes: usize) -> RowAgainst<'a, F> {
        match *self {
            Against::Logits {
                teacher,
                inverse_temperature,
            } => RowAgainst::Logits {
                teacher: &teacher[row * classes..(row + 1) * classes],
                inverse_temperature,
            },
            Against::Labels(labels) => RowAgainst::Label(labels[row]),
        }
    }
}

#[derive(Clone, Copy)]
enum RowAgainst<'a, F> {
    Logits {
        teacher: &'a [F],
        inverse_temperature: F,
    },
    Label(usize),
}

/// Rows of student logits and what they are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a, F> {
    pub(crate) student: &'a [F],
    pub(crate) classes: usize,
    pub(crate) against: Against<'a, F>,
}

impl<F: Real> Rows<'_, F> {
    fn per_task(&self) -> usize {
        (CHUNK / self.classes).max(1)
    }

    /// The value of every row for which `reads` is true, and 0 for the others, which are not read.
    pub(crate) fn values(
        &self,
        reads: impl Fn(usize) -> bool + Sync,
    ) -> Result<Vec<f64>, FaultyRow> {
        let classes = self.classes;
        let parts = map_ranges(self.student.len() / classes, self.per_task(), |range| {
            let mut scratch = Scratch::new(BLOCK.min(classes), BLOCK.min(classes));
            let mut values = Vec::with_capacity(range.len());
            for row in range {
                let value = if reads(row) {
                    self.value(row, &mut scratch)?
                } else {
                    0.0
                };
                values.push(value);
            }
            Ok(values)
        });
        collect(parts)
    }

    fn value(&self, row: usize, scratch: &mut Scratch<F>) -> Result<f64, FaultyRow> {
        let student = &self.student[row * self.classes..(row + 1) * self.classes];
        let against = self.against.row(row, self.classes);
        vectorize(
            #[inline(always)]
            || forward(student, against, scratch, Keep::Nothing),
        )
        .map(|forward| forward.value)
        .map_err(|fault| FaultyRow { row, fault })
    }

    /// The value of every row, and `factors[row]` times its gradient into `gradient`.
    ///
    /// Rows for which `reads` is false are not read: value and gradient are 0. If a row has a fault, [`Store::Add`] has left `gradient` alone, [`Store::Write`] need not have.
    pub(crate) fn gradient(
        &self,
        factors: &[F],
        reads: impl Fn(usize) -> bool + Sync,
        store: Store,
        gradient: &mut [F],
    ) -> Result<Vec<f64>, FaultyRow> {
        let classes = self.classes;
        assert_eq!(gradient.len(), self.student.len(), "one gradient a logit");
        assert_eq!(
            factors.len() * classes,
            self.student.len(),
            "one factor a row"
        );
        if store == Store::Add {
            self.check(&reads)?;
        }
        let per_task = self.per_task();
        let parts = map_chunks_mut(gradient, per_task * classes, |task, gradient| {
            let mut scratch = Scratch::new(classes, if store == Store::Add { classes } else { 0 });
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
                let student = &self.student[row * classes..(row + 1) * classes];
                let against = self.against.row(row, classes);
                let value = vectorize(
                    #[inline(always)]
                    || {
                        row_gradient(
                            student,
                            against,
                            factors[row],
                            store,
                            gradient,
                            &mut scratch,
                        )
                    },
                );
                values.push(value.map_err(|fault| FaultyRow { row, fault })?);
            }
            Ok(values)
        });
        collect(parts)
    }

    /// Looks for faults without computing a single exponential.
    fn check(&self, reads: impl Fn(usize) -> bool + Sync) -> Result<(), FaultyRow> {
        let rows = self.student.len() / self.classes;
        let parts = map_ranges(rows, self.per_task(), |range| {
            for row in range.filter(|&row| reads(row)) {
                let student = &self.student[row * self.classes..(row + 1) * self.classes];
                let against = self.against.row(row, self.classes);
                vectorize(
                    #[inline(always)]
                    || find_fault(student, against),
                )
                .map_err(|fault| FaultyRow { row, fault })?;
            }
            Ok(Vec::<()>::new())
        });
        collect(parts).map(|_| ())
    }
}

/// Puts the rows of all tasks together, or gives the first fault in row order.
fn collect<T>(parts: Vec<Result<Vec<T>, FaultyRow>>) -> Result<Vec<T>, FaultyRow> {
    let mut all = Vec::new();
    for part in parts {
        all.append(&mut part?);
    }
    Ok(all)
}

/// Exponentials on their way from one sweep to the next.
struct Scratch<F> {
    teacher: Vec<F>,
    student: Vec<F>,
}

impl<F: Real> Scratch<F> {
    fn new(teacher: usize, student: usize) -> Self {
        Self {
            teacher: vec![F::zero(); teacher],
            student: vec![F::zero(); student],
        }
    }
}

/// Where the exponentials of a row go.
enum Keep<'a, F> {
    /// Nowhere: the scratch holds one block and is used over and over.
    Nothing,
    /// The teacher's into the scratch, the student's here.
    Student(&'a mut [F]),
    /// Both into the scratch.
    Both,
}

struct Forward {
    value: f64,
    student_total: f64,
    teacher_total: f64,
}

#[inline(always)]
fn row_gradient<F: Real>(
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
fn forward<F: Real>(
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

/// The largest logit; a fault if there is a NaN or +∞, or nothing but −∞.
#[inline(always)]
fn largest<F: Real>(logits: &[F], side: Side) -> Result<F, Fault> {
    let mut most = [F::neg_infinity(); LANES];
    let mut all_logits = [true; LANES];
    let (groups, rest) = logits.as_chunks::<LANES>();
    for group in groups {
        for lane in 0..LANES {
            most[lane] = if group[lane] > most[lane] {
                group[lane]
            } else {
                most[lane]
            };
            all_logits[lane] &= group[lane] < F::infinity();
        }
    }
    for (lane, &logit) in rest.iter().enumerate() {
        most[lane] = if logit > most[lane] {
            logit
        } else {
            most[lane]
        };
        all_logits[lane] &= logit < F::infinity();
    }
    if all_logits.contains(&false) {
        // Finding it again costs nothing: this happens once. NaN fails every comparison.
        let class = logits
            .iter()
            .position(|&z| z.is_nan() || z == F::infinity())
            .unwrap_or(0);
        return Err(Fault::NotALogit { side, class });
    }
    let most = most.into_iter().fold(F::neg_infinity(), F::max);
    if most == F::neg_infinity() {
        Err(Fault::AllMasked { side })
    } else {
        Ok(most)
    }
}

/// The first class that the teacher allows and the student rules out.
fn ruled_out<F: Real>(student: &[F], teacher: &[F]) -> usize {
    let none = F::neg_infinity();
    student
        .iter()
        .zip(teacher)
        .position(|(&s, &t)| s == none && t > none)
        .unwrap_or(0)
}

#[inline(always)]
fn find_fault<F: Real>(student: &[F], against: RowAgainst<'_, F>) -> Result<(), Fault> {
    largest(student, Side::Student)?;
    let none = F::neg_infinity();
    match against {
        RowAgainst::Logits { teacher, .. } => {
            largest(teacher, Side::Teacher)?;
            let mut found = false;
            for (&s, &t) in student.iter().zip(teacher) {
                found |= (s == none) & (t > none);
            }
            if found {
                return Err(Fault::RuledOut {
                    class: ruled_out(student, teacher),
                });
            }
        }
        RowAgainst::Label(class) => {
            if student[class] == none {
                return Err(Fault::RuledOut { class });
            }
        }
    }
    Ok(())
}

/// The index of the largest logit of each row, the first of them on a tie. Not for NaN.
pub(crate) fn most_likely<F: Real>(logits: &[F], classes: usize) -> Vec<usize> {
    let per_task = (CHUNK / classes).max(1);
    let parts = map_ranges(logits.len() / classes, per_task, |range| {
        logits[range.start * classes..range.end * classes]
            .chunks_exact(classes)
            .map(|row| {
                let mut best = 0;
                for (class, &logit) in row.iter().enumerate() {
                    if logit > row[best] {
                        best = class;
                    }
                }
                best
            })
            .collect::<Vec<_>>()
    });
    parts.concat()
}
