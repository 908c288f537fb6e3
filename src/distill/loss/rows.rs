//! From the kernels' rows to values, gradients and errors.

use super::LossValue;
use super::logits::{Logits, Numbers};
use super::reduction::Shares;
use crate::distill::faults::error_of;
use crate::distill::{LabelCorrection, Target};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::divergence::{
    Fault, FaultyRow, Given, Kind, Room, RowAgainst, RowSource, Side, Store,
};
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{Array1, Array2, ArrayRef2, ArrayView1};

/// Rows of student logits, what they are compared with, and what each of them counts.
pub(super) struct Batch<'a, F: Float> {
    student: Numbers<'a, F>,
    shape: (usize, usize),
    against: Against<'a, F>,
    /// Empty where there is no temperature.
    inverse_temperatures: Vec<F>,
    /// Whether a row is read; one that is not adds nothing.
    reads: Vec<bool>,
    /// What the value of a row is multiplied by.
    value_factors: Vec<f64>,
    /// What the gradient of a row is multiplied by, which may differ: a temperature is in it.
    gradient_factors: Vec<f64>,
}

/// What student logits are compared with.
pub(super) enum Against<'a, F: Float> {
    /// Labels, of which a part is spread over all classes.
    Labels { labels: &'a [usize], smoothing: f64 },
    /// A divergence from the numbers of a teacher.
    Teacher {
        kind: Kind,
        numbers: Numbers<'a, F>,
        given: Given,
    },
    /// A divergence from what labels make of the numbers of a teacher.
    Corrected {
        kind: Kind,
        numbers: Numbers<'a, F>,
        given: Given,
        correction: LabelCorrection,
        labels: &'a [usize],
    },
    /// Labels against all others, and these among themselves.
    Decoupled {
        teacher: Numbers<'a, F>,
        labels: &'a [usize],
        weights: [f64; 2],
    },
    /// Squared differences.
    Squares { teacher: Numbers<'a, F> },
    /// Each class by itself.
    Sigmoid { teacher: Numbers<'a, F> },
}

impl<'a, F: Float> Against<'a, F> {
    fn teacher(&self) -> Option<&Numbers<'a, F>> {
        match self {
            Self::Labels { .. } => None,
            Self::Teacher {
                numbers: teacher, ..
            }
            | Self::Corrected {
                numbers: teacher, ..
            }
            | Self::Decoupled { teacher, .. }
            | Self::Squares { teacher }
            | Self::Sigmoid { teacher } => Some(teacher),
        }
    }
}

/// The numbers of a teacher for a student of this shape.
pub(super) fn teacher_numbers<'a, F: Float>(
    student: Logits<'_, F>,
    teacher: Logits<'a, F>,
) -> Result<Numbers<'a, F>> {
    let [ours, theirs] = [student, teacher].map(|logits| <[usize; 2]>::from(logits.shape()));
    shape::check_same("teacher logits", &theirs, "student logits", &ours)?;
    Ok(teacher.numbers())
}

/// The teacher's logits, or an error that says that `loss` needs them.
pub(super) fn need_teacher<'a, F: Float>(
    teacher: Option<Logits<'a, F>>,
    loss: &'static str,
) -> Result<Logits<'a, F>> {
    teacher.ok_or(Error::MissingTarget {
        loss,
        part: "teacher output",
    })
}

/// Fails unless there is a class for the label of every row that is read. What stands for padding need
/// not be one.
pub(in crate::distill) fn check_labels<F: Float>(
    labels: &[usize],
    (rows, classes): (usize, usize),
    target: Target<'_, F>,
    ignored: Option<usize>,
) -> Result<()> {
    if labels.len() != rows {
        return Err(Error::WrongCount {
            what: "labels",
            given: labels.len(),
            expected: rows,
        });
    }
    let bad = |row: usize| {
        let label = labels[row];
        label >= classes && Some(label) != ignored && target.reads(row)
    };
    match (0..rows).find(|&row| bad(row)) {
        None => Ok(()),
        Some(row) => Err(Error::LabelOutOfRange {
            row,
            label: labels[row],
            classes,
        }),
    }
}

impl<'a, F: Float> Batch<'a, F> {
    /// A batch whose row i adds `shares[i]` · T² (if that is wanted) · its value. `temperatures` has one
    /// for each row, or none.
    pub(super) fn new(
        student: Logits<'a, F>,
        against: Against<'a, F>,
        shares: Shares,
        temperatures: &[f64],
        squared: bool,
    ) -> Result<Self> {
        let Shares { shares, reads } = shares;
        let mut value_factors = shares;
        let mut gradient_factors = value_factors.clone();
        for (row, &t) in temperatures.iter().enumerate() {
            value_factors[row] *= if squared { t * t } else { 1.0 };
            gradient_factors[row] *= if squared { t } else { t.recip() };
        }
        for (row, &reads) in reads.iter().enumerate() {
            let normal = |factor: f64| factor.is_normal() && F::cast(factor).is_finite();
            if reads && !(normal(value_factors[row]) && normal(gradient_factors[row])) {
                return Err(Error::NumberOutOfRange {
                    what: "weight of a row, over what the loss is divided by, times T or T²",
                    must: "neither overflow nor underflow",
                    value: value_factors[row],
                });
            }
        }
        let inverses = temperatures.iter().map(|&t| F::cast(t.recip()));
        Ok(Self {
            student: student.numbers(),
            shape: student.shape(),
            against,
            inverse_temperatures: inverses.collect(),
            reads,
            value_factors,
            gradient_factors,
        })
    }

