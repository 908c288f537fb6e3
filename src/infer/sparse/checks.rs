//! What is checked of weights and of activations.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::infer::Layer;
use crate::infer::layer::check_shapes;
use crate::kernels::array;
use crate::kernels::finite::{first_not_finite, first_not_finite_in};
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

/// Fails unless shapes fit and all activations are finite.
pub(super) fn check_input(
    layer: &dyn Layer,
    x: &ArrayRef2<f32>,
    out: &ArrayRef2<f32>,
) -> Result<()> {
    check_shapes(layer, x, out)?;
    match first_not_finite(x) {
        None => Ok(()),
        Some(place) => {
            let index = shape::index_of(place, x.shape());
            let value = x[[index[0], index[1]]].into();
            Err(Error::not_finite("activation", index, value))
        }
    }
}
