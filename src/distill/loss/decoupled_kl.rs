//! Decoupled Kullback-Leibler divergence from logits, and its gradient.
//!
//! ```text
//! valueᵢ = T² · (α · KL((p_y, 1 − p_y) ‖ (q_y, 1 − q_y)) + β · KL(p̂ ‖ q̂))
//! ```
//!
//! y is the label, p̂ and q̂ are the probabilities of all other classes brought to sum to one. Zhao et al.
//! 2022, <https://arxiv.org/abs/2203.08679>: the forward divergence is α = 1 and β = 1 − p_y, which silences
//! what a sure teacher knows of the other classes.

use super::logits::Logits;
use super::rows::{Against, Batch, check_labels, check_not_empty, need_teacher, teacher_numbers};
use super::settings::{Settings, loss_by_rows, settings};
use crate::distill::Target;
use crate::error::{Error, Result};
use crate::float::Float;

const NAME: &str = "decoupled kl divergence";

/// Decoupled KL divergence, from logits and labels.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | that of [`KlDivergence`](super::KlDivergence) |
/// | [`weights`](Self::weights) α, β | of the label against the others, of the others among themselves | 1, 8 | finite, not negative |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`](super::Reduction) |
///
/// Each side needs a class beside the label that it does not mask. Where there is only one class, the value
/// is 0.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{DecoupledKl, Loss, Output, Target};
///
/// // Both are equally sure of the label 0, and the student cannot tell the others apart.
/// let student = Output::from(array![[2.0_f64.ln(), 0.0, 0.0]]);
/// let teacher = Output::from(array![[4.0_f64.ln(), 3.0_f64.ln(), 0.0]]);
/// let loss = DecoupledKl::new(1.0).weights(1.0, 8.0);
/// let loss = loss.evaluate(&student, Target::from(&teacher).labels(&[0]))?;
/// let others = 0.75 * (0.75_f64 / 0.5).ln() + 0.25 * (0.25_f64 / 0.5).ln();
/// assert!((loss.value - 8.0 * others).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`](super::KlDivergence) and, about labels, of
/// [`CrossEntropy`](super::CrossEntropy); [`NumberOutOfRange`](Error::NumberOutOfRange) for α and β.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecoupledKl {
    settings: Settings,
    weights: [f64; 2],
}

impl DecoupledKl {
    /// The divergence at this temperature with α = 1 and β = 8, averaged over rows, times T².
    pub const fn new(temperature: f64) -> Self {
        Self {
            settings: Settings::new(temperature),
            weights: [1.0, 8.0],
        }
    }

    /// The same with other weights: α of the label against all others, β of the others among themselves.
    #[must_use]
    pub const fn weights(mut self, alpha: f64, beta: f64) -> Self {
        self.weights = [alpha, beta];
        self
    }

    fn prepare<'a, F: Float>(
        &self,
        student: Logits<'a, F>,
        teacher: Option<Logits<'a, F>>,
        target: Target<'a, F>,
    ) -> Result<Batch<'a, F>> {
        let bad = |weight: &&f64| !(0.0..f64::INFINITY).contains(*weight);
        if let Some(&value) = self.weights.iter().find(bad) {
            return Err(Error::NumberOutOfRange {
                what: "weight of a part of the decoupled divergence",
                must: "finite and not negative",
                value,
            });
        }
        let teacher = need_teacher(teacher, NAME)?;
        let labels = target.need_labels(NAME)?;
        self.settings.batch(student, target, || {
            let numbers = teacher_numbers(student, teacher)?;
            check_not_empty(student.shape())?;
            check_labels(labels, student.shape(), target, None)?;
            Ok(Against::Decoupled {
                teacher: numbers,
                labels,
                weights: self.weights,
            })
        })
    }
}

settings!(DecoupledKl,);
loss_by_rows!(DecoupledKl);
#[cfg(feature = "half")]
super::stored::stored!(DecoupledKl, teacher: T);
