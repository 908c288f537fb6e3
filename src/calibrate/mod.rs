//! Calibration: what values a tensor takes, gathered from a stream in constant memory.
//!
//! | observer | what it keeps, of the tensor or of each channel | merging |
//! |---|---|---|
//! | [`MinMax`] | the least and the largest value | the same bits in any order |
//! | [`MovingAverage`] | averages of these over batches | none: the order of batches matters |
//! | [`Histogram`] | counts in bins of equal width | the same bits in any order |
//! | [`ChannelSums`] | how many values, Σ\|x\| and Σx² | counts exactly; sums to the last bits of an f64 |
//! | [`Saturation`] | how many values lie outside a given range | the same bits in any order |
//!
//! All are plain values: they can be cloned, sent, compared, put into a file (`formats::CalibrationFile`, with the
//! feature `calibration`) and, by `merge`, put together from threads, shards and machines. What one batch gives does
//! not depend on the number of threads.
//!
//! Statistics become ranges in [`quantize`](crate::quantize): see `Percentile`, `ErrorSearch` and `Entropy` there.
//!
//! ```
//! use ndarray::array;
//! use rarefy::calibrate::{MinMax, ObserverExt};
//! use rarefy::quantize::Linear;
//!
//! let mut observer = MinMax::new();
//! for batch in [array![-0.5_f32, 0.25], array![1.55, -1.0]] {
//!     observer.observe(&batch)?;
//! }
//! let linear = Linear::new(8).affine().unsigned();
//! let parameters = linear.parameters(&observer.ranges()?)?;
//! assert_eq!((parameters.scales(), parameters.zero_points()), (&[0.01][..], &[100][..]));
//! # Ok::<(), rarefy::Error>(())
//! ```

mod channels;
mod histogram;
mod min_max;
mod moving_average;
mod observer;
#[cfg(any(feature = "calibration", feature = "serde"))]
mod parts;
mod saturation;
mod statistics;
mod sums;

pub use channels::NonFinite;
pub(crate) use histogram::Bin;
pub use histogram::Histogram;
pub use min_max::MinMax;
pub use moving_average::MovingAverage;
pub use observer::{Observer, ObserverExt};
#[cfg(feature = "calibration")]
pub(crate) use parts::Parts;
pub use saturation::{Saturated, Saturation};
pub use statistics::Statistics;
pub use sums::ChannelSums;
