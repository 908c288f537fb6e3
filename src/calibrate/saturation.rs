//! Counts values outside a range that was chosen.

use super::channels::{Channels, NonFinite, not_finite};
use super::observer::Observer;
use crate::error::{CalibrationError, Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::beyond::{Beyond, beyond};
use ndarray::{ArrayRefD, Axis};
use std::fmt;

/// How many values lie outside a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Saturated {
    /// How many were observed.
    pub values: u64,
    /// How many of them are less than the least number of the range.
    pub below: u64,
    /// How many of them are more than the largest.
    pub above: u64,
}

impl Saturated {
    /// The share of values outside, 0 where there are none.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn share(self) -> f64 {
        let beyond = self.below.saturating_add(self.above);
        beyond as f64 / (self.values as f64).max(1.0)
    }
}

/// Counts values outside a range that was chosen: what clipping to it would cost, on data that did not choose it.
///
/// One range for the tensor, or with [`per_channel`](Self::per_channel) one for each index on an axis. The ends belong
/// to the range.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::calibrate::{ObserverExt, Saturation};
///
/// let mut saturation = Saturation::new(&[(-1.0, 1.0)])?;
/// saturation.observe(&array![0.5_f32, 1.0, 1.5, -3.0])?;
/// let found = saturation.channels()[0];
/// assert_eq!((found.values, found.below, found.above), (4, 1, 1));
/// assert_eq!(found.share(), 0.5);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`MinMax`](super::MinMax). [`Error::WrongCount`] also if there is not one range for each channel.
#[derive(Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "super::parts::Parts", into = "super::parts::Parts")
)]
pub struct Saturation {
    pub(super) channels: Channels,
    pub(super) ranges: Vec<(f64, f64)>,
    pub(super) found: Vec<Beyond>,
}

impl Saturation {
    /// Nothing observed yet, of one channel for each of these ranges.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`]: a range that ends before it starts, or an end that is NaN. [`Error::WrongCount`]:
    /// no range.
    pub fn new(ranges: &[(f64, f64)]) -> Result<Self> {
        if ranges.is_empty() {
            return Err(Error::WrongCount {
                what: "ranges",
                given: 0,
                expected: 1,
            });
        }
        for &(low, high) in ranges {
            if low.is_nan() || high.is_nan() || low > high {
                return Err(Error::NumberOutOfRange {
                    what: "width of a range",
                    must: "at least 0",
                    value: high - low,
                });
            }
        }
        Ok(Self {
            channels: Channels::new(),
            ranges: ranges.to_vec(),
            found: vec![Beyond::default(); ranges.len()],
        })
    }

    /// The same with a range for each index on `axis`.
    #[must_use]
    pub fn per_channel(mut self, axis: Axis) -> Self {
        self.channels.axis = Some(axis);
        self.found.fill(Beyond::default());
        self
    }

    /// The same with another answer to NaN and infinity.
    #[must_use]
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.channels.non_finite = non_finite;
        self
    }

    /// The ranges.
    pub fn ranges(&self) -> &[(f64, f64)] {
        &self.ranges
    }

    /// What was found, for each range.
    pub fn channels(&self) -> Vec<Saturated> {
        let found = |found: &Beyond| Saturated {
            values: found.values,
            below: found.below,
            above: found.above,
        };
        self.found.iter().map(found).collect()
    }

    /// Takes in what another has found. Exact: the same bits in any order.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`] or [`Error::WrongCount`] if it has other settings, ranges or channels; nothing
    /// changes.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let (own, others) = (self.found.len(), other.found.len());
        self.channels.check_same(own, other.channels, others)?;
        if self.ranges != other.ranges {
            return Err(Error::Calibration(CalibrationError::StatisticsDiffer {
                what: "ranges",
            }));
        }
        self.add(&other.found);
        Ok(())
    }

    fn add(&mut self, found: &[Beyond]) {
        for (own, &other) in self.found.iter_mut().zip(found) {
            *own = own.plus(other);
        }
    }
}

impl<F: Float> Observer<F> for Saturation {
    fn observe_dyn(&mut self, values: &ArrayRefD<F>) -> Result<()> {
        let tiling = self.channels.tiling(values.shape(), self.ranges.len())?;
        if values.is_empty() {
            return Ok(());
        }
        if tiling.count() != self.ranges.len() {
            return Err(Error::WrongCount {
                what: "ranges",
                given: self.ranges.len(),
                expected: tiling.count(),
            });
        }
        let flat = array::elements(values);
        let found = beyond(&flat, &tiling, &self.ranges, self.channels.finite())
            .map_err(|place| not_finite(&flat, place, values.shape()))?;
        self.add(&found);
        Ok(())
    }
}

impl fmt::Debug for Saturation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut print = f.debug_struct("Saturation");
        print.field("channels", &self.ranges.len());
        if let ([range], [found]) = (&*self.ranges, &*self.found) {
            print.field("range", range).field("found", found);
        }
        print.finish_non_exhaustive()
    }
}
