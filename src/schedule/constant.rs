//! The same value at every step.

use super::Schedule;
use super::ramp::check_finite;
use crate::error::Result;

/// The same value at every step.
///
/// # Examples
///
/// ```
/// use rarefy::schedule::{Constant, Schedule};
///
/// assert_eq!(Constant::new(0.3)?.at(17), 0.3);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct Constant(f64);

impl Constant {
    /// This value at every step.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange) if it is infinite or NaN.
    pub fn new(value: f64) -> Result<Self> {
        check_finite("value", value)?;
        Ok(Self(value))
    }
}

/// A value as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written(f64);

#[cfg(feature = "serde")]
impl TryFrom<Written> for Constant {
    type Error = crate::error::Error;

    fn try_from(Written(value): Written) -> Result<Self> {
        Self::new(value)
    }
}

impl Schedule for Constant {
    fn at(&self, _: u64) -> f64 {
        self.0
    }
}
