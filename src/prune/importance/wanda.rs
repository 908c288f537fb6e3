//! Scores weights by their magnitude times the norm of what they are multiplied with.
//!
//! ```text
//! score of w_ij = |w_ij| · ‖x_j‖
//! ```
//!
//! Sun et al. 2024, "A simple and effective pruning approach for large language models",
//! <https://arxiv.org/abs/2306.11695>.

use super::Importance;
use super::slice_scores::check_slices;
use crate::error::Result;
use crate::float::Float;
use ndarray::{Array1, ArrayD, ArrayRef1, ArrayRefD, Axis};
use std::fmt;

/// Scores weights by |w| · ‖x‖, with a norm for each input that the caller measured.
///
/// Wanda ranks within each output row: [`Unstructured::profile`](crate::prune::Unstructured::profile) with
/// [`Profile::Wanda`](crate::prune::Profile::Wanda).
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::prune::{Profile, Unstructured, Wanda};
///
/// let mut weights = array![[1.0, 2.0], [3.0, 1.0]];
/// let norms = array![4.0, 1.0]; // of the two inputs
/// let wanda = Wanda::new(&norms, Axis(1));
/// Unstructured::new(wanda, 0.5).profile(Profile::Wanda).prune(&mut weights)?;
/// assert_eq!(weights, array![[1.0, 0.0], [3.0, 0.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::AxisOutOfRange`](crate::Error::AxisOutOfRange) or [`Error::WrongCount`](crate::Error::WrongCount)
/// when used on weights without that axis, or with another number of inputs.
#[derive(Clone, PartialEq)]
pub struct Wanda<F> {
    norms: Array1<F>,
    inputs: Axis,
}

impl<F: Float> Wanda<F> {
    /// A norm for each index of the axis of inputs: `Axis(1)` of a matrix with a row for each output.
    pub fn new(norms: &ArrayRef1<F>, inputs: Axis) -> Self {
        Self {
            norms: norms.to_owned(),
            inputs,
        }
    }
}

impl<F: Float> Importance<F> for Wanda<F> {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        check_slices("norms", self.norms.len(), weights.shape(), self.inputs)?;
        let mut scores = weights.mapv(F::abs);
        for (mut slice, &norm) in scores.axis_iter_mut(self.inputs).zip(&self.norms) {
            slice.mapv_inplace(|magnitude| magnitude * norm);
        }
        Ok(scores)
    }
}

impl<F> fmt::Debug for Wanda<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanda")
            .field("norms", &self.norms.len())
            .field("inputs", &self.inputs)
            .finish()
    }
}
