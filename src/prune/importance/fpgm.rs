//! Scores slices by how far they are from all the others: what is near the middle can be replaced.
//!
//! ```text
//! score of slice i = Σ_j ‖wᵢ − wⱼ‖₂
//! ```
//!
//! He et al. 2019, "Filter pruning via geometric median", <https://arxiv.org/abs/1811.00250>.

use super::Importance;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::kernels::{finite, parallel};
use crate::shape;
use ndarray::{ArrayD, ArrayRefD, Axis, IxDyn};

/// Scores whole slices along an axis by the sum of their distances to all slices.
///
/// Use it with a pattern along the same axis and [`Aggregate::Max`](crate::prune::Aggregate::Max). Computed in
/// f64; n slices take n² distances.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::prune::{Aggregate, Fpgm, Structured};
///
/// let mut filters = array![[9.0, 0.0], [5.0, 5.0], [0.0, 9.0]];
/// let pruner = Structured::new(Fpgm::new(Axis(0)), 1_usize, Axis(0));
/// pruner.aggregate(Aggregate::Max).prune(&mut filters)?;
/// assert_eq!(filters.row(1), array![0.0, 0.0]); // it lies between the others
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::AxisOutOfRange`] when used on weights without that axis, [`Error::NotANumber`] or
/// [`Error::Infinite`] if a weight is not finite: it has no distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fpgm {
    axis: Axis,
}

impl Fpgm {
    /// Distances between the slices along `axis`.
    pub const fn new(axis: Axis) -> Self {
        Self { axis }
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

impl<F: Float> Importance<F> for Fpgm {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        if self.axis.index() >= weights.ndim() {
            return Err(Error::AxisOutOfRange {
                axis: self.axis.index(),
                ndim: weights.ndim(),
            });
        }
        if let Some(place) = finite::first_not_finite(weights) {
            let index = shape::index_of(place, weights.shape());
            let value = weights[IxDyn(&index)].widen();
            return Err(Error::not_finite("weight", index, value));
        }
        let slices: Vec<Vec<f64>> = weights
            .axis_iter(self.axis)
            .map(|slice| slice.iter().map(|weight| weight.widen()).collect())
            .collect();
        let sums = parallel::map_ranges(slices.len(), 1, |range| {
            let own = &slices[range.start];
            slices.iter().map(|other| distance(own, other)).sum::<f64>()
        });
        let mut scores = ArrayD::zeros(weights.raw_dim());
        for (mut slice, sum) in scores.axis_iter_mut(self.axis).zip(sums) {
            slice.fill(F::cast(sum));
        }
        Ok(scores)
    }
}
