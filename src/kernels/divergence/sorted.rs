//! Distance of two distributions whose classes have nothing to do with one another.
//!
//! With the probabilities of each side sorted descending, and zeros behind the shorter one,
//!
//! ```text
//! value = Σₖ |p₍ₖ₎ − q₍ₖ₎|          s_c = sign(q₍ₖ₎ − p₍ₖ₎) at the rank k of class c
//! ∂ value / ∂ z_c = q_c · (s_c − Σⱼ qⱼ·sⱼ) / T
//! ```
//!
//! Logits are sorted, not probabilities: the order is the same and no rounding is in it. Everything
//! runs in f64, since sorting takes most of the time.

use super::logits::largest;
use super::{Fault, FaultyRow, Side};
use crate::kernels::dispatch::vectorize;
use crate::kernels::parallel::{CHUNK, map_chunks_mut, map_ranges};
use crate::kernels::real::{Bits, Real};

/// Rows of student and teacher logits, of any two numbers of classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SortedRows<'a, F> {
    pub(crate) student: &'a [F],
    pub(crate) student_classes: usize,
    pub(crate) teacher: &'a [F],
    pub(crate) teacher_classes: usize,
    pub(crate) inverse_temperature: f64,
}

/// What a task uses for each of its rows.
#[derive(Default)]
struct Scratch {
    /// Keys that ascend as logits descend, and their classes.
    order: Vec<(u64, usize)>,
    student: Vec<f64>,
    teacher: Vec<f64>,
}

impl<F: Real> SortedRows<'_, F> {
    fn rows_per_task(&self) -> usize {
        (CHUNK / self.student_classes.max(self.teacher_classes)).max(1)
    }

    /// The value of every row for which `reads` is true, and 0 for the others, which are not read.
    pub(crate) fn values(
        &self,
        reads: impl Fn(usize) -> bool + Sync,
    ) -> Result<Vec<f64>, FaultyRow> {
        let rows = self.student.len() / self.student_classes;
        let parts = map_ranges(rows, self.rows_per_task(), |range| {
            let mut scratch = Scratch::default();
            let one = |row| match reads(row) {
                true => self.row(row, &mut scratch),
                false => Ok(0.0),
            };
            range.map(one).collect::<Result<Vec<_>, _>>()
        });
        super::collect(parts)
    }

    /// The value of every row, and `factors[row]` times its gradient into `gradient`.
    ///
    /// Rows for which `reads` is false are not read: value and gradient are 0.
    pub(crate) fn gradient(
        &self,
        factors: &[f64],
        reads: impl Fn(usize) -> bool + Sync,
        gradient: &mut [F],
    ) -> Result<Vec<f64>, FaultyRow> {
        let (classes, per_task) = (self.student_classes, self.rows_per_task());
        let parts = map_chunks_mut(gradient, per_task * classes, |task, gradient| {
            let mut scratch = Scratch::default();
            let mut values = Vec::with_capacity(per_task);
            for (row, gradient) in gradient.chunks_exact_mut(classes).enumerate() {
                let row = task * per_task + row;
                if !reads(row) {
                    gradient.fill(F::zero());
                    values.push(0.0);
                    continue;
                }
                values.push(self.row(row, &mut scratch)?);
                scratch.gradient(factors[row] * self.inverse_temperature, gradient);
            }
            Ok(values)
        });
        super::collect(parts)
    }

    /// The value of a row; leaves probabilities in descending order in the scratch.
    fn row(&self, row: usize, scratch: &mut Scratch) -> Result<f64, FaultyRow> {
        let of = |logits, classes: usize| -> &[F] {
            let logits: &[F] = logits;
            &logits[row * classes..(row + 1) * classes]
        };
        let fault = |fault| FaultyRow { row, fault };
        let student = of(self.student, self.student_classes);
        let teacher = of(self.teacher, self.teacher_classes);
        // The teacher first: the order that stays in the scratch is the student's.
        scratch
            .descending(
                teacher,
                Side::Teacher,
                self.inverse_temperature,
                |scratch| &mut scratch.teacher,
            )
            .map_err(fault)?;
        scratch
            .descending(
                student,
                Side::Student,
                self.inverse_temperature,
                |scratch| &mut scratch.student,
            )
            .map_err(fault)?;
        let (longer, shorter) = match scratch.student.len() < scratch.teacher.len() {
            true => (&scratch.teacher, &scratch.student),
            false => (&scratch.student, &scratch.teacher),
        };
        let (both, alone) = longer.split_at(shorter.len());
        let apart = both.iter().zip(shorter).map(|(p, q)| (p - q).abs());
        Ok(apart.chain(alone.iter().copied()).sum())
    }
}

