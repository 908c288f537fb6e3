//! Skewed Kullback-Leibler divergence from logits, and its gradient.
//!
//! ```text
//! m = λ·p + (1 − λ)·q
//! valueᵢ = T² · KL(p‖m)
//! ∂ valueᵢ / ∂ z = T · (h − q·Σh),   h = −p·(1 − λ)·q / m
//! ```
//!
//! With p the teacher's and q the student's probabilities. Ko et al. 2024 (DistiLLM),
//! <https://arxiv.org/abs/2402.03898>.

use super::settings::{Settings, check_share, divergence};
use crate::error::Result;
use crate::kernels::divergence::Kind;

/// Skewed KL divergence, KL(teacher‖λ·teacher + (1 − λ)·student), from logits.
///
/// A little of the teacher in the mixture bounds the gradient where the student knows nothing of a class.
/// λ = 0 is [`KlDivergence`](super::KlDivergence), to the bit. Above, it is finite whatever either side
/// masks.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | that of [`KlDivergence`](super::KlDivergence) |
/// | [`lambda`](Self::lambda) λ | share of the teacher in the mixture | 0.1 | 0..=1 |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`](super::Reduction) |
/// | [`teacher_form`](Self::teacher_form) | what the teacher's numbers are | logits | [`TeacherForm`](super::TeacherForm) |
/// | [`label_correction`](Self::label_correction) | what labels make of the teacher's probabilities | nothing | [`LabelCorrection`](crate::distill::LabelCorrection) |
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{SkewedKl, Loss, Output, Target};
///
/// let student = Output::from(array![[0.0_f64, 0.0]]);
/// let teacher = Output::from(array![[3.0_f64.ln(), 0.0]]); // three to one
/// let loss = SkewedKl::new(1.0).lambda(0.5).evaluate(&student, Target::from(&teacher))?;
/// let right = 0.75 * (0.75_f64 / 0.625).ln() + 0.25 * (0.25_f64 / 0.375).ln();
/// assert!((loss.value - right).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`](super::KlDivergence), and
/// [`NumberOutOfRange`](crate::Error::NumberOutOfRange) for λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SkewedKl {
    settings: Settings,
    lambda: f64,
}

impl SkewedKl {
    /// The divergence at this temperature, averaged over rows.
    pub const fn new(temperature: f64) -> Self {
        Self {
            settings: Settings::new(temperature),
            lambda: 0.1,
        }
    }

    /// The same with another λ, the share of the teacher in the mixture.
    #[must_use]
    pub const fn lambda(mut self, lambda: f64) -> Self {
        self.lambda = lambda;
        self
    }

    /// Which divergence it is.
    fn kind(&self) -> Result<Kind> {
        check_share("lambda", self.lambda)?;
        Ok(if self.lambda == 0.0 {
            Kind::Forward
        } else {
            Kind::Skewed(self.lambda)
        })
    }
}

divergence!(SkewedKl, "skewed kl divergence");
