//! Scores weights by what the loss would grow if they went, to second order.
//!
//! ```text
//! score = w² · h,  h = mean over batches of g², for the diagonal of the Hessian
//! ```
//!
//! LeCun, Denker and Solla 1990, "Optimal brain damage", without their factor ½, which changes no order. The
//! mean of squared gradients stands for the second derivative, as the Fisher information does.

use super::Importance;
use super::observed::Observed;
use crate::error::Result;
use crate::float::Float;
use ndarray::{ArrayD, ArrayRef, ArrayRefD, Dimension};
use std::fmt;

/// Scores weights by w² times the mean of g² over batches, with the weights as they are when it is asked.
///
/// Call [`observe`](Self::observe) once a batch, with weights and gradient of that batch; then it is an
/// [`Importance`]. What several workers saw is put together by [`merge`](Self::merge).
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Obd, Unstructured};
///
/// let mut weights = array![1.0, 2.0, 3.0];
/// let mut score = Obd::new();
/// score.observe(&weights, &array![-1.0, 1.0, 0.5])?;
/// score.observe(&weights, &array![-2.0, 1.0, -0.5])?;
/// Unstructured::new(&score, 1_usize).prune(&mut weights)?;
/// assert_eq!(weights, array![1.0, 2.0, 0.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Calibration`](crate::Error::Calibration) when used before the first batch,
/// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) when used on weights of another shape.
#[derive(Clone, Default, PartialEq)]
pub struct Obd {
    observed: Observed,
}

impl Obd {
    /// Nothing observed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the weights and the gradient of one batch.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the shapes differ, or from those of earlier
    /// batches; [`Error::NotANumber`](crate::Error::NotANumber) if a product is NaN. What was observed before stays.
    pub fn observe<F: Float, D: Dimension>(
        &mut self,
        weights: &ArrayRef<F, D>,
        gradient: &ArrayRef<F, D>,
    ) -> Result<()> {
        self.observed.add(weights, gradient, 1.0, |_, g| g * g)
    }

    /// Takes in what another has observed.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if it observed weights of another shape.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.observed.merge(&other.observed, 1.0)
    }

    /// How many batches were observed.
    pub fn batches(&self) -> u64 {
        self.observed.batches
    }
}

impl<F: Float> Importance<F> for Obd {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        let batches = self.observed.divisor();
        self.observed
            .scores("OBD", weights, |sum, w| w * w * (sum / batches))
    }
}

impl fmt::Debug for Obd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.observed.debug("Obd", f)
    }
}
