//! Any of the statistics, for lists and files of them.

use super::observer::Observer;
use super::{ChannelSums, Histogram, MinMax, MovingAverage, Saturation};
use crate::error::{CalibrationError, Error, Result};
use crate::float::Float;
use ndarray::ArrayRefD;

/// Any of the statistics, for lists and files of them.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "super::parts::Parts", into = "super::parts::Parts")
)]
#[non_exhaustive]
pub enum Statistics {
    /// The least and the largest value.
    MinMax(MinMax),
    /// Averages of these over batches.
    MovingAverage(MovingAverage),
    /// Counts in bins.
    Histogram(Histogram),
    /// Sums of magnitudes and squares.
    ChannelSums(ChannelSums),
    /// Counts outside a range.
    Saturation(Saturation),
}

impl Statistics {
    /// Takes in what another has observed.
    ///
    /// # Errors
    ///
    /// Those of the statistics' own `merge`; [`Error::Calibration`] if it is of another kind, or of the one that
    /// cannot be merged.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        match (self, other) {
            (Self::MinMax(own), Self::MinMax(other)) => own.merge(other),
            (Self::Histogram(own), Self::Histogram(other)) => own.merge(other),
            (Self::ChannelSums(own), Self::ChannelSums(other)) => own.merge(other),
            (Self::Saturation(own), Self::Saturation(other)) => own.merge(other),
            (Self::MovingAverage(_), Self::MovingAverage(_)) => {
                Err(Error::Calibration(CalibrationError::StatisticsDiffer {
                    what: "order of batches",
                }))
            }
            _ => Err(Error::Calibration(CalibrationError::StatisticsDiffer {
                what: "kind",
            })),
        }
    }
}

impl<F: Float> Observer<F> for Statistics {
    fn observe_dyn(&mut self, values: &ArrayRefD<F>) -> Result<()> {
        match self {
            Self::MinMax(own) => own.observe_dyn(values),
            Self::MovingAverage(own) => own.observe_dyn(values),
            Self::Histogram(own) => own.observe_dyn(values),
            Self::ChannelSums(own) => own.observe_dyn(values),
            Self::Saturation(own) => own.observe_dyn(values),
        }
    }
}

macro_rules! from {
    ($($kind:ident),+) => {$(
        impl From<$kind> for Statistics {
            fn from(statistics: $kind) -> Self {
                Self::$kind(statistics)
            }
        }
    )+};
}

from!(MinMax, MovingAverage, Histogram, ChannelSums, Saturation);
