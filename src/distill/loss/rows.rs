//! From the kernels' rows to values, gradients and errors.

use super::LossValue;
use super::reduction::Shares;
use crate::distill::Target;
use crate::distill::faults::error_of;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::divergence::{FaultyRow, Given, Kind, RowAgainst, Rows, Side, Store};
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{Array1, Array2, ArrayRef2, ArrayView1};
use std::borrow::Cow;

/// Rows of student logits, what they are compared with, and what each of them counts.
pub(super) struct Batch<'a, F: Float> {
    student: Cow<'a, [F]>,
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
        numbers: Cow<'a, [F]>,
        given: Given,
    },
    /// Labels against all others, and these among themselves.
    Decoupled {
        teacher: Cow<'a, [F]>,
        labels: &'a [usize],
        weights: [f64; 2],
    },
    /// Squared differences.
    Squares { teacher: Cow<'a, [F]> },
    /// Each class by itself.
    Sigmoid { teacher: Cow<'a, [F]> },
}

/// The numbers of a teacher for a student of this shape.
pub(super) fn teacher_numbers<'a, F: Float>(
    student: &ArrayRef2<F>,
    teacher: &'a ArrayRef2<F>,
) -> Result<Cow<'a, [F]>> {
    let (ours, theirs) = (student.shape(), teacher.shape());
    shape::check_same("teacher logits", theirs, "student logits", ours)?;
    Ok(array::elements(teacher))
}

/// Fails unless there is a class for the label of every row that is read. What stands for padding need
/// not be one.
pub(super) fn check_labels<F: Float>(
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
        student: &'a ArrayRef2<F>,
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
            student: array::elements(student),
            shape: student.dim(),
            against,
            inverse_temperatures: inverses.collect(),
            reads,
            value_factors,
            gradient_factors,
        })
    }

    fn rows<'s>(&'s self) -> Rows<'s, F, impl Fn(usize) -> RowAgainst<'s, F> + Sync> {
        let classes = self.shape.1;
        let against = move |row: usize| {
            let inverse_temperature = self.inverse_temperatures.get(row);
            let inverse_temperature = inverse_temperature.copied().unwrap_or(F::one());
            let range = row * classes..(row + 1) * classes;
            match &self.against {
                Against::Labels { labels, smoothing } => RowAgainst::Label {
                    label: labels[row],
                    smoothing: F::cast(*smoothing),
                },
                Against::Teacher {
                    kind: Kind::Forward,
                    numbers,
                    given: Given::Logits,
                } => RowAgainst::Logits {
                    teacher: &numbers[range],
                    inverse_temperature,
                },
                Against::Teacher {
                    kind,
                    numbers,
                    given,
                } => RowAgainst::Divergence {
                    kind: *kind,
                    teacher: &numbers[range],
                    given: *given,
                    inverse_temperature,
                },
                Against::Decoupled {
                    teacher,
                    labels,
                    weights,
                } => RowAgainst::Decoupled {
                    teacher: &teacher[range],
                    label: labels[row],
                    weights: *weights,
                    inverse_temperature,
                },
                Against::Squares { teacher } => RowAgainst::Squares {
                    teacher: &teacher[range],
                },
                Against::Sigmoid { teacher } => RowAgainst::Sigmoid {
                    teacher: &teacher[range],
                    inverse_temperature,
                },
            }
        };
        Rows {
            student: &self.student,
            classes,
            against,
        }
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
        self.rows()
            .values(self.reads())
            .map_err(|faulty| self.error(faulty))
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
            self.rows().gradient(&factors, self.reads(), store, grad)
        })
        .map_err(|faulty| self.error(faulty))?;
        Ok(self.sum(&values))
    }

    /// The number of a side at a place.
    fn number(&self, side: Side, place: usize) -> F {
        match (side, &self.against) {
            (Side::Teacher, Against::Teacher { numbers, .. }) => numbers[place],
            (
                Side::Teacher,
                Against::Decoupled { teacher, .. }
                | Against::Squares { teacher }
                | Against::Sigmoid { teacher },
            ) => teacher[place],
            _ => self.student[place],
        }
    }

    fn error(&self, faulty: FaultyRow) -> Error {
        let first = faulty.row * self.shape.1;
        error_of(faulty, |side, class| {
            self.number(side, first + class).widen()
        })
    }
}

/// Fails unless there is a row and a class.
pub(super) fn check_not_empty<F>(logits: &ArrayRef2<F>) -> Result<()> {
    if logits.is_empty() {
        Err(Error::NoLogits {
            shape: logits.shape().to_vec(),
        })
    } else {
        Ok(())
    }
}
