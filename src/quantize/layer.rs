//! A layer's weights and its bias, both as they are stored.

use super::{IntegerBias, QuantizedTensor};
use crate::error::{BiasError, Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::real::Real;
use ndarray::ArrayRef1;

/// A linear or convolutional layer with quantized weights.
///
/// | | shape | |
/// |---|---|---|
/// | weights of a linear layer | `[outputs, inputs]` | any scheme and granularity |
/// | weights of a convolution | `[outputs, inputs / groups, k, ...]`, one length for each spatial axis | the same |
/// | bias | `[outputs]` | none, floats, or integers of 32 bits |
///
/// Outputs are axis 0, as in PyTorch and ONNX; groups of a convolution change nothing, because each output has weights
/// and a scale of its own. A transposed convolution has them on axis 1: permute its axes first.
///
/// A bias of integers is in the units of the sum that it is added to, [`IntegerBias`]. That sum has one scale only if all
/// weights of an output have one: per tensor, or per index on axis 0. In groups along the inputs, in blocks or per
/// channel of another axis the bias stays a float.
///
/// # Examples
///
/// ```
/// use ndarray::{Array4, Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::quantize::{Bias, Linear, QuantizedLayer};
///
/// let weights = Array4::from_shape_fn((2, 3, 3, 3), |(o, i, y, x)| ((o + 2 * i + y * x) % 5) as f32 - 2.0);
/// let bias = array![0.5_f32, -1.0];
/// let q = Linear::new(8).per_channel(Axis(0)).quantize(&weights)?;
///
/// let input_scale = 0.05; // from an observer of the layer's input
/// let layer = QuantizedLayer::<f32>::new(q)?.integer_bias(&bias, input_scale)?;
/// assert_eq!(layer.bytes(), 2 * 27 + 2 * 4 + 2 * 4); // codes, scales, bias
/// let Bias::Integer(codes) = layer.bias() else { unreachable!() };
/// assert_eq!(codes.codes(), [635, -1270]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(
        try_from = "Written<F>",
        bound(deserialize = "F: Float + serde::Deserialize<'de>")
    )
)]
pub struct QuantizedLayer<F> {
    weights: QuantizedTensor,
    bias: Bias<F>,
}

/// The bias of a [`QuantizedLayer`].
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Bias<F> {
    /// There is none.
    #[default]
    None,
    /// Left as it is, a number for each output channel.
    Float(Vec<F>),
    /// Integers in units of input scale times weight scale.
    Integer(IntegerBias),
}

/// A layer as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written<F> {
    weights: QuantizedTensor,
    bias: Bias<F>,
}

#[cfg(feature = "serde")]
impl<F: Float> TryFrom<Written<F>> for QuantizedLayer<F> {
    type Error = Error;

    fn try_from(Written { weights, bias }: Written<F>) -> Result<Self> {
        let layer = Self::new(weights)?;
        match bias {
            Bias::None => Ok(layer),
            Bias::Float(bias) => layer.float_bias(&ndarray::Array1::from(bias)),
            Bias::Integer(bias) => layer.with_integer_bias(bias),
        }
    }
}

impl<F: Float> QuantizedLayer<F> {
    /// A layer without a bias.
    ///
    /// # Errors
    ///
    /// [`Error::AxisOutOfRange`]: weights of rank 0 have no outputs.
    pub fn new(weights: QuantizedTensor) -> Result<Self> {
        if weights.shape().is_empty() {
            return Err(Error::AxisOutOfRange { axis: 0, ndim: 0 });
        }
        let bias = Bias::None;
        Ok(Self { weights, bias })
    }

