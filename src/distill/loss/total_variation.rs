//! Total variation distance from logits, and a subgradient.
//!
//! ```text
//! valueᵢ = ½ · Σ_c |p_ic − q_ic|
//! ∂ valueᵢ / ∂ z = (h − q·Σh) / T,   h = ½·q·sign(q − p),   sign(0) = 0
//! ```
//!
//! With p the teacher's and q the student's probabilities. Wen et al. 2023 (f-distill),
//! <https://arxiv.org/abs/2307.15190>.

use super::TemperatureFactor;
use super::settings::{Settings, divergence};
use crate::error::Result;
use crate::kernels::divergence::Kind;

/// Total variation distance of teacher and student, from logits; between 0 and 1.
///
/// Finite whatever either side masks. It is no divergence that shrinks as 1/T², so the factor T² is off
/// unless it is asked for.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | that of [`KlDivergence`](super::KlDivergence) |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | no | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`](super::Reduction) |
/// | [`teacher_form`](Self::teacher_form) | what the teacher's numbers are | logits | [`TeacherForm`](super::TeacherForm) |
/// | [`label_correction`](Self::label_correction) | what labels make of the teacher's probabilities | nothing | [`LabelCorrection`](crate::distill::LabelCorrection) |
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{TotalVariation, Loss, Output, Target};
///
/// let student = Output::from(array![[0.0_f64, 0.0]]);
/// let teacher = Output::from(array![[3.0_f64.ln(), 0.0]]); // three to one
/// let loss = TotalVariation::new(1.0).evaluate(&student, Target::from(&teacher))?;
/// assert!((loss.value - 0.25).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`](super::KlDivergence).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TotalVariation {
    settings: Settings,
}

impl TotalVariation {
    /// The divergence at this temperature, averaged over rows.
    pub const fn new(temperature: f64) -> Self {
        let mut settings = Settings::new(temperature);
        settings.factor = TemperatureFactor::One;
        Self { settings }
    }

    /// Which divergence it is.
    fn kind(&self) -> Result<Kind> {
        Ok(Kind::TotalVariation)
    }
}

divergence!(TotalVariation, "total variation");
