//! Prunes what is not above a threshold, be it much or little.
//!
//! ```text
//! kept  ⇔  score > t
//! ```

use super::scored::Scored;
use super::structured::{slices, unit_scores};
use super::{Aggregate, Importance, Magnitude, Pruner, PrunerExt, Rules};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::units::Layout;
use crate::mask::Mask;
use ndarray::{ArrayRef, ArrayRefD, Axis, Dimension};

fn check(threshold: f64) -> Result<()> {
    if threshold.is_nan() {
        return Err(Error::NumberOutOfRange {
            what: "threshold",
            must: "a number",
            value: threshold,
        });
    }
    Ok(())
}

/// Prunes the weights whose score is not above a threshold.
///
/// A score equal to the threshold goes. The threshold is any number but NaN, and is compared in f64.
/// Unlike an [`Amount`](super::Amount), it says nothing of how many go, and a weight that is zero already has no
/// special place.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Magnitude, Threshold};
///
/// let mask = Threshold::new(Magnitude, 0.5).mask(&array![0.5, -0.7, 0.1])?;
/// assert_eq!(mask.to_array(), array![false, true, false].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NumberOutOfRange`] if the threshold is NaN, [`Error::NotANumber`] if a weight or a score is,
/// [`Error::ShapeMismatch`], and whatever the importance fails with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold<I> {
    importance: I,
    threshold: f64,
}

impl<I> Threshold<I> {
    /// Keeps the weights whose `importance` is above `threshold`.
    pub fn new(importance: I, threshold: f64) -> Self {
        Self {
            importance,
            threshold,
        }
    }
}

impl<F: Float, I: Importance<F>> Pruner<F> for Threshold<I> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        check(self.threshold)?;
        let scored = Scored::new(weights, &self.importance)?;
        scored.check(Rules::new().nan)?;
        let words = scored.above(self.threshold);
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }
}

/// Prunes the slices along an axis whose score is not above a threshold.
///
/// The score of a slice is the sum of its weights', or what [`aggregate`](Self::aggregate) says; it is compared in f64.
///
/// # Examples
///
/// Rows stay whose sum of magnitudes is above 1:
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::prune::{Magnitude, SliceThreshold};
///
/// let mut weights = array![[0.5, -0.5], [0.75, 0.5]];
/// SliceThreshold::new(Magnitude, 1.0, Axis(0)).prune(&mut weights)?;
/// assert_eq!(weights, array![[0.0, 0.0], [0.75, 0.5]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// As [`Threshold`], and [`Error::AxisOutOfRange`] if the tensor has no such axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceThreshold<I> {
    importance: I,
    threshold: f64,
    axis: Axis,
    aggregate: Aggregate,
}

impl<I> SliceThreshold<I> {
    /// Keeps the slices along `axis` whose sum of `importance` is above `threshold`.
    pub fn new(importance: I, threshold: f64, axis: Axis) -> Self {
        Self {
            importance,
            threshold,
            axis,
            aggregate: Aggregate::Sum,
        }
    }

    /// Makes one score of a slice's scores in this way.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregate = aggregate;
        self
    }
}

impl<F: Float, I: Importance<F>> Pruner<F> for SliceThreshold<I> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        check(self.threshold)?;
        self.aggregate.check()?;
        let slices = slices(weights.shape(), self.axis, 1)?;
        let scored = Scored::new(weights, &self.importance)?;
        let rules = Rules::new();
        let units = unit_scores(&scored, &slices, self.aggregate, rules, "slice score")?;
        let words = slices.expand(&units.above(self.threshold));
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }
}

/// Zeroes the weights whose magnitude is at most `threshold`, and returns the mask of the rest.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prune;
///
/// let mut weights = array![[0.25_f32, -1.0], [0.5, 2.0]];
/// prune::threshold(&mut weights, 0.5)?;
/// assert_eq!(weights, array![[0.0, -1.0], [0.0, 2.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NumberOutOfRange`] if the threshold is NaN, [`Error::NotANumber`] if a weight is. The weights are
/// then unchanged.
pub fn threshold<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    threshold: f64,
) -> Result<Mask> {
    Threshold::new(Magnitude, threshold).prune(weights)
}

/// Zeroes the slices along `axis` whose Σ|w| is at most `threshold`, and returns the mask of the rest.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prune;
///
/// let mut weights = array![[0.25, -1.0], [0.5, 2.0]];
/// prune::slice_threshold(&mut weights, 1.25, Axis(0))?;
/// assert_eq!(weights, array![[0.0, 0.0], [0.5, 2.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// As [`threshold`], and [`Error::AxisOutOfRange`] if the tensor has no such axis.
pub fn slice_threshold<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    threshold: f64,
    axis: Axis,
) -> Result<Mask> {
    SliceThreshold::new(Magnitude, threshold, axis).prune(weights)
}
