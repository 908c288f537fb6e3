//! A linear layer whose weights have eight bits.

use super::eight_bits::{EightBits, activation_settings, bias_of, quantize};
use super::layer::{check_shapes, not_finite};
use super::scratch::in_order;
use super::{Layer, Scratch, bias};
use crate::error::{Error, InferError, Result};
use crate::float::Float;
use crate::kernels::integer::codes::{Room, encode};
use crate::kernels::integer::product::product;
use crate::kernels::parallel::enter;
use crate::quantize::{QuantizedLayer, QuantizedTensor};
use ndarray::{Array2, ArrayRef1, ArrayRef2};
use std::fmt;

/// A linear layer with weights of eight bits and activations of eight bits, y = x · Wᵀ + bias.
///
/// Each row of `x` becomes codes with a scale of its own, its largest magnitude / 127 (*dynamic* quantization; a row
/// of zeros has codes 0). Codes are multiplied exactly, Σ (x − z)(w − u), whatever they are and however many: nothing
/// saturates or overflows, on any machine. Then
///
/// y = f32(Σ) · scale of the row · scale of the output + bias,
///
/// in this order and each operation rounded once to f32. So the same bits come out on all machines, for any number
/// of threads, and for a row alone as among others.
///
/// PyTorch calls it `torch.ao.nn.quantized.dynamic.Linear`, which takes one scale for all rows and codes of 7 bits;
/// ONNX Runtime takes one scale for all rows and, on machines without VNNI, may saturate.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`seven_bit_activations`](Self::seven_bit_activations) | off | codes in -63..=63 instead of -127..=127 |
/// | [`static_activations`](Self::static_activations) | off | one scale and zero point for all rows, given |
///
/// A code takes a byte, whatever its bits; [`GroupedLinear`](super::GroupedLinear) keeps 2, 3 and 4 bits.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::infer::{Layer, QuantizedLinear};
///
/// let weights = array![[0.5_f32, -1.0, 0.25], [1.0, 0.0, -0.75]];
/// let bias = array![1.0_f32, -1.0];
/// let layer = QuantizedLinear::new(&weights, Some(&bias))?;
/// let y = layer.forward(&array![[1.0, 2.0, 3.0]])?;
/// assert!((y[[0, 0]] - 0.25).abs() < 0.05 && (y[[0, 1]] + 2.25).abs() < 0.05);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct QuantizedLinear {
    weights: EightBits,
}

impl QuantizedLinear {
    /// Quantizes weights of shape outputs × inputs: int8, symmetric, a scale for each output.
    ///
    /// # Errors
    ///
    /// A weight or a number of the bias is NaN or infinite, or the bias has not one number for each output.
    pub fn new<F: Float>(weights: &ArrayRef2<F>, bias: Option<&ArrayRef1<F>>) -> Result<Self> {
        let bias = bias::checked(bias, weights.nrows())?;
        Self::packed(&quantize(weights)?, bias)
    }

    /// Packs weights that are quantized already: integer codes of at most 8 bits, symmetric or with zero points, one
    /// scale for the tensor or for each output. Weights that a mask dropped are 0.
    ///
    /// # Errors
    ///
    /// The tensor is not of rank 2, or has another scheme or granularity; the bias does not fit.
    pub fn from_tensor(weights: &QuantizedTensor, bias: Option<&ArrayRef1<f32>>) -> Result<Self> {
        let &[outputs, _] = weights.shape() else {
            return Err(wrong_rank(weights));
        };
        Self::packed(weights, bias::checked(bias, outputs)?)
    }

    /// Packs weights and bias of a layer as it is stored.
    ///
    /// # Errors
    ///
    /// Those of [`from_tensor`](Self::from_tensor).
    pub fn from_layer<F: Float>(layer: &QuantizedLayer<F>) -> Result<Self> {
        Self::packed(layer.weights(), bias_of(layer.bias()))
    }

    fn packed(weights: &QuantizedTensor, bias: Vec<f32>) -> Result<Self> {
        let &[_, inputs] = weights.shape() else {
            return Err(wrong_rank(weights));
        };
        let weights = EightBits::new(weights, bias, &(0..inputs))?;
        Ok(Self { weights })
    }

    activation_settings!(weights);

    /// The weights as floats, (code − zero point) · scale, in an array of outputs × inputs.
    pub fn dequantize(&self) -> Array2<f32> {
        let EightBits {
            panels, outputs, ..
        } = &self.weights;
        Array2::from_shape_fn((panels.outputs(), panels.inputs()), |(output, input)| {
            let zero = outputs.zeros().get(output).copied().unwrap_or(0);
            #[expect(clippy::cast_precision_loss, reason = "at most nine bits")]
            let steps = (i32::from(panels.code(output, input)) - zero) as f32;
            steps * outputs.scales()[output]
        })
    }
}

fn wrong_rank(weights: &QuantizedTensor) -> Error {
    Error::Infer(InferError::Rank {
        needed: "outputs × inputs",
        given: weights.shape().to_vec(),
    })
}

impl fmt::Debug for QuantizedLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantizedLinear")
            .field("inputs", &self.inputs())
            .field("outputs", &self.outputs())
            .field("bytes", &self.bytes())
            .finish()
    }
}

impl Layer for QuantizedLinear {
    fn inputs(&self) -> usize {
        self.weights.panels.inputs()
    }

    fn outputs(&self) -> usize {
        self.weights.panels.outputs()
    }

    fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        check_shapes(self, x, out)?;
        let EightBits {
            panels,
            outputs,
            coding,
            machine,
        } = &self.weights;
        let room = Room {
            codes: &mut scratch.codes,
            scales: &mut scratch.floats,
            sums: outputs.have_zeros().then_some(&mut scratch.sums),
        };
        let numbers = in_order(x, &mut scratch.gathered);
        let (inputs, out) = (self.inputs(), out.view_mut());
        let done = enter(numbers.len().saturating_mul(self.outputs()), || {
            let rows = encode(numbers, inputs, *coding, *machine, room)?;
            product(panels, outputs, &rows, *machine, out);
            Ok(())
        });
        done.map_err(|_: usize| not_finite("input", x))
    }
}
