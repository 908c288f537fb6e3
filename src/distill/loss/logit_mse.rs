//! Squared differences of logits, and their gradient.
//!
//! ```text
//! valueᵢ = Σ_c (z_student,ic − z_teacher,ic)²        ∂ valueᵢ / ∂ z_student,ic = 2·(z_student,ic − z_teacher,ic)
//! ```
//!
//! Ba and Caruana 2014, <https://arxiv.org/abs/1312.6184>: what the softened divergence tends to at a high
//! temperature, up to each row's mean and a factor.

use super::Reduction;
use super::logits::Logits;
use super::rows::{Against, Batch, check_not_empty, need_teacher, teacher_numbers};
use super::settings::loss_by_rows;
use crate::distill::Target;
use crate::error::Result;
use crate::float::Float;

const NAME: &str = "logit mean squared error";

/// Mean squared error of logits. It holds on to their mean too, which a softmax forgets.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`reduction`](Self::reduction) | what the sum over rows and classes is divided by | the number of logits | [`Reduction`] |
///
/// A masked logit, −∞, has no distance and is an error. PyTorch: `mse_loss(student, teacher)`.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{LogitMse, Loss, Output, Target};
///
/// let student = Output::from(array![[1.0_f64, 2.0]]);
/// let teacher = Output::from(array![[1.0, 4.0]]);
/// let loss = LogitMse::new().evaluate(&student, Target::from(&teacher))?;
/// assert_eq!((loss.value, loss.grad.logits), (2.0, array![[0.0, -2.0]]));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`](super::KlDivergence) but for temperatures, and
/// [`Infinite`](crate::Error::Infinite) for −∞ too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitMse {
    reduction: Reduction,
}

impl LogitMse {
    /// The mean over all logits.
    pub const fn new() -> Self {
        Self {
            reduction: Reduction::MeanOverElements,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    fn prepare<'a, F: Float>(
        &self,
        student: Logits<'a, F>,
        teacher: Option<Logits<'a, F>>,
        target: Target<'a, F>,
    ) -> Result<Batch<'a, F>> {
        let teacher = teacher_numbers(student, need_teacher(teacher, NAME)?)?;
        check_not_empty(student.shape())?;
        let shares = self.reduction.shares(student.shape(), target, |_| false)?;
        Batch::new(student, Against::Squares { teacher }, shares, &[], false)
    }
}

impl Default for LogitMse {
    fn default() -> Self {
        Self::new()
    }
}

loss_by_rows!(LogitMse);
#[cfg(feature = "half")]
super::stored::stored!(LogitMse, teacher: T);
