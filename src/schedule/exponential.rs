//! The same factor at every step.
//!
//! ```text
//! value = from · (to / from)ᵖ
//! ```

use super::Schedule;
use super::ramp::Ramp;
use crate::error::Result;
use std::ops::RangeInclusive;

/// The same factor at every step.
///
/// Both values must be positive. A sparsity that starts at 0 is ramped by its density: with `d` from
/// 1 to 0.2, the sparsity is `|step| 1.0 - d.at(step)`.
///
/// # Examples
///
/// ```
/// use rarefy::schedule::{Exponential, Schedule};
///
/// let temperature = Exponential::new(8.0, 2.0, 0..=2)?;
/// assert_eq!(temperature.at(1), 4.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Ramp")
)]
pub struct Exponential(Ramp);

impl Exponential {
    /// From `from` at the first of `steps` to `to` at the last.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange) if a value is not positive and
    /// finite,
    /// [`Error::StepsNotAscending`](crate::Error::StepsNotAscending) if the range runs backwards.
    pub fn new(from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        let ramp = Ramp::new(from, to, steps)?;
        ramp.check_positive()?;
        Ok(Self(ramp))
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Ramp> for Exponential {
    type Error = crate::error::Error;

    fn try_from(ramp: Ramp) -> Result<Self> {
        ramp.check_positive()?;
        Ok(Self(ramp))
    }
}

impl Schedule for Exponential {
    fn at(&self, step: u64) -> f64 {
        // The logarithms apart: the quotient of two values may overflow where neither does.
        self.0.at(step, |from, to, p| {
            (from.ln() * (1.0 - p) + to.ln() * p).exp()
        })
    }
}
