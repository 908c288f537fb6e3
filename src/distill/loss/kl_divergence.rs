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

use super::rows::{Batch, Target as Against, check_not_empty};
use super::{Loss, LossValue, Reduction};
use crate::distill::{Output, Target};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::divergence::Store;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

const NAME: &str = "kl divergence";

/// Whether value and gradient are multiplied by T².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TemperatureFactor {
    /// By T², as Hinton et al. do, so that the gradient keeps its size at any temperature.
    #[default]
    Squared,
    /// By nothing: the divergence of the two softened distributions as it is.
    One,
}

/// Forward KL divergence, KL(teacher‖student), from logits.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | positive, finite |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`] |
///
/// A logit of −∞ is a class that is masked. Where the teacher masks a class it adds exactly nothing,
/// whatever the student says. Where the student masks a class that the teacher does not, the value is
/// +∞: [`value`](Loss::value) says so, and asking for a gradient is an error that names row and class.
/// There is no small constant added anywhere, and never a NaN.
///
/// For f32 logits the sums run in f64. The same bits come out for any number of threads.
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
/// * [`Error::TemperatureOutOfRange`]: T is zero, negative, infinite or NaN.
/// * [`Error::ShapeMismatch`]: teacher and student logits have different shapes.
/// * [`Error::NoLogits`]: no rows or no classes.
/// * [`Error::NotANumber`], [`Error::Infinite`]: a logit is NaN or +∞.
/// * [`Error::MaskedRow`]: every logit of a row is −∞.
/// * [`Error::InfiniteLoss`]: see above.
/// * [`Error::WrongCount`], [`Error::RowWeightOutOfRange`], [`Error::NoWeight`],
///   [`Error::NumberOutOfRange`]: weights of rows, or what the loss is divided by.
/// * [`Error::MissingTarget`]: the target has no teacher output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlDivergence {
    temperature: f64,
    factor: TemperatureFactor,
    reduction: Reduction,
}

impl KlDivergence {
    /// The divergence at this temperature, averaged over rows, times T².
    pub const fn new(temperature: f64) -> Self {
        Self {
            temperature,
            factor: TemperatureFactor::Squared,
            reduction: Reduction::MeanOverRows,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The same with or without T².
    #[must_use]
    pub const fn temperature_factor(mut self, factor: TemperatureFactor) -> Self {
        self.factor = factor;
        self
    }

    /// The value of each row, of shape [rows]: not reduced, but times T² if that is set.
    ///
    /// PyTorch: `reduction='none'`, summed over classes.
    ///
    /// # Errors
    ///
    /// Those of [`KlDivergence`], but for an infinite value, which is returned as such.
    pub fn per_row<F: Float>(
        &self,
        student: &ArrayRef2<F>,
        teacher: &ArrayRef2<F>,
    ) -> Result<Array1<f64>> {
        self.reduction(Reduction::Sum)
            .batch(student, teacher, None)?
            .per_row()
    }

    fn batch<'a, F: Float>(
        &self,
        student: &'a ArrayRef2<F>,
        teacher: &'a ArrayRef2<F>,
        weights: Option<&ArrayRef1<F>>,
    ) -> Result<Batch<'a, F>> {
        let temperature = self.temperature;
        // The inverse is what is computed with, in F; it must be a number too.
        let inverse = F::cast(temperature.recip());
        if !(temperature > 0.0 && inverse > F::zero() && inverse.is_finite()) {
            return Err(Error::TemperatureOutOfRange { temperature });
        }
        let against = Against::logits(student, teacher, temperature)?;
        check_not_empty(student)?;
        let factor = match self.factor {
            TemperatureFactor::Squared => temperature * temperature,
            TemperatureFactor::One => 1.0,
        };
        let mut factors = self.reduction.shares(student.dim(), weights)?;
        factors.iter_mut().for_each(|share| *share *= factor);
        Ok(Batch::new(student, against, factors, temperature.recip()))
    }
}

impl<F: Float> Loss<F> for KlDivergence {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        let teacher = target.need_teacher(NAME)?;
        let batch = self.batch(&student.logits, &teacher.logits, target.weights)?;
        let LossValue { value, grad } = batch.evaluate()?;
        Ok(LossValue {
            value,
            grad: student.like(grad),
        })
    }

    fn accumulate(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
        scale: F,
        grad: &mut Output<F>,
    ) -> Result<F> {
        grad.check_like(student)?;
        let teacher = target.need_teacher(NAME)?;
        let batch = self.batch(&student.logits, &teacher.logits, target.weights)?;
        batch.gradient(scale, Store::Add, &mut grad.logits)
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        let teacher = target.need_teacher(NAME)?;
        self.batch(&student.logits, &teacher.logits, target.weights)?
            .value()
    }
}

/// Forward KL divergence, KL(teacher‖student), from logits of shape [rows, classes], in nats.
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
        .batch(student, teacher, None)?
        .evaluate()
}
