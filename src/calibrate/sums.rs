//! Sums magnitudes and squares.

use super::channels::{Channels, NonFinite, not_finite};
use super::observer::Observer;
use crate::error::{CalibrationError, Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::finite::first_not_finite;
use crate::kernels::folds::{Numbers, OfNumbers, SumAbs, SumSquares};
use crate::kernels::units::Layout;
use ndarray::{ArrayRefD, Axis};
use std::fmt;

/// The sums of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) values: u64,
    pub(super) magnitudes: f64,
    pub(super) squares: f64,
}

/// Sums magnitudes and squares of a tensor or of each of its channels.
///
/// ```text
/// n, Σ|x|, Σx²        mean magnitude = Σ|x| / n        mean square = Σx² / n
/// ```
///
/// Mean magnitudes of input channels are what AWQ scales by, mean squares what llama.cpp's importance matrix
/// (`imatrix`) holds and weighs errors with. Kept are the raw sums in f64 and how many values there were, never means: so
/// batches of any size and parts from anywhere count as they should. What a batch gives has the same bits in any pool;
/// counts are exact, and adding the sums of m parts in another order changes them by at most m · 2⁻⁵³ of their value.
///
/// | setting | meaning | default |
/// |---|---|---|
/// | [`per_channel`](Self::per_channel) | each index on this axis by itself | the whole tensor |
/// | [`non_finite`](Self::non_finite) | what becomes of NaN and infinity | an error |
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::calibrate::{ChannelSums, ObserverExt};
///
/// let mut sums = ChannelSums::new().per_channel(Axis(1));
/// sums.observe(&array![[1.0_f32, -2.0], [3.0, 0.0]])?;
/// assert_eq!(sums.mean_magnitudes()?, [2.0, 1.0]);
/// assert_eq!(sums.mean_squares()?, [5.0, 2.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`MinMax`](super::MinMax), and [`Error::SumOutOfRange`] if squares leave the range of an f64.
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "super::parts::Parts", into = "super::parts::Parts")
)]
pub struct ChannelSums {
    pub(super) channels: Channels,
    pub(super) sums: Vec<Sums>,
}

impl ChannelSums {
    pub(super) const NAME: &'static str = "channel sums";

    /// Nothing observed yet, of the whole tensor.
    pub const fn new() -> Self {
        Self {
            channels: Channels::new(),
            sums: Vec::new(),
        }
    }

    /// The same, forgetting what was observed, for each index on `axis` by itself.
    #[must_use]
    pub fn per_channel(mut self, axis: Axis) -> Self {
        self.channels.axis = Some(axis);
        self.sums.clear();
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
        self.sums.len()
    }

    /// How many values of each channel were observed.
    pub fn values(&self) -> Vec<u64> {
        self.sums.iter().map(|sums| sums.values).collect()
    }

    /// Σ|x| ÷ n for each channel.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`]: a channel without any.
    pub fn mean_magnitudes(&self) -> Result<Vec<f64>> {
        self.means(|sums| sums.magnitudes)
    }

    /// Σx² ÷ n for each channel.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`]: a channel without any.
    pub fn mean_squares(&self) -> Result<Vec<f64>> {
        self.means(|sums| sums.squares)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean; more than 2⁵³ values do not occur"
    )]
    fn means(&self, sum: impl Fn(&Sums) -> f64) -> Result<Vec<f64>> {
        let what = Self::NAME;
        if self.sums.is_empty() {
            return Err(Error::Calibration(CalibrationError::NoValues {
                what,
                channel: 0,
            }));
        }
        let mean = |(channel, sums): (usize, &Sums)| match sums.values {
            0 => Err(Error::Calibration(CalibrationError::NoValues {
                what,
                channel,
            })),
            values => Ok(sum(sums) / values as f64),
        };
        self.sums.iter().enumerate().map(mean).collect()
    }

    /// Takes in what another has observed.
    ///
    /// # Errors
    ///
    /// [`Error::Calibration`] or [`Error::WrongCount`] if it has other settings or channels,
    /// [`Error::SumOutOfRange`] if sums leave the range of an f64; nothing changes.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let (own, others) = (self.sums.len(), other.sums.len());
        self.channels.check_same(own, other.channels, others)?;
        self.add(&other.sums)
    }

    fn add(&mut self, sums: &[Sums]) -> Result<()> {
        let nothing = [Sums::default()];
        let own = self.sums.iter().chain(nothing.iter().cycle());
        let added = own.zip(sums).map(|(own, other)| Sums {
            values: own.values.saturating_add(other.values),
            magnitudes: own.magnitudes + other.magnitudes,
            squares: own.squares + other.squares,
        });
        let added: Vec<Sums> = added.collect();
        let fits = |sums: &Sums| sums.magnitudes.is_finite() && sums.squares.is_finite();
        if !added.iter().all(fits) {
            return Err(Error::SumOutOfRange);
        }
        if !added.is_empty() {
            self.sums = added;
        }
        Ok(())
    }
}

impl<F: Float> Observer<F> for ChannelSums {
    fn observe_dyn(&mut self, values: &ArrayRefD<F>) -> Result<()> {
        let slices = self.channels.slices(values.shape(), self.sums.len())?;
        if values.is_empty() {
            return Ok(());
        }
        let flat = array::elements(values);
        let skip = self.channels.non_finite == NonFinite::Skip;
        if !skip && let Some(place) = first_not_finite(values) {
            return Err(not_finite(&flat, place, values.shape()));
        }
        let (magnitudes, squares, counts) = if skip {
            (
                slices.fold(&flat, &OfNumbers(SumAbs)),
                slices.fold(&flat, &OfNumbers(SumSquares)),
                slices.fold(&flat, &Numbers),
            )
        } else {
            let each = slices.size(0);
            #[expect(clippy::cast_precision_loss, reason = "a count of what is in memory")]
            let counts = vec![each as f64; slices.count];
            (
                slices.fold(&flat, &SumAbs),
                slices.fold(&flat, &SumSquares),
                counts,
            )
        };
        let sums = magnitudes.into_iter().zip(squares).zip(counts);
        let sums = sums.map(|((magnitudes, squares), values)| Sums {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number, counted in f64"
            )]
            values: values as u64,
            magnitudes,
            squares,
        });
        self.add(&sums.collect::<Vec<_>>())
    }
}

impl fmt::Debug for ChannelSums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut print = f.debug_struct("ChannelSums");
        print.field("channels", &self.sums.len());
        if let [one] = &*self.sums {
            print.field("sums", one);
        }
        print.finish_non_exhaustive()
    }
}
