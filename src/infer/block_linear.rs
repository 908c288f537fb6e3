//! A linear layer whose weights are blocks of bytes.

use super::layer::{check_shapes, not_finite};
use super::scratch::in_order;
use super::{Layer, Scratch, bias};
use crate::error::{Error, InferError, Result};
use crate::kernels::decoded;
use crate::kernels::finite;
use crate::quantize::{BlockFormat, BlockTensor};
use ndarray::{ArrayRef1, ArrayRef2};
use std::fmt;

/// A linear layer whose weights stay the bytes of a [`BlockFormat`], such as those of a GGUF file.
///
/// While it computes, each thread decodes sixteen outputs × 256 inputs at a time, into 16 KiB on its stack, and
/// multiplies them in f32: with a single row faster than decoding all and multiplying floats, with many rows slower,
/// where a [`GroupedLinear`](super::GroupedLinear) is the one to choose.
///
/// In stretches of 256 inputs (the last may have fewer) input i goes to partial sum i mod 16; the sixteen are added in
/// pairs, those of the stretches in their order, and then the bias. No operation is fused, so results have the same
/// bits on every machine. They differ from the exact ones by at most (24 + stretches) · 2⁻²⁴ · Σ|x · w|, and by the
/// rounding of the bias.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Ix2};
/// use rarefy::infer::{BlockLinear, Layer};
/// use rarefy::quantize::{BlockFormat, BlockTensor};
///
/// let weights = Array2::from_shape_fn((8, 256), |(i, j)| ((i + 3 * j) % 13) as f32 - 6.0);
/// let blocks = BlockTensor::encode(&weights, BlockFormat::Q4K)?; // or from_bytes, out of a file
/// let right = blocks.dequantize::<f32>();
/// let layer = BlockLinear::new(blocks, None)?;
/// assert_eq!(layer.bytes(), 8 * 144);
///
/// let x = Array2::from_shape_fn((2, 256), |(i, j)| ((2 * i + j) % 5) as f32);
/// let y = layer.forward(&x)?;
/// let right = x.dot(&right.into_dimensionality::<Ix2>()?.t());
/// assert!(y.iter().zip(&right).all(|(y, right)| (y - right).abs() < 1e-2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct BlockLinear {
    weights: BlockTensor,
    outputs: usize,
    inputs: usize,
    bias: Vec<f32>,
}

impl BlockLinear {
    /// A layer of weights of shape outputs × inputs, of any format. What a mask beside the bytes drops counts as 0.
    ///
    /// # Errors
    ///
    /// * [`Error::Infer`]: another rank.
    /// * [`Error::WrongCount`]: a bias that has not a number for each output.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first number of the bias that is not finite.
    pub fn new(weights: BlockTensor, bias: Option<&ArrayRef1<f32>>) -> Result<Self> {
        let &[outputs, inputs] = weights.shape() else {
            return Err(Error::Infer(InferError::Rank {
                needed: "outputs × inputs",
                given: weights.shape().to_vec(),
            }));
        };
        Ok(Self {
            bias: bias::checked(bias, outputs)?,
            weights,
            outputs,
            inputs,
        })
    }

    /// How the bytes of the weights are laid out.
    pub fn format(&self) -> BlockFormat {
        self.weights.format()
    }
}

impl Layer for BlockLinear {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn bytes(&self) -> usize {
        let mask = self.weights.mask().map_or(0, crate::mask::Mask::bytes);
        self.weights.bytes().len() + mask + size_of_val(self.bias.as_slice())
    }

    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        check_shapes(self, x, out)?;
        let x_rows = in_order(x, &mut scratch.gathered);
        if !finite::all_finite_here(x_rows) {
            return Err(not_finite("input", x));
        }
        let decode = |output, input, values: &mut [f32]| {
            self.weights
                .decode_part(output * self.inputs + input, values);
        };
        decoded::multiply(x_rows, self.inputs, &decode, &self.bias, out.view_mut());
        Ok(())
    }
}

impl fmt::Debug for BlockLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockLinear")
            .field("weights", &self.weights)
            .finish_non_exhaustive()
    }
}
