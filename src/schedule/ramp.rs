//! What the ramps share: two values, a range of steps, and exact ends.

use crate::error::{Error, Result};
use std::ops::RangeInclusive;

/// Two values and the steps between which one becomes the other.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub(super) struct Ramp {
    from: f64,
    to: f64,
    first: u64,
    last: u64,
}

impl Ramp {
    pub(super) fn new(from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        let (first, last) = steps.into_inner();
        check_finite("from", from)?;
        check_finite("to", to)?;
        if first > last {
            return Err(Error::StepsNotAscending {
                earlier: first,
                later: last,
            });
        }
        Ok(Self {
            from,
            to,
            first,
            last,
        })
    }

    /// Fails unless both values are positive.
    pub(super) fn check_positive(&self) -> Result<()> {
        check_positive("from", self.from)?;
        check_positive("to", self.to)
    }

    /// The value at `step`; `between(from, to, p)` gives it for 0 < p < 1.
    #[expect(clippy::cast_precision_loss, reason = "a share of steps")]
    pub(super) fn at(&self, step: u64, between: impl Fn(f64, f64, f64) -> f64) -> f64 {
        // The end first: where the range is a single step, the ramp has arrived there.
        if step >= self.last {
            return self.to;
        }
        if step <= self.first {
            return self.from;
        }
        let share = (step - self.first) as f64 / (self.last - self.first) as f64;
        // Rounding may carry a value past an end by the last bit; no schedule leaves its range.
        let (low, high) = (self.from.min(self.to), self.from.max(self.to));
        between(self.from, self.to, share).clamp(low, high)
    }
}

/// A ramp as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    from: f64,
    to: f64,
    first: u64,
    last: u64,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for Ramp {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        Self::new(written.from, written.to, written.first..=written.last)
    }
}

pub(super) fn check_finite(what: &'static str, value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::NumberOutOfRange {
        what,
        must: "finite",
        value,
    })
}

pub(super) fn check_positive(what: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::NumberOutOfRange {
        what,
        must: "positive and finite",
        value,
    })
}
