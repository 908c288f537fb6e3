//! Cuts off the outermost values.

use super::check_values;
use crate::calibrate::Histogram;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::grouped::{Grouped, map_tiles};
use crate::kernels::real::Real;
use crate::quantize::Granularity;
use ndarray::{ArrayRef, Dimension};

/// The range that holds a share p of n values.
///
/// ```text
/// k = round_half_even((1 − p) / 2 · n)        low, high = the (k + 1)th smallest, the (k + 1)th largest value
/// ```
///
/// With [`of_magnitudes`](Self::of_magnitudes) k = round_half_even((1 − p) · n), high is the (k + 1)th largest
/// magnitude and low its opposite.
///
/// From values these are values, exactly. From a histogram the c values of a bin are taken to lie evenly in it, number
/// j, from 0, at (j + ½) / c of its width, and not beyond the least and the largest value: less than the width of a bin
/// from the exact answer. A histogram of magnitudes gives the range of magnitudes.
///
/// # Examples
///
/// ```
/// use ndarray::Array1;
/// use rarefy::calibrate::{Histogram, ObserverExt};
/// use rarefy::quantize::{Granularity, Percentile};
///
/// let values = Array1::from_iter((0..1000).map(|i| i as f32 / 100.0 - 5.0));
/// let percentile = Percentile::new(0.98)?;
/// let exact = percentile.ranges(&values, Granularity::PerTensor)?;
/// assert!((exact[0].0 + 4.9).abs() < 1e-6 && (exact[0].1 - 4.89).abs() < 1e-6);
///
/// let mut histogram = Histogram::new();
/// histogram.observe(&values)?;
/// let near = percentile.ranges_of(&histogram)?;
/// assert!((near[0].0 - exact[0].0).abs() < 2.0_f64.powi(-7)); // a bin
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Percentile {
    share: f64,
    magnitudes: bool,
    onnx: bool,
}

impl Percentile {
    const NAME: &'static str = "percentile";

    /// The range that holds this share of the values: 0.9999 for what others call the percentile 99.99.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] unless 0 < `share` ≤ 1.
    pub fn new(share: f64) -> Result<Self> {
        let own = Self {
            share,
            magnitudes: false,
            onnx: false,
        };
        own.check()?;
        Ok(own)
    }

    /// The same for magnitudes: as far below 0 as above.
    #[must_use]
    pub const fn of_magnitudes(mut self) -> Self {
        self.magnitudes = true;
        self
    }

    /// The same with ONNX Runtime's answer from a histogram, whose percentile is 99.999: the lower edge of the first bin
    /// at which the cumulated share, summed in f64, reaches the wanted one; not beyond the least and the largest value.
    ///
    /// That is up to a bin less than the exact answer. From values it changes nothing.
    #[must_use]
    pub const fn onnx(mut self) -> Self {
        self.onnx = true;
        self
    }

    // Not only in `new`: a value may come in by serde.
    fn check(self) -> Result<()> {
        if self.share > 0.0 && self.share <= 1.0 {
            return Ok(());
        }
        Err(Error::NumberOutOfRange {
            what: "share of values in a range",
            must: "above 0 and at most 1",
            value: self.share,
        })
    }

