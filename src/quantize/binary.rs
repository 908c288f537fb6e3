//! Quantizes to signs.
//!
//! ```text
//! scale s = mean |w|        code = 1 if w ≥ 0, else 0        x = ±s
//! ```

use super::casting::{cast, non_finite_setting, with_parameters};
use super::faults::{check_finite, filled};
use super::granularity::granularity_settings;
use super::{Granularity, NonFinite, Parameters, QuantizedTensor, Quantizer, Scheme};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::finite::all_finite;
use crate::kernels::real::Sealed;
use crate::kernels::trained::Trained;
use crate::kernels::uneven::Casting;
use ndarray::{ArrayRef, ArrayRefD, Dimension};
use std::borrow::Cow;

/// Quantizes to signs with the mean magnitude: XNOR-Net's binary weights.
///
/// Of all ±s the mean magnitude of a group and the signs of its weights have the least squared error. 0 is not below 0:
/// it becomes +s, whatever its sign, so a pruned tensor does not stay pruned. The mean is summed in f64 in an order that
/// depends on the shape alone.
///
/// Guarantees: no weight changes its sign; quantizing what came back with the same parameters gives the same codes.
/// All weights zero: codes 1 and the least scale, 1.1754944e-38. No weights: no codes, scale 1. With
/// [`NonFinite::Clamp`] what is not finite counts as 0 in the mean.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::quantize::Binary;
///
/// let weights = array![[0.5_f32, -1.0, 0.0], [4.0, 2.0, -3.0]];
/// let q = Binary::new().per_channel(Axis(0)).quantize(&weights)?;
/// assert_eq!(q.codes(), array![[1, 0, 1], [1, 1, 0]].into_dyn());
/// assert_eq!(q.dequantize::<f32>(), array![[0.5, -0.5, 0.5], [3.0, 3.0, -3.0]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
/// * [`Error::NoCodeForNan`]: NaN should be propagated.
/// * [`Error::AxisOutOfRange`] and the others of [`Granularity::scales`].
/// * [`Error::ScaleOverflow`]: weights in f64 whose mean is too large for an f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Binary {
    granularity: Granularity,
    non_finite: NonFinite,
}

impl Binary {
    /// One scale for the tensor.
    pub const fn new() -> Self {
        Self {
            granularity: Granularity::PerTensor,
            non_finite: NonFinite::Error,
        }
    }

    granularity_settings!(granularity);
    non_finite_setting!();

    /// The weights as codes with these parameters; of this quantizer counts only what becomes of NaN and infinity.
    ///
    /// # Errors
    ///
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
    /// * [`Error::WrongCount`]: parameters of another scheme.
    /// * Those of [`QuantizedTensor::from_codes`] for parameters that do not fit.
    pub fn quantize_with<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        parameters: &Parameters,
    ) -> Result<QuantizedTensor> {
        if parameters.scheme() != Scheme::binary() {
            return Err(Error::WrongCount {
                what: "parameters of signs",
                given: 0,
                expected: 1,
            });
        }
        with_parameters(weights, parameters.clone(), Casting::Sign, self.non_finite)
    }
}

impl<F: Float> Quantizer<F> for Binary {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let shape = weights.shape();
        let flat = array::elements(weights);
        check_finite(&flat, shape, self.non_finite)?;
        let tiling = self.granularity.tiling(shape)?;
        let mut scales = filled(1.0, tiling.count(), shape)?;
        if !flat.is_empty() {
            let all_finite = self.non_finite == NonFinite::Error || all_finite(&flat);
            let finite = if all_finite {
                Cow::Borrowed(&flat[..])
            } else {
                let or_zero = |&weight: &F| {
                    if weight.is_finite() {
                        weight
                    } else {
                        F::zero()
                    }
                };
                flat.iter().map(or_zero).collect()
            };
            let means = <F as Trained>::mean_magnitudes(&finite, &tiling);
            for (channel, (scale, largest)) in scales.iter_mut().zip(means).enumerate() {
                *scale = f32::narrow(largest).max(f32::MIN_POSITIVE);
                if scale.is_infinite() {
                    return Err(Error::ScaleOverflow { channel, largest });
                }
            }
        }
        let parameters = Parameters::new(Scheme::binary(), self.granularity, scales);
        cast(&flat, shape, parameters, Casting::Sign)
    }
}
