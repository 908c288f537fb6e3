//! Weights of eight bits, and how the activations that meet them become codes: what linear layers and convolutions
//! share.

use crate::error::{Error, InferError, Result};
use crate::float::Float;
use crate::kernels::integer::codes::Coding;
use crate::kernels::integer::machine::Machine;
use crate::kernels::integer::outputs::Outputs;
use crate::kernels::integer::panels::Panels;
use crate::quantize::{Bias, Granularity, Linear, Parameters, QuantizedTensor, QuantizerExt};
use ndarray::{ArrayRef, Axis, Dimension};

/// What eight bits hold at the most, without a sign.
const OFFSET: i32 = 128;

/// Weights of eight bits, packed, and what they mean.
#[derive(Clone, PartialEq)]
pub(super) struct EightBits {
    pub(super) panels: Panels,
    pub(super) outputs: Outputs,
    pub(super) coding: Coding,
    pub(super) machine: Machine,
}

/// int8 with a scale for each output, symmetric: what a layer makes of floats.
pub(super) fn quantize<F: Float, D: Dimension>(
    weights: &ArrayRef<F, D>,
) -> Result<QuantizedTensor> {
    Linear::new(8).per_channel(Axis(0)).quantize(weights)
}

/// The bias of a quantized layer as floats.
pub(super) fn bias_of<F: Float>(bias: &Bias<F>) -> Vec<f32> {
    let single = |bias: &F| bias.to_f32().unwrap_or(f32::NAN);
    match bias {
        Bias::None => Vec::new(),
        Bias::Float(bias) => bias.iter().map(single).collect(),
        Bias::Integer(bias) => bias.dequantize::<f32>().to_vec(),
    }
}

impl EightBits {
    /// Packs a tensor whose first axis are the outputs. `order` says for each input of a row where its code lies in
    /// the tensor's row.
    pub(super) fn new(
        tensor: &QuantizedTensor,
        bias: Vec<f32>,
        order: &(impl Iterator<Item = usize> + Clone),
    ) -> Result<Self> {
        let shape = tensor.shape();
        let outputs = shape[0];
        let inputs: usize = shape[1..].iter().product();
        check_inputs(inputs)?;
        let scheme = tensor.scheme();
        if !scheme.is_integer() || scheme.bits() > 8 {
            return Err(Error::Infer(InferError::Scheme {
                needed: "integer codes of at most 8 bits",
                given: format!("{scheme:?}"),
            }));
        }
        let of_scale = outputs_of_scale(tensor.granularity(), shape)?;
        // Weights without inputs may have no scale at all.
        let at =
            |numbers: &[i32], output: usize| numbers.get(output / of_scale).copied().unwrap_or(0);
        let offset = if scheme.is_signed() { 0 } else { OFFSET };
        let zeros: Vec<i32> = match tensor.zero_points() {
            [] if offset == 0 => Vec::new(),
            // Codes without a sign and without zero points do not occur; they would have 0 at 0.
            [] => vec![-offset; outputs],
            zeros => (0..outputs).map(|o| at(zeros, o) - offset).collect(),
        };
        let scale = |output: usize| {
            tensor
                .scales()
                .get(output / of_scale)
                .copied()
                .unwrap_or(1.0)
        };
        let codes = packed_order(tensor, inputs, &zeros, offset, order);
        Ok(Self {
            panels: Panels::new(&codes, inputs, outputs),
            outputs: Outputs::new((0..outputs).map(scale).collect(), zeros, bias),
            coding: Coding::Dynamic { most: 127 },
            machine: Machine::detected(),
        })
    }

    /// Activations of seven bits.
    pub(super) const fn seven_bits(&mut self) {
        self.coding = Coding::Dynamic { most: 63 };
    }

