//! A linear layer whose weights have few bits and a scale for each group.

use super::layer::{check_shapes, not_finite};
use super::scratch::{in_order, take};
use super::{Layer, Scratch, bias};
use crate::error::{Error, InferError, Result};
use crate::float::Float;
use crate::kernels::integer::grouped::{Cut, Room, Weights, Width, multiply};
use crate::kernels::integer::machine::Machine;
use crate::kernels::pack;
use crate::kernels::parallel::enter;
use crate::quantize::{Granularity, Linear, QuantizedTensor, QuantizerExt};
use ndarray::{ArrayRef1, ArrayRef2, Axis};
use std::fmt;

/// How a layer with weights of few bits codes its inputs.
///
/// Each row is coded by itself in pieces: groups of the weights, of which those of more than 256 inputs fall into
/// pieces of 256. Symmetric, s = max|x| / 127 or 32767 over the piece, code = round_half_even(x / s), so that an input
/// moves by at most s / 2; a piece of zeros stays zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Activations {
    /// 8 bits: results are off by some 5 · 10⁻³ of their size with random inputs, which is about what weights of 8 bits
    /// lose.
    #[default]
    Int8,
    /// 16 bits: off by some 2 · 10⁻⁵, in about twice the time.
    Int16,
}

impl Activations {
    fn width(self) -> Width {
        match self {
            Self::Int8 => Width::Eight,
            Self::Int16 => Width::Sixteen,
        }
    }
}

/// A linear layer whose weights have 2, 3, 4 or 8 bits, in groups along the inputs with a scale each.
///
/// Only the weights are compressed for good; inputs are coded on the fly ([`Activations`]) and products are those of
/// integers:
///
/// ```text
/// y = Σ over pieces of f32(Σ (code − zero point) · x_code) · (scale · x_scale)   + bias
/// ```
///
/// The inner sums are exact, pieces are added in their order, each product and sum rounded to f32. Results have the
/// same bits on every machine, for any number of threads and however many rows are given at once.
///
/// Weights stay in their bits: [`bytes`](Layer::bytes) is that of the [`QuantizedTensor`] plus at most 1 % where
/// the groups have a length that 32 divides, inputs are at least 800 and outputs a multiple of 16. Zero points, four
/// bytes each there, take one byte here, or none where all are the same. A group takes room for a multiple of 8 inputs
/// with 4 bits, of 16 with 2 and of 32 with 3; a multiple of 16 outputs is stored.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Axis, Ix2};
/// use rarefy::infer::{Activations, GroupedLinear, Layer};
/// use rarefy::prelude::*;
/// use rarefy::quantize::Linear;
///
/// let weights = Array2::from_shape_fn((32, 128), |(i, j)| ((3 * i + j) % 17) as f32 / 8.0 - 1.0);
/// let layer = GroupedLinear::new(&weights, 4, 32, None)?;
/// assert_eq!(layer.bytes(), 32 * 128 / 2 + 32 * 4 * 4 + 1); // codes, scales, one zero point for all
///
/// let x = Array2::from_shape_fn((2, 128), |(i, j)| ((5 * i + j) % 7) as f32 - 3.0);
/// let right = x.dot(&weights.t());
/// let y = layer.forward(&x)?;
/// assert!(y.iter().zip(&right).all(|(y, right)| (y - right).abs() < 0.05 * 128.0));
///
/// // Weights that are quantized already, in any way that has groups along the inputs.
/// let q = Linear::new(3).affine().per_group(Axis(1), 64).quantize(&weights)?;
/// let layer = GroupedLinear::from_tensor(&q, None)?.activations(Activations::Int16);
/// let right = x.dot(&q.dequantize::<f32>().into_dimensionality::<Ix2>()?.t());
/// let y = layer.forward(&x)?;
/// assert!(y.iter().zip(&right).all(|(y, right)| (y - right).abs() < 1e-2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct GroupedLinear {
    weights: Weights,
    bias: Vec<f32>,
    activations: Activations,
}

impl GroupedLinear {
    /// A layer of weights of shape outputs × inputs, quantized symmetrically by
    /// [`Linear`] to `bits` bits in groups of `group` inputs; the last group may be shorter.
    ///
    /// # Errors
    ///
    /// Those of [`Linear`], and those of [`from_tensor`](Self::from_tensor).
    pub fn new<F: Float>(
        weights: &ArrayRef2<F>,
        bits: u32,
        group: usize,
        bias: Option<&ArrayRef1<F>>,
    ) -> Result<Self> {
        let tensor = Linear::new(bits)
            .per_group(Axis(1), group)
            .quantize(weights)?;
        Self::of(&tensor, bias)
    }

    /// A layer of weights of shape outputs × inputs that are quantized already.
    ///
    /// Codes are those of [`symmetric`](crate::quantize::Scheme::symmetric),
    /// [`symmetric_full_range`](crate::quantize::Scheme::symmetric_full_range),
    /// [`affine`](crate::quantize::Scheme::affine) or [`unsigned`](crate::quantize::Scheme::unsigned), of 2, 3, 4 or
    /// 8 bits. Scales are per group along axis 1, per channel of axis 0, per token, per block, or one for all. What a
    /// mask beside the codes drops counts as 0.
    ///
    /// # Errors
    ///
    /// * [`Error::Infer`]: another scheme, granularity or rank.
    /// * [`Error::WrongCount`]: a bias that has not a number for each output.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first number of the bias that is not finite.
    pub fn from_tensor(weights: &QuantizedTensor, bias: Option<&ArrayRef1<f32>>) -> Result<Self> {
        Self::of(weights, bias)
    }

