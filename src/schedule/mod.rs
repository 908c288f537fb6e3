//! A value over training steps: how sparse by now, how hot, how fast.
//!
//! A schedule is a pure function of the step. There is nothing to save, clone or reset, and a resumed
//! run continues where it was by asking for the same step. Steps count from 0.
//!
//! The ramps go from one value to another over a range of steps, both ends included: up to the first
//! step of the range they give the first value, from the last step on the second, exactly. With
//! p = (step − first) / (last − first) in between:
//!
//! | schedule | value at p |
//! |---|---|
//! | [`Linear`] | from + (to − from) · p |
//! | [`Cosine`] | to + (from − to) · (1 + cos πp) / 2 |
//! | [`Polynomial`] | to + (from − to) · (1 − p)ᵉ; e = 3 is the cubic of gradual pruning |
//! | [`Exponential`] | from · (to / from)ᵖ |
//!
//! [`Constant`] and [`MultiStep`] complete them, and any `Fn(u64) -> f64` is a schedule too. [`Rounds`]
//! counts rounds of iterative pruning. An [`Interval`] says *when*: at which steps something is due.
//!
//! ```
//! use rarefy::schedule::{Polynomial, Schedule};
//!
//! let sparsity = Polynomial::cubic(0.0, 0.5, 100..=1100)?;
//! assert_eq!(sparsity.at(100), 0.0);
//! assert_eq!(sparsity.at(600), 0.4375);
//! assert_eq!(sparsity.at(5000), 0.5);
//!
//! let warm_up = |step: u64| (step as f64 / 10.0).min(1.0);
//! let all: [&dyn Schedule; 2] = [&sparsity, &warm_up];
//! assert_eq!(all[1].at(5), 0.5);
//! # Ok::<(), rarefy::Error>(())
//! ```

mod constant;
mod cosine;
mod exponential;
mod interval;
mod linear;
mod multi_step;
mod polynomial;
mod ramp;
mod rounds;

pub use constant::Constant;
pub use cosine::Cosine;
pub use exponential::Exponential;
pub use interval::Interval;
pub use linear::Linear;
pub use multi_step::MultiStep;
pub use polynomial::Polynomial;
pub use rounds::Rounds;

/// A value over training steps.
///
/// Implemented by the schedules here and by every `Fn(u64) -> f64`. Take it as `&dyn Schedule`; for
/// a `Box<dyn Schedule>` that is `&*boxed`.
pub trait Schedule: Send + Sync {
    /// The value at this step, counted from 0.
    fn at(&self, step: u64) -> f64;
}

impl<T: Fn(u64) -> f64 + Send + Sync> Schedule for T {
    fn at(&self, step: u64) -> f64 {
        self(step)
    }
}
