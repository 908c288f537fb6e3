//! Cross-entropy with hard labels, from logits, and its gradient.
//!
//! ```text
//! valueᵢ = −ln softmax(zᵢ)[labelᵢ]
//! ∂ valueᵢ / ∂ z_ic = softmax(zᵢ)[c] − (1 if c = labelᵢ else 0)
//! ```

use super::rows::{Batch, Target as Against, check_not_empty};
use super::{Loss, LossValue, Reduction};
use crate::distill::{Output, Target};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::divergence::Store;
use ndarray::{Array2, ArrayRef1, ArrayRef2};

const NAME: &str = "cross-entropy";

/// Cross-entropy with the right class of each row, from logits.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`] |
///
/// A logit of −∞ is a class that is masked. Where the label itself is masked, the value is +∞:
/// [`value`](Loss::value) says so, and asking for a gradient is an error that names row and class.
///
/// PyTorch: `torch.nn.functional.cross_entropy(logits, labels)`.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{CrossEntropy, Loss, Output, Target};
///
/// let student = Output::from(array![[0.0, 0.0], [f64::NEG_INFINITY, 5.0]]);
/// let loss = CrossEntropy::new().evaluate(&student, Target::new().labels(&[0, 1]))?;
/// assert!((loss.value - 2.0_f64.ln() / 2.0).abs() < 1e-12);
/// assert_eq!(loss.grad.logits, array![[-0.25, 0.25], [0.0, 0.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::MissingTarget`](crate::Error::MissingTarget): the target has no labels.
/// * [`Error::WrongCount`](crate::Error::WrongCount): not as many labels (or weights) as rows.
/// * [`Error::LabelOutOfRange`](crate::Error::LabelOutOfRange): there is no such class.
/// * [`Error::InfiniteLoss`](crate::Error::InfiniteLoss): see above.
/// * Those of [`KlDivergence`](super::KlDivergence) that speak of the student's logits, the weights of
///   rows and what the loss is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    reduction: Reduction,
}

impl CrossEntropy {
    /// Cross-entropy averaged over rows.
    pub const fn new() -> Self {
        Self {
            reduction: Reduction::MeanOverRows,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    fn batch<'a, F: Float>(
        &self,
        student: &'a ArrayRef2<F>,
        labels: &'a [usize],
        weights: Option<&ArrayRef1<F>>,
    ) -> Result<Batch<'a, F>> {
        check_not_empty(student)?;
        let against = Against::labels(student, labels)?;
        let factors = self.reduction.shares(student.dim(), weights)?;
        Ok(Batch::new(student, against, factors, 1.0))
    }
}

impl<F: Float> Loss<F> for CrossEntropy {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        let batch = self.batch(&student.logits, target.need_labels(NAME)?, target.weights)?;
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
        let batch = self.batch(&student.logits, target.need_labels(NAME)?, target.weights)?;
        batch.gradient(scale, Store::Add, &mut grad.logits)
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        self.batch(&student.logits, target.need_labels(NAME)?, target.weights)?
            .value()
    }
}

/// Cross-entropy of logits of shape [rows, classes] with the right class of each row, in nats.
///
/// ```text
/// value = −1 / rows · Σᵢ ln softmax(zᵢ)[labelᵢ]        grad = (softmax(z) − onehot) / rows
/// ```
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill;
///
/// let loss = distill::cross_entropy(&array![[0.0_f32, 0.0]], &[1])?;
/// assert!((loss.value - 0.693_147).abs() < 1e-6);
/// assert_eq!(loss.grad, array![[0.5, -0.5]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`CrossEntropy`].
pub fn cross_entropy<F: Float>(
    student: &ArrayRef2<F>,
    labels: &[usize],
) -> Result<LossValue<F, Array2<F>>> {
    CrossEntropy::new().batch(student, labels, None)?.evaluate()
}
