//! All rows of a batch, in parallel.

use super::row::Scratch;
use super::{Fault, FaultyRow, RowAgainst, Store, collect, sigmoid};
use crate::kernels::memory;
use crate::kernels::parallel::{CHUNK, map_chunks_mut, map_ranges};
use crate::kernels::real::{Real, Sealed};

/// From this temperature on f32 rows are computed in f64. The value is about 1/T² while exponentials in
/// f32 leave an error of 6e-8 in it: times T² that is 6e-5 at T = 32 and everything at 10⁴.
const WIDE_FROM: f64 = 32.0;

/// Rows of student logits and what they are compared with.
pub(crate) struct Rows<'a, F, A> {
    pub(crate) student: &'a [F],
    pub(crate) classes: usize,
    /// What a row is compared with.
    pub(crate) against: A,
}

impl<'a, F: Real, A: Fn(usize) -> RowAgainst<'a, F> + Sync> RowSource<F> for Rows<'a, F, A> {
    fn shape(&self) -> (usize, usize) {
        (self.student.len() / self.classes, self.classes)
    }

    fn row<'s>(
        &'s self,
        row: usize,
        _room: &'s mut Room<F>,
    ) -> Result<(&'s [F], RowAgainst<'s, F>), Fault> {
        let student = &self.student[row * self.classes..(row + 1) * self.classes];
        Ok((student, (self.against)(row)))
    }
}

/// Room for a row of each side that is not there as it is read.
#[derive(Debug, Default)]
pub(crate) struct Room<F> {
    pub(crate) student: Vec<F>,
    pub(crate) teacher: Vec<F>,
}

/// Rows of student logits and what each is compared with, wherever and however they are stored.
pub(crate) trait RowSource<F: Real>: Sync {
    /// How many rows and classes there are.
    fn shape(&self) -> (usize, usize);

    /// A row, where it lies or made in `room`. One after the other, so that only a row is copied.
    fn row<'s>(
        &'s self,
        row: usize,
        room: &'s mut Room<F>,
    ) -> Result<(&'s [F], RowAgainst<'s, F>), Fault>;

    /// Rows that one task goes through.
    fn per_task(&self) -> usize {
        (CHUNK / self.shape().1).max(1)
    }

    /// The value of every row for which `reads` is true, and 0 for the others, which are not read.
    fn values(&self, reads: impl Fn(usize) -> bool + Sync) -> Result<Vec<f64>, FaultyRow> {
        let parts = map_ranges(self.shape().0, self.per_task(), |range| {
            let (mut room, mut scratch) = (Room::default(), Scratches::default());
            let mut values = Vec::with_capacity(range.len());
            for row in range {
                let value = if reads(row) {
                    self.row(row, &mut room)
                        .and_then(|(student, against)| scratch.value(student, against))
                } else {
                    Ok(0.0)
                };
                values.push(value.map_err(|fault| FaultyRow { row, fault })?);
            }
            Ok(values)
        });
        collect(parts)
    }

    /// The value of every row, and `factors[row]` times its gradient into `gradient`.
    ///
    /// Rows for which `reads` is false are not read: their value and gradient are 0. If a row has a
    /// fault, [`Store::Add`] has left `gradient` alone, [`Store::Write`] need not have.
    fn gradient(
        &self,
        factors: &[F],
        reads: impl Fn(usize) -> bool + Sync,
        store: Store,
        gradient: &mut [F],
    ) -> Result<Vec<f64>, FaultyRow> {
        let (rows, classes) = self.shape();
        assert_eq!(gradient.len(), rows * classes, "one gradient a logit");
        assert_eq!(rows, factors.len(), "one factor a row");
        if store == Store::Add {
            self.check(&reads)?;
        }
        let per_task = self.per_task();
        let streams = memory::is_large(gradient);
        let parts = map_chunks_mut(gradient, per_task * classes, |task, gradient| {
            let (mut room, mut scratch) = (Room::default(), Scratches::default());
            scratch.own.streams = streams;
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
                let value = self.row(row, &mut room).and_then(|(student, against)| {
                    scratch.gradient(student, against, factors[row], store, gradient)
                });
                values.push(value.map_err(|fault| FaultyRow { row, fault })?);
            }
            if streams {
                memory::fence();
            }
            Ok(values)
        });
        collect(parts)
    }

    /// Looks for faults, of most divergences without computing a single exponential.
    fn check(&self, reads: impl Fn(usize) -> bool + Sync) -> Result<(), FaultyRow> {
        let parts = map_ranges(self.shape().0, self.per_task(), |range| {
            let mut room = Room::default();
            for row in range.filter(|&row| reads(row)) {
                self.row(row, &mut room)
                    .and_then(|(student, against)| F::check_row(student, against))
                    .map_err(|fault| FaultyRow { row, fault })?;
            }
            Ok(Vec::<()>::new())
        });
        collect(parts).map(|_| ())
    }
}

/// What a task needs while it goes through its rows.
#[derive(Default)]
struct Scratches<F> {
    own: Scratch<F>,
    wide: Wide,
}

impl<F: Real> Scratches<F> {
    fn value(&mut self, student: &[F], against: RowAgainst<'_, F>) -> Result<f64, Fault> {
        if wants_f64(student, &against) {
            let (student, against, scratch) = self.wide.widen(student, against);
            return f64::value_of_row(student, against, scratch);
        }
        F::value_of_row(student, against, &mut self.own)
    }

