//! Statistics as lists of numbers, for files and for serde, checked when they come in.

use super::channels::{Channels, NonFinite};
use super::min_max::Extent;
use super::sums::Sums;
use super::{ChannelSums, Histogram, MinMax, MovingAverage, Saturation, Statistics};
use crate::kernels::beyond::Beyond;
use crate::kernels::histogram::{NARROWEST, Tally, WIDEST};
use ndarray::Axis;
use std::collections::BTreeMap;

/// Statistics as settings and named lists.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Parts {
    pub(crate) kind: String,
    pub(crate) axis: Option<usize>,
    pub(crate) skips: bool,
    pub(crate) counts: BTreeMap<String, Vec<u64>>,
    pub(crate) numbers: BTreeMap<String, Vec<f64>>,
}

const MIN_MAX: &str = "min_max";
const MOVING_AVERAGE: &str = "moving_average";
const HISTOGRAM: &str = "histogram";
const CHANNEL_SUMS: &str = "channel_sums";
const SATURATION: &str = "saturation";

const LOW: &str = "low";
const HIGH: &str = "high";
/// 1 for channels that have values: the ends of the others are no numbers that every format has.
const SEEN: &str = "seen";
const VALUES: &str = "values";
const BELOW: &str = "below";
const ABOVE: &str = "above";
const MAGNITUDES: &str = "magnitudes";
const SQUARES: &str = "squares";
const COUNTS: &str = "counts";
const EXPONENTS: &str = "exponents";
const BINS: &str = "bins";
const SIGNED: &str = "signed";
const SHARE: &str = "share";

impl Parts {
    fn new(kind: &str, channels: Channels) -> Self {
        Self {
            kind: kind.to_owned(),
            axis: channels.axis.map(|axis| axis.index()),
            skips: channels.non_finite == NonFinite::Skip,
            counts: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    fn with_counts(mut self, name: &str, counts: impl IntoIterator<Item = u64>) -> Self {
        self.counts
            .insert(name.to_owned(), counts.into_iter().collect());
        self
    }

    fn with_numbers(mut self, name: &str, numbers: impl IntoIterator<Item = f64>) -> Self {
        self.numbers
            .insert(name.to_owned(), numbers.into_iter().collect());
        self
    }

    fn with_extents(self, extents: &[Extent]) -> Self {
        let end = |end: fn(&Extent) -> f64| {
            let end = move |extent: &Extent| if extent.is_empty() { 0.0 } else { end(extent) };
            extents.iter().map(end).collect::<Vec<_>>()
        };
        let seen = extents.iter().map(|extent| u64::from(!extent.is_empty()));
        let seen: Vec<u64> = seen.collect();
        self.with_counts(SEEN, seen)
            .with_numbers(LOW, end(|extent| extent.low))
            .with_numbers(HIGH, end(|extent| extent.high))
    }

    fn channels(&self, kind: &str) -> Result<Channels, String> {
        if self.kind != kind {
            return Err(format!("it holds {:?} and not {kind:?}", self.kind));
        }
        Ok(Channels {
            axis: self.axis.map(Axis),
            non_finite: if self.skips {
                NonFinite::Skip
            } else {
                NonFinite::Error
            },
        })
    }

    fn counts(&self, name: &str) -> Result<&[u64], String> {
        let list = self.counts.get(name).map(Vec::as_slice);
        list.ok_or_else(|| format!("it has no {name}"))
    }

    /// These numbers, all of them finite.
    fn numbers(&self, name: &str) -> Result<&[f64], String> {
        let list = self.numbers.get(name).map(Vec::as_slice);
        let list = list.ok_or_else(|| format!("it has no {name}"))?;
        match list.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(format!("{number} is among its {name}")),
            None => Ok(list),
        }
    }

    fn extents(&self, channels: Channels) -> Result<Vec<Extent>, String> {
        let (seen, low, high) = (self.counts(SEEN)?, self.numbers(LOW)?, self.numbers(HIGH)?);
        same_length(&[seen.len(), low.len(), high.len()])?;
        fits(channels, seen.len())?;
        let ends = low.iter().zip(high);
        let extent = |(&seen, (&low, &high)): (&u64, (&f64, &f64))| match seen {
            0 => Ok(Extent {
                low: f64::INFINITY,
                high: f64::NEG_INFINITY,
            }),
            1 if low <= high => Ok(Extent { low, high }),
            _ => Err("a range of it ends before it starts".to_owned()),
        };
        seen.iter().zip(ends).map(extent).collect()
    }
}

fn same_length(lengths: &[usize]) -> Result<(), String> {
    if lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    Err(format!("its lists have lengths {lengths:?}"))
}

/// Without an axis there is one channel, or none before the first batch.
fn fits(channels: Channels, count: usize) -> Result<(), String> {
    if channels.axis.is_none() && count > 1 {
        return Err(format!("{count} channels without an axis"));
    }
    Ok(())
}

impl From<MinMax> for Parts {
    fn from(own: MinMax) -> Self {
        Self::new(MIN_MAX, own.channels).with_extents(&own.extents)
    }
}

impl TryFrom<Parts> for MinMax {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        let channels = parts.channels(MIN_MAX)?;
        let extents = parts.extents(channels)?;
        Ok(Self { channels, extents })
    }
}

