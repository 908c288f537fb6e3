//! Keeps the least and the largest value.

use super::channels::{Channels, NonFinite, not_finite};
use super::observer::Observer;
use crate::error::{CalibrationError, Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::ranges::extents;
use crate::kernels::real::Real;
use ndarray::{ArrayRefD, Axis};
use std::fmt;

/// The least and the largest value; low is above high where there was none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extent {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Extent {
    pub(super) fn is_empty(self) -> bool {
        self.low > self.high
    }

    fn joined(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// The extents of one batch.
pub(super) fn of_batch<F: Float>(
    channels: Channels,
    values: &ArrayRefD<F>,
    known: usize,
) -> Result<Vec<Extent>> {
    let tiling = channels.tiling(values.shape(), known)?;
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let flat = array::elements(values);
    let spans = extents(&flat, &tiling, channels.finite())
        .map_err(|place| not_finite(&flat, place, values.shape()))?;
    let extent = |span: crate::kernels::ranges::Span<F>| Extent {
        // −0 would depend on which of the two zeros came first.
        low: span.low.widen() + 0.0,
        high: span.high.widen() + 0.0,
    };
    Ok(spans.into_iter().map(extent).collect())
}

/// The extents as ranges, or the error for the first that is empty.
pub(super) fn ranges(extents: &[Extent], what: &'static str) -> Result<Vec<(f64, f64)>> {
    if extents.is_empty() {
        return Err(Error::Calibration(CalibrationError::NoValues {
            what,
            channel: 0,
        }));
    }
    let range = |(channel, extent): (usize, &Extent)| {
        if extent.is_empty() {
            return Err(Error::Calibration(CalibrationError::NoValues {
                what,
                channel,
            }));
        }
        Ok((extent.low, extent.high))
    };
    extents.iter().enumerate().map(range).collect()
}

/// Keeps the least and the largest value of a tensor or of each of its channels.
///
/// | setting | meaning | default |
/// |---|---|---|
/// | [`per_channel`](Self::per_channel) | each index on this axis by itself | the whole tensor |
/// | [`non_finite`](Self::non_finite) | what becomes of NaN and infinity | an error |
///
/// PyTorch's `MinMaxObserver` and `PerChannelMinMaxObserver`. −0 counts as 0.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::calibrate::{MinMax, ObserverExt};
///
/// let mut ours = MinMax::new().per_channel(Axis(1));
/// ours.observe(&array![[1.0_f32, -2.0], [3.0, 0.5]])?;
/// let mut theirs = MinMax::new().per_channel(Axis(1));
/// theirs.observe(&array![[0.5_f32, 7.0]])?;
/// ours.merge(&theirs)?;
/// assert_eq!(ours.ranges()?, [(0.5, 3.0), (-2.0, 7.0)]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first value that is not finite, unless those are skipped.
/// * [`Error::AxisOutOfRange`]: an array without the axis.
/// * [`Error::WrongCount`]: another number of channels than before.
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "super::parts::Parts", into = "super::parts::Parts")
)]
pub struct MinMax {
    pub(super) channels: Channels,
    pub(super) extents: Vec<Extent>,
}

impl MinMax {
    pub(super) const NAME: &'static str = "minimum and maximum";

    /// Nothing observed yet, of the whole tensor.
    pub const fn new() -> Self {
        Self {
            channels: Channels::new(),
            extents: Vec::new(),
        }
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

    /// How many channels were observed; 0 before the first batch.
    pub fn channels(&self) -> usize {
        self.extents.len()
    }

    /// The least and the largest value of each channel.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`]: a channel without any.
    pub fn ranges(&self) -> Result<Vec<(f64, f64)>> {
        ranges(&self.extents, Self::NAME)
    }

    /// Channels whose largest magnitude is more than `factor` times the median of those of all channels (of an even
    /// number, the lower middle one), ascending.
    ///
    /// Such channels cost a tensor of one scale most of its codes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Axis, array};
    /// use rarefy::calibrate::{MinMax, ObserverExt};
    ///
    /// let mut observer = MinMax::new().per_channel(Axis(1));
    /// observer.observe(&array![[1.0_f32, -90.0, 2.0, 1.5, 0.1]])?;
    /// assert_eq!(observer.outlier_channels(6.0)?, [1]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::NumberOutOfRange`]: a factor that is negative or NaN.
    /// * [`Error::Calibration`]: a channel without any.
    pub fn outlier_channels(&self, factor: f64) -> Result<Vec<usize>> {
        if factor.is_nan() || factor < 0.0 {
            return Err(Error::NumberOutOfRange {
                what: "factor of the median",
                must: "at least 0",
                value: factor,
            });
        }
        let largest = |(low, high): (f64, f64)| high.abs().max(low.abs());
        let largest: Vec<f64> = self.ranges()?.into_iter().map(largest).collect();
        let mut sorted = largest.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted[(sorted.len() - 1) / 2];
        let channels = largest.iter().enumerate();
        let outliers = channels.filter(|(_, largest)| **largest > factor * median);
        Ok(outliers.map(|(channel, _)| channel).collect())
    }

    /// Takes in what another has observed. Exact: the same bits in any order.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`] or [`Error::WrongCount`] if it has other settings or channels; nothing changes.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let (own, others) = (self.extents.len(), other.extents.len());
        self.channels.check_same(own, other.channels, others)?;
        self.add(&other.extents);
        Ok(())
    }

    fn add(&mut self, extents: &[Extent]) {
        if self.extents.is_empty() {
            self.extents = extents.to_vec();
            return;
        }
        for (own, &other) in self.extents.iter_mut().zip(extents) {
            *own = own.joined(other);
        }
    }
}

impl<F: Float> Observer<F> for MinMax {
    fn observe_dyn(&mut self, values: &ArrayRefD<F>) -> Result<()> {
        let extents = of_batch(self.channels, values, self.extents.len())?;
        self.add(&extents);
        Ok(())
    }
}

impl fmt::Debug for MinMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut print = f.debug_struct("MinMax");
        print.field("channels", &self.extents.len());
        if let [one] = &*self.extents {
            print.field("low", &one.low).field("high", &one.high);
        }
        print.finish_non_exhaustive()
    }
}
