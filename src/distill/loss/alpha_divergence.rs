//! Alpha divergence from logits, and its gradient.
//!
//! ```text
//! valueᵢ = T² / (α(1 − α)) · (1 − Σ_c p_icᵅ · q_ic¹⁻ᵅ)
//! ∂ valueᵢ / ∂ z = T · (h − q·Σh),   h = −pᵅ·q¹⁻ᵅ / α
//! ```
//!
//! With p the teacher's and q the student's probabilities. Amari 1985; Minka 2005, "Divergence measures and
//! message passing".

use super::settings::{Settings, check_share, divergence};
use crate::error::Result;
use crate::kernels::divergence::Kind;

/// Alpha divergence of teacher and student, from logits.
///
/// α = 1 is [`KlDivergence`](super::KlDivergence) and α = 0 is
/// [`ReverseKlDivergence`](super::ReverseKlDivergence), to the bit, and its limits; α = ½ is four times the
/// squared Hellinger distance. In between it is finite whatever either side masks.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | that of [`KlDivergence`](super::KlDivergence) |
/// | [`alpha`](Self::alpha) α | from the reverse divergence to the forward one | 0.5 | 0..=1 |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`](super::Reduction) |
/// | [`teacher_form`](Self::teacher_form) | what the teacher's numbers are | logits | [`TeacherForm`](super::TeacherForm) |
/// | [`label_correction`](Self::label_correction) | what labels make of the teacher's probabilities | nothing | [`LabelCorrection`](crate::distill::LabelCorrection) |
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{AlphaDivergence, Loss, Output, Target};
///
/// let student = Output::from(array![[0.0_f64, 0.0]]);
/// let teacher = Output::from(array![[3.0_f64.ln(), 0.0]]); // three to one
/// let loss = AlphaDivergence::new(1.0).evaluate(&student, Target::from(&teacher))?;
/// let overlap = (0.75 * 0.5_f64).sqrt() + (0.25 * 0.5_f64).sqrt();
/// assert!((loss.value - 4.0 * (1.0 - overlap)).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`](super::KlDivergence), and
/// [`NumberOutOfRange`](crate::Error::NumberOutOfRange) for α.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlphaDivergence {
    settings: Settings,
    alpha: f64,
}

impl AlphaDivergence {
    /// The divergence at this temperature, averaged over rows.
    pub const fn new(temperature: f64) -> Self {
        Self {
            settings: Settings::new(temperature),
            alpha: 0.5,
        }
    }

    /// The same with another α.
    #[must_use]
    pub const fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Which divergence it is.
    fn kind(&self) -> Result<Kind> {
        check_share("alpha", self.alpha)?;
        Ok(if self.alpha == 1.0 {
            Kind::Forward
        } else if self.alpha == 0.0 {
            Kind::Reverse
        } else {
            Kind::Alpha(self.alpha)
        })
    }
}

divergence!(AlphaDivergence, "alpha divergence");
