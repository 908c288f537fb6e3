//! What quantizers share that compute in f32 and find scales before codes.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::finite::first_not_finite_in;
use crate::kernels::real::Real;
use crate::kernels::tiling::Tiling;
use crate::shape;
use std::borrow::Cow;

/// So many scales of 1, or zero points of 0. An array without elements may have more of them than there is memory.
pub(super) fn filled(number: f32, count: usize, shape: &[usize]) -> Result<Vec<f32>> {
    let mut numbers = Vec::new();
    if numbers.try_reserve_exact(count).is_err() {
        let shape = shape.to_vec();
        return Err(Error::ShapeOverflow { shape });
    }
    numbers.resize(count, number);
    Ok(numbers)
}

/// The weights as f32, each rounded once; those of f64 may become infinite. Fails at the first that is not finite.
pub(super) fn singles<'a, F: Float>(flat: &'a [F], shape: &[usize]) -> Result<Cow<'a, [f32]>> {
    match first_not_finite_in(flat) {
        None => Ok(F::singles_of(flat)),
        Some(place) => {
            let index = shape::index_of(place, shape);
            Err(Error::not_finite("weight", index, flat[place].widen()))
        }
    }
}

/// The error for a tile whose weights are too large for a scale.
pub(super) fn too_large<F: Float>(flat: &[F], tiling: &Tiling, tile: usize) -> Error {
    let mut largest = 0.0_f64;
    tiling.runs(tile, |run| {
        let sizes = flat[run].iter().map(|weight| weight.widen().abs());
        largest = sizes.fold(largest, f64::max);
    });
    Error::ScaleOverflow {
        channel: tile,
        largest,
    }
}
