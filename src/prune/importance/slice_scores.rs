//! Scores whole slices by one number each: the scales of a batch normalisation, activity of neurons.
//!
//! ```text
//! score of every weight in slice i = |vᵢ|
//! ```
//!
//! Network slimming ranks channels by the scale γ of the batch normalisation behind them (Liu et al. 2017,
//! <https://arxiv.org/abs/1708.06519>); others by how often or how strongly a neuron is active (Hu et al. 2016,
//! <https://arxiv.org/abs/1607.03250>).

use super::Importance;
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::{Array1, ArrayD, ArrayRef1, ArrayRefD, Axis};
use std::fmt;

/// Scores whole slices by the magnitude of one number each, which the caller measured.
///
/// Use it with a pattern along the same axis and [`Aggregate::Max`](crate::prune::Aggregate::Max) or
/// [`Mean`](crate::prune::Aggregate::Mean).
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::prune::{Aggregate, SliceScores, Structured};
///
/// let mut weights = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
/// let gamma = array![0.9, -0.01, 0.5];
/// let pruner = Structured::new(SliceScores::new(&gamma, Axis(0)), 1_usize, Axis(0));
/// pruner.aggregate(Aggregate::Max).prune(&mut weights)?;
/// assert_eq!(weights, array![[1.0, 2.0], [0.0, 0.0], [5.0, 6.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::AxisOutOfRange`] or [`Error::WrongCount`] when used on weights without that axis, or with another
/// number of slices.
#[derive(Clone, PartialEq)]
pub struct SliceScores<F> {
    values: Array1<F>,
    axis: Axis,
}

impl<F: Float> SliceScores<F> {
    /// A number for each slice along `axis`.
    pub fn new(values: &ArrayRef1<F>, axis: Axis) -> Self {
        Self {
            values: values.to_owned(),
            axis,
        }
    }
}

/// Fails unless there is one value for each slice along the axis.
pub(super) fn check_slices(
    what: &'static str,
    given: usize,
    shape: &[usize],
    axis: Axis,
) -> Result<()> {
    let Some(&expected) = shape.get(axis.index()) else {
        return Err(Error::AxisOutOfRange {
            axis: axis.index(),
            ndim: shape.len(),
        });
    };
    if given != expected {
        return Err(Error::WrongCount {
            what,
            given,
            expected,
        });
    }
    Ok(())
}

impl<F: Float> Importance<F> for SliceScores<F> {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        check_slices(
            "slice scores",
            self.values.len(),
            weights.shape(),
            self.axis,
        )?;
        let mut scores = ArrayD::zeros(weights.raw_dim());
        for (mut slice, value) in scores.axis_iter_mut(self.axis).zip(&self.values) {
            slice.fill(value.abs());
        }
        Ok(scores)
    }
}

impl<F> fmt::Debug for SliceScores<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SliceScores")
            .field("slices", &self.values.len())
            .field("axis", &self.axis)
            .finish()
    }
}
