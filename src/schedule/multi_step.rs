//! A table of steps from which on a new value holds.

use super::Schedule;
use super::ramp::check_finite;
use crate::error::{Error, Result};

/// A table of steps from which on a new value holds.
///
/// # Examples
///
/// ```
/// use rarefy::schedule::{MultiStep, Schedule};
///
/// let bits = MultiStep::new(8.0, [(1000, 6.0), (2000, 4.0)])?;
/// assert_eq!([bits.at(0), bits.at(999), bits.at(1000), bits.at(9999)], [8.0, 8.0, 6.0, 4.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct MultiStep {
    initial: f64,
    milestones: Vec<(u64, f64)>,
}

impl MultiStep {
    /// `initial` up to the first milestone, then from each milestone's step on its value.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] if a value is infinite or NaN, [`Error::StepsNotAscending`] unless
    /// each step is later than the one before.
    pub fn new(initial: f64, milestones: impl IntoIterator<Item = (u64, f64)>) -> Result<Self> {
        check_finite("initial value", initial)?;
        let milestones: Vec<(u64, f64)> = milestones.into_iter().collect();
        for &(_, value) in &milestones {
            check_finite("value of a milestone", value)?;
        }
        for pair in milestones.windows(2) {
            if let [(earlier, _), (later, _)] = *pair
                && later <= earlier
            {
                return Err(Error::StepsNotAscending { earlier, later });
            }
        }
        Ok(Self {
            initial,
            milestones,
        })
    }
}

/// A table as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    initial: f64,
    milestones: Vec<(u64, f64)>,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for MultiStep {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        Self::new(written.initial, written.milestones)
    }
}

impl Schedule for MultiStep {
    fn at(&self, step: u64) -> f64 {
        let reached = self.milestones.partition_point(|&(from, _)| from <= step);
        match reached.checked_sub(1) {
            Some(last) => self.milestones[last].1,
            None => self.initial,
        }
    }
}