    fn of<F: Float>(tensor: &QuantizedTensor, bias: Option<&ArrayRef1<F>>) -> Result<Self> {
        let &[outputs, inputs] = tensor.shape() else {
            return Err(Error::Infer(InferError::Rank {
                needed: "outputs × inputs",
                given: tensor.shape().to_vec(),
            }));
        };
        let (scheme, parameters) = (tensor.scheme(), tensor.parameters());
        let bits = scheme.bits();
        if !scheme.is_integer() || !matches!(bits, 2 | 3 | 4 | 8) {
            return Err(Error::Infer(InferError::Scheme {
                needed: "integers of 2, 3, 4 or 8 bits",
                given: format!("{scheme:?}"),
            }));
        }
        let (high, wide) = shared(tensor.granularity(), [outputs, inputs])?;
        let bias = bias::checked(bias, outputs)?;

        let mut codes = vec![0; tensor.len()];
        pack::unpack(tensor.packed(), bits, &mut codes);
        // Two's complement becomes an offset of half the codes.
        let half = if scheme.is_signed() {
            1 << (bits - 1)
        } else {
            0
        };
        codes.iter_mut().for_each(|code| *code ^= half);
        let cut = Cut::new(inputs, wide, bits);
        let across = cut.groups();
        let scale = |output: usize, group: usize| output / high * across + group;
        let zero = |scale: usize| match parameters.zero_points().get(scale) {
            None => half,
            Some(&zero) => u8::try_from(zero + i32::from(half)).unwrap_or(half),
        };
        if let Some(mask) = tensor.mask() {
            for (place, kept) in mask.iter().enumerate().filter(|(_, kept)| !kept) {
                let (output, input) = (place / inputs, place % inputs);
                debug_assert!(!kept, "only what is dropped");
                codes[place] = zero(scale(output, input / cut.group()));
            }
        }
        let first = zero(0);
        let same = (1..parameters.zero_points().len()).all(|scale| zero(scale) == first);
        let weights = Weights::pack(
            (bits, outputs),
            cut,
            same.then_some(first),
            |output, to| to.copy_from_slice(&codes[output * inputs..][..inputs]),
            |output, group| {
                let scale = scale(output, group);
                (parameters.scales()[scale], zero(scale))
            },
        );
        Ok(Self {
            weights,
            bias,
            activations: Activations::default(),
        })
    }

    /// The same with inputs coded in another way.
    #[must_use]
    pub const fn activations(mut self, activations: Activations) -> Self {
        self.activations = activations;
        self
    }

    /// Bits of a weight.
    pub fn bits(&self) -> u32 {
        self.weights.bits()
    }

    /// Inputs of a group; at most all of them.
    pub fn group(&self) -> usize {
        self.weights.cut().group()
    }
}

impl Layer for GroupedLinear {
    fn inputs(&self) -> usize {
        self.weights.cut().inputs()
    }

    fn outputs(&self) -> usize {
        self.weights.outputs()
    }

    fn bytes(&self) -> usize {
        self.weights.bytes() + size_of_val(self.bias.as_slice())
    }

    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        check_shapes(self, x, out)?;
        let (rows, width) = (x.nrows(), self.activations.width());
        let floats = Room::floats(&self.weights, rows);
        let integers = Room::integers(&self.weights, rows, width);
        let x_rows = in_order(x, &mut scratch.gathered);
        let room = Room {
            integers: take(&mut scratch.sums, integers),
            floats: take(&mut scratch.floats, floats),
        };
        let machine = Machine::detected();
        let out = out.view_mut();
        let products = x_rows.len().saturating_mul(self.outputs());
        let finite = enter(products, || {
            multiply(machine, x_rows, &self.weights, &self.bias, width, out, room)
        });
        match finite {
            true => Ok(()),
            false => Err(not_finite("input", x)),
        }
    }
}

/// How many outputs and inputs share a scale.
fn shared(granularity: Granularity, [outputs, inputs]: [usize; 2]) -> Result<(usize, usize)> {
    let shared = match granularity {
        Granularity::PerTensor => (outputs, inputs),
        Granularity::PerChannel(Axis(0)) | Granularity::PerToken => (1, inputs),
        Granularity::PerGroup {
            axis: Axis(1),
            size,
        } => (1, size),
        Granularity::PerBlock(block) => match block.lengths() {
            &[high, wide] => (high, wide),
            _ => (1, inputs),
        },
        _ => {
            return Err(Error::Infer(InferError::Granularity {
                needed: "scales per group along the inputs, per output, per block or per tensor",
                given: format!("{granularity:?}"),
            }));
        }
    };
    Ok((shared.0.max(1), shared.1.max(1)))
}

impl fmt::Debug for GroupedLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupedLinear")
            .field("inputs", &self.inputs())
            .field("outputs", &self.outputs())
            .field("bits", &self.bits())
            .field("group", &self.group())
            .field("activations", &self.activations)
            .field("bytes", &self.bytes())
            .finish()
    }
}
