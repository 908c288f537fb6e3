//! Quantizes to the nearest of evenly spaced numbers.
//!
//! ```text
//! scale s = max|w| / (2ᵇ⁻¹ − 1)        code = round_half_even(w / s)
//! ```
//!
//! The textbook formula Q(x) = round(x · q) with q = 1/s. Dividing is rounded once and costs nothing
//! where memory is the limit; multiplying by the rounded inverse, as PyTorch does, moves some ties:
//! see [`Profile`].

use super::{Granularity, Parameters, QuantizedTensor, Quantizer, QuantizerExt, Scheme};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::extremes::largest_magnitudes;
use crate::kernels::real::Real;
use crate::kernels::round::{self, Coding, Scaling};
use crate::kernels::{array, pack};
use crate::shape;
use ndarray::{ArrayRef, ArrayRefD, Axis, Dimension};

/// Whose arithmetic to follow, to the bit.
///
/// | | [`Rarefy`](Self::Rarefy) | [`Torch`](Self::Torch) |
/// |---|---|---|
/// | codes of b bits | −(2ᵇ⁻¹−1) ..= 2ᵇ⁻¹−1 | −2ᵇ⁻¹ ..= 2ᵇ⁻¹−1 |
/// | scale s | max\|w\| / (2ᵇ⁻¹−1) | max\|w\| / ((2ᵇ−1)/2), for int8 a divisor of 127.5 |
/// | least scale | smallest normal f32, 1.1754944e-38 | f32 epsilon, 1.1920929e-7 |
/// | code | round_half_even(w / s) | round_half_even(w · (1/s)), held within the codes |
/// | largest \|w\| | its code is ±(2ᵇ⁻¹−1), it comes back to the last bit or two of an f32 | it moves by half a step, −f32::MAX to −∞ |
///
/// `Torch` is what PyTorch's `MinMaxObserver` and `PerChannelMinMaxObserver` with a symmetric scheme
/// followed by `quantize_per_tensor` and `quantize_per_channel` give for f32. For f64 weights, which
/// PyTorch does not quantize, the same formulas are taken in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Profile {
    /// Ours: opposite numbers have opposite codes, the largest weight is kept, one rounding.
    #[default]
    Rarefy,
    /// PyTorch's.
    Torch,
}

impl Profile {
    fn scheme(self, bits: u32) -> Result<Scheme> {
        match self {
            Self::Rarefy => Scheme::symmetric(bits),
            Self::Torch => Scheme::symmetric_full_range(bits),
        }
    }

    /// What the largest magnitude is divided by.
    fn divisor(self, scheme: Scheme) -> f64 {
        let codes = scheme.codes();
        f64::from(codes.end() - codes.start()) / 2.0
    }

    fn least_scale(self) -> f32 {
        match self {
            Self::Rarefy => f32::MIN_POSITIVE,
            Self::Torch => f32::EPSILON,
        }
    }

    fn scaling(self) -> Scaling {
        match self {
            Self::Rarefy => Scaling::Divide,
            Self::Torch => Scaling::MultiplyByInverse,
        }
    }
}

/// Quantizes to the nearest of evenly spaced numbers, symmetric around 0.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `bits` | bits of a code | none | 2 to 8 |
/// | [`granularity`](Self::granularity) | who shares a scale | per tensor | any [`Granularity`] |
/// | [`profile`](Self::profile) | whose arithmetic | ours | any [`Profile`] |
///
/// Guarantees, with the default profile: 0 ↦ code 0 ↦ 0; no weight moves by more than half a step (and
/// the last bits of a float); opposite weights have opposite codes; quantizing what came back gives
/// the same codes. All weights zero: codes 0 and the least scale. No weights: no codes, scale 1.
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
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::BitsOutOfRange`]: not 2 to 8 bits.
/// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
/// * [`Error::AxisOutOfRange`]: no such axis.
/// * [`Error::ScaleOverflow`]: weights in f64 that are too large for a scale in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Linear {
    bits: u32,
    granularity: Granularity,
    profile: Profile,
}

impl Linear {
    /// Codes of `bits` bits, one scale for the tensor.
    pub const fn new(bits: u32) -> Self {
        Self {
            bits,
            granularity: Granularity::PerTensor,
            profile: Profile::Rarefy,
        }
    }

    /// The same with another granularity.
    #[must_use]
    pub const fn granularity(mut self, granularity: Granularity) -> Self {
        self.granularity = granularity;
        self
    }

    /// The same with one scale for each index on `axis`.
    #[must_use]
    pub const fn per_channel(self, axis: Axis) -> Self {
        self.granularity(Granularity::PerChannel(axis))
    }

    /// The same with somebody else's arithmetic.
    #[must_use]
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The scale for weights that reach this magnitude; infinite if it does not fit an f32.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "scales are stored in f32, and codes have at most 8 bits"
    )]
    fn scale<F: Float>(&self, largest: F, scheme: Scheme) -> f32 {
        // For f32 this is one f32 division: the quotient in f64 has more than twice the digits, so
        // rounding it to f32 gives the same (Figueroa 1995).
        let scale = (largest.widen() / self.profile.divisor(scheme)) as f32;
        let returns = *scheme.codes().end() as f32 * scale;
        let fits = largest.widen() <= f64::from(f32::MAX);
        if self.profile == Profile::Rarefy && fits && returns.is_infinite() {
            // The quotient was rounded up, and with it the largest code would come back as more than
            // the largest f32. Only for weights within two units of that.
            return scale.next_down();
        }
        scale.max(self.profile.least_scale())
    }
}

impl<F: Float> Quantizer<F> for Linear {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let scheme = self.profile.scheme(self.bits)?;
        let channels = self.granularity.channels(weights.shape())?;
        let flat = array::elements(weights);
        let mut scales = Vec::new();
        // An array without elements may have more channels than there is memory.
        if scales.try_reserve_exact(channels.count).is_err() {
            let shape = weights.shape().to_vec();
            return Err(Error::ShapeOverflow { shape });
        }
        scales.resize(channels.count, 1.0);
        if !weights.is_empty() {
            let largest = largest_magnitudes(&flat, channels).map_err(|place| {
                let index = shape::index_of(place, weights.shape());
                Error::not_finite("weight", index, flat[place].widen())
            })?;
            for (channel, (scale, &largest)) in scales.iter_mut().zip(&largest).enumerate() {
                let largest = F::from_magnitude(largest);
                *scale = self.scale(largest, scheme);
                if scale.is_infinite() {
                    return Err(Error::ScaleOverflow {
                        channel,
                        largest: largest.widen(),
                    });
                }
            }
        }
        let mut packed = vec![0; pack::bytes_for(weights.len(), self.bits)];
        let codes = scheme.codes();
        let coding = Coding {
            scales: &scales,
            channels,
            bits: self.bits,
            lowest: *codes.start(),
            highest: *codes.end(),
            scaling: self.profile.scaling(),
        };
        round::encode(&flat, coding, &mut packed);
        let parameters = Parameters::new(scheme, self.granularity, scales);
        Ok(QuantizedTensor::from_checked(
            weights.shape(),
            packed,
            parameters,
        ))
    }
}

/// Quantizes to the nearest of evenly spaced numbers: `bits` bits, symmetric, one scale.
///
/// ```text
/// s = max|w| / (2ᵇ⁻¹ − 1)        code = round_half_even(w / s)
/// ```
///
/// [`Linear`] has the settings: a scale per channel, PyTorch's arithmetic.
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