impl From<MovingAverage> for Parts {
    fn from(own: MovingAverage) -> Self {
        Self::new(MOVING_AVERAGE, own.channels)
            .with_numbers(SHARE, [own.share])
            .with_extents(&own.extents)
    }
}

impl TryFrom<Parts> for MovingAverage {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        let channels = parts.channels(MOVING_AVERAGE)?;
        let extents = parts.extents(channels)?;
        let &[share] = parts.numbers(SHARE)? else {
            return Err("it has not one share".to_owned());
        };
        let own = Self::with_share(share).map_err(|error| error.to_string())?;
        Ok(Self {
            channels,
            extents,
            ..own
        })
    }
}

impl From<Histogram> for Parts {
    fn from(own: Histogram) -> Self {
        let extent = |tally: &Tally| Extent {
            low: tally.low,
            high: tally.high,
        };
        let extents: Vec<Extent> = own.tallies.iter().map(extent).collect();
        let exponents = own.tallies.iter().map(|tally| f64::from(tally.exponent));
        let parts = Self::new(HISTOGRAM, own.channels)
            .with_counts(BINS, [own.bins.count as u64])
            .with_counts(SIGNED, [u64::from(own.bins.signed)])
            .with_numbers(EXPONENTS, exponents)
            .with_extents(&extents);
        let counts = own.tallies.into_iter().flat_map(|tally| tally.counts);
        parts.with_counts(COUNTS, counts)
    }
}

impl TryFrom<Parts> for Histogram {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        let channels = parts.channels(HISTOGRAM)?;
        let (&[bins], &[signed @ (0 | 1)]) = (parts.counts(BINS)?, parts.counts(SIGNED)?) else {
            return Err("it does not say which bins it has".to_owned());
        };
        let bins = usize::try_from(bins).unwrap_or(usize::MAX);
        let mut own = Self::with_bins(bins).map_err(|error| error.to_string())?;
        own.bins.signed = signed == 1;
        own.channels = channels;
        let (extents, exponents) = (parts.extents(channels)?, parts.numbers(EXPONENTS)?);
        let counts = parts.counts(COUNTS)?;
        same_length(&[extents.len(), exponents.len()])?;
        if extents.len().checked_mul(bins) != Some(counts.len()) {
            let (given, channels) = (counts.len(), extents.len());
            return Err(format!("{given} counts for {channels} channels"));
        }
        let tallies = extents.iter().zip(exponents).zip(counts.chunks(bins));
        for ((extent, &exponent), counts) in tallies {
            let whole = exponent.fract() == 0.0;
            if !whole || !(f64::from(NARROWEST)..=f64::from(WIDEST)).contains(&exponent) {
                return Err(format!("2^{exponent} is no width of a bin"));
            }
            let total = counts.iter().try_fold(0_u64, |sum, &n| sum.checked_add(n));
            let Some(total) = total else {
                return Err("there are more values than can be counted".to_owned());
            };
            if (total == 0) != extent.is_empty() {
                return Err("its counts are not those of its ranges".to_owned());
            }
            #[expect(clippy::cast_possible_truncation, reason = "checked above")]
            let exponent = exponent as i32;
            let tally = Tally {
                exponent,
                counts: counts.to_vec(),
                low: extent.low,
                high: extent.high,
            };
            // What is merged later relies on it.
            if !tally.holds(own.bins) {
                return Err("its ranges are not within its bins".to_owned());
            }
            own.tallies.push(tally);
        }
        Ok(own)
    }
}

