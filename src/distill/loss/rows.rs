//! From the kernels' rows to values, gradients and errors.

use super::LossValue;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::divergence::{Against, Fault, FaultyRow, Rows, Side, Store};
use crate::shape;
use ndarray::{Array1, Array2, ArrayRef2, ArrayView1};
use std::borrow::Cow;

/// Rows of student logits, what they are compared with, and what each of them counts.
pub(super) struct Batch<'a, F: Float> {
    student: Cow<'a, [F]>,
    shape: (usize, usize),
    against: Target<'a, F>,
    /// What the value of a row is multiplied by.
    value_factors: Vec<f64>,
    /// What the gradient of a row is multiplied by, which may differ: a temperature is in it.
    gradient_factors: Vec<f64>,
}

/// What student logits are compared with.
pub(super) enum Target<'a, F: Float> {
    Logits {
        teacher: Cow<'a, [F]>,
        inverse_temperature: F,
    },
    Labels(&'a [usize]),
}

impl<'a, F: Float> Target<'a, F> {
    /// The logits of a teacher, for a student of this shape.
    pub(super) fn logits(
        student: &ArrayRef2<F>,
        teacher: &'a ArrayRef2<F>,
        temperature: f64,
    ) -> Result<Self> {
        shape::check_same(
            "teacher logits",
            teacher.shape(),
            "student logits",
            student.shape(),
        )?;
        let inverse_temperature = F::cast(temperature.recip());
        Ok(Self::Logits {
            teacher: array::elements(teacher),
            inverse_temperature,
        })
    }

    /// Labels, for a student of this shape.
    pub(super) fn labels(student: &ArrayRef2<F>, labels: &'a [usize]) -> Result<Self> {
        let (rows, classes) = student.dim();
        if labels.len() != rows {
            let (what, given) = ("labels", labels.len());
            return Err(Error::WrongCount {
                what,
                given,
                expected: rows,
            });
        }
        match labels.iter().position(|&label| label >= classes) {
            Some(row) => Err(Error::LabelOutOfRange {
                row,
                label: labels[row],
                classes,
            }),
            None => Ok(Self::Labels(labels)),
        }
    }
}

impl<'a, F: Float> Batch<'a, F> {
    /// A batch whose row i adds `value_factors[i]` · its value, and has `gradient_factor` times as
    /// much of the gradient of the kernel's value.
    pub(super) fn new(
        student: &'a ArrayRef2<F>,
        against: Target<'a, F>,
        value_factors: Vec<f64>,
        gradient_factor: f64,
    ) -> Self {
        let gradient_factors = value_factors
            .iter()
            .map(|factor| factor * gradient_factor)
            .collect();
        let (student, shape) = (array::elements(student), student.dim());
        Self {
            student,
            shape,
            against,
            value_factors,
            gradient_factors,
        }
    }

    fn rows(&self) -> Rows<'_, F> {
        let against = match &self.against {
            Target::Logits {
                teacher,
                inverse_temperature,
            } => Against::Logits {
                teacher,
                inverse_temperature: *inverse_temperature,
            },
            Target::Labels(labels) => Against::Labels(labels),
        };
        Rows {
            student: &self.student,
            classes: self.shape.1,
            against,
        }
    }

    /// Σ factor · value, in the order of the rows.
    fn sum(&self, values: &[f64]) -> F {
        let pairs = values.iter().zip(&self.value_factors);
        // A row of weight 0 has value 0, never infinity, so nothing becomes NaN here.
        F::cast(pairs.map(|(value, factor)| value * factor).sum())
    }

    /// A row of weight 0 is not read.
    fn reads(&self) -> impl Fn(usize) -> bool + Sync + '_ {
        |row| self.value_factors[row] != 0.0
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
        shape::check_same(
            "gradient",
            grad.shape(),
            "student logits",
            &[self.shape.0, self.shape.1],
        )?;
        let scale = scale.widen();
        let factors = self
            .gradient_factors
            .iter()
            .map(|&factor| F::cast(factor * scale));
        let factors: Vec<F> = factors.collect();
        let values = array::update(grad, |grad| {
            self.rows().gradient(&factors, self.reads(), store, grad)
        })
        .map_err(|faulty| self.error(faulty))?;
        Ok(self.sum(&values))
    }

    fn error(&self, FaultyRow { row, fault }: FaultyRow) -> Error {
        let name = |side| match side {
            Side::Student => ("student", "student logit"),
            Side::Teacher => ("teacher", "teacher logit"),
        };
        match fault {
            Fault::NotALogit { side, class } => {
                let place = row * self.shape.1 + class;
                let (what, index) = (name(side).1, vec![row, class]);
                let value = match (&self.against, side) {
                    (Target::Logits { teacher, .. }, Side::Teacher) => teacher[place],
                    _ => self.student[place],
                };
                if value.is_nan() {
                    Error::NotANumber { what, index }
                } else {
                    Error::Infinite {
                        what,
                        index,
                        value: value.widen(),
                    }
                }
            }
            Fault::AllMasked { side } => Error::MaskedRow {
                side: name(side).0,
                row,
            },
            Fault::RuledOut { class } => Error::InfiniteLoss { row, class },
        }
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
