//! Distances between what a student says and what it should say.

mod cross_entropy;
mod kl_divergence;
mod reduction;
mod rows;
mod weighted_sum;

pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use kl_divergence::{KlDivergence, TemperatureFactor, kl_divergence};
pub use reduction::Reduction;
pub use weighted_sum::WeightedSum;

use super::{Output, Target};
use crate::error::Result;
use crate::float::Float;
use std::fmt::Debug;
use std::sync::Arc;

/// The value of a loss and its gradient with respect to the student's output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossValue<F, G = Output<F>> {
    /// The loss.
    pub value: F,
    /// d value / d student output, in the shapes of that output.
    pub grad: G,
}

/// A distance between what a student says and what it should say.
///
/// A loss holds settings and no data: it is made once and serves every batch.
///
/// # Examples
///
/// Mean squared error of the logits:
///
/// ```
/// use ndarray::array;
/// use rarefy::Result;
/// use rarefy::distill::{Loss, LossValue, Output, Target};
///
/// #[derive(Debug)]
/// struct LogitError;
///
/// impl Loss<f64> for LogitError {
///     fn evaluate(
///         &self,
///         student: &Output<f64>,
///         target: Target<'_, f64>,
///     ) -> Result<LossValue<f64>> {
///         let difference = &student.logits - &target.need_teacher("logit error")?.logits;
///         let n = difference.len() as f64;
///         let value = difference.mapv(|d| d * d).sum() / n;
///         Ok(LossValue { value, grad: Output::from(difference * (2.0 / n)) })
///     }
/// }
///
/// let student = Output::from(array![[1.0, 2.0]]);
/// let teacher = Output::from(array![[1.0, 4.0]]);
/// let loss = LogitError.evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, 2.0);
/// assert_eq!(loss.grad.logits, array![[0.0, -2.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
pub trait Loss<F: Float>: Debug + Send + Sync {
    /// The value and its gradient, of the shapes of the student's output.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTarget`](crate::Error::MissingTarget) if the target lacks a part; what else
    /// there is, the loss documents.
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>>;

    /// Adds `scale` times the gradient to `grad`, and returns the value (not scaled).
    ///
    /// # Errors
    ///
    /// As [`evaluate`](Self::evaluate), and if `grad` has other shapes than the student's output.
    /// `grad` is then unchanged.
    fn accumulate(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
        scale: F,
        grad: &mut Output<F>,
    ) -> Result<F> {
        grad.check_like(student)?;
        let loss = self.evaluate(student, target)?;
        grad.add_scaled(scale, &loss.grad)?;
        Ok(loss.value)
    }

    /// The value alone. Where it is infinite it is returned, since no gradient is asked for.
    ///
    /// # Errors
    ///
    /// As [`evaluate`](Self::evaluate).
    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        self.evaluate(student, target).map(|loss| loss.value)
    }
}

macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<F: Float, L: Loss<F> + ?Sized> Loss<F> for $pointer {
            fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
                (**self).evaluate(student, target)
            }

            fn accumulate(
                &self,
                student: &Output<F>,
                target: Target<'_, F>,
                scale: F,
                grad: &mut Output<F>,
            ) -> Result<F> {
                (**self).accumulate(student, target, scale, grad)
            }

            fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
                (**self).value(student, target)
            }
        }
    )+};
}

forward!(&L, Box<L>, Arc<L>);