impl From<ChannelSums> for Parts {
    fn from(own: ChannelSums) -> Self {
        Self::new(CHANNEL_SUMS, own.channels)
            .with_counts(VALUES, own.sums.iter().map(|sums| sums.values))
            .with_numbers(MAGNITUDES, own.sums.iter().map(|sums| sums.magnitudes))
            .with_numbers(SQUARES, own.sums.iter().map(|sums| sums.squares))
    }
}

impl TryFrom<Parts> for ChannelSums {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        let channels = parts.channels(CHANNEL_SUMS)?;
        let (values, magnitudes, squares) = (
            parts.counts(VALUES)?,
            parts.numbers(MAGNITUDES)?,
            parts.numbers(SQUARES)?,
        );
        same_length(&[values.len(), magnitudes.len(), squares.len()])?;
        fits(channels, values.len())?;
        let sums = magnitudes.iter().zip(squares).zip(values);
        let sums = sums.map(|((&magnitudes, &squares), &values)| {
            if magnitudes < 0.0 || squares < 0.0 {
                return Err("a sum of magnitudes is negative".to_owned());
            }
            Ok(Sums {
                values,
                magnitudes,
                squares,
            })
        });
        let sums = sums.collect::<Result<_, _>>()?;
        Ok(Self { channels, sums })
    }
}

impl From<Saturation> for Parts {
    fn from(own: Saturation) -> Self {
        // An open range has infinite ends, which every format has as the largest number.
        let end = |end: f64| end.clamp(f64::MIN, f64::MAX);
        Self::new(SATURATION, own.channels)
            .with_numbers(LOW, own.ranges.iter().map(|range| end(range.0)))
            .with_numbers(HIGH, own.ranges.iter().map(|range| end(range.1)))
            .with_counts(VALUES, own.found.iter().map(|found| found.values))
            .with_counts(BELOW, own.found.iter().map(|found| found.below))
            .with_counts(ABOVE, own.found.iter().map(|found| found.above))
    }
}

impl TryFrom<Parts> for Saturation {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        let channels = parts.channels(SATURATION)?;
        let (low, high) = (parts.numbers(LOW)?, parts.numbers(HIGH)?);
        let (values, below, above) = (
            parts.counts(VALUES)?,
            parts.counts(BELOW)?,
            parts.counts(ABOVE)?,
        );
        same_length(&[
            low.len(),
            high.len(),
            values.len(),
            below.len(),
            above.len(),
        ])?;
        let ranges = low.iter().copied().zip(high.iter().copied());
        let ranges: Vec<(f64, f64)> = ranges.collect();
        let mut own = Self::new(&ranges).map_err(|error| error.to_string())?;
        own.channels = channels;
        let counts = values.iter().zip(below).zip(above);
        for (found, ((&values, &below), &above)) in own.found.iter_mut().zip(counts) {
            if below
                .checked_add(above)
                .is_none_or(|beyond| beyond > values)
            {
                return Err("more values lie outside than there are".to_owned());
            }
            *found = Beyond {
                values,
                below,
                above,
            };
        }
        Ok(own)
    }
}

impl From<Statistics> for Parts {
    fn from(statistics: Statistics) -> Self {
        match statistics {
            Statistics::MinMax(own) => own.into(),
            Statistics::MovingAverage(own) => own.into(),
            Statistics::Histogram(own) => own.into(),
            Statistics::ChannelSums(own) => own.into(),
            Statistics::Saturation(own) => own.into(),
        }
    }
}

impl TryFrom<Parts> for Statistics {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        match parts.kind.as_str() {
            MIN_MAX => parts.try_into().map(Self::MinMax),
            MOVING_AVERAGE => parts.try_into().map(Self::MovingAverage),
            HISTOGRAM => parts.try_into().map(Self::Histogram),
            CHANNEL_SUMS => parts.try_into().map(Self::ChannelSums),
            SATURATION => parts.try_into().map(Self::Saturation),
            other => Err(format!("{other:?} is no kind of statistics")),
        }
    }
}
