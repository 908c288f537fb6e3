//! What keeps weights from having codes, found and said in one way by all quantizers.

use super::NonFinite;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::finite::first_not_finite_in;
use crate::kernels::fitted::Trouble;
use crate::kernels::real::Real;
use crate::kernels::tiling::Tiling;
use crate::shape;
use std::borrow::Cow;

/// Room for so many scales. An array without elements may have more of them than there is memory.
pub(super) fn reserve(numbers: &mut Vec<f32>, count: usize, shape: &[usize]) -> Result<()> {
    let more = count.saturating_sub(numbers.len());
    numbers.try_reserve_exact(more).map_err(|_| {
        let shape = shape.to_vec();
        Error::ShapeOverflow { shape }
    })
}

/// So many scales of 1, or zero points of 0.
pub(super) fn filled(number: f32, count: usize, shape: &[usize]) -> Result<Vec<f32>> {
    let mut numbers = Vec::new();
    reserve(&mut numbers, count, shape)?;
    numbers.resize(count, number);
    Ok(numbers)
}

/// The error for the weight at `place`.
pub(super) fn not_finite<F: Float>(flat: &[F], place: usize, shape: &[usize]) -> Error {
    Error::not_finite("weight", shape::index_of(place, shape), flat[place].widen())
}

/// Fails with the first weight that is not finite, if that is an error.
pub(super) fn check_finite<F: Float>(
    flat: &[F],
    shape: &[usize],
    non_finite: NonFinite,
) -> Result<()> {
    non_finite.for_codes()?;
    if non_finite != NonFinite::Error {
        return Ok(());
    }
    match first_not_finite_in(flat) {
        None => Ok(()),
        Some(place) => Err(not_finite(flat, place, shape)),
    }
}

/// The weights as f32, each rounded once; those of f64 may become infinite. Fails at the first that is not finite.
pub(super) fn singles<'a, F: Float>(flat: &'a [F], shape: &[usize]) -> Result<Cow<'a, [f32]>> {
    check_finite(flat, shape, NonFinite::Error)?;
    Ok(F::singles_of(flat))
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

/// The error for what a kernel met while it looked for scales.
pub(super) fn trouble<F: Float>(
    trouble: Trouble,
    flat: &[F],
    tiling: &Tiling,
    shape: &[usize],
) -> Error {
    match trouble {
        Trouble::NotFinite(place) => not_finite(flat, place, shape),
        Trouble::Overflow(tile) => too_large(flat, tiling, tile),
    }
}
