//! Kullback-Leibler divergence of classes that do not exclude one another, and its gradient.
//!
//! ```text
//! p = σ(z_teacher / T),  q = σ(z_student / T),  σ(x) = 1 / (1 + e⁻ˣ)
//! valueᵢ = T² · Σ_c (p_ic · ln(p_ic / q_ic) + (1 − p_ic) · ln((1 − p_ic) / (1 − q_ic)))
//! ∂ valueᵢ / ∂ z_ic = T · (q_ic − p_ic)
//! ```

use super::logits::Logits;
use super::rows::{Against, Batch, need_teacher, teacher_numbers};
use super::settings::{Settings, loss_by_rows, settings};
use crate::distill::Target;
use crate::error::Result;
use crate::float::Float;

const NAME: &str = "sigmoid kl divergence";

/// KL divergence of logistic probabilities, for several labels at a time: each class is a yes or no of its
/// own.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | that of [`KlDivergence`](super::KlDivergence) |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows and classes is divided by | the number of rows | [`Reduction`](super::Reduction) |
///
/// A logit of −∞ is a class that certainly does not apply. It differs from
/// `binary_cross_entropy_with_logits` with the teacher's probabilities by their entropy, which does not
/// depend on the student: so it is 0 where both agree. Rows of f32 with a logit beyond ±40 · T, or masked, are
/// computed in f64.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{Loss, Output, SigmoidKl, Target};
///
/// let student = Output::from(array![[0.0_f32, 5.0]]);
/// let teacher = Output::from(array![[3.0_f32.ln(), 5.0]]);
/// let loss = SigmoidKl::new(1.0).evaluate(&student, Target::from(&teacher))?;
/// let right = 0.75 * 1.5_f32.ln() + 0.25 * 0.5_f32.ln();
/// assert!((loss.value - right).abs() < 1e-6);
/// assert_eq!(loss.grad.logits[[0, 1]], 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`KlDivergence`](super::KlDivergence), except that a row may be masked altogether.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SigmoidKl {
    settings: Settings,
}

impl SigmoidKl {
    /// The divergence at this temperature, summed over classes and averaged over rows, times T².
    pub const fn new(temperature: f64) -> Self {
        Self {
            settings: Settings::new(temperature),
        }
    }

    fn prepare<'a, F: Float>(
        &self,
        student: Logits<'a, F>,
        teacher: Option<Logits<'a, F>>,
        target: Target<'a, F>,
    ) -> Result<Batch<'a, F>> {
        let teacher = need_teacher(teacher, NAME)?;
        self.settings.batch(student, target, || {
            let teacher = teacher_numbers(student, teacher)?;
            Ok(Against::Sigmoid { teacher })
        })
    }
}

settings!(SigmoidKl,);
loss_by_rows!(SigmoidKl);
#[cfg(feature = "half")]
super::stored::stored!(SigmoidKl, teacher: T);
