//! Forward Kullback-Leibler divergence from logits, and its gradient.
//!
//! ```text
//! p = softmax(z_teacher / T),  q = softmax(z_student / T)
//! valueᵢ = T² · Σ_c p_ic · (ln p_ic − ln q_ic)
//! ∂ valueᵢ / ∂ z_student,ic = T · (q_ic − p_ic)
//! ```
//!
//! Hinton, Vinyals and Dean 2015, <https://arxiv.org/abs/1503.02531>. The factor T² keeps the gradient
//! at the same size whatever the temperature. Everything stays in log space, in nats.

use super::settings::{Settings, divergence};
use super::{LossValue, Reduction};
use crate::distill::Target;
use crate::error::Result;
use crate::float::Float;
use crate::kernels::divergence::Kind;
use ndarray::{Array1, Array2, ArrayRef2};

/// Forward KL divergence, KL(teacher‖student), from logits.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | 1e-37 to 1e37 in f32, 1e-150 to 1e150 in f64 |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`] |
/// | [`teacher_form`](Self::teacher_form) | what the teacher's numbers are | logits | [`TeacherForm`](super::TeacherForm) |
/// | [`label_correction`](Self::label_correction) | what labels make of the teacher's probabilities | nothing | [`LabelCorrection`](crate::distill::LabelCorrection) |
///
/// A logit of −∞ is a class that is masked. Where the teacher masks a class it adds exactly nothing,
/// whatever the student says. Where the student masks a class that the teacher does not, the value is
/// +∞: [`value`](super::Loss::value) says so, and asking for a gradient is an error that names row and class.
/// There is no small constant added anywhere, and never a NaN.
///
/// For f32 logits the sums run in f64, and from T = 32 on everything does: the value is about 1/T², and
/// what is left of it in f32 would be lost. Even in f64 its relative error grows as 1e-16 · T². The same
/// bits come out for any number of threads.
///
/// PyTorch: `kl_div(log_softmax(student / T, 1), softmax(teacher / T, 1), reduction='batchmean') * T**2`.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{KlDivergence, Loss, Output, Reduction, Target};
///
/// let student = Output::from(array![[0.0_f64, 0.0], [0.0, 3.0]]);
/// let teacher = Output::from(array![[2.0, 0.0], [9.0, 9.0]]);
/// let weights = array![1.0, 0.0];
/// let loss = KlDivergence::new(2.0).reduction(Reduction::MeanOverWeights);
/// let loss = loss.evaluate(&student, Target::from(&teacher).weights(&weights))?;
/// assert!((loss.value - 0.443_776).abs() < 1e-6);
/// assert_eq!(loss.grad.logits.row(1), array![0.0, 0.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::TemperatureOutOfRange`](crate::Error::TemperatureOutOfRange): T is not in the range above.
/// * [`Error::ShapeMismatch`](crate::Error::ShapeMismatch): teacher and student logits have different shapes.
/// * [`Error::NoLogits`](crate::Error::NoLogits): no rows or no classes.
/// * [`Error::NotANumber`](crate::Error::NotANumber), [`Error::Infinite`](crate::Error::Infinite): a logit is NaN or +∞.
/// * [`Error::MaskedRow`](crate::Error::MaskedRow): every logit of a row is −∞.
/// * [`Error::InfiniteLoss`](crate::Error::InfiniteLoss): see above.
/// * [`Error::WrongCount`](crate::Error::WrongCount), [`Error::RowWeightOutOfRange`](crate::Error::RowWeightOutOfRange), [`Error::NoWeight`](crate::Error::NoWeight),
///   [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange): weights of rows, or what the loss is divided by.
/// * [`Error::MissingTarget`](crate::Error::MissingTarget): the target has no teacher output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlDivergence {
    settings: Settings,
}

impl KlDivergence {
    /// The divergence at this temperature, averaged over rows, times T².
    pub const fn new(temperature: f64) -> Self {
        Self {
            settings: Settings::new(temperature),
        }
    }

    /// Which divergence it is.
    fn kind(&self) -> Result<Kind> {
        Ok(Kind::Forward)
    }

    /// [`per_row`](Self::per_row) for arrays.
    pub(crate) fn rows_between<F: Float>(
        &self,
        student: &ArrayRef2<F>,
        teacher: &ArrayRef2<F>,
    ) -> Result<Array1<f64>> {
        let sum = self.reduction(Reduction::Sum).settings;
        sum.divergence(Kind::Forward, student.into(), teacher.into(), Target::new())?
            .per_row()
    }
}

divergence!(KlDivergence, "kl divergence");

/// Forward KL divergence, KL(teacher‖student), from logits of shape `[rows, classes]`, in nats.
///
/// ```text
/// value = T² / rows · Σᵢ Σ_c p_ic · (ln p_ic − ln q_ic),   p = softmax(teacher / T), q = softmax(student / T)
/// grad  = T / rows · (q − p)                               = d value / d student
/// ```
///
/// The mean over rows (PyTorch's `batchmean`), times T². [`KlDivergence`] has the settings: other
/// reductions, no T², weights of rows, value without gradient.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill;
///
/// let student = array![[0.0_f32, 0.0]];
/// let teacher = array![[2.0_f32, 0.0]];
/// let loss = distill::kl_divergence(&student, &teacher, 2.0)?;
/// assert!((loss.value - 0.443_776).abs() < 1e-6);
/// assert!((loss.grad[[0, 0]] + 0.462_117).abs() < 1e-6);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`].
pub fn kl_divergence<F: Float>(
    student: &ArrayRef2<F>,
    teacher: &ArrayRef2<F>,
    temperature: f64,
) -> Result<LossValue<F, Array2<F>>> {
    KlDivergence::new(temperature)
        .settings
        .divergence(Kind::Forward, student.into(), teacher.into(), Target::new())?
        .evaluate()
}
