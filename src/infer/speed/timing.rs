//! How long the calls of a layer took.

use crate::error::{Error, Result};
use std::fmt;

/// How long a call took, over many samples. All times are seconds.
///
/// The median is what to expect; the least is what the machine can do when nobody disturbs it; half of all samples lie
/// between the quartiles.
///
/// # Examples
///
/// ```
/// use rarefy::infer::speed::Timing;
///
/// let timing = Timing::of(&[3e-6, 1e-6, 2e-6, 9e-6])?;
/// assert_eq!((timing.least, timing.samples), (1e-6, 4));
/// assert_eq!(timing.to_string(), "2.50 µs (1.75 to 4.50, least 1.00)");
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Timing {
    /// How many samples there are.
    pub samples: usize,
    /// The shortest.
    pub least: f64,
    /// A quarter of the samples are at most so long.
    pub lower_quartile: f64,
    /// Half of the samples are at most so long.
    pub median: f64,
    /// Three quarters of the samples are at most so long.
    pub upper_quartile: f64,
}

impl Timing {
    /// The statistics of these times of a call, in any order.
    ///
    /// Between two samples quantiles are interpolated, as by NumPy's default.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] where a time is not positive and finite, [`Error::WrongCount`] where there is none.
    pub fn of(times: &[f64]) -> Result<Self> {
        if times.is_empty() {
            return Err(Error::WrongCount {
                what: "times",
                given: 0,
                expected: 1,
            });
        }
        for &time in times {
            check_time(time)?;
        }
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        Ok(Self {
            samples: sorted.len(),
            least: sorted[0],
            lower_quartile: quantile(&sorted, 1),
            median: quantile(&sorted, 2),
            upper_quartile: quantile(&sorted, 3),
        })
    }
}

/// Fails unless this can be how long a call took.
pub(super) fn check_time(time: f64) -> Result<()> {
    if time > 0.0 && time.is_finite() {
        return Ok(());
    }
    Err(Error::NumberOutOfRange {
        what: "time of a call",
        must: "positive and finite",
        value: time,
    })
}

/// The median of numbers in any order; NaN if there are none.
pub(super) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 2)
}

/// The number below which so many quarters of these ascending ones lie.
#[expect(clippy::cast_precision_loss, reason = "a remainder below 4")]
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let (place, rest) = (last * quarters / 4, last * quarters % 4);
    let share = rest as f64 / 4.0;
    let next = sorted[last.min(place + 1)];
    // Not from the difference, which may be infinite.
    sorted[place] * (1.0 - share) + next * share
}

/// The unit that makes a time easy to read, and how many of them a second has.
fn unit(seconds: f64) -> (&'static str, f64) {
    match seconds {
        ..1e-6 => ("ns", 1e9),
        1e-6..1e-3 => ("µs", 1e6),
        1e-3..1.0 => ("ms", 1e3),
        _ => ("s", 1.0),
    }
}

impl fmt::Display for Timing {
    /// Median, quartiles, least, all in the unit of the median.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, times) = unit(self.median);
        write!(
            f,
            "{:.2} {unit} ({:.2} to {:.2}, least {:.2})",
            self.median * times,
            self.lower_quartile * times,
            self.upper_quartile * times,
            self.least * times,
        )
    }
}
