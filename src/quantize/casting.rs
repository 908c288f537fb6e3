//! What quantizers whose codes are not evenly spaced have in common.

use super::linear::not_finite;
use super::{Granularity, NonFinite, Parameters, QuantizedTensor};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::encode::Trouble;
use crate::kernels::real::Real;
use crate::kernels::tiling::Tiling;
use crate::kernels::uneven::{Casting, Uneven};
use crate::kernels::{array, finite, pack};
use crate::shape;
use ndarray::{ArrayRef, Dimension};

/// The settings of who shares a scale, as [`Linear`](super::Linear) has them.
macro_rules! granularity_settings {
    ($field:ident, $wrap:expr) => {
        /// The same with another granularity.
        #[must_use]
        pub const fn granularity(mut self, granularity: $crate::quantize::Granularity) -> Self {
            self.$field = $wrap(granularity);
            self
        }

        /// The same with one scale for each index on `axis`.
        #[must_use]
        pub const fn per_channel(self, axis: ndarray::Axis) -> Self {
            self.granularity($crate::quantize::Granularity::PerChannel(axis))
        }

        /// The same with one scale for each `size` neighbours along `axis`.
        #[must_use]
        pub const fn per_group(self, axis: ndarray::Axis, size: usize) -> Self {
            self.granularity($crate::quantize::Granularity::PerGroup { axis, size })
        }

        /// The same with one scale for each lane along the last axis.
        #[must_use]
        pub const fn per_token(self) -> Self {
            self.granularity($crate::quantize::Granularity::PerToken)
        }

        /// The same with another answer to NaN and infinity.
        #[must_use]
        pub const fn non_finite(mut self, non_finite: $crate::quantize::NonFinite) -> Self {
            self.non_finite = non_finite;
            self
        }
    };
}
pub(super) use granularity_settings;

/// As many ones as there are scales, if there is memory for so many: an array without elements may have more channels.
pub(super) fn ones(tiling: &Tiling, shape: &[usize]) -> Result<Vec<f32>> {
    let mut scales: Vec<f32> = Vec::new();
    if scales.try_reserve_exact(tiling.count()).is_err() {
        let shape = shape.to_vec();
        return Err(Error::ShapeOverflow { shape });
    }
    scales.resize(tiling.count(), 1.0);
    Ok(scales)
}

/// The weights as codes, with scales that bring `largest`, the largest magnitude that a code means, to the largest
/// magnitude of each group; `parameters` are made of those.
pub(super) fn by_largest<F: Float, D: Dimension>(
    weights: &ArrayRef<F, D>,
    (granularity, non_finite): (Granularity, NonFinite),
    (casting, largest): (Casting<'_>, f32),
    parameters: impl FnOnce(Vec<f32>) -> Parameters,
) -> Result<QuantizedTensor> {
    let finite = non_finite.for_codes()?;
    let tiling = granularity.tiling(weights.shape())?;
    let mut scales = ones(&tiling, weights.shape())?;
    let mut packed = vec![0; pack::bytes_for(weights.len(), casting.bits())];
    if !weights.is_empty() {
        let flat = array::elements(weights);
        let to = (&mut scales[..], &mut packed[..]);
        <F as Uneven>::fit_and_cast(&flat, &tiling, (largest, finite), casting, to).map_err(
            |trouble| match trouble {
                Trouble::NotFinite(place) => not_finite(&flat, place, weights.shape()),
                Trouble::Overflow(channel) => overflow(&flat, &tiling, channel),
            },
        )?;
    }
    Ok(QuantizedTensor::from_checked(
        weights.shape(),
        packed,
        parameters(scales),
    ))
}

/// The weights as codes with these parameters.
pub(super) fn with_parameters<F: Float, D: Dimension>(
    weights: &ArrayRef<F, D>,
    parameters: Parameters,
    casting: Casting<'_>,
    non_finite: NonFinite,
) -> Result<QuantizedTensor> {
    parameters.check(weights.shape())?;
    check_finite(weights, non_finite)?;
    let tiling = parameters.granularity().tiling(weights.shape())?;
    let mut packed = vec![0; pack::bytes_for(weights.len(), casting.bits())];
    let flat = array::elements(weights);
    <F as Uneven>::cast_with(&flat, &tiling, casting, parameters.scales(), &mut packed);
    Ok(QuantizedTensor::from_checked(
        weights.shape(),
        packed,
        parameters,
    ))
}

/// Fails with the first weight that is not finite, if that is an error.
pub(super) fn check_finite<F: Float, D: Dimension>(
    weights: &ArrayRef<F, D>,
    non_finite: NonFinite,
) -> Result<()> {
    non_finite.for_codes()?;
    if non_finite != NonFinite::Error {
        return Ok(());
    }
    let Some(place) = finite::first_not_finite(weights) else {
        return Ok(());
    };
    let value = weights.iter().nth(place).map_or(f64::NAN, |x| x.widen());
    let index = shape::index_of(place, weights.shape());
    Err(Error::not_finite("weight", index, value))
}

/// The error for a tile whose scale does not fit.
fn overflow<F: Float>(flat: &[F], tiling: &Tiling, channel: usize) -> Error {
    let mut largest = 0.0_f64;
    tiling.stretches(0..flat.len(), |stretch, tiles| {
        if tiles.len() == 1 && tiles.start == channel {
            let part = flat[stretch].iter().map(|x| x.widen().abs());
            largest = part.fold(largest, f64::max);
        } else if tiles.contains(&channel) {
            let own = flat[stretch.start + channel - tiles.start];
            largest = largest.max(own.widen().abs());
        }
    });
    Error::ScaleOverflow { channel, largest }
}
