//! A sum of losses whose weights and settings follow schedules.
//!
//! ```text
//! value at step s = Σₖ weightₖ(s) · valueₖ
//! ```

use super::{Loss, WeightedSum};
use crate::error::Result;
use crate::float::Float;
use crate::schedule::Schedule;
use std::fmt;
use std::sync::Arc;

/// A sum of losses whose weights and settings follow [schedules](crate::schedule).
///
/// It is a recipe, not a loss: [`at`](Self::at) gives the [`WeightedSum`] of a step, a plain value. So
/// nothing has to be advanced, saved or reset, and a resumed run asks for the step where it was.
///
/// | method | weight | loss |
/// |---|---|---|
/// | [`with`](Self::with) | a schedule | always the same |
/// | [`with_changing`](Self::with_changing) | a schedule | made for each step by a closure: a temperature that falls, a margin that grows |
/// | [`with_rest`](Self::with_rest) | what the terms before it leave of 1 | always the same |
///
/// # Examples
///
/// Teacher annealing: the labels take over from the teacher (Clark et al. 2019,
/// <https://arxiv.org/abs/1907.04829>), and the temperature falls to 1 meanwhile (Jafari et al. 2021,
/// <https://arxiv.org/abs/2104.07163>, does so with a regression).
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{CrossEntropy, KlDivergence, Loss, Output, ScheduledSum, Target};
/// use rarefy::schedule::{Linear, Schedule};
///
/// let temperature = Linear::new(5.0, 1.0, 0..=100)?;
/// let recipe = ScheduledSum::new()
///     .with_changing("soft", Linear::new(1.0, 0.0, 0..=100)?, move |step| {
///         KlDivergence::new(temperature.at(step))
///     })
///     .with_rest("hard", CrossEntropy::new());
///
/// let half = recipe.at(50)?;
/// assert!(half.terms().eq([("soft", 0.5), ("hard", 0.5)]));
/// let student = Output::from(array![[0.0_f32, 1.0]]);
/// let teacher = Output::from(array![[2.0_f32, 0.0]]);
/// let value = half.value(&student, Target::from(&teacher).labels(&[1]))?;
/// assert!((value - 0.696_744).abs() < 1e-6);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone)]
pub struct ScheduledSum<F: Float> {
    terms: Vec<Term<F>>,
}

#[derive(Clone)]
struct Term<F: Float> {
    name: String,
    weight: Weight,
    loss: Part<F>,
}

#[derive(Clone)]
enum Weight {
    Scheduled(Arc<dyn Schedule>),
    Rest,
}

#[derive(Clone)]
enum Part<F: Float> {
    Fixed(Arc<dyn Loss<F>>),
    Changing(Arc<dyn Fn(u64) -> Arc<dyn Loss<F>> + Send + Sync>),
}

impl<F: Float> ScheduledSum<F> {
    /// A recipe without terms.
    pub const fn new() -> Self {
        Self { terms: Vec::new() }
    }

    /// The same with one more loss, whose weight follows a schedule.
    #[must_use]
    pub fn with(
        self,
        name: impl Into<String>,
        weight: impl Schedule + 'static,
        loss: impl Loss<F> + 'static,
    ) -> Self {
        let weight = Weight::Scheduled(Arc::new(weight));
        self.push(name.into(), weight, Part::Fixed(Arc::new(loss)))
    }

    /// The same with one more loss, made anew for each step, whose weight follows a schedule.
    #[must_use]
    pub fn with_changing<L: Loss<F> + 'static>(
        self,
        name: impl Into<String>,
        weight: impl Schedule + 'static,
        loss: impl Fn(u64) -> L + Send + Sync + 'static,
    ) -> Self {
        let weight = Weight::Scheduled(Arc::new(weight));
        let make = move |step| Arc::new(loss(step)) as Arc<dyn Loss<F>>;
        self.push(name.into(), weight, Part::Changing(Arc::new(make)))
    }

    /// The same with one more loss, which gets what the terms before it leave of 1; see
    /// [`WeightedSum::with_rest`].
    #[must_use]
    pub fn with_rest(self, name: impl Into<String>, loss: impl Loss<F> + 'static) -> Self {
        self.push(name.into(), Weight::Rest, Part::Fixed(Arc::new(loss)))
    }

    fn push(mut self, name: String, weight: Weight, loss: Part<F>) -> Self {
        self.terms.push(Term { name, weight, loss });
        self
    }

    /// The sum of this step. It costs a few pointers, so it can be made for every batch.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange) if a weight is infinite or NaN at
    /// this step, or as [`WeightedSum::with_rest`] says.
    pub fn at(&self, step: u64) -> Result<WeightedSum<F>> {
        let mut sum = WeightedSum::new();
        for Term { name, weight, loss } in &self.terms {
            let loss = match loss {
                Part::Fixed(loss) => Arc::clone(loss),
                Part::Changing(make) => make(step),
            };
            match weight {
                Weight::Scheduled(weight) => sum.push(name.clone(), weight.at(step), loss),
                Weight::Rest => sum.push_rest(name.clone(), loss)?,
            }
        }
        sum.check()?;
        Ok(sum)
    }

    /// The names of the terms, in the order in which they were added.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.terms.iter().map(|term| term.name.as_str())
    }
}

