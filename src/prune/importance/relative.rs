//! Scores weights by their magnitude relative to the norm of their tensor.
//!
//! ```text
//! score = |w| / ‖W‖₂
//! ```

use super::Importance;
use crate::error::Result;
use crate::float::Float;
use crate::kernels::real::Real;
use crate::kernels::units::Slices;
use crate::kernels::{array, folds};
use ndarray::{ArrayD, ArrayRefD};

/// Scores weights by their magnitude relative to the L₂ norm of their tensor.
///
/// Within one tensor it ranks as [`Magnitude`](super::Magnitude) does; it is meant for
/// [`Global`](crate::prune::Global) pruning of several, as NNCF does it. A tensor of zeros has scores 0.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::RelativeMagnitude;
///
/// let scores = RelativeMagnitude.scores(&array![3.0_f64, -4.0].into_dyn())?;
/// assert_eq!(scores, array![0.6, 0.8].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RelativeMagnitude;

impl<F: Float> Importance<F> for RelativeMagnitude {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        let whole = Slices {
            outer: 1,
            count: 1,
            inner: weights.len(),
        };
        let norm = folds::norms(&whole, &array::elements(weights), 2.0)[0];
        let norm = if norm == 0.0 { 1.0 } else { norm };
        Ok(weights.mapv(|weight| F::cast(weight.widen().abs() / norm)))
    }
}
