//! When something is done: every so many steps, from one step to another.
//!
//! ```text
//! due at step t  ⇔  first ≤ t ≤ last  and  (t − first) mod every = 0
//! ```

use crate::error::{Error, Result};
use std::ops::RangeInclusive;

/// When something is done: every so many steps, from one step to another, both ends included.
///
/// The first step is always due. The last is due only if a whole number of periods leads to it: with
/// `0..=10` every 4, the steps 0, 4 and 8 are. A ramp of sparsity that ends at the last step is
/// therefore ended by [`last_due`](Self::last_due) only where that is the same step.
///
/// | setting | meaning | range |
/// |---|---|---|
/// | `steps` | the first and the last step that can be due | first ≤ last; or open to the end |
/// | `every` | steps from one to the next | at least 1 |
///
/// TensorFlow Model Optimization: `begin_step`, `end_step` (−1 for none) and `frequency` of a
/// `PruningSchedule`.
///
/// # Examples
///
/// ```
/// use rarefy::schedule::Interval;
///
/// let when = Interval::between(100..=500, 200)?;
/// let due: Vec<u64> = (0..1000).filter(|&step| when.is_due(step)).collect();
/// assert_eq!(due, [100, 300, 500]);
/// assert_eq!(when.next_due(301), Some(500));
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct Interval {
    first: u64,
    last: Option<u64>,
    every: u64,
}

impl Interval {
    /// Every `every` steps within these.
    ///
    /// # Errors
    ///
    /// [`Error::StepsNotAscending`] if the range runs backwards, [`Error::NumberOutOfRange`] if `every`
    /// is 0.
    pub fn between(steps: RangeInclusive<u64>, every: u64) -> Result<Self> {
        let (first, last) = steps.into_inner();
        if first > last {
            return Err(Error::StepsNotAscending {
                earlier: first,
                later: last,
            });
        }
        Self {
            first,
            last: Some(last),
            every,
        }
        .checked()
    }

    /// Every `every` steps from `first` on, for ever.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] if `every` is 0.
    pub fn starting(first: u64, every: u64) -> Result<Self> {
        Self {
            first,
            last: None,
            every,
        }
        .checked()
    }

    fn checked(self) -> Result<Self> {
        if self.every > 0 {
            return Ok(self);
        }
        Err(Error::NumberOutOfRange {
            what: "steps from one to the next",
            must: "at least 1",
            value: 0.0,
        })
    }

    /// The first step.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The last step that can be due, if there is one.
    pub const fn last(&self) -> Option<u64> {
        self.last
    }

    /// How many steps lie from one to the next.
    pub const fn every(&self) -> u64 {
        self.every
    }

    /// Whether this step is due.
    pub fn is_due(&self, step: u64) -> bool {
        step >= self.first
            && self.last.is_none_or(|last| step <= last)
            && (step - self.first).is_multiple_of(self.every)
    }

    /// The first step that is due at or after this one.
    pub fn next_due(&self, step: u64) -> Option<u64> {
        let periods = step.saturating_sub(self.first).div_ceil(self.every);
        let next = periods
            .checked_mul(self.every)
            .and_then(|after| after.checked_add(self.first))?;
        self.is_due(next).then_some(next)
    }

    /// The last step that is due; `None` where there is no end.
    pub fn last_due(&self) -> Option<u64> {
        let last = self.last?;
        Some(last - (last - self.first) % self.every)
    }
}

/// An interval as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    first: u64,
    last: Option<u64>,
    every: u64,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for Interval {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written.last {
            Some(last) => Self::between(written.first..=last, written.every),
            None => Self::starting(written.first, written.every),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Interval;

    #[test]
    fn both_ends_and_the_period_are_as_stated() {
        for (first, last, every) in [(0, 10, 4), (3, 3, 5), (5, 25, 10), (7, 20, 1)] {
            let when = Interval::between(first..=last, every).unwrap();
            let slow: Vec<u64> = (first..=last)
                .step_by(usize::try_from(every).unwrap())
                .collect();
            let due: Vec<u64> = (0..40).filter(|&step| when.is_due(step)).collect();
            assert_eq!(due, slow);
            assert_eq!(when.last_due(), slow.last().copied());
            for step in 0..40 {
                let next = slow.iter().copied().find(|&due| due >= step);
                assert_eq!(when.next_due(step), next, "{step} in {when:?}");
            }
        }
        let open = Interval::starting(5, 10).unwrap();
        assert!(open.is_due(1_000_005) && !open.is_due(4) && !open.is_due(6));
        assert_eq!((open.last_due(), open.next_due(6)), (None, Some(15)));
        assert_eq!(open.next_due(u64::MAX), Some(u64::MAX)); // it ends in 5
        let rare = Interval::starting(1, 10).unwrap();
        assert_eq!(rare.next_due(u64::MAX), None);
        let never = Interval::starting(u64::MAX - 1, u64::MAX).unwrap();
        assert_eq!(never.next_due(u64::MAX), None);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    fn what_is_no_interval_says_why() {
        let error = Interval::between(5..=4, 1).unwrap_err();
        assert_eq!(error.to_string(), "steps must ascend, got 4 after 5");
        for error in [
            Interval::between(0..=9, 0).unwrap_err(),
            Interval::starting(0, 0).unwrap_err(),
        ] {
            let text = "steps from one to the next must be at least 1, got 0";
            assert_eq!(error.to_string(), text);
        }
    }
}