    /// One scale and zero point for all activations.
    pub(super) fn fix(&mut self, parameters: &Parameters) -> Result<()> {
        let scheme = parameters.scheme();
        if !scheme.is_integer() || scheme.bits() > 8 {
            let given = format!("{scheme:?}");
            return Err(Error::Infer(InferError::ActivationScheme { given }));
        }
        let &[scale] = parameters.scales() else {
            return Err(Error::WrongCount {
                what: "scales of activations",
                given: parameters.scales().len(),
                expected: 1,
            });
        };
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::ScaleOutOfRange { index: 0, scale });
        }
        let codes = scheme.codes();
        let zero = match (parameters.zero_points(), scheme.has_zero_points()) {
            ([], _) => 0,
            (&[zero], true) if codes.contains(&zero) => zero,
            (&[value], true) => {
                return Err(Error::CodeOutOfRange {
                    what: "zero point",
                    index: vec![0],
                    value,
                    least: *codes.start(),
                    most: *codes.end(),
                });
            }
            (zeros, has) => {
                return Err(Error::WrongCount {
                    what: "zero points of activations",
                    given: zeros.len(),
                    expected: usize::from(has),
                });
            }
        };
        // Codes without a sign are moved into those with one.
        let offset = if scheme.is_signed() { 0 } else { OFFSET };
        self.coding = Coding::Given {
            scale,
            zero: zero - offset,
            least: codes.start() - offset,
            most: codes.end() - offset,
        };
        Ok(())
    }

    /// Codes and what they mean; what is the same for all weights not counted.
    pub(super) fn bytes(&self) -> usize {
        self.panels.bytes() + self.outputs.bytes()
    }
}

/// Fails where sums of codes of so many inputs would not be exact.
fn check_inputs(inputs: usize) -> Result<()> {
    if inputs <= Panels::MOST_INPUTS {
        return Ok(());
    }
    #[expect(clippy::cast_precision_loss, reason = "a message")]
    let value = inputs as f64;
    Err(Error::NumberOutOfRange {
        what: "number of inputs of a layer",
        must: "at most 8388608",
        value,
    })
}

/// Codes of eight bits with a sign, rows of inputs in the order asked for. What a mask dropped has the code of 0.
fn packed_order(
    tensor: &QuantizedTensor,
    inputs: usize,
    zeros: &[i32],
    offset: i32,
    order: &(impl Iterator<Item = usize> + Clone),
) -> Vec<i8> {
    let codes = tensor.codes();
    let codes = codes.as_slice().unwrap_or_default();
    let kept: Option<Vec<bool>> = tensor.mask().map(|mask| mask.iter().collect());
    let mut packed = Vec::with_capacity(codes.len());
    if inputs == 0 {
        return packed;
    }
    for (output, row) in codes.chunks_exact(inputs).enumerate() {
        let zero = zeros.get(output).copied().unwrap_or(0);
        for input in order.clone() {
            let place = output * inputs + input;
            let kept = kept.as_ref().is_none_or(|kept| kept[place]);
            let code = if kept { row[input] - offset } else { zero };
            #[expect(clippy::cast_possible_truncation, reason = "codes have eight bits")]
            packed.push(code as i8);
        }
    }
    packed
}

/// How many outputs in a row have one scale.
fn outputs_of_scale(granularity: Granularity, shape: &[usize]) -> Result<usize> {
    let whole = |axes: &[usize]| axes.iter().zip(&shape[1..]).all(|(b, length)| b >= length);
    match granularity {
        Granularity::PerTensor => Ok(shape[0].max(1)),
        Granularity::PerChannel(Axis(0)) => Ok(1),
        Granularity::PerToken if shape.len() == 2 => Ok(1),
        Granularity::PerGroup {
            axis: Axis(1),
            size,
        } if shape.len() == 2 && size >= shape[1] => Ok(1),
        Granularity::PerBlock(block) if whole(&block.lengths()[1..]) => Ok(block.lengths()[0]),
        _ => Err(Error::Infer(InferError::Granularity {
            needed: "one scale for the tensor or for each output",
            given: format!("{granularity:?}"),
        })),
    }
}

/// The settings of activations, which layers of eight bits share; `$field` is their [`EightBits`].
macro_rules! activation_settings {
    ($field:ident) => {
        /// The same with activations of seven bits, -63..=63: what PyTorch's engine x86 computes with, half as exact
        /// and, on machines without VNNI, faster.
        #[must_use]
        pub const fn seven_bit_activations(mut self) -> Self {
            self.$field.seven_bits();
            self
        }

        /// The same with the scale and zero point of activations given, as
        /// [`Linear::parameters`](crate::quantize::Linear::parameters) makes them of what an observer saw. Activations
        /// beyond the range saturate, as in PyTorch.
        ///
        /// # Errors
        ///
        /// The parameters are not those of one tensor, or their codes are not integers of at most eight bits.
        pub fn static_activations(
            mut self,
            parameters: &$crate::quantize::Parameters,
        ) -> $crate::error::Result<Self> {
            self.$field.fix(parameters)?;
            Ok(self)
        }
    };
}
pub(super) use activation_settings;
