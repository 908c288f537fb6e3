//! Quantizes to the nearest of evenly spaced numbers.
//!
//! ```text
//! scale s = max|w| / (2ᵇ⁻¹ − 1)        code = round_half_even(w / s)
//! ```
//!
//! The textbook formula Q(x) = round(x · q) with q = 1/s. Dividing is rounded once and costs nothing
//! where memory is the limit; multiplying by the rounded inverse, as PyTorch does, moves some ties:
//! see [`Profile`].

use super::faults::{reserve, trouble};
use super::granularity::granularity_settings;
use super::profile::Shape;
use super::{
    FakeQuantizer, Granularity, NonFinite, Parameters, Profile, QuantizedTensor, Quantizer,
    QuantizerExt, Rounding, Scheme,
};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::fit::Fit;
use crate::kernels::real::Sealed;
use crate::kernels::tiling::Tiling;
use crate::kernels::{array, pack};
use ndarray::{ArrayRef, ArrayRefD, Dimension};

/// Quantizes to the nearest of evenly spaced numbers.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `bits` | bits of a code | none | 2 to 8, and 16; [`unsigned`](Self::unsigned) and affine also 1 |
/// | [`affine`](Self::affine) | a zero point moves the range of codes to that of the weights | symmetric around 0 | |
/// | [`full_range`](Self::full_range) | symmetric, and all codes are used | as the profile has it | |
/// | [`unsigned`](Self::unsigned) | codes from 0 | signed | |
/// | [`granularity`](Self::granularity) | who shares a scale | per tensor | any [`Granularity`] |
/// | [`profile`](Self::profile) | whose arithmetic | ours | any [`Profile`] |
/// | [`rounding`](Self::rounding) | which neighbour | half to even | any [`Rounding`] |
/// | [`non_finite`](Self::non_finite) | what becomes of NaN and infinity | an error | any [`NonFinite`] |
///
/// Guarantees, with the default profile and rounding: some code means exactly 0, and 0 becomes it; no weight moves by
/// more than half a step (a whole one where a zero point is, for its own rounding) and the last bits of a float;
/// symmetric, opposite weights have opposite codes, and quantizing what came back gives the same codes, as it does in any
/// case with the same parameters ([`quantize_with`](Self::quantize_with)). All weights zero:
/// the code of 0 and the least scale. No weights: no codes, scale 1.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::quantize::Linear;
///
/// let weights = array![[1.0_f32, -0.5], [100.0, 50.0]];
/// let q = Linear::new(8).per_channel(Axis(0)).quantize(&weights)?;
/// assert_eq!(q.codes(), array![[127, -64], [127, 64]].into_dyn());
/// assert_eq!(q.scales(), [1.0 / 127.0, 100.0 / 127.0]);
///
/// let q = Linear::new(4).affine().per_group(Axis(1), 128).quantize(&array![[0.0_f32, 1.0, 3.0]])?;
/// assert_eq!(q.codes(), array![[-8, -3, 7]].into_dyn());
/// assert_eq!((q.scales(), q.zero_points()), (&[0.2][..], &[-8][..]));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::BitsOutOfRange`](crate::Error::BitsOutOfRange): no such width.
/// * [`Error::NotANumber`](crate::Error::NotANumber), [`Error::Infinite`](crate::Error::Infinite): the first weight that is not finite.
/// * [`Error::NoCodeForNan`](crate::Error::NoCodeForNan): NaN should be propagated.
/// * [`Error::AxisOutOfRange`](crate::Error::AxisOutOfRange) and the others of [`Granularity::scales`].
/// * [`Error::ScaleOverflow`](crate::Error::ScaleOverflow): weights in f64 that are too large for a scale in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Linear {
    bits: u32,
    pub(super) granularity: Granularity,
    pub(super) profile: Profile,
    pub(super) shape: Shape,
    signed: bool,
    pub(super) rounding: Rounding,
    pub(super) non_finite: NonFinite,
}