    /// How many of so many values are cut off at each end.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a count, held below it"
    )]
    fn cut(self, values: u64, magnitudes: bool) -> u64 {
        let ends = if magnitudes { 1.0 } else { 2.0 };
        let cut = (1.0 - self.share) / ends * values as f64;
        (cut.round_ties_even() as u64).min(values.saturating_sub(1))
    }

    /// The range of each tile, from the values themselves. Needs a copy of them.
    ///
    /// # Errors
    ///
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first value that is not finite.
    /// * [`Error::Calibration`]: there is none.
    /// * Those of [`Granularity::scales`].
    pub fn ranges<F: Float, D: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
        granularity: Granularity,
    ) -> Result<Vec<(f64, f64)>> {
        self.check()?;
        let tiling = granularity.tiling(values.shape())?;
        let flat = array::elements(values);
        check_values(values, &flat, Self::NAME)?;
        let grouped = Grouped::new(&flat, &tiling);
        Ok(map_tiles(tiling.count(), |tile| {
            self.of_values(grouped.tile(tile))
        }))
    }

    fn of_values<F: Float>(self, values: &[F]) -> (f64, f64) {
        let cut = self.cut(values.len() as u64, self.magnitudes);
        let cut = usize::try_from(cut).unwrap_or(0);
        let last = values.len() - 1;
        let ascending = |a: &F, b: &F| a.ordinal().cmp(&b.ordinal());
        if self.magnitudes {
            let mut sorted: Vec<F> = values.iter().map(|value| value.abs()).collect();
            let (_, high, _) = sorted.select_nth_unstable_by(last - cut, ascending);
            return (-high.widen(), high.widen());
        }
        let mut sorted = values.to_vec();
        let (_, &mut low, _) = sorted.select_nth_unstable_by(cut, ascending);
        let (_, &mut high, _) = sorted.select_nth_unstable_by(last - cut, ascending);
        // Most of the values may be cut: then both ends meet in the middle.
        let (low, high) = (low.widen() + 0.0, high.widen() + 0.0);
        (low.min(high), high.max(low))
    }

    /// The range of each channel of a histogram.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`]: a channel without any.
    pub fn ranges_of(&self, histogram: &Histogram) -> Result<Vec<(f64, f64)>> {
        self.check()?;
        let extents = histogram.ranges()?;
        let range = |(channel, extent)| {
            if self.onnx {
                self.as_onnx(histogram, channel, extent)
            } else {
                self.of_histogram(histogram, channel, extent)
            }
        };
        Ok(extents.into_iter().enumerate().map(range).collect())
    }

    fn of_histogram(
        self,
        from: &Histogram,
        channel: usize,
        (least, most): (f64, f64),
    ) -> (f64, f64) {
        let mut bins = from.filled(channel);
        let values = from.values(channel);
        if self.magnitudes || !from.is_signed() {
            for bin in &mut bins {
                if bin.low < 0.0 {
                    (bin.low, bin.high) = (-bin.high, -bin.low);
                }
            }
            bins.sort_by(|a, b| a.low.total_cmp(&b.low));
            let largest = most.max(-least);
            let rank = values - 1 - self.cut(values, true);
            let high = interpolated(&bins, rank).min(largest);
            return (-high, high);
        }
        let cut = self.cut(values, false);
        let low = interpolated(&bins, cut).clamp(least, most);
        let high = interpolated(&bins, values - 1 - cut).clamp(least, most);
        (low.min(high), high.max(low))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of values, as the peer has them"
    )]
    fn as_onnx(self, from: &Histogram, channel: usize, (least, most): (f64, f64)) -> (f64, f64) {
        let counts = from.counts(channel).unwrap_or_default();
        let (width, total) = (
            from.width(channel).unwrap_or_default(),
            from.values(channel) as f64,
        );
        let magnitudes = !from.is_signed();
        let zero = if magnitudes {
            0.0
        } else {
            (counts.len() / 2) as f64
        };
        let edge = |share: f64| {
            let mut sum = 0.0;
            let reached = counts.iter().position(|&count| {
                sum += count as f64 / total;
                sum >= share
            });
            (reached.unwrap_or(counts.len()) as f64 - zero) * width
        };
        // In the peer's unit, so that what it has a whole number for is one here too.
        let percent = self.share * 100.0;
        let (low, high) = if magnitudes {
            let high = edge(percent / 100.0);
            (-high, high)
        } else {
            let cut = (100.0 - percent) / 200.0;
            (edge(cut), edge(1.0 - cut))
        };
        let (low, high) = (low.max(least), high.min(most));
        (low.min(high), high)
    }
}

/// The value of this rank, from 0, among those of ascending bins.
#[expect(clippy::cast_precision_loss, reason = "a share of a bin")]
fn interpolated(bins: &[crate::calibrate::Bin], rank: u64) -> f64 {
    let mut before = 0;
    for bin in bins {
        if rank < before + bin.count {
            let share = ((rank - before) as f64 + 0.5) / bin.count as f64;
            // The outermost bin may end with the numbers that there are.
            let width = bin.high.min(f64::MAX) - bin.low.max(f64::MIN);
            return bin.low.max(f64::MIN) + share * width;
        }
        before += bin.count;
    }
    bins.last().map_or(0.0, |bin| bin.high)
}
