//! Scores weights by what the loss would change, to first order, if they went.
//!
//! ```text
//! score = |w · g|,  g = ∂ loss / ∂ w          of a slice: |Σ w · g|
//! ```
//!
//! Setting w to zero changes the loss by −w·g + O(w²) (Molchanov et al. 2017,
//! <https://arxiv.org/abs/1611.06440>; 2019, <https://arxiv.org/abs/1906.10771>).

use super::{Elementwise, Importance};
use crate::error::Result;
use crate::float::Float;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, ArrayRefD, ArrayViewD, Dimension, Zip};
use std::fmt;

/// Scores weights by |w · g|, what the loss would change to first order if they went.
///
/// Borrows the gradient, in the shape of the weights. The gradient of several batches is their mean or sum;
/// for |w · g| summed over batches there is [`Snip`](super::Snip).
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Taylor, Unstructured};
///
/// let mut weights = array![1.0, 2.0, 3.0];
/// let gradient = array![0.5, -1.0, 0.1];
/// Unstructured::new(Taylor::new(&gradient), 1_usize).prune(&mut weights)?;
/// assert_eq!(weights, array![1.0, 2.0, 0.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) when used on weights of another shape.
#[derive(Clone, PartialEq)]
pub struct Taylor<'a, F> {
    gradient: ArrayViewD<'a, F>,
}

impl<'a, F: Float> Taylor<'a, F> {
    /// The gradient of the loss by the weights.
    pub fn new<D: Dimension>(gradient: &'a ArrayRef<F, D>) -> Self {
        Self {
            gradient: gradient.view().into_dyn(),
        }
    }
}

fn products<F: Float>(
    weights: &ArrayRefD<F>,
    gradient: &ArrayRefD<F>,
    score: impl Fn(F) -> F,
) -> Result<ArrayD<F>> {
    shape::check_same("weights", weights.shape(), "factors", gradient.shape())?;
    let products = Zip::from(weights).and(gradient);
    Ok(products.map_collect(|&weight, &gradient| score(weight * gradient)))
}

impl<F: Float> Importance<F> for Taylor<'_, F> {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        products(weights, &self.gradient, F::abs)
    }

    fn elementwise(&self) -> Option<Elementwise<'_, F>> {
        Some(Elementwise::Product(&self.gradient))
    }
}

impl<F> fmt::Debug for Taylor<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taylor")
            .field("shape", &self.gradient.shape())
            .finish()
    }
}

/// Scores weights by w · g with its sign, for slices whose weights may cancel.
///
/// With [`Aggregate::AbsoluteSum`](crate::prune::Aggregate::AbsoluteSum) the score of a slice is |Σ w · g|: what the loss would change,
/// to first order, if the slice went as a whole.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::prune::{Aggregate, SignedTaylor, Structured};
///
/// let mut weights = array![[1.0, 1.0], [0.1, 0.1]];
/// let gradient = array![[5.0, -5.0], [1.0, 1.0]]; // the first row would change nothing
/// let pruner = Structured::new(SignedTaylor::new(&gradient), 1_usize, Axis(0));
/// pruner.aggregate(Aggregate::AbsoluteSum).prune(&mut weights)?;
/// assert_eq!(weights, array![[0.0, 0.0], [0.1, 0.1]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) when used on weights of another shape.
#[derive(Clone, PartialEq)]
pub struct SignedTaylor<'a, F> {
    gradient: ArrayViewD<'a, F>,
}

impl<'a, F: Float> SignedTaylor<'a, F> {
    /// The gradient of the loss by the weights.
    pub fn new<D: Dimension>(gradient: &'a ArrayRef<F, D>) -> Self {
        Self {
            gradient: gradient.view().into_dyn(),
        }
    }
}

impl<F: Float> Importance<F> for SignedTaylor<'_, F> {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        products(weights, &self.gradient, |product| product)
    }
}

impl<F> fmt::Debug for SignedTaylor<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedTaylor")
            .field("shape", &self.gradient.shape())
            .finish()
    }
}
