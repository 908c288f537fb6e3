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
use crate::kernels::array;
use crate::kernels::real::Real;
use crate::kernels::standard::{self, Scale};
use ndarray::{Array2, ArrayRef2};

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

/// Standardised logits and what their rows were divided by.
struct Rows<F> {
    output: Output<F>,
    scales: Vec<Scale>,
}

fn standardise<F: Float>(
    what: &'static str,
    logits: &ArrayRef2<F>,
    target: Target<'_, F>,
) -> Result<Rows<F>> {
    let mut standardised = Array2::zeros(logits.dim());
    let from = array::elements(logits);
    let scales = array::update(&mut standardised, |to| {
        standard::standardise(&from, logits.ncols(), |row| target.reads(row), to)
    });
    let scales = scales.map_err(|(row, class)| {
        Error::not_finite(what, vec![row, class], logits[[row, class]].widen())
    })?;
    Ok(Rows {
        output: Output::from(standardised),
        scales,
    })
}

impl<F: Float> Rows<F> {
    /// From the gradient by standardised logits to that by the logits themselves.
    fn pull_back(&self, grad: &mut ArrayRef2<F>) {
        let standardised = array::elements(&self.output.logits);
        let classes = self.output.logits.ncols();
        array::update(grad, |grad| {
            standard::pull_back(&standardised, &self.scales, classes, grad);
        });
    }
}

/// Both sides, student's first.
fn both<F: Float>(student: &Output<F>, target: Target<'_, F>) -> Result<[Rows<F>; 2]> {
    let teacher = &target.need_teacher(NAME)?.logits;
    let ours = standardise("student logit", &student.logits, target)?;
    Ok([ours, standardise("teacher logit", teacher, target)?])
}

impl<F: Float, L: Loss<F>> Loss<F> for Standardised<L> {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        let [ours, theirs] = both(student, target)?;
        let target = target.teacher(&theirs.output);
        let LossValue { value, mut grad } = self.loss.evaluate(&ours.output, target)?;
        grad.check_like(&ours.output)?;
        ours.pull_back(&mut grad.logits);
        let grad = student.like(grad.logits);
        Ok(LossValue { value, grad })
    }

    fn evaluate_into(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
        grad: &mut Output<F>,
    ) -> Result<F> {
        grad.check_like(student)?;
        let [ours, theirs] = both(student, target)?;
        let target = target.teacher(&theirs.output);
        // The loss sees no features, so its gradient has none: the logits alone are lent to it.
        let mut of_logits = Output::from(std::mem::take(&mut grad.logits));
        let value = self
            .loss
            .evaluate_into(&ours.output, target, &mut of_logits);
        let same = of_logits.check_like(&ours.output);
        grad.logits = of_logits.logits;
        let value = value?;
        same?;
        ours.pull_back(&mut grad.logits);
        for feature in grad.features.values_mut() {
            feature.fill(F::zero());
        }
        Ok(value)
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        let [ours, theirs] = both(student, target)?;
        self.loss
            .value(&ours.output, target.teacher(&theirs.output))
    }
}
