//! What is checked of weights.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::finite::first_not_finite_in;
use crate::shape;
use ndarray::ArrayRef2;

/// The weights as f32 in row-major order, all of them finite.
pub(super) fn singles<F: Float>(weights: &ArrayRef2<F>) -> Result<Vec<f32>> {
    let singles = F::singles_of(&array::elements(weights)).into_owned();
    finite(&singles, weights.shape())?;
    Ok(singles)
}

/// Fails at the first weight that is not finite.
pub(super) fn finite(weights: &[f32], shape: &[usize]) -> Result<()> {
    match first_not_finite_in(weights) {
        None => Ok(()),
        Some(place) => {
            let index = shape::index_of(place, shape);
            Err(Error::not_finite("weight", index, weights[place].into()))
        }
    }
}
