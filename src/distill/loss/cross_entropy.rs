//! Cross-entropy with hard labels, from logits, and its gradient.
//!
//! ```text
//! valueᵢ = −ln softmax(zᵢ)[labelᵢ]
//! ∂ valueᵢ / ∂ z_ic = softmax(zᵢ)[c] − (1 if c = labelᵢ else 0)
//! ```
//!
//! With a share ε of smoothing, 1 − ε of the value is that, and ε is the mean over all classes as labels
//! (Szegedy et al. 2016, <https://arxiv.org/abs/1512.00567>).

use super::logits::Logits;
use super::rows::{Against, Batch, check_labels, check_not_empty};
use super::settings::{check_share, loss_by_rows};
use super::{LossValue, Reduction};
use crate::distill::Target;
use crate::error::Result;
use crate::float::Float;
use ndarray::{Array2, ArrayRef2};

const NAME: &str = "cross-entropy";

/// Cross-entropy with the right class of each row, from logits.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`] |
/// | [`label_smoothing`](Self::label_smoothing) | the share of a label that all classes get | 0 | 0..=1 |
/// | [`ignore_index`](Self::ignore_index) | the label of rows to leave out | none | any number |
///
/// A logit of −∞ is a class that is masked. Where the label itself is masked, the value is +∞:
/// [`value`](super::Loss::value) says so, and asking for a gradient is an error that names row and class.
///
/// With smoothing that holds for any masked logit, since every class is a label a little.
///
/// PyTorch: `torch.nn.functional.cross_entropy(logits, labels, label_smoothing=…, ignore_index=…)`. If
/// every row is ignored, PyTorch's mean is NaN and ours an error.
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
    smoothing: f64,
    ignored: Option<usize>,
}

impl CrossEntropy {
    /// Cross-entropy averaged over rows.
    pub const fn new() -> Self {
        Self {
            reduction: Reduction::MeanOverRows,
            smoothing: 0.0,
            ignored: None,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The same with this share of each label spread evenly over all classes.
    #[must_use]
    pub const fn label_smoothing(mut self, share: f64) -> Self {
        self.smoothing = share;
        self
    }

    /// The same where a row with this label, which need not be a class, is as if it were not there.
    #[must_use]
    pub const fn ignore_index(mut self, label: usize) -> Self {
        self.ignored = Some(label);
        self
    }

    fn prepare<'a, F: Float>(
        &self,
        student: Logits<'a, F>,
        _teacher: Option<Logits<'a, F>>,
        target: Target<'a, F>,
    ) -> Result<Batch<'a, F>> {
        let labels = target.need_labels(NAME)?;
        check_share("label smoothing", self.smoothing)?;
        check_not_empty(student.shape())?;
        check_labels(labels, student.shape(), target, self.ignored)?;
        let ignores = |row: usize| Some(labels[row]) == self.ignored;
        let shares = self.reduction.shares(student.shape(), target, ignores)?;
        let smoothing = self.smoothing;
        let against = Against::Labels { labels, smoothing };
        Batch::new(student, against, shares, &[], false)
    }
}

loss_by_rows!(CrossEntropy);
#[cfg(feature = "half")]
super::stored::stored!(CrossEntropy);

/// Cross-entropy of logits of shape `[rows, classes]` with the right class of each row, in nats.
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
    let target = Target::new().labels(labels);
    CrossEntropy::new()
        .prepare(Logits::Own(student), None, target)?
        .evaluate()
}