    /// The same with a bias that is left as it is.
    ///
    /// # Errors
    ///
    /// * [`Error::WrongCount`]: not a number for each output channel.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first number that is not finite.
    pub fn float_bias(mut self, bias: &ArrayRef1<F>) -> Result<Self> {
        self.check_len(bias.len())?;
        let bias = array::elements(bias).into_owned();
        if let Some(channel) = bias.iter().position(|x| !x.is_finite()) {
            let value = bias[channel].widen();
            return Err(Error::not_finite("bias", vec![channel], value));
        }
        self.bias = Bias::Float(bias);
        Ok(self)
    }

    /// The same with a bias of integers, in units of `input_scale` times the weights' scales.
    ///
    /// # Errors
    ///
    /// * [`Error::WrongCount`]: not a number for each output channel.
    /// * [`Error::CodesNotIntegers`]: weights of another kind of code, whose sums are floats.
    /// * [`Error::Bias`]: several scales for the weights of one output; a code that leaves 32 bits, with what would help.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first number that is not finite.
    pub fn integer_bias(self, bias: &ArrayRef1<F>, input_scale: f32) -> Result<Self> {
        self.check_len(bias.len())?;
        let scales = self.scales_of_outputs()?;
        let bias = IntegerBias::quantize(bias, input_scale, &scales)?;
        self.with_integer_bias(bias)
    }

    /// The same with a bias whose codes exist already.
    ///
    /// # Errors
    ///
    /// * [`Error::WrongCount`]: not a code for each output channel, or other scales for it than for the weights.
    /// * [`Error::CodesNotIntegers`]: weights of another kind of code, whose sums are floats.
    /// * [`Error::Bias`]: several scales for the weights of one output.
    pub fn with_integer_bias(mut self, bias: IntegerBias) -> Result<Self> {
        self.check_len(bias.codes().len())?;
        let expected = self.scales_of_outputs()?.len();
        let given = bias.scales().len();
        if given != expected {
            let what = "scales of a bias";
            return Err(Error::WrongCount {
                what,
                given,
                expected,
            });
        }
        self.bias = Bias::Integer(bias);
        Ok(self)
    }

    fn check_len(&self, given: usize) -> Result<()> {
        let expected = self.outputs();
        let what = "numbers of a bias";
        match given == expected {
            true => Ok(()),
            false => Err(Error::WrongCount {
                what,
                given,
                expected,
            }),
        }
    }

    /// One scale for all outputs, or one for each.
    fn scales_of_outputs(&self) -> Result<Vec<f32>> {
        self.weights
            .parameters()
            .check_integer(self.weights.shape())?;
        let shape = self.weights.shape();
        let tile = self.weights.granularity().tile(shape)?;
        let whole = |axis: usize| tile[axis] >= shape[axis];
        if !(1..shape.len()).all(whole) {
            return Err(Error::Bias(BiasError::NoScale));
        }
        let scales = self.weights.scales();
        if whole(0) {
            return Ok(scales.to_vec());
        }
        // Weights without inputs may have no scale at all.
        let of_output = |output: usize| scales.get(output / tile[0]).copied();
        let all: Option<Vec<f32>> = (0..self.outputs()).map(of_output).collect();
        all.ok_or(Error::Bias(BiasError::NoScale))
    }

    /// How many output channels there are.
    pub fn outputs(&self) -> usize {
        self.weights.shape().first().copied().unwrap_or(0)
    }

    /// The weights.
    pub fn weights(&self) -> &QuantizedTensor {
        &self.weights
    }

    /// The bias.
    pub fn bias(&self) -> &Bias<F> {
        &self.bias
    }

    /// Weights and bias.
    pub fn into_parts(self) -> (QuantizedTensor, Bias<F>) {
        (self.weights, self.bias)
    }

    /// Bytes of everything that must be stored: weights as [`QuantizedTensor::bytes`] counts them, and the bias.
    pub fn bytes(&self) -> usize {
        let bias = match &self.bias {
            Bias::None => 0,
            Bias::Float(bias) => size_of_val(bias.as_slice()),
            Bias::Integer(bias) => bias.bytes(),
        };
        self.weights.bytes() + bias
    }
}
