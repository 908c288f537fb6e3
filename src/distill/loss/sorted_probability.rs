//! Universal logit distillation: probabilities compared by rank, for vocabularies that differ.
//!
//! ```text
//! p = softmax(z_teacher / T),  q = softmax(z_student / T),  both sorted descending, zeros behind the shorter
//! valueᵢ = Σₖ |p_i(k) − q_i(k)|
//! s_c = sign(q₍ₖ₎ − p₍ₖ₎) at the rank k of class c,   ∂ valueᵢ / ∂ z_ic = q_ic / T · (s_c − Σⱼ q_ij·s_j)
//! ```
//!
//! Boizard, El Haddad, Hudelot and Colombo 2024, <https://arxiv.org/abs/2402.12030>.

use super::reduction::Shares;
use super::{Loss, LossValue, Reduction, check_temperature};
use crate::distill::faults::error_of;
use crate::distill::{Output, Target};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::divergence::sorted::SortedRows;
use crate::kernels::divergence::{FaultyRow, Side};
use crate::kernels::real::Real;
use ndarray::{Array1, Array2, ArrayRef2};
use std::borrow::Cow;

const NAME: &str = "sorted-probability distance";

/// Universal logit distillation (ULD): the L1 distance of the two sorted distributions.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | that of [`KlDivergence`](crate::distill::KlDivergence) |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`] |
///
/// Student and teacher may have different numbers of classes, and their classes need not mean the same:
/// only how probable the likeliest class is, the second likeliest and so on. That is also all that it
/// teaches: nothing in it says *which* class, so it goes with a loss that does. The value lies in
/// 0..=2. There is no T²: the paper has none.
///
/// Where logits are equal, the class with the lower index comes first. Where the two probabilities of a
/// rank are equal, the distance has a corner and the gradient there is 0. A logit of −∞ is a class
/// of probability 0. [`Reduction::MeanOverElements`] counts the student's classes.
///
/// Sums run in f64 for either float. The same bits come out for any number of threads.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{Loss, Output, SortedProbability, Target};
///
/// // Three classes of the student, two of the teacher.
/// let student = Output::from(array![[0.0_f64, 0.0, f64::NEG_INFINITY]]);
/// let teacher = Output::from(array![[0.0, 3.0_f64.ln()]]);
/// let loss = SortedProbability::new(1.0).evaluate(&student, Target::from(&teacher))?;
/// // |0.5 − 0.75| + |0.5 − 0.25| + |0 − 0|
/// assert!((loss.value - 0.5).abs() < 1e-12);
/// assert!((loss.grad.logits[[0, 0]] + 0.5).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::TemperatureOutOfRange`]: T is not in the range of [`KlDivergence`](crate::distill::KlDivergence).
/// * [`Error::ShapeMismatch`]: teacher and student logits have different numbers of rows.
/// * [`Error::NoLogits`]: no rows or no classes, on either side.
/// * [`Error::NotANumber`], [`Error::Infinite`]: a logit is NaN or +∞.
/// * [`Error::MaskedRow`]: every logit of a row is −∞.
/// * [`Error::WrongCount`], [`Error::RowWeightOutOfRange`], [`Error::NoWeight`],
///   [`Error::NumberOutOfRange`]: weights of rows, or what the loss is divided by.
/// * [`Error::MissingTarget`]: the target has no teacher output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SortedProbability {
    temperature: f64,
    reduction: Reduction,
}

/// Checked rows and their factors.
struct Batch<'a, F: Float> {
    student: Cow<'a, [F]>,
    teacher: Cow<'a, [F]>,
    shape: (usize, usize),
    teacher_classes: usize,
    inverse_temperature: f64,
    shares: Vec<f64>,
    reads: Vec<bool>,
}

impl SortedProbability {
    /// The distance at this temperature, averaged over rows.
    pub const fn new(temperature: f64) -> Self {
        Self {
            temperature,
            reduction: Reduction::MeanOverRows,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The distance of each row times its weight, of shape `[rows]`, not reduced.
    ///
    /// # Errors
    ///
    /// Those of [`SortedProbability`].
    pub fn per_row<F: Float>(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
    ) -> Result<Array1<f64>> {
        let teacher = &target.need_teacher(NAME)?.logits;
        let sum = self.reduction(Reduction::Sum);
        let batch = sum.batch(&student.logits, teacher, target)?;
        let values = Array1::from(batch.values()?);
        Ok(values * Array1::from(batch.shares))
    }

    fn batch<'a, F: Float>(
        &self,
        student: &'a ArrayRef2<F>,
        teacher: &'a ArrayRef2<F>,
        target: Target<'_, F>,
    ) -> Result<Batch<'a, F>> {
        check_temperature::<F>(self.temperature)?;
        let inverse_temperature = self.temperature.recip();
        if teacher.nrows() != student.nrows() {
            return Err(Error::ShapeMismatch {
                left: "teacher logits",
                left_shape: teacher.shape().to_vec(),
                right: "student logits",
                right_shape: student.shape().to_vec(),
            });
        }
        super::rows::check_not_empty(student.dim())?;
        super::rows::check_not_empty(teacher.dim())?;
        let Shares { shares, reads } = self.reduction.shares(student.dim(), target, |_| false)?;
        Ok(Batch {
            student: array::elements(student),
            teacher: array::elements(teacher),
            shape: student.dim(),
            teacher_classes: teacher.ncols(),
            inverse_temperature,
            shares,
            reads,
        })
    }
}

impl<F: Float> Batch<'_, F> {
    fn rows(&self) -> SortedRows<'_, F> {
        SortedRows {
            student: &self.student,
            student_classes: self.shape.1,
            teacher: &self.teacher,
            teacher_classes: self.teacher_classes,
            inverse_temperature: self.inverse_temperature,
        }
    }

    fn reads(&self) -> impl Fn(usize) -> bool + Sync + '_ {
        |row| self.reads[row]
    }

    fn values(&self) -> Result<Vec<f64>> {
        let values = self.rows().values(self.reads());
        values.map_err(|faulty| self.error(faulty))
    }

    fn sum(&self, values: &[f64]) -> F {
        let pairs = values.iter().zip(&self.shares);
        F::cast(pairs.map(|(value, share)| value * share).sum())
    }

    fn evaluate(&self) -> Result<LossValue<F, Array2<F>>> {
        let mut grad = Array2::zeros(self.shape);
        let values = array::update(&mut grad, |grad| {
            self.rows().gradient(&self.shares, self.reads(), grad)
        });
        let values = values.map_err(|faulty| self.error(faulty))?;
        let value = self.sum(&values);
        Ok(LossValue { value, grad })
    }

    fn error(&self, faulty: FaultyRow) -> Error {
        let row = faulty.row;
        error_of(faulty, |side, class| match side {
            Side::Student => self.student[row * self.shape.1 + class].widen(),
            Side::Teacher => self.teacher[row * self.teacher_classes + class].widen(),
        })
    }
}

impl<F: Float> Loss<F> for SortedProbability {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        let teacher = target.need_teacher(NAME)?;
        let batch = self.batch(&student.logits, &teacher.logits, target)?;
        let LossValue { value, grad } = batch.evaluate()?;
        Ok(LossValue {
            value,
            grad: student.like(grad),
        })
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        let teacher = target.need_teacher(NAME)?;
        let batch = self.batch(&student.logits, &teacher.logits, target)?;
        Ok(batch.sum(&batch.values()?))
    }
}
