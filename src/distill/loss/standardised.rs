//! Logits of which each row is brought to mean 0 and deviation 1 before a loss sees them.
//!
//! ```text
//! y = (z − μ) / σ,   μ = mean of the row,   σ² = mean of (z − μ)²
//! ∂ value / ∂ z = (g − mean(g) − y · mean(g·y)) / σ,   g = ∂ value / ∂ y
//! ```
//!
//! Sun, Ren, Li, Wang and Cao 2024, <https://arxiv.org/abs/2403.01427>: a student need only match the shape of
//! its teacher's logits, not their size.

use super::{Loss, LossValue};
use crate::distill::{Output, Target};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use ndarray::{Array2, ArrayRef2, Zip};

const NAME: &str = "standardised loss";

/// A loss over logits that sees those of both sides standardised, row by row.
///
/// A row whose logits are all equal has deviation 0; its standardised logits are 0, and so is its
/// gradient. −∞ has no mean and is an error. The loss sees no features.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{KlDivergence, Loss, Output, Standardised, Target};
///
/// // Three times as large and moved: the same shape.
/// let student = Output::from(array![[1.0_f64, 2.0, 4.0]]);
/// let teacher = Output::from(array![[10.0, 13.0, 19.0]]);
/// let loss = Standardised::new(KlDivergence::new(2.0));
/// assert!(loss.value(&student, Target::from(&teacher))? < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of the loss, [`Error::MissingTarget`] without a teacher, [`Error::NotANumber`] and
/// [`Error::Infinite`] for a logit that is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standardised<L> {
    loss: L,
}

impl<L> Standardised<L> {
    /// The same loss, of standardised logits.
    pub const fn new(loss: L) -> Self {
        Self { loss }
    }
}

/// Standardised logits and the deviation of each row.
struct Rows<F> {
    logits: Array2<F>,
    deviations: Vec<f64>,
}

fn standardise<F: Float>(
    what: &'static str,
    logits: &ArrayRef2<F>,
    target: Target<'_, F>,
) -> Result<Rows<F>> {
    let skips = |row: usize| {
        let weight = target.weights.and_then(|weights| weights.get(row));
        let there = target.mask.and_then(|mask| mask.get(row));
        weight.is_some_and(|&weight| weight == F::zero()) || there == Some(&false)
    };
    let mut standardised = Array2::zeros(logits.raw_dim());
    let mut deviations = vec![0.0; logits.nrows()];
    let rows = logits.rows().into_iter().zip(standardised.rows_mut());
    for (row, ((from, mut to), deviation)) in rows.zip(&mut deviations).enumerate() {
        if skips(row) {
            continue;
        }
        if let Some(class) = from.iter().position(|z| !z.is_finite()) {
            return Err(Error::not_finite(
                what,
                vec![row, class],
                from[class].widen(),
            ));
        }
        // In parts of the largest, whose squares do not overflow.
        let largest = from
            .iter()
            .fold(0.0_f64, |most, z| most.max(z.widen().abs()));
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let count = count(from.len());
        let mean = from.iter().map(|z| z.widen() / unit).sum::<f64>() / count;
        let off = |z: &F| z.widen() / unit - mean;
        let square = from.iter().map(|z| off(z) * off(z)).sum::<f64>() / count;
        // Rounding of equal logits is no deviation.
        let sigma = if square > 1e-30 { square.sqrt() } else { 0.0 };
        *deviation = sigma * unit;
        if sigma > 0.0 {
            Zip::from(&mut to)
                .and(&from)
                .for_each(|to, z| *to = F::cast(off(z) / sigma));
        }
    }
    Ok(Rows {
        logits: standardised,
        deviations,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of classes above 2⁵³ do not occur"
)]
fn count(classes: usize) -> f64 {
    classes as f64
}

impl<F: Float> Rows<F> {
    /// From the gradient by standardised logits to that by the logits themselves.
    fn pull_back(&self, mut grad: Array2<F>) -> Array2<F> {
        let rows = grad.rows_mut().into_iter().zip(self.logits.rows());
        for ((mut g, y), &deviation) in rows.zip(&self.deviations) {
            if deviation == 0.0 {
                g.fill(F::zero());
                continue;
            }
            let classes = count(g.len());
            let mean = g.iter().map(|g| g.widen()).sum::<f64>() / classes;
            let along = g.iter().zip(&y).map(|(g, y)| g.widen() * y.widen());
            let along = along.sum::<f64>() / classes;
            Zip::from(&mut g).and(&y).for_each(|g, y| {
                *g = F::cast((g.widen() - mean - y.widen() * along) / deviation);
            });
        }
        grad
    }
}

impl<F: Float, L: Loss<F>> Loss<F> for Standardised<L> {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        let teacher = &target.need_teacher(NAME)?.logits;
        let ours = standardise("student logit", &student.logits, target)?;
        let theirs = Output::from(standardise("teacher logit", teacher, target)?.logits);
        let standardised = Output::from(ours.logits.clone());
        let LossValue { value, grad } =
            self.loss.evaluate(&standardised, target.teacher(&theirs))?;
        grad.check_like(&standardised)?;
        let grad = student.like(ours.pull_back(grad.logits));
        Ok(LossValue { value, grad })
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        let teacher = &target.need_teacher(NAME)?.logits;
        let ours = Output::from(standardise("student logit", &student.logits, target)?.logits);
        let theirs = Output::from(standardise("teacher logit", teacher, target)?.logits);
        self.loss.value(&ours, target.teacher(&theirs))
    }
}