impl Scratch {
    /// The probabilities of a row in descending order, equal logits in the order of their classes.
    fn descending<F: Real>(
        &mut self,
        logits: &[F],
        side: Side,
        inverse_temperature: f64,
        into: impl FnOnce(&mut Self) -> &mut Vec<f64>,
    ) -> Result<(), Fault> {
        let most = vectorize(
            #[inline(always)]
            || largest(logits, side),
        )?
        .widen();
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        let keys = logits.iter().enumerate();
        order.extend(keys.map(|(class, &logit)| (!logit.ordinal().wide(), class)));
        order.sort_unstable();
        let probabilities = into(self);
        probabilities.clear();
        probabilities.extend(order.iter().map(|&(_, class)| logits[class].widen() - most));
        vectorize(
            #[inline(always)]
            || {
                for p in probabilities.iter_mut() {
                    *p = (*p * inverse_temperature).exponential();
                }
            },
        );
        let total: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|p| *p /= total);
        self.order = order;
        Ok(())
    }

    /// The gradient of the row that [`SortedRows::row`] was called for last.
    fn gradient<F: Real>(&self, factor: f64, gradient: &mut [F]) {
        let teacher = self.teacher.iter().copied().chain(std::iter::repeat(0.0));
        let signs = || {
            let pairs = self.student.iter().zip(teacher.clone());
            pairs.map(|(&q, p)| (q, f64::from(i8::from(q > p) - i8::from(q < p))))
        };
        let mean: f64 = signs().map(|(q, sign)| q * sign).sum();
        for ((q, sign), &(_, class)) in signs().zip(&self.order) {
            gradient[class] = F::narrow(factor * q * (sign - mean));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Side, SortedRows};
    use crate::kernels::divergence::{Fault, FaultyRow};

    /// The obvious twin: probabilities, sorted by themselves, the shorter padded.
    fn slow(student: &[f64], teacher: &[f64], temperature: f64) -> f64 {
        let sorted = |row: &[f64]| {
            let e: Vec<f64> = row.iter().map(|z| (z / temperature).exp()).collect();
            let total: f64 = e.iter().sum();
            let mut p: Vec<f64> = e.iter().map(|e| e / total).collect();
            p.sort_by(|a, b| b.total_cmp(a));
            p.resize(student.len().max(teacher.len()), 0.0);
            p
        };
        let (q, p) = (sorted(student), sorted(teacher));
        q.iter().zip(p).map(|(q, p)| (q - p).abs()).sum()
    }

    fn noise(len: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 * 6.0 - 3.0
        };
        (0..len).map(|_| next()).collect()
    }

    fn rows<'a>(s: &'a [f64], t: &'a [f64], classes: (usize, usize)) -> SortedRows<'a, f64> {
        SortedRows {
            student: s,
            student_classes: classes.0,
            teacher: t,
            teacher_classes: classes.1,
            inverse_temperature: 0.5,
        }
    }

    #[test]
    fn values_and_gradients_agree_with_the_slow_twin() {
        for (sc, tc) in [(1, 1), (4, 4), (7, 3), (3, 9), (40, 33)] {
            let (student, teacher) = (noise(3 * sc, 1), noise(3 * tc, 2));
            let batch = rows(&student, &teacher, (sc, tc));
            let mut gradient = vec![f64::NAN; 3 * sc];
            let values = batch
                .gradient(&[1.0, 2.0, 0.5], |_| true, &mut gradient)
                .unwrap();
            assert_eq!(batch.values(|_| true).unwrap(), values);
            for (row, factor) in [1.0, 2.0, 0.5].into_iter().enumerate() {
                let t = &teacher[row * tc..(row + 1) * tc];
                let mut s = student[row * sc..(row + 1) * sc].to_vec();
                assert!((values[row] - slow(&s, t, 2.0)).abs() < 1e-14, "{sc} {tc}");
                for class in 0..sc {
                    let at = s[class];
                    let mut moved = |by| {
                        s[class] = at + by;
                        slow(&s, t, 2.0)
                    };
                    let right = (moved(1e-6) - moved(-1e-6)) / 2e-6 * factor;
                    s[class] = at;
                    let ours = gradient[row * sc + class];
                    assert!((ours - right).abs() < 1e-8, "{sc} {tc}: {ours} {right}");
                }
            }
        }
    }

    #[test]
    fn ties_go_to_the_lower_class_and_equality_has_no_gradient() {
        let (student, teacher) = ([0.0, 0.0], [2.0, 0.0]);
        let batch = rows(&student, &teacher, (2, 2));
        let mut gradient = [0.0; 2];
        batch.gradient(&[1.0], |_| true, &mut gradient).unwrap();
        // The first class takes the place of the larger probability, and is too small there.
        assert!(gradient[0] < 0.0 && gradient[1] > 0.0, "{gradient:?}");
        let value =
            rows(&[1.0, 5.0], &[5.0, 1.0], (2, 2)).gradient(&[1.0], |_| true, &mut gradient);
        assert_eq!((value.unwrap()[0], gradient), (0.0, [0.0; 2]));
    }

    #[test]
    fn masked_classes_are_zeros_and_faults_name_the_row() {
        let none = f64::NEG_INFINITY;
        let with_mask = [1.0, none, 0.0];
        let masked = rows(&with_mask, &[3.0, 2.0], (3, 2));
        let mut gradient = [7.0; 3];
        let value = masked.gradient(&[1.0], |_| true, &mut gradient).unwrap();
        assert!(value[0].abs() < 1e-15 && gradient.iter().all(|g| g.abs() < 1e-15));
        let student = [0.0, 1.0, f64::NAN, none];
        let batch = rows(&student, &[0.0, 1.0], (2, 1));
        let fault = Fault::NotALogit {
            side: Side::Student,
            class: 0,
        };
        assert_eq!(batch.values(|_| true), Err(FaultyRow { row: 1, fault }));
        assert_eq!(batch.values(|row| row == 0).unwrap()[1], 0.0);
    }
}