impl<F: Float> Default for ScheduledSum<F> {
    fn default() -> Self {
        Self::new()
    }
}

/// Equal if the names are, and schedules and losses are the very same, as those of clones are.
impl<F: Float> PartialEq for ScheduledSum<F> {
    fn eq(&self, other: &Self) -> bool {
        let same_weight = |a: &Weight, b: &Weight| match (a, b) {
            (Weight::Rest, Weight::Rest) => true,
            (Weight::Scheduled(a), Weight::Scheduled(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let same_part = |a: &Part<F>, b: &Part<F>| match (a, b) {
            (Part::Fixed(a), Part::Fixed(b)) => Arc::ptr_eq(a, b),
            (Part::Changing(a), Part::Changing(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let same = |(a, b): (&Term<F>, &Term<F>)| {
            a.name == b.name && same_weight(&a.weight, &b.weight) && same_part(&a.loss, &b.loss)
        };
        self.terms.len() == other.terms.len() && self.terms.iter().zip(&other.terms).all(same)
    }
}

// By hand: schedules and closures cannot be printed.
impl<F: Float> fmt::Debug for ScheduledSum<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.debug_struct("ScheduledSum")
            .field("terms", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::ScheduledSum;
    use crate::distill::{CrossEntropy, KlDivergence, Loss, Output, Target, WeightedSum};
    use crate::schedule::{Cosine, Exponential, MultiStep, Schedule};
    use ndarray::array;

    #[test]
    fn a_step_is_the_sum_that_one_would_write() {
        let (weight, heat) = (
            Cosine::new(0.9, 0.1, 10..=20).unwrap(),
            Exponential::new(8.0, 1.0, 0..=30).unwrap(),
        );
        let recipe = ScheduledSum::new()
            .with_changing("soft", weight, move |step| KlDivergence::new(heat.at(step)))
            .with(
                "late",
                MultiStep::new(0.0, [(15, 0.05)]).unwrap(),
                CrossEntropy::new(),
            )
            .with_rest("hard", CrossEntropy::new());
        let student = Output::from(array![[0.5_f64, 1.0, -2.0], [0.0, 3.0, 1.0]]);
        let teacher = Output::from(array![[1.5, 1.0, 0.0], [0.0, 2.0, 9.0]]);
        let target = Target::from(&teacher).labels(&[0, 2]);
        for step in [0, 13, 15, 1000] {
            let late = if step < 15 { 0.0 } else { 0.05 };
            let soft = weight.at(step);
            let by_hand = WeightedSum::new()
                .with("soft", soft, KlDivergence::new(heat.at(step)))
                .with("late", late, CrossEntropy::new())
                .with("hard", 1.0 - (soft + late), CrossEntropy::new());
            let sum = recipe.at(step).unwrap();
            assert!(sum.terms().eq(by_hand.terms()), "step {step}");
            assert_eq!(
                sum.evaluate(&student, target).unwrap(),
                by_hand.evaluate(&student, target).unwrap(),
                "step {step}"
            );
        }
        assert_eq!(recipe, recipe.clone());
        assert_ne!(recipe, ScheduledSum::new());
    }

    #[test]
    fn a_weight_that_is_no_number_is_found_when_the_step_is_asked_for() {
        let recipe = ScheduledSum::<f32>::new().with(
            "hard",
            |step: u64| 1.0 / (step as f64 - 3.0),
            CrossEntropy::new(),
        );
        assert!(recipe.at(2).is_ok());
        assert_eq!(
            recipe.at(3).unwrap_err().to_string(),
            "weight of a term must be finite, and 0 or large enough to be a number, got inf"
        );
        let recipe = ScheduledSum::<f32>::new()
            .with("soft", |step: u64| step as f64, KlDivergence::new(1.0))
            .with_rest("hard", CrossEntropy::new());
        assert!(recipe.at(1).is_ok());
        assert!(recipe.at(2).is_err());
    }
}
