//! A bias of integers, in the units of a sum of products of codes.
//!
//! ```text
//! Σ (q_x − z_x)·s_x · (q_w − z_w)·s_w + b  =  s_x·s_w · (Σ (q_x − z_x)(q_w − z_w) + q_b)        q_b = round(b / (s_x·s_w))
//! ```
//!
//! Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference".

use crate::error::{BiasError, Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::real::Real;
use ndarray::{Array1, ArrayRef1};

/// The bias of a layer as integers of 32 bits: what is added to the sum of products of codes before scaling.
///
/// ```text
/// s_b = s_x · s_w        q_b = round_half_even(b / s_b)        zero point 0
/// ```
///
/// with the scale s_x of the layer's input and the scale s_w of its weights, one for all or one for each output channel.
/// s_b is rounded to f32, the quotient is that of f64. These are scales and codes of ONNX Runtime 1.32, to the bit.
///
/// Where a code leaves the 32 bits, ONNX Runtime enlarges the scale of the weights, or cuts the code off and logs a
/// warning. Here it is an error that names the channel and the least product of scales that would do;
/// [`least_weight_scales`](Self::least_weight_scales) says which scales the weights must be given.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct IntegerBias {
    codes: Vec<i32>,
    scales: Vec<f32>,
}

/// A bias as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    codes: Vec<i32>,
    scales: Vec<f32>,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for IntegerBias {
    type Error = Error;

    fn try_from(Written { codes, scales }: Written) -> Result<Self> {
        Self::from_codes(codes, scales)
    }
}

impl IntegerBias {
    /// Rounds a bias, one number for each output channel, to codes in units of `input_scale` times a weight scale.
    ///
    /// `weight_scales` are one for all channels or one for each.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::quantize::IntegerBias;
    ///
    /// let bias = IntegerBias::quantize(&array![1.0_f32, -0.2], 0.5, &[0.01, 0.25])?;
    /// assert_eq!((bias.codes(), bias.scales()), (&[200, -2][..], &[0.005, 0.125][..]));
    /// assert_eq!(bias.dequantize::<f32>()[1], -0.25);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::WrongCount`]: neither one weight scale nor one for each number.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first number that is not finite.
    /// * [`Error::Bias`]: a code that leaves 32 bits, or a product of scales that is not positive and finite.
    pub fn quantize<F: Float>(
        bias: &ArrayRef1<F>,
        input_scale: f32,
        weight_scales: &[f32],
    ) -> Result<Self> {
        let bias = numbers(bias)?;
        let channels = bias.len();
        if weight_scales.len() != 1 && weight_scales.len() != channels {
            return Err(wrong_count(weight_scales.len(), channels));
        }
        let mut scales = Vec::with_capacity(weight_scales.len());
        for (channel, &weight) in weight_scales.iter().enumerate() {
            let scale = input_scale * weight;
            if !(input_scale > 0.0 && weight > 0.0 && scale > 0.0 && scale.is_finite()) {
                return Err(Error::Bias(BiasError::Scale {
                    channel,
                    input: input_scale,
                    weight,
                }));
            }
            scales.push(scale);
        }
        let mut codes = Vec::with_capacity(channels);
        for (channel, (&bias, &scale)) in bias.iter().zip(scales.iter().cycle()).enumerate() {
            codes.push(code(bias, scale).ok_or_else(|| {
                Error::Bias(BiasError::Overflow {
                    channel,
                    bias,
                    scale,
                    least: least_scale(bias),
                })
            })?);
        }
        Ok(Self { codes, scales })
    }

    /// A bias of codes that exist already, with a scale for all or for each.
    ///
    /// # Errors
    ///
    /// * [`Error::WrongCount`]: neither one scale nor one for each code.
    /// * [`Error::ScaleOutOfRange`]: a scale that is not positive and finite.
    pub fn from_codes(codes: Vec<i32>, scales: Vec<f32>) -> Result<Self> {
        if scales.len() != 1 && scales.len() != codes.len() {
            return Err(wrong_count(scales.len(), codes.len()));
        }
        let wrong = |scale: &f32| !(*scale > 0.0 && scale.is_finite());
        match scales.iter().position(wrong) {
            None => Ok(Self { codes, scales }),
            Some(index) => Err(Error::ScaleOutOfRange {
                index,
                scale: scales[index],
            }),
        }
    }

