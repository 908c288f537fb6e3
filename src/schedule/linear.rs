//! A straight line from one value to another.
//!
//! ```text
//! value = from + (to − from) · p
//! ```

use super::Schedule;
use super::ramp::Ramp;
use crate::error::Result;
use std::ops::RangeInclusive;

/// A straight line from one value to another.
///
/// # Examples
///
/// ```
/// use rarefy::schedule::{Linear, Schedule};
///
/// let learning_rate = Linear::new(1e-3, 0.0, 0..=100)?;
/// assert_eq!(learning_rate.at(25), 0.75e-3);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Linear(Ramp);

impl Linear {
    /// From `from` at the first of `steps` to `to` at the last.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange) if a value is infinite or NaN,
    /// [`Error::StepsNotAscending`](crate::Error::StepsNotAscending) if the range runs backwards.
    pub fn new(from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        Ramp::new(from, to, steps).map(Self)
    }
}

impl Schedule for Linear {
    fn at(&self, step: u64) -> f64 {
        self.0.at(step, |from, to, p| from * (1.0 - p) + to * p)
    }
}
