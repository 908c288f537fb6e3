//! Scores weights by numbers of the caller's own.

use super::{Elementwise, Importance};
use crate::error::Result;
use crate::float::Float;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, ArrayRefD, ArrayViewD, Dimension};
use std::fmt;

/// Scores weights by numbers of the caller's own, one for each weight.
///
/// PyTorch: the `importance_scores` of `torch.nn.utils.prune`'s functions. Borrowed, not copied.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::{GivenScores, Unstructured};
///
/// let mut weights = array![1.0, 2.0, 3.0];
/// let scores = array![0.9, 0.1, 0.5];
/// Unstructured::new(GivenScores::new(&scores), 1_usize).prune(&mut weights)?;
/// assert_eq!(weights, array![1.0, 0.0, 3.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) when used on weights of another shape.
#[derive(Clone, PartialEq)]
pub struct GivenScores<'a, F> {
    scores: ArrayViewD<'a, F>,
}

impl<'a, F: Float> GivenScores<'a, F> {
    /// These scores; the higher, the longer a weight stays.
    pub fn new<D: Dimension>(scores: &'a ArrayRef<F, D>) -> Self {
        Self {
            scores: scores.view().into_dyn(),
        }
    }
}

impl<F: Float> Importance<F> for GivenScores<'_, F> {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        shape::check_same("weights", weights.shape(), "scores", self.scores.shape())?;
        Ok(self.scores.to_owned())
    }

    fn elementwise(&self) -> Option<Elementwise<'_, F>> {
        Some(Elementwise::Given(&self.scores))
    }
}

impl<F> fmt::Debug for GivenScores<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenScores")
            .field("shape", &self.scores.shape())
            .finish()
    }
}
