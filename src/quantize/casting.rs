//! What quantizers whose codes are not evenly spaced have in common.

use super::faults::{check_finite, filled, trouble};
use super::{Granularity, NonFinite, Parameters, QuantizedTensor};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::uneven::{Casting, Uneven};
use crate::kernels::{array, pack};
use ndarray::{ArrayRef, Dimension};

/// The setting of what becomes of NaN and infinity, as [`Linear`](super::Linear) has it.
macro_rules! non_finite_setting {
    () => {
        /// The same with another answer to NaN and infinity.
        #[must_use]
        pub const fn non_finite(mut self, non_finite: $crate::quantize::NonFinite) -> Self {
            self.non_finite = non_finite;
            self
        }
    };
}
pub(super) use non_finite_setting;

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
    let mut scales = filled(1.0, tiling.count(), weights.shape())?;
    let mut packed = vec![0; pack::bytes_for(weights.len(), casting.bits())];
    if !weights.is_empty() {
        let flat = array::elements(weights);
        let to = (&mut scales[..], &mut packed[..]);
        <F as Uneven>::fit_and_cast(&flat, &tiling, (largest, finite), casting, to)
            .map_err(|met| trouble(met, &flat, &tiling, weights.shape()))?;
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
    let flat = array::elements(weights);
    check_finite(&flat, weights.shape(), non_finite)?;
    cast(&flat, weights.shape(), parameters, casting)
}

/// The weights as codes with parameters that fit; NaN counts as 0.
pub(super) fn cast<F: Float>(
    flat: &[F],
    shape: &[usize],
    parameters: Parameters,
    casting: Casting<'_>,
) -> Result<QuantizedTensor> {
    let tiling = parameters.granularity().tiling(shape)?;
    let mut packed = vec![0; pack::bytes_for(flat.len(), casting.bits())];
    <F as Uneven>::cast_with(flat, &tiling, casting, parameters.scales(), &mut packed);
    Ok(QuantizedTensor::from_checked(shape, packed, parameters))
}
