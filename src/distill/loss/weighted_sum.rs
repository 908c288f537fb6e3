//! A weighted sum of losses.
//!
//! ```text
//! value = Σₖ weightₖ · valueₖ
//! ```

use super::{Evaluation, Loss, LossValue, TermValue};
use crate::distill::{Output, Target};
use crate::error::{Error, Result};
use crate::float::Float;
use std::sync::Arc;

/// A weighted sum of losses, each with a name.
///
/// Its parts may be of any type, the caller's own too. A part of weight 0 (once rounded to `F`) is not
/// evaluated, so it may ask for what the target lacks. Two sums are equal if they have the same
/// names, weights and the very same parts, as clones of one another have.
///
/// # Examples
///
/// Mostly the teacher, the rest of the truth:
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{CrossEntropy, KlDivergence, Loss, Output, Target, WeightedSum};
///
/// let loss = WeightedSum::new()
///     .with("soft", 0.7, KlDivergence::new(2.0))
///     .with_rest("hard", CrossEntropy::new())?;
/// let student = Output::from(array![[0.5_f32, 1.0]]);
/// let teacher = Output::from(array![[0.0_f32, 3.0]]);
/// let loss = loss.evaluate(&student, Target::from(&teacher).labels(&[1]))?;
/// assert!(loss.grad.logits[[0, 1]] < 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of its parts, [`Error::NumberOutOfRange`] if a weight is infinite, NaN or, though not 0, rounds
/// to 0 in `F`, and [`Error::OppositeInfinities`] if there is no value.
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
        self.push(name.into(), weight, Arc::new(loss));
        self
    }

    /// The same with a last term that gets what the others leave of 1, so that all weights sum to one.
    ///
    /// ```text
    /// weight = 1 − Σₖ weightₖ
    /// ```
    ///
    /// A remainder of less than 10⁻¹² is rounding and counts as 0, so that 0.7, 0.2 and 0.1 leave
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::distill::{CrossEntropy, KlDivergence, WeightedSum};
    ///
    /// let loss = WeightedSum::<f32>::new()
    ///     .with("soft", 0.75, KlDivergence::new(2.0))
    ///     .with_rest("hard", CrossEntropy::new())?;
    /// assert!(loss.terms().eq([("soft", 0.75), ("hard", 0.25)]));
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] if a weight so far is negative, infinite or NaN, or their sum is
    /// above 1.
    pub fn with_rest(
        mut self,
        name: impl Into<String>,
        loss: impl Loss<F> + 'static,
    ) -> Result<Self> {
        self.push_rest(name.into(), Arc::new(loss))?;
        Ok(self)
    }

    pub(super) fn push(&mut self, name: String, weight: f64, loss: Arc<dyn Loss<F>>) {
        self.terms.push(Term { name, weight, loss });
    }

    pub(super) fn push_rest(&mut self, name: String, loss: Arc<dyn Loss<F>>) -> Result<()> {
        /// What sums of weights written in decimals are off by, at most.
        const ROUNDING: f64 = 1e-12;
        let out_of_range = |what, must, value| Error::NumberOutOfRange { what, must, value };
        let usable = |weight: f64| (0.0..f64::INFINITY).contains(&weight);
        if let Some(term) = self.terms.iter().find(|term| !usable(term.weight)) {
            let must = "finite and not negative where another takes the rest";
            return Err(out_of_range("weight of a term", must, term.weight));
        }
        let sum: f64 = self.terms.iter().map(|term| term.weight).sum();
        let rest = 1.0 - sum;
        if rest < -ROUNDING {
            let what = "sum of the weights before the rest";
            return Err(out_of_range(what, "at most 1", sum));
        }
        self.push(name, if rest <= ROUNDING { 0.0 } else { rest }, loss);
        Ok(())
    }

    /// Name and weight of each term, in the order in which they were added.
    pub fn terms(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.terms
            .iter()
            .map(|term| (term.name.as_str(), term.weight))
    }

    /// The sum with its gradient, and beside it what each term says.
    ///
    /// The sum and the gradient are those of [`evaluate`](Loss::evaluate), to the bit, at no further
    /// cost.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::distill::{CrossEntropy, KlDivergence, Output, Target, WeightedSum};
    ///
    /// let loss = WeightedSum::new()
    ///     .with("soft", 0.0, KlDivergence::new(2.0))
    ///     .with("hard", 0.5, CrossEntropy::new());
    /// let student = Output::from(array![[0.0_f64, 0.0]]);
    /// let evaluation = loss.evaluate_terms(&student, Target::new().labels(&[1]))?;
    /// assert_eq!(evaluation.terms[0].value, None);
    /// assert_eq!(evaluation.terms[1].value, Some(2.0_f64.ln()));
    /// assert_eq!(evaluation.to_string(), "0.346574 = 0 · soft + 0.5 · hard 0.693147");
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`WeightedSum`].
    pub fn evaluate_terms(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
    ) -> Result<Evaluation<F>> {
        self.check()?;
        let mut grad = student.zeros_like();
        let mut value = F::zero();
        let mut terms = Vec::with_capacity(self.terms.len());
        for Term { name, weight, loss } in &self.terms {
            let factor = F::cast(*weight);
            let of_term = if factor == F::zero() {
                None
            } else {
                Some(loss.accumulate(student, target, factor, &mut grad)?)
            };
            if let Some(of_term) = of_term {
                value += factor * of_term;
            }
            terms.push(TermValue {
                name: name.clone(),
                weight: *weight,
                value: of_term,
            });
        }
        let loss = LossValue { value, grad };
        Ok(Evaluation { loss, terms })
    }

    pub(super) fn check(&self) -> Result<()> {
        // As it is computed with, in F: neither infinite there nor nothing unless it is nothing.
        let bad = |term: &&Term<F>| {
            let weight = F::cast(term.weight);
            !weight.is_finite() || (weight == F::zero()) != (term.weight == 0.0)
        };
        match self.terms.iter().find(bad) {
            None => Ok(()),
            Some(term) => Err(Error::NumberOutOfRange {
                what: "weight of a term",
                must: "finite, and 0 or large enough to be a number",
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
        Ok(self.evaluate_terms(student, target)?.loss)
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        self.check()?;
        let factors = self.terms.iter().map(|term| F::cast(term.weight));
        let value = self
            .terms
            .iter()
            .zip(factors)
            .filter(|(_, factor)| *factor != F::zero())
            .try_fold(F::zero(), |value, (term, factor)| {
                Ok(value + factor * term.loss.value(student, target)?)
            })?;
        if value.is_nan() {
            return Err(Error::OppositeInfinities);
        }
        Ok(value)
    }
}
