//! A layer of the caller's own.

use crate::error::Result;
use crate::infer::layer::check_shapes;
use crate::infer::{Layer, Scratch};
use ndarray::ArrayRef2;
use std::fmt;

/// A closure as a layer: what a program computes already, to measure a compressed layer against.
///
/// The closure gets `x`, rows × inputs, and overwrites `out`, rows × outputs; shapes are checked before.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use ndarray::linalg::general_mat_mul;
/// use rarefy::infer::Layer;
/// use rarefy::infer::speed::FnLayer;
///
/// let weights = array![[0.5_f32, -1.0, 0.25], [1.0, 0.0, -0.75]];
/// let mine = FnLayer::new(3, 2, 6 * 4, |x, out| {
///     general_mat_mul(1.0, x, &weights.t(), 0.0, out);
///     Ok(())
/// });
/// assert_eq!(mine.forward(&array![[1.0, 2.0, 3.0]])?, array![[-0.75, -1.25]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct FnLayer<C> {
    inputs: usize,
    outputs: usize,
    bytes: usize,
    compute: C,
}

impl<C> FnLayer<C>
where
    C: Fn(&ArrayRef2<f32>, &mut ArrayRef2<f32>) -> Result<()> + Send + Sync,
{
    /// A layer of so many inputs and outputs that holds so many bytes and computes by this closure.
    pub const fn new(inputs: usize, outputs: usize, bytes: usize, compute: C) -> Self {
        Self {
            inputs,
            outputs,
            bytes,
            compute,
        }
    }
}

impl<C> fmt::Debug for FnLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnLayer")
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl<C> Layer for FnLayer<C>
where
    C: Fn(&ArrayRef2<f32>, &mut ArrayRef2<f32>) -> Result<()> + Send + Sync,
{
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        _: &mut Scratch,
    ) -> Result<()> {
        check_shapes(self, x, out)?;
        (self.compute)(x, out)
    }
}
