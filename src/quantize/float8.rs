//! Quantizes to floats of 8 bits.
//!
//! ```text
//! scale s = max|w| / largest float        code = the bits of the float nearest to w / s
//! ```

use super::casting::{by_largest, non_finite_setting, with_parameters};
use super::granularity::granularity_settings;
use super::{Granularity, Minifloat, NonFinite, Parameters, QuantizedTensor, Quantizer, Scheme};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::uneven::Casting;
use ndarray::{ArrayRef, ArrayRefD, Dimension};

/// Quantizes to floats of 8 bits, scaled so that the largest weight meets the largest float.
///
/// Ties go to the even code, what is larger than the largest float becomes it: the bits of PyTorch's casts of w / s to
/// `float8_e4m3fn` and `float8_e5m2`, and scale and codes of torchao's `Float8Tensor`.
///
/// Guarantees: 0 becomes 0; no weight moves by more than 2⁻⁴ of itself (E5M2: 2⁻³), or 2⁻¹⁰ · s (E5M2: 2⁻¹⁷ · s) if
/// that is more, and the last bits of a float; opposite weights have opposite numbers; quantizing what came back with the
/// same parameters gives the same codes. All weights zero: codes 0 and the least scale, 1.1754944e-38. No weights: no codes,
/// scale 1.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::quantize::Float8;
///
/// let weights = array![[448.0_f32, 1.0, -0.3], [0.002, 0.001, 0.0]];
/// let q = Float8::e4m3().per_channel(Axis(0)).quantize(&weights)?;
/// assert_eq!(q.codes(), array![[0x7E, 0x38, 0xAA], [0x7E, 0x76, 0]].into_dyn());
/// assert_eq!(q.scales(), [1.0, 0.002 / 448.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
/// * [`Error::NoCodeForNan`]: NaN should be propagated.
/// * [`Error::AxisOutOfRange`] and the others of [`Granularity::scales`].
/// * [`Error::ScaleOverflow`]: weights in f64 that are too large for a scale in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Float8 {
    format: Format,
    granularity: Granularity,
    non_finite: NonFinite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Format {
    E4M3,
    E5M2,
}

impl Format {
    const fn minifloat(self) -> Minifloat {
        match self {
            Self::E4M3 => Minifloat::E4M3,
            Self::E5M2 => Minifloat::E5M2,
        }
    }

    const fn casting(self) -> Casting<'static> {
        match self {
            Self::E4M3 => Casting::E4M3,
            Self::E5M2 => Casting::E5M2,
        }
    }
}

impl Float8 {
    const fn new(format: Format) -> Self {
        Self {
            format,
            granularity: Granularity::PerTensor,
            non_finite: NonFinite::Error,
        }
    }

    /// With three bits of fraction, up to 448: for weights and activations. One scale for the tensor.
    pub const fn e4m3() -> Self {
        Self::new(Format::E4M3)
    }

    /// With two bits of fraction, up to 57344: for gradients. One scale for the tensor.
    pub const fn e5m2() -> Self {
        Self::new(Format::E5M2)
    }

    granularity_settings!(granularity);
    non_finite_setting!();

    /// What the codes mean.
    pub const fn scheme(&self) -> Scheme {
        Scheme::float(self.format.minifloat())
    }

    /// The weights as codes with these parameters; of this quantizer counts only what becomes of NaN and infinity. What
    /// lies outside gets the outermost code.
    ///
    /// # Errors
    ///
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
    /// * [`Error::WrongCount`]: parameters of another scheme than this quantizer's.
    /// * Those of [`QuantizedTensor::from_codes`] for parameters that do not fit.
    pub fn quantize_with<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        parameters: &Parameters,
    ) -> Result<QuantizedTensor> {
        if parameters.scheme() != self.scheme() {
            return Err(Error::WrongCount {
                what: "parameters of this float",
                given: 0,
                expected: 1,
            });
        }
        let casting = self.format.casting();
        with_parameters(weights, parameters.clone(), casting, self.non_finite)
    }
}

impl<F: Float> Quantizer<F> for Float8 {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let settings = (self.granularity, self.non_finite);
        let casting = (self.format.casting(), self.format.minifloat().largest());
        by_largest(weights, settings, casting, |scales| {
            Parameters::new(self.scheme(), self.granularity, scales)
        })
    }
}
