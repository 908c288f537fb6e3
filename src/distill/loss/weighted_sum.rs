//! A weighted sum of losses.
//!
//! ```text
//! value = Σₖ weightₖ · valueₖ
//! ```

use super::{Loss, LossValue};
use crate::distill::{Output, Target};
use crate::error::{Error, Result};
use crate::float::Float;
use std::sync::Arc;

/// A weighted sum of losses, each with a name.
///
/// Its parts may be of any type, the caller's own too. A part of weight 0 is not evaluated, so it may
/// ask for what the target lacks. Two sums are equal if they have the same
/// names, weights and the very same parts, as clones of one another have.
///
/// # Examples
///
/// Mostly the teacher, a little of the truth:
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{CrossEntropy, KlDivergence, Loss, Output, Target, WeightedSum};
///
/// let loss = WeightedSum::new()
///     .with("soft", 0.7, KlDivergence::new(2.0))
///     .with("hard", 0.3, CrossEntropy::new());
/// let student = Output::from(array![[0.5_f32, 1.0]]);
/// let teacher = Output::from(array![[0.0_f32, 3.0]]);
/// let loss = loss.evaluate(&student, Target::from(&teacher).labels(&[1]))?;
/// assert!(loss.grad.logits[[0, 1]] < 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of its parts, and [`Error::NumberOutOfRange`] if a weight is infinite or NaN.
#[derive(Clone, Debug)]
pub struct WeightedSum<F: Float> {
    terms: Vec<Term<F>>,
}

#[derive(Clone, Debug)]
struct Term<F: Float> {
    name: String,
    weight: f64,
    loss: Arc<dyn Loss<F>>,
}

impl<F: Float> WeightedSum<F> {
    /// A sum without terms: its value is 0 and so is its gradient.
    pub const fn new() -> Self {
        Self { terms: Vec::new() }
    }

    /// The same with one more term.
    #[must_use]
    pub fn with(
        mut self,
        name: impl Into<String>,
        weight: f64,
        loss: impl Loss<F> + 'static,
    ) -> Self {
        self.terms.push(Term {
            name: name.into(),
            weight,
            loss: Arc::new(loss),
        });
        self
    }

    /// Name and weight of each term, in the order in which they were added.
    pub fn terms(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.terms
            .iter()
            .map(|term| (term.name.as_str(), term.weight))
    }

    fn evaluated(&self) -> impl Iterator<Item = &Term<F>> {
        self.terms.iter().filter(|term| term.weight != 0.0)
    }

    fn check(&self) -> Result<()> {
        match self.terms.iter().find(|term| !term.weight.is_finite()) {
            None => Ok(()),
            Some(term) => Err(Error::NumberOutOfRange {
                what: "weight of a term",
                must: "finite",
                value: term.weight,
            }),
        }
    }
}

impl<F: Float> Default for WeightedSum<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> PartialEq for WeightedSum<F> {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Term<F>, &Term<F>)| {
            a.name == b.name && a.weight == b.weight && Arc::ptr_eq(&a.loss, &b.loss)
        };
        self.terms.len() == other.terms.len() && self.terms.iter().zip(&other.terms).all(same)
    }
}

impl<F: Float> Loss<F> for WeightedSum<F> {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        self.check()?;
        let mut grad = student.zeros_like();
        let mut value = F::zero();
        for Term { weight, loss, .. } in self.evaluated() {
            let weight = F::cast(*weight);
            value += weight * loss.accumulate(student, target, weight, &mut grad)?;
        }
        Ok(LossValue { value, grad })
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        self.check()?;
        self.evaluated()
            .try_fold(F::zero(), |value, Term { weight, loss, .. }| {
                Ok(value + F::cast(*weight) * loss.value(student, target)?)
            })
    }
}