    /// Σ factor · value, in the order of the rows.
    fn sum(&self, values: &[f64]) -> F {
        let pairs = values.iter().zip(&self.value_factors);
        // A row that is not read has value 0, and no other has factor 0: nothing becomes NaN here.
        F::cast(pairs.map(|(value, factor)| value * factor).sum())
    }

    fn reads(&self) -> impl Fn(usize) -> bool + Sync + '_ {
        |row| self.reads[row]
    }

    pub(super) fn value(&self) -> Result<F> {
        Ok(self.sum(&self.values()?))
    }

    /// The value of each row times its factor.
    pub(super) fn per_row(&self) -> Result<Array1<f64>> {
        let values = Array1::from(self.values()?);
        Ok(values * ArrayView1::from(&self.value_factors))
    }

    fn values(&self) -> Result<Vec<f64>> {
        RowSource::values(self, self.reads()).map_err(|faulty| self.error(faulty))
    }

    pub(super) fn evaluate(&self) -> Result<LossValue<F, Array2<F>>> {
        let mut grad = Array2::zeros(self.shape);
        let value = self.gradient(F::one(), Store::Write, &mut grad)?;
        Ok(LossValue { value, grad })
    }

    /// `scale` times the gradient, into `grad` or onto it.
    pub(super) fn gradient(&self, scale: F, store: Store, grad: &mut ArrayRef2<F>) -> Result<F> {
        let (rows, classes) = self.shape;
        shape::check_same("gradient", grad.shape(), "student logits", &[rows, classes])?;
        let scale = scale.widen();
        let factors = self.gradient_factors.iter();
        let factors: Vec<F> = factors.map(|&factor| F::cast(factor * scale)).collect();
        if let Some(factor) = factors.iter().find(|factor| !factor.is_finite()) {
            return Err(Error::NumberOutOfRange {
                what: "scale of a gradient, times the weight of a row",
                must: "finite",
                value: factor.widen(),
            });
        }
        let values = array::update(grad, |grad| {
            RowSource::gradient(self, &factors, self.reads(), store, grad)
        })
        .map_err(|faulty| self.error(faulty))?;
        Ok(self.sum(&values))
    }

    /// The number of a side at a place.
    fn number(&self, side: Side, place: usize) -> F {
        match (side, self.against.teacher()) {
            (Side::Teacher, Some(teacher)) => teacher.number(place),
            _ => self.student.number(place),
        }
    }

    fn error(&self, faulty: FaultyRow) -> Error {
        let first = faulty.row * self.shape.1;
        error_of(faulty, |side, class| {
            self.number(side, first + class).widen()
        })
    }
}

impl<F: Float> RowSource<F> for Batch<'_, F> {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn row<'s>(
        &'s self,
        row: usize,
        room: &'s mut Room<F>,
    ) -> Result<(&'s [F], RowAgainst<'s, F>), Fault> {
        let classes = self.shape.1;
        let range = row * classes..(row + 1) * classes;
        let student = self.student.row(range.clone(), &mut room.student);
        let inverse_temperature = self.inverse_temperatures.get(row);
        let inverse_temperature = inverse_temperature.copied().unwrap_or(F::one());
        let room = &mut room.teacher;
        let against = match &self.against {
            Against::Labels { labels, smoothing } => RowAgainst::Label {
                label: labels[row],
                smoothing: F::cast(*smoothing),
            },
            Against::Teacher {
                kind,
                numbers,
                given,
            } => divergence(*kind, numbers.row(range, room), *given, inverse_temperature),
            Against::Corrected {
                kind,
                numbers,
                given,
                correction,
                labels,
            } => match correction.of(labels[row]) {
                None => divergence(*kind, numbers.row(range, room), *given, inverse_temperature),
                Some(correction) => {
                    numbers.copy(range, room);
                    correction.of_row(room, labels[row], *given, inverse_temperature)?;
                    RowAgainst::Divergence {
                        kind: *kind,
                        teacher: room,
                        given: Given::Probabilities,
                        inverse_temperature,
                    }
                }
            },
            Against::Decoupled {
                teacher,
                labels,
                weights,
            } => RowAgainst::Decoupled {
                teacher: teacher.row(range, room),
                label: labels[row],
                weights: *weights,
                inverse_temperature,
            },
            Against::Squares { teacher } => RowAgainst::Squares {
                teacher: teacher.row(range, room),
            },
            Against::Sigmoid { teacher } => RowAgainst::Sigmoid {
                teacher: teacher.row(range, room),
                inverse_temperature,
            },
        };
        Ok((student, against))
    }
}

fn divergence<F>(
    kind: Kind,
    teacher: &[F],
    given: Given,
    inverse_temperature: F,
) -> RowAgainst<'_, F> {
    match (kind, given) {
        (Kind::Forward, Given::Logits) => RowAgainst::Logits {
            teacher,
            inverse_temperature,
        },
        _ => RowAgainst::Divergence {
            kind,
            teacher,
            given,
            inverse_temperature,
        },
    }
}

/// Fails unless there is a row and a class.
pub(super) fn check_not_empty((rows, classes): (usize, usize)) -> Result<()> {
    if rows == 0 || classes == 0 {
        Err(Error::NoLogits {
            shape: vec![rows, classes],
        })
    } else {
        Ok(())
    }
}
