//! Generalised Jensen-Shannon divergence from logits, and its gradient.
//!
//! ```text
//! m = β·p + (1 − β)·q
//! valueᵢ = T² · (β·KL(p‖m) + (1 − β)·KL(q‖m))
//! ∂ valueᵢ / ∂ z = T · (h − q·Σh),   h = (1 − β)·q·(ln q − ln m)
//! ```
//!
//! With p the teacher's and q the student's probabilities. Agarwal et al. 2023,
//! <https://arxiv.org/abs/2306.13649>. There β = 0 and 1 stand for the forward and the reverse divergence,
//! which are not the limits of the formula (those are 0), and so they do here.

use super::settings::{Settings, check_share, divergence};
use crate::error::Result;
use crate::kernels::divergence::Kind;

/// Generalised Jensen-Shannon divergence of teacher and student, from logits.
///
/// β = ½ is the symmetric one. β = 0 is [`KlDivergence`](super::KlDivergence) and β = 1 is
/// [`ReverseKlDivergence`](super::ReverseKlDivergence), to the bit. In between it is finite whatever either
/// side masks.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | that of [`KlDivergence`](super::KlDivergence) |
/// | [`beta`](Self::beta) β | share of the teacher in the mixture | 0.5 | 0..=1 |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`](super::Reduction) |
/// | [`teacher_form`](Self::teacher_form) | what the teacher's numbers are | logits | [`TeacherForm`](super::TeacherForm) |
/// | [`label_correction`](Self::label_correction) | what labels make of the teacher's probabilities | nothing | [`LabelCorrection`](crate::distill::LabelCorrection) |
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{JensenShannon, Loss, Output, Target};
///
/// let student = Output::from(array![[0.0_f64, 0.0]]);
/// let teacher = Output::from(array![[3.0_f64.ln(), 0.0]]); // three to one
/// let loss = JensenShannon::new(1.0).evaluate(&student, Target::from(&teacher))?;
/// assert!((loss.value - 0.033_822).abs() < 1e-6); // nats
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`](super::KlDivergence), and
/// [`NumberOutOfRange`](crate::Error::NumberOutOfRange) for β.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JensenShannon {
    settings: Settings,
    beta: f64,
}

impl JensenShannon {
    /// The divergence at this temperature, averaged over rows.
    pub const fn new(temperature: f64) -> Self {
        Self {
            settings: Settings::new(temperature),
            beta: 0.5,
        }
    }

    /// The same with another β, the share of the teacher in the mixture.
    #[must_use]
    pub const fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Which divergence it is.
    fn kind(&self) -> Result<Kind> {
        check_share("beta", self.beta)?;
        Ok(if self.beta == 0.0 {
            Kind::Forward
        } else if self.beta == 1.0 {
            Kind::Reverse
        } else {
            Kind::JensenShannon(self.beta)
        })
    }
}

divergence!(JensenShannon, "jensen-shannon divergence");