    /// For each output channel the least scale that its weights may have, so that its bias fits 32 bits; for a tensor
    /// with one scale, take the largest.
    ///
    /// A channel of weights that are all zero, pruned perhaps, has a tiny scale of its own, and any other means the
    /// same.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Axis, array};
    /// use rarefy::prelude::*;
    /// use rarefy::quantize::{IntegerBias, Linear, Parameters, QuantizedLayer};
    ///
    /// let (weights, bias) = (array![[0.5_f32, -1.0], [0.0, 0.0]], array![0.1_f32, 0.7]);
    /// let linear = Linear::new(8).per_channel(Axis(0));
    /// let q = linear.quantize(&weights)?;
    /// assert!(QuantizedLayer::<f32>::new(q.clone())?.integer_bias(&bias, 0.02).is_err());
    ///
    /// let least = IntegerBias::least_weight_scales(&bias, 0.02)?;
    /// let scales = q.scales().iter().zip(least).map(|(&scale, least)| scale.max(least)).collect();
    /// let parameters = Parameters::new(q.scheme(), q.granularity(), scales);
    /// let q = linear.quantize_with(&weights, &parameters)?;
    /// let layer = QuantizedLayer::<f32>::new(q)?.integer_bias(&bias, 0.02)?;
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first number that is not finite.
    /// * [`Error::NumberOutOfRange`]: an input scale that is not positive and finite.
    /// * [`Error::ScaleOverflow`]: a bias that no scale in f32 can hold.
    pub fn least_weight_scales<F: Float>(
        bias: &ArrayRef1<F>,
        input_scale: f32,
    ) -> Result<Vec<f32>> {
        if !(input_scale > 0.0 && input_scale.is_finite()) {
            return Err(Error::NumberOutOfRange {
                what: "input scale",
                must: "positive and finite",
                value: input_scale.into(),
            });
        }
        let bias = numbers(bias)?;
        let least = bias.iter().enumerate().map(|(channel, &bias)| {
            // At least a normal number, so that rounding products takes no more than the last bit.
            let product = least_scale(bias).max(f32::MIN_POSITIVE);
            let mut weight = up(f64::from(product) / f64::from(input_scale));
            // The product is rounded as well, so a scale less by the last bit may do.
            if input_scale * weight.next_down() >= product {
                weight = weight.next_down();
            }
            if weight.is_infinite() || (input_scale * weight).is_infinite() {
                let largest = bias.abs();
                return Err(Error::ScaleOverflow { channel, largest });
            }
            Ok(weight)
        });
        least.collect()
    }

    /// The integers, one for each output channel.
    pub fn codes(&self) -> &[i32] {
        &self.codes
    }

    /// One scale for all, or one for each: input scale times weight scale.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The numbers that the codes mean, each rounded once to `F`.
    pub fn dequantize<F: Float>(&self) -> Array1<F> {
        let values = self.codes.iter().zip(self.scales.iter().cycle());
        values
            .map(|(&code, &scale)| F::cast(f64::from(code) * f64::from(scale)))
            .collect()
    }

    /// Bytes that must be stored: four for each code. Scales are those of input and weights, stored there.
    pub fn bytes(&self) -> usize {
        size_of_val(self.codes.as_slice())
    }
}

fn wrong_count(given: usize, expected: usize) -> Error {
    Error::WrongCount {
        what: "scales of a bias (one for all would do too)",
        given,
        expected,
    }
}

/// The numbers in f64, all of them finite.
fn numbers<F: Float>(bias: &ArrayRef1<F>) -> Result<Vec<f64>> {
    let bias: Vec<f64> = array::elements(bias).iter().map(|x| x.widen()).collect();
    match bias.iter().position(|x| !x.is_finite()) {
        None => Ok(bias),
        Some(channel) => Err(Error::not_finite("bias", vec![channel], bias[channel])),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked before")]
fn code(bias: f64, scale: f32) -> Option<i32> {
    let code = (bias / f64::from(scale)).round_ties_even();
    (f64::from(i32::MIN)..=f64::from(i32::MAX))
        .contains(&code)
        .then_some(code as i32)
}

/// The least scale at which this number has a code of 32 bits; 0 for 0.
fn least_scale(bias: f64) -> f32 {
    let scale = up(bias.abs() / f64::from(i32::MAX));
    // Below the normal numbers an f32 is coarse, and rounded up already.
    let below = scale.next_down();
    if below > 0.0 && code(bias, below).is_some() {
        below
    } else {
        scale
    }
}

/// The least f32 that is no less.
#[expect(clippy::cast_possible_truncation, reason = "rounded up below")]
fn up(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near) < number {
        near.next_up()
    } else {
        near
    }
}
