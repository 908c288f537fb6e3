//! Counts values in bins of equal width.

use super::channels::{Channels, NonFinite, not_finite};
use super::observer::Observer;
use crate::error::{CalibrationError, Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::histogram::{Bins, Tally, bin_magnitudes, tally};
use ndarray::{ArrayRefD, Axis};
use std::fmt;

/// Counts values of a tensor or of each of its channels in bins of equal width.
///
/// ```text
/// width w = 2ᵉ        bin m of a sign holds the numbers of that sign with m · w ≤ |x| < (m + 1) · w
/// ```
///
/// e is the least integer, not below −126, for which all values have a bin. When a larger value comes, bins merge in
/// pairs. As widths are powers of two that gives the counts that the values would have had with the wider bins from
/// the start; so a histogram depends on what was observed and on nothing else: not on the order of batches, not on
/// how they were cut, not on the number of threads, not on the order of [`merge`](Self::merge). It keeps the least and
/// the largest value too. Of the bins of the side of the largest magnitude more than half are in use, so with n bins
/// for that side a bin is at most 2 / n of that magnitude wide.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`with_bins`](Self::with_bins) | how many bins | 2048 | a power of two, 4 to 2²⁰ |
/// | [`of_magnitudes`](Self::of_magnitudes) | all bins are for \|x\| | half of them for x < 0 | |
/// | [`per_channel`](Self::per_channel) | each index on this axis by itself, in bins of a width of its own | the whole tensor | |
/// | [`non_finite`](Self::non_finite) | what becomes of NaN and infinity | an error | |
///
/// Memory: 8 bytes a bin and channel. −0 counts as 0, which is in the first bin of positive numbers.
///
/// PyTorch's `HistogramObserver` has bins from the least to the largest value instead; when the range grows it spreads
/// counts over new bins in sixteenths, so its histogram depends on the order of batches.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::calibrate::{Histogram, ObserverExt};
///
/// let mut histogram = Histogram::with_bins(8)?;
/// histogram.observe(&array![0.5_f32, -0.25, 3.0, 3.5])?;
/// assert_eq!(histogram.width(0), Some(1.0)); // four bins for each sign, from 0 to ±4
/// assert_eq!(histogram.counts(0), Some(&[0, 0, 0, 1, 1, 0, 0, 2][..]));
/// histogram.observe(&array![-4.0_f32])?;
/// assert_eq!(histogram.width(0), Some(2.0));
/// assert_eq!(histogram.counts(0), Some(&[0, 1, 0, 1, 1, 2, 0, 0][..]));
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
pub struct Histogram {
    pub(super) channels: Channels,
    pub(super) bins: Bins,
    pub(super) tallies: Vec<Tally>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    pub(super) const NAME: &'static str = "histogram";
    const LEAST_BINS: usize = 4;
    const MOST_BINS: usize = 1 << 20;

    /// 2048 bins, half of them for each sign.
    pub const fn new() -> Self {
        Self {
            channels: Channels::new(),
            bins: Bins {
                count: 2048,
                signed: true,
            },
            tallies: Vec::new(),
        }
    }

    /// This many bins, half of them for each sign.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] unless `bins` is a power of two from 4 to 2²⁰.
    pub fn with_bins(bins: usize) -> Result<Self> {
        if !(Self::LEAST_BINS..=Self::MOST_BINS).contains(&bins) || !bins.is_power_of_two() {
            #[expect(clippy::cast_precision_loss, reason = "a message")]
            return Err(Error::NumberOutOfRange {
                what: "number of bins",
                must: "a power of two from 4 to 2^20",
                value: bins as f64,
            });
        }
        let mut histogram = Self::new();
        histogram.bins.count = bins;
        Ok(histogram)
    }

    /// The same, forgetting what was observed, for magnitudes: a number and its opposite share a bin.
    ///
    /// For ranges that are symmetric around 0, twice as fine.
    #[must_use]
    pub fn of_magnitudes(mut self) -> Self {
        self.bins.signed = false;
        self.tallies.clear();
        self
    }

    /// The same, forgetting what was observed, for each index on `axis` by itself.
    #[must_use]
    pub fn per_channel(mut self, axis: Axis) -> Self {
        self.channels.axis = Some(axis);
        self.tallies.clear();
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
        self.tallies.len()
    }

    /// Whether negative numbers have bins of their own.
    pub fn is_signed(&self) -> bool {
        self.bins.signed
    }

    /// The counts of a channel, from the most negative bin to the most positive one; nothing if there is no such
    /// channel.
    pub fn counts(&self, channel: usize) -> Option<&[u64]> {
        let tally = self.tallies.get(channel)?;
        Some(&tally.counts)
    }

    /// How wide the bins of a channel are; nothing if there is no such channel.
    pub fn width(&self, channel: usize) -> Option<f64> {
        let tally = self.tallies.get(channel)?;
        Some(2.0_f64.powi(tally.exponent))
    }

    /// How many values of a channel were observed; 0 if there is no such channel.
    pub fn values(&self, channel: usize) -> u64 {
        self.tallies.get(channel).map_or(0, Tally::total)
    }

    /// The least and the largest value of each channel, exactly.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`]: a channel without any.
    pub fn ranges(&self) -> Result<Vec<(f64, f64)>> {
        if self.tallies.is_empty() {
            let what = Self::NAME;
            return Err(Error::Calibration(CalibrationError::NoValues {
                what,
                channel: 0,
            }));
        }
        let range = |(channel, tally): (usize, &Tally)| {
            if tally.low > tally.high {
                let what = Self::NAME;
                return Err(Error::Calibration(CalibrationError::NoValues {
                    what,
                    channel,
                }));
            }
            Ok((tally.low, tally.high))
        };
        self.tallies.iter().enumerate().map(range).collect()
    }

    /// Takes in what another has observed. Exact: the same bits in any order.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`] or [`Error::WrongCount`] if it has other settings or channels; nothing changes.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let (own, others) = (self.tallies.len(), other.tallies.len());
        self.channels.check_same(own, other.channels, others)?;
        if self.bins != other.bins {
            return Err(Error::Calibration(CalibrationError::StatisticsDiffer {
                what: "bins",
            }));
        }
        self.add(other.tallies.clone());
        Ok(())
    }

    fn add(&mut self, tallies: Vec<Tally>) {
        if self.tallies.is_empty() {
            self.tallies = tallies;
            return;
        }
        for (own, other) in self.tallies.iter_mut().zip(tallies) {
            own.merge(self.bins, other);
        }
    }

    /// The bins of a channel that hold something, ascending: where each starts and ends, and its count. Of magnitudes
    /// they start from 0.
    pub(crate) fn filled(&self, channel: usize) -> Vec<Bin> {
        let Some(tally) = self.tallies.get(channel) else {
            return Vec::new();
        };
        let counts = tally.counts.iter().enumerate();
        let filled = counts.filter(|(_, count)| **count != 0);
        let bin = |(place, &count)| {
            let (near, far, negative) = bin_magnitudes(self.bins, tally.exponent, place);
            let (low, high) = if negative { (-far, -near) } else { (near, far) };
            Bin { low, high, count }
        };
        filled.map(bin).collect()
    }
}

/// One bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) count: u64,
}

impl<F: Float> Observer<F> for Histogram {
    fn observe_dyn(&mut self, values: &ArrayRefD<F>) -> Result<()> {
        let slices = self.channels.slices(values.shape(), self.tallies.len())?;
        if values.is_empty() {
            return Ok(());
        }
        let flat = array::elements(values);
        let tallies = tally(&flat, slices, self.bins, self.channels.finite())
            .map_err(|place| not_finite(&flat, place, values.shape()))?;
        self.add(tallies);
        Ok(())
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut print = f.debug_struct("Histogram");
        print
            .field("bins", &self.bins.count)
            .field("signed", &self.bins.signed)
            .field("channels", &self.tallies.len());
        if let [one] = &*self.tallies {
            print
                .field("values", &one.total())
                .field("low", &one.low)
                .field("high", &one.high);
        }
        print.finish_non_exhaustive()
    }
}
