//! Distances between what a student says and what it should say.

mod alpha_divergence;
mod cross_entropy;
mod decoupled_kl;
mod inner;
mod jensen_shannon;
mod kl_divergence;
mod logit_mse;
mod logits;
mod reduction;
mod reverse_kl_divergence;
mod rows;
mod scheduled_sum;
mod settings;
mod sigmoid_kl;
mod skewed_kl;
mod skewed_reverse_kl;
mod sorted_probability;
mod standardised;
#[cfg(feature = "half")]
mod stored;
mod streaming;
mod tail_bucket;
mod terms;
mod top_k;
mod total_variation;
mod weighted_sum;

pub use alpha_divergence::AlphaDivergence;
pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use decoupled_kl::DecoupledKl;
pub use inner::{
    AttentionKl, AttentionMeasure, AttentionMse, AttentionTransfer, CongruenceKernel,
    CorrelationCongruence, Dist, Fsp, HiddenCosine, HiddenMse, MiniLm, MiniLmRelations, Mmd,
    MmdKernel, PatientHidden, Pkt, RelationKl, RelationalAngle, RelationalDistance,
    SimilarityPreserving,
};
pub use jensen_shannon::JensenShannon;
pub use kl_divergence::{KlDivergence, kl_divergence};
pub use logit_mse::LogitMse;
pub use reduction::Reduction;
pub use reverse_kl_divergence::ReverseKlDivergence;
pub(super) use rows::check_labels;
pub use scheduled_sum::ScheduledSum;
pub use settings::{TeacherForm, TemperatureFactor};
pub(super) use settings::{check_share, check_temperature};
pub use sigmoid_kl::SigmoidKl;
pub use skewed_kl::SkewedKl;
pub use skewed_reverse_kl::SkewedReverseKl;
pub use sorted_probability::SortedProbability;
pub use standardised::Standardised;
#[cfg(feature = "half")]
pub use stored::Logit;
pub use streaming::{
    GradientBuffers, OutputLayer, OutputLayerGradient, StreamingBatch, StreamingDistillation,
};
pub use tail_bucket::TailBucketDivergence;
pub use terms::{Evaluation, TermValue};
pub use top_k::TopKDivergence;
pub use total_variation::TotalVariation;
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
///         Ok(LossValue { value, grad: student.like(difference * (2.0 / n)) })
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

    /// Writes the gradient to `grad`, and returns the value.
    ///
    /// The fastest way where the same buffer serves every step: nothing of its size is allocated. If it
    /// is not overridden, it fills `grad` with zeros and has [`accumulate`](Self::accumulate) add to them.
    ///
    /// # Errors
    ///
    /// As [`evaluate`](Self::evaluate), and if `grad` has other shapes than the student's output.
    /// `grad` may then have been written to.
    fn evaluate_into(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
        grad: &mut Output<F>,
    ) -> Result<F> {
        grad.check_like(student)?;
        grad.logits.fill(F::zero());
        for feature in grad.features.values_mut() {
            feature.fill(F::zero());
        }
        self.accumulate(student, target, F::one(), grad)
    }

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

            fn evaluate_into(
                &self,
                student: &Output<F>,
                target: Target<'_, F>,
                grad: &mut Output<F>,
            ) -> Result<F> {
                (**self).evaluate_into(student, target, grad)
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