    fn gradient(
        &mut self,
        student: &[F],
        against: RowAgainst<'_, F>,
        factor: F,
        store: Store,
        gradient: &mut [F],
    ) -> Result<f64, Fault> {
        if !wants_f64(student, &against) {
            return F::gradient_of_row(student, against, (factor, store, gradient), &mut self.own);
        }
        let mut wide = std::mem::take(&mut self.wide.gradient);
        wide.resize(gradient.len(), 0.0);
        let (student, against, scratch) = self.wide.widen(student, against);
        let to = (factor.widen(), Store::Write, &mut wide[..]);
        let value = f64::gradient_of_row(student, against, to, scratch)?;
        for (to, &from) in gradient.iter_mut().zip(&wide) {
            *to = match store {
                Store::Write => F::narrow(from),
                Store::Add => *to + F::narrow(from),
            };
        }
        self.wide.gradient = wide;
        Ok(value)
    }
}

/// Whether f32 loses too much; f64 is never widened.
fn wants_f64<F: Real>(student: &[F], against: &RowAgainst<'_, F>) -> bool {
    if size_of::<F>() == size_of::<f64>() {
        return false;
    }
    match *against {
        RowAgainst::Label { .. } | RowAgainst::Squares { .. } => false,
        RowAgainst::Sigmoid {
            teacher,
            inverse_temperature,
        } => !sigmoid::is_moderate(student, teacher, inverse_temperature),
        RowAgainst::Logits {
            inverse_temperature,
            ..
        }
        | RowAgainst::Divergence {
            inverse_temperature,
            ..
        }
        | RowAgainst::Decoupled {
            inverse_temperature,
            ..
        } => computes_in_f64(inverse_temperature),
    }
}

/// Whether rows of a divergence at this temperature are computed in f64 although they are not f64.
pub(crate) fn computes_in_f64<F: Real>(inverse_temperature: F) -> bool {
    size_of::<F>() < size_of::<f64>() && inverse_temperature.widen() * WIDE_FROM <= 1.0
}

/// A row in f64.
#[derive(Default)]
struct Wide {
    student: Vec<f64>,
    teacher: Vec<f64>,
    gradient: Vec<f64>,
    scratch: Scratch<f64>,
}

impl Wide {
    fn widen<F: Real>(
        &mut self,
        student: &[F],
        against: RowAgainst<'_, F>,
    ) -> (&[f64], RowAgainst<'_, f64>, &mut Scratch<f64>) {
        fn copy<F: Real>(from: &[F], to: &mut Vec<f64>) {
            to.clear();
            to.extend(from.iter().map(|&x| x.widen()));
        }
        copy(student, &mut self.student);
        let against = match against {
            RowAgainst::Label { label, smoothing } => RowAgainst::Label {
                label,
                smoothing: smoothing.widen(),
            },
            RowAgainst::Squares { teacher } => {
                copy(teacher, &mut self.teacher);
                RowAgainst::Squares {
                    teacher: &self.teacher[..],
                }
            }
            RowAgainst::Logits {
                teacher,
                inverse_temperature,
            } => {
                copy(teacher, &mut self.teacher);
                RowAgainst::Logits {
                    teacher: &self.teacher[..],
                    inverse_temperature: inverse_temperature.widen(),
                }
            }
            RowAgainst::Divergence {
                kind,
                teacher,
                given,
                inverse_temperature,
            } => {
                copy(teacher, &mut self.teacher);
                RowAgainst::Divergence {
                    kind,
                    teacher: &self.teacher[..],
                    given,
                    inverse_temperature: inverse_temperature.widen(),
                }
            }
            RowAgainst::Decoupled {
                teacher,
                label,
                weights,
                inverse_temperature,
            } => {
                copy(teacher, &mut self.teacher);
                RowAgainst::Decoupled {
                    teacher: &self.teacher[..],
                    label,
                    weights,
                    inverse_temperature: inverse_temperature.widen(),
                }
            }
            RowAgainst::Sigmoid {
                teacher,
                inverse_temperature,
            } => {
                copy(teacher, &mut self.teacher);
                RowAgainst::Sigmoid {
                    teacher: &self.teacher[..],
                    inverse_temperature: inverse_temperature.widen(),
                }
            }
        };
        (&self.student, against, &mut self.scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Given, Kind};
    use super::{RowAgainst, RowSource, Rows, Store};
    use crate::kernels::memory;

    /// What is written past the caches is what is added to nothing.
    #[test]
    fn large_gradients_are_those_of_any_size() {
        let (rows, classes) = (3, 700_001);
        let numbers = |seed: usize| -> Vec<f32> {
            let number = |i: usize| (i * seed % 1009) as f32 / 100.0 - 5.0;
            (0..rows * classes).map(number).collect()
        };
        let (student, teacher) = (numbers(7919), numbers(104_729));
        for sigmoid in [true, false] {
            let against = |row: usize| {
                let teacher = &teacher[row * classes..(row + 1) * classes];
                if sigmoid {
                    RowAgainst::Sigmoid {
                        teacher,
                        inverse_temperature: 0.5,
                    }
                } else {
                    RowAgainst::Divergence {
                        kind: Kind::JensenShannon(0.5),
                        teacher,
                        given: Given::Logits,
                        inverse_temperature: 0.5,
                    }
                }
            };
            let batch = Rows {
                student: &student,
                classes,
                against,
            };
            let mut written = vec![f32::NAN; rows * classes];
            assert!(memory::is_large(&written));
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
    }
}
