//! Reverse Kullback-Leibler divergence from logits, and its gradient.
//!
//! ```text
//! valueᵢ = T² · Σ_c q_ic · (ln q_ic − ln p_ic)
//! ∂ valueᵢ / ∂ z_ic = T · q_ic · ((ln q_ic − ln p_ic) − KLᵢ)
//! ```
//!
//! With p the teacher's and q the student's probabilities. It lets a small student leave out what it cannot
//! learn, where the forward divergence makes it cover everything (Gu et al. 2023,
//! <https://arxiv.org/abs/2306.08543>).

use super::settings::{Settings, divergence};
use crate::error::Result;
use crate::kernels::divergence::Kind;

/// Reverse KL divergence, KL(student‖teacher), from logits.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | that of [`KlDivergence`](super::KlDivergence) |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`](super::Reduction) |
/// | [`teacher_form`](Self::teacher_form) | what the teacher's numbers are | logits | [`TeacherForm`](super::TeacherForm) |
/// | [`label_correction`](Self::label_correction) | what labels make of the teacher's probabilities | nothing | [`LabelCorrection`](crate::distill::LabelCorrection) |
///
/// Where the student masks a class it adds exactly nothing, whatever the teacher says.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{ReverseKlDivergence, Loss, Output, Target};
///
/// let student = Output::from(array![[0.0_f64, 0.0]]);
/// let teacher = Output::from(array![[3.0_f64.ln(), 0.0]]); // three to one
/// let loss = ReverseKlDivergence::new(1.0).evaluate(&student, Target::from(&teacher))?;
/// let right = 0.5 * (0.5_f64 / 0.75).ln() + 0.5 * (0.5_f64 / 0.25).ln();
/// assert!((loss.value - right).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`](super::KlDivergence), where [`InfiniteLoss`](crate::Error::InfiniteLoss) means that the teacher
/// masks a class that the student does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseKlDivergence {
    settings: Settings,
}

impl ReverseKlDivergence {
    /// The divergence at this temperature, averaged over rows.
    pub const fn new(temperature: f64) -> Self {
        Self {
            settings: Settings::new(temperature),
        }
    }

    /// Which divergence it is.
    fn kind(&self) -> Result<Kind> {
        Ok(Kind::Reverse)
    }
}

divergence!(ReverseKlDivergence, "reverse kl divergence");
