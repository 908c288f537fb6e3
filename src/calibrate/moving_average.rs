//! Averages the least and the largest value over batches.

use super::channels::{Channels, NonFinite};
use super::min_max::{Extent, of_batch, ranges};
use super::observer::Observer;
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::{ArrayRefD, Axis};
use std::fmt;

/// Averages the least and the largest value of each batch, so that a single strange batch counts little.
///
/// ```text
/// first batch: as it is        then: m ← m + c · (m of the batch − m)
/// ```
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `share` | c | 0.01 | 0 to 1 |
/// | [`per_channel`](Self::per_channel) | each index on this axis by itself | the whole tensor | |
/// | [`non_finite`](Self::non_finite) | what becomes of NaN and infinity | an error | |
///
/// PyTorch's `MovingAverageMinMaxObserver` and `MovingAveragePerChannelMinMaxObserver`, computed in f64. The order of
/// batches matters, so two of these cannot be merged; [`Histogram`](super::Histogram) can, and forgives outliers too.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::calibrate::{MovingAverage, ObserverExt};
///
/// let mut observer = MovingAverage::with_share(0.5)?;
/// observer.observe(&array![-1.0_f32, 1.0])?;
/// observer.observe(&array![-3.0_f32, 2.0])?;
/// assert_eq!(observer.ranges()?, [(-2.0, 1.5)]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`MinMax`](super::MinMax).
#[derive(Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "super::parts::Parts", into = "super::parts::Parts")
)]
pub struct MovingAverage {
    pub(super) channels: Channels,
    pub(super) share: f64,
    pub(super) extents: Vec<Extent>,
}

impl Default for MovingAverage {
    fn default() -> Self {
        Self::new()
    }
}

impl MovingAverage {
    pub(super) const NAME: &'static str = "moving average";

    /// A batch counts a hundredth.
    pub const fn new() -> Self {
        Self {
            channels: Channels::new(),
            share: 0.01,
            extents: Vec::new(),
        }
    }

    /// A batch counts this share.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] unless 0 ≤ `share` ≤ 1.
    pub fn with_share(share: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::NumberOutOfRange {
                what: "share of a batch in a moving average",
                must: "0 to 1",
                value: share,
            });
        }
        Ok(Self {
            share,
            ..Self::new()
        })
    }

    /// The same, forgetting what was observed, for each index on `axis` by itself.
    #[must_use]
    pub fn per_channel(mut self, axis: Axis) -> Self {
        self.channels.axis = Some(axis);
        self.extents.clear();
        self
    }

    /// The same with another answer to NaN and infinity.
    #[must_use]
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.channels.non_finite = non_finite;
        self
    }

    /// The averages of each channel.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`]: a channel without any.
    pub fn ranges(&self) -> Result<Vec<(f64, f64)>> {
        ranges(&self.extents, Self::NAME)
    }
}

/// A share of the way from one number to another.
fn moved(from: f64, to: f64, share: f64) -> f64 {
    let whole = to - from;
    if whole.is_finite() {
        from + share * whole
    } else {
        // Numbers of opposite signs whose difference no f64 holds.
        (1.0 - share) * from + share * to
    }
}

impl<F: Float> Observer<F> for MovingAverage {
    fn observe_dyn(&mut self, values: &ArrayRefD<F>) -> Result<()> {
        let batch = of_batch(self.channels, values, self.extents.len())?;
        if self.extents.is_empty() {
            self.extents = batch;
            return Ok(());
        }
        for (own, batch) in self.extents.iter_mut().zip(batch) {
            if own.is_empty() {
                *own = batch;
            } else if !batch.is_empty() {
                own.low = moved(own.low, batch.low, self.share);
                own.high = moved(own.high, batch.high, self.share);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for MovingAverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MovingAverage")
            .field("share", &self.share)
            .field("channels", &self.extents.len())
            .finish_non_exhaustive()
    }
}