impl Linear {
    /// Codes of `bits` bits, one scale for the tensor.
    pub const fn new(bits: u32) -> Self {
        Self {
            bits,
            granularity: Granularity::PerTensor,
            profile: Profile::Rarefy,
            shape: Shape::Symmetric,
            signed: true,
            rounding: Rounding::HalfEven,
            non_finite: NonFinite::Error,
        }
    }

    /// The same with a zero point for each scale.
    #[must_use]
    pub const fn affine(mut self) -> Self {
        self.shape = Shape::Affine;
        self
    }

    /// The same, symmetric, with all codes of its width.
    #[must_use]
    pub const fn full_range(mut self) -> Self {
        self.shape = Shape::FullRange;
        self
    }

    /// The same with codes from 0; symmetric, their middle is the zero point.
    #[must_use]
    pub const fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    granularity_settings!(granularity);

    /// The same with somebody else's arithmetic.
    #[must_use]
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The same with another rounding.
    #[must_use]
    pub const fn rounding(mut self, rounding: Rounding) -> Self {
        self.rounding = rounding;
        self
    }

    /// The same with another answer to NaN and infinity.
    #[must_use]
    pub const fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// What the codes mean.
    ///
    /// # Errors
    ///
    /// [`Error::BitsOutOfRange`](crate::Error::BitsOutOfRange): no such width.
    pub fn scheme(&self) -> Result<Scheme> {
        self.profile.scheme(self.bits, self.shape, self.signed)
    }

    /// What trains for these parameters, with profile, rounding and answer to NaN of this quantizer.
    pub const fn fake_quantizer(&self, parameters: Parameters) -> FakeQuantizer {
        FakeQuantizer::new(parameters)
            .profile(self.profile)
            .rounding(self.rounding)
            .non_finite(self.non_finite)
    }

    /// How scales are found. `single`: the weights are f32.
    pub(super) fn fit(&self, single: bool) -> Result<Fit> {
        Ok(self.profile.fit(self.scheme()?, self.shape, single))
    }

    /// Which weights share a scale.
    pub(super) fn tiling(&self, shape: &[usize]) -> Result<Tiling> {
        self.granularity.tiling(shape)
    }

    /// The weights as codes, in the memory of another tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::quantize::{self, Linear};
    ///
    /// let mut q = quantize::linear(&array![1.0_f32, 2.0], 8)?; // made once, for all steps
    /// Linear::new(8).quantize_into(&array![-4.0_f32, 4.0], &mut q)?;
    /// assert_eq!(q.codes(), array![-127, 127].into_dyn());
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Linear`]; after a weight that is not finite or a scale that overflows the tensor has no weights, after
    /// any other error it is as it was.
    pub fn quantize_into<F: Float, D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        tensor: &mut QuantizedTensor,
    ) -> Result<()> {
        let scheme = self.scheme()?;
        let finite = self.non_finite.for_codes()?;
        let tiling = self.granularity.tiling(weights.shape())?;
        let (mut packed, mut scales, mut zero_points) = tensor.take_buffers();
        reserve(&mut scales, tiling.count(), weights.shape())?;
        scales.resize(tiling.count(), 1.0);
        packed.resize(pack::bytes_for(weights.len(), scheme.bits()), 0);
        let zeros = if scheme.has_zero_points() {
            tiling.count()
        } else {
            0
        };
        zero_points.resize(zeros, 0);
        if weights.is_empty() {
            scales.fill(1.0);
            zero_points.fill(0);
        } else {
            let flat = array::elements(weights);
            let single = size_of::<F>() == size_of::<f32>();
            let fit = self.profile.fit(scheme, self.shape, single);
            let coding = self.profile.coding(scheme, self.rounding);
            let how = (fit, finite, coding);
            let to = (&mut scales[..], &mut zero_points[..], &mut packed[..]);
            <F as Sealed>::fit_and_encode(&flat, &tiling, how, to)
                .map_err(|met| trouble(met, &flat, &tiling, weights.shape()))?;
        }
        let parameters =
            Parameters::new(scheme, self.granularity, scales).with_zero_points(zero_points);
        *tensor = QuantizedTensor::from_checked(weights.shape(), packed, parameters);
        Ok(())
    }
}

impl<F: Float> Quantizer<F> for Linear {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let mut tensor = QuantizedTensor::none(self.scheme()?);
        self.quantize_into(weights, &mut tensor)?;
        Ok(tensor)
    }
}

/// Quantizes to the nearest of evenly spaced numbers: `bits` bits, symmetric, one scale.
///
/// ```text
/// s = max|w| / (2ᵇ⁻¹ − 1)        code = round_half_even(w / s)
/// ```
///
/// [`Linear`] has the settings: a scale per channel or group, zero points, others' arithmetic.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::quantize;
///
/// let q = quantize::linear(&array![0.0_f32, 0.5, -1.27, 1.0], 8)?;
/// assert_eq!(q.codes(), array![0, 50, -127, 100].into_dyn());
/// assert_eq!(q.bits_per_weight(), 16.0); // four codes share one scale of 32 bits
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`Linear`].
pub fn linear<F: Float, D: Dimension>(
    weights: &ArrayRef<F, D>,
    bits: u32,
) -> Result<QuantizedTensor> {
    Linear::new(bits).quantize(weights)
}

