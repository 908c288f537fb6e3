//! The layer that is not compressed.

use super::layer::check_activations;
use super::scratch::take;
use super::{Layer, Scratch, bias};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::dense;
use ndarray::{ArrayRef1, ArrayRef2};
use std::fmt;

/// A linear layer whose weights are floats: what compressed layers are measured against, and what takes their place
/// where they do not pay.
///
/// It runs in all threads of the caller's pool. Up to 3 rows it reads each unit's weights once, with the widest
/// vectors that the machine has, and so is bound by memory; from 4 on rows become the lanes of vectors.
/// A program with a faster product of its own should be measured against that one: see
/// [`FnLayer`](super::speed::FnLayer).
///
/// The same bits for any number of threads. Up to 3 rows, and from 4 on, also for any number of rows; between the two
/// the order of the sums differs. On machines that fuse multiplication and addition it is fused.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::infer::{DenseLinear, Layer};
///
/// let weights = array![[0.5_f32, -1.0, 0.25], [1.0, 0.0, -0.75]];
/// let layer = DenseLinear::new(&weights, Some(&array![0.0_f32, 1.0]))?;
/// assert_eq!(layer.forward(&array![[1.0, 2.0, 3.0]])?, array![[-0.75, -0.25]]);
/// assert_eq!(layer.bytes(), 6 * 4 + 2 * 4);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct DenseLinear {
    inputs: usize,
    outputs: usize,
    /// Outputs × inputs.
    weights: Vec<f32>,
    /// One an output, or none at all.
    bias: Vec<f32>,
}

impl DenseLinear {
    /// A layer of these weights, outputs × inputs, kept as f32.
    ///
    /// # Errors
    ///
    /// [`NotANumber`](crate::Error::NotANumber) or [`Infinite`](crate::Error::Infinite) where a weight or bias is not finite
    /// as an f32, [`WrongCount`](crate::Error::WrongCount) where the bias does not have a number for each output.
    pub fn new<F: Float>(weights: &ArrayRef2<F>, bias: Option<&ArrayRef1<F>>) -> Result<Self> {
        let (outputs, inputs) = weights.dim();
        let bias = bias::checked(bias, outputs)?;
        let weights = bias::singles("weight", weights)?;
        Ok(Self {
            inputs,
            outputs,
            weights,
            bias,
        })
    }
}

impl fmt::Debug for DenseLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DenseLinear")
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .field("bias", &!self.bias.is_empty())
            .finish_non_exhaustive()
    }
}

impl Layer for DenseLinear {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn bytes(&self) -> usize {
        size_of::<f32>() * (self.weights.len() + self.bias.len())
    }

    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        check_activations(self, x, out)?;
        let room = take(&mut scratch.floats, dense::room(x.nrows(), self.inputs));
        dense::dense(&x.view(), &self.weights, &self.bias, out.view_mut(), room);
        Ok(())
    }
}
