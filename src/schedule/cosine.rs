//! Half a cosine from one value to another: slow, fast, slow.
//!
//! ```text
//! value = to + (from − to) · (1 + cos πp) / 2
//! ```
//!
//! Loshchilov and Hutter 2016, <https://arxiv.org/abs/1608.03983>, without restarts.

use super::Schedule;
use super::ramp::Ramp;
use crate::error::Result;
use std::f64::consts::PI;
use std::ops::RangeInclusive;

/// Half a cosine from one value to another.
///
/// PyTorch: `CosineAnnealingLR`.
///
/// # Examples
///
/// ```
/// use rarefy::schedule::{Cosine, Schedule};
///
/// let learning_rate = Cosine::new(2.0, 1.0, 0..=100)?;
/// assert_eq!(learning_rate.at(50), 1.5);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cosine(Ramp);

impl Cosine {
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

impl Schedule for Cosine {
    fn at(&self, step: u64) -> f64 {
        self.0.at(step, |from, to, p| {
            let share = f64::midpoint(1.0, (PI * p).cos());
            to * (1.0 - share) + from * share
        })
    }
}