#[cfg(test)]
mod tests {
    use super::{Linear, Profile, linear};
    use crate::Error;
    use crate::quantize::QuantizerExt;
    use ndarray::{Axis, arr0, array};

    #[test]
    fn the_scale_is_one_division_in_f32() {
        for bits in 2..=8 {
            let highest = (1 << (bits - 1)) - 1;
            for largest in [1.0_f32, 0.3, 1e-30, 7.77e20, f32::MIN_POSITIVE] {
                let q = linear(&array![largest, 0.0], bits).unwrap();
                let right = (largest / highest as f32).max(f32::MIN_POSITIVE);
                assert_eq!(q.scales(), [right], "{largest} at {bits} bits");
            }
        }
    }

    #[test]
    fn the_largest_weights_come_back_finite() {
        for bits in 2..=8 {
            for largest in [
                f32::MAX,
                f32::MAX.next_down(),
                f32::MAX.next_down().next_down(),
            ] {
                let back = linear(&array![largest, -largest], bits)
                    .unwrap()
                    .dequantize::<f32>();
                assert!(back.iter().all(|weight| weight.is_finite()), "{bits} bits");
                assert!((back[0] / largest - 1.0).abs() < 1e-6, "{bits} bits");
            }
        }
    }

    #[test]
    fn halves_go_to_the_even_code() {
        // The largest weight makes the scale exactly 1.
        let q = linear(&array![7.0_f32, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5], 4).unwrap();
        assert_eq!(q.codes(), array![7, 0, 2, 2, 0, -2, -2].into_dyn());
    }

    #[test]
    fn dividing_and_multiplying_by_the_inverse_differ() {
        // Some ties fall to one side when divided and to the other when multiplied.
        let (mut differing, scale) = (0, 1.7_f32 / 127.5);
        for half in -127..127 {
            let tie = (half as f32 + 0.5) * scale;
            let weights = array![1.7, tie];
            let torch = Linear::new(8)
                .profile(Profile::Torch)
                .quantize(&weights)
                .unwrap();
            assert_eq!(torch.scales(), [scale]);
            differing += i32::from(torch.codes()[1] as f32 != (tie / scale).round_ties_even());
        }
        assert!(differing > 0);
    }

    #[test]
    fn a_scalar_has_one_scale_and_no_channels() {
        let q = linear(&arr0(-3.0_f64), 8).unwrap();
        assert_eq!((q.codes()[[]], q.shape()), (-127, &[][..]));
        let error = Linear::new(8)
            .per_channel(Axis(0))
            .quantize(&arr0(1.0_f32))
            .unwrap_err();
        assert!(
            matches!(error, Error::AxisOutOfRange { axis: 0, ndim: 0 }),
            "{error}"
        );
    }

    #[test]
    fn widths_are_checked_before_anything_else() {
        for bits in [0, 1, 9] {
            let error = linear(&array![f32::NAN], bits).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::BitsOutOfRange {
                        least: 2,
                        most: 8,
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
}
