//! Which range of numbers codes should reach: from statistics, or from the values themselves.
//!
//! Whatever is found is a list of (low, high), one for each scale, and goes into
//! [`Linear::parameters`](super::Linear::parameters).

mod entropy;
mod error_search;
mod percentile;

pub use entropy::Entropy;
pub use error_search::ErrorSearch;
pub use percentile::Percentile;

use crate::error::{CalibrationError, Error, Result};
use crate::float::Float;
use crate::kernels::finite::first_not_finite;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{ArrayRef, Dimension};

/// Fails unless there are values and all are finite.
fn check_values<F: Float, D: Dimension>(
    values: &ArrayRef<F, D>,
    flat: &[F],
    what: &'static str,
) -> Result<()> {
    if values.is_empty() {
        return Err(Error::Calibration(CalibrationError::NoValues {
            what,
            channel: 0,
        }));
    }
    match first_not_finite(values) {
        None => Ok(()),
        Some(place) => {
            let index = shape::index_of(place, values.shape());
            Err(Error::not_finite("value", index, flat[place].widen()))
        }
    }
}
