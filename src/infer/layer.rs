//! What can be done with a layer, whatever its weights are.

use super::Scratch;
use crate::error::{Error, Result};
use crate::kernels::finite;
use crate::shape;
use ndarray::{Array2, ArrayRef, ArrayRef2, Dimension};
use std::fmt::Debug;

/// A linear layer, y = x · Wᵀ + bias, whatever form its weights have.
///
/// A user's own layers implement it to be measured by [`speed`](super::speed) next to ours.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::infer::{Layer, QuantizedLinear, Scratch};
///
/// let weights = array![[0.5_f32, -1.0, 0.25], [1.0, 0.0, -0.75]];
/// let layer = QuantizedLinear::new(&weights, None)?;
/// let x = array![[1.0_f32, 2.0, 3.0]];
/// let y = layer.forward(&x)?;
/// assert!((y[[0, 0]] + 0.75).abs() < 0.05);
///
/// // The same without allocating: the scratch is used again from call to call.
/// let (mut out, mut scratch) = (Array2::zeros((1, 2)), Scratch::default());
/// layer.forward_into(&x, &mut out, &mut scratch)?;
/// assert_eq!(out, y);
/// # Ok::<(), rarefy::Error>(())
/// ```
pub trait Layer: Debug + Send + Sync {
    /// Columns of `x`.
    fn inputs(&self) -> usize;

    /// Columns of `y`.
    fn outputs(&self) -> usize;

    /// Bytes that weights, scales and bias take, all that the layer holds.
    fn bytes(&self) -> usize;

    /// Computes the layer into a given array.
    ///
    /// `x` has shape rows × inputs, `out` rows × outputs, both any memory order; what is in row-major order is not
    /// copied. `out` is overwritten, and may have been where an error comes back.
    ///
    /// # Errors
    ///
    /// A shape does not fit, or an input is NaN or infinite: what that would give is not the same for all forms of
    /// weights, so none computes with it.
    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        scratch: &mut Scratch,
    ) -> Result<()>;

    /// Computes the layer into a new array of rows × outputs.
    ///
    /// # Errors
    ///
    /// Those of [`forward_into`](Self::forward_into).
    fn forward(&self, x: &ArrayRef2<f32>) -> Result<Array2<f32>> {
        let shape = [x.nrows(), self.outputs()];
        shape::count(&shape)?;
        let mut out = Array2::zeros(shape);
        self.forward_into(x, &mut out, &mut Scratch::default())?;
        Ok(out)
    }
}

/// Fails unless `x` and `out` fit a layer of so many inputs and outputs.
pub(super) fn check_shapes(
    layer: &dyn Layer,
    x: &ArrayRef2<f32>,
    out: &ArrayRef2<f32>,
) -> Result<()> {
    let (inputs, outputs) = (layer.inputs(), layer.outputs());
    shape::check_same(
        "input of a layer",
        x.shape(),
        "needed",
        &[x.nrows(), inputs],
    )?;
    shape::check_same("output", out.shape(), "needed", &[x.nrows(), outputs])
}

/// The error about the first of these numbers that is NaN or infinite, in row-major order; `what` they are.
pub(super) fn not_finite<D: Dimension>(what: &'static str, x: &ArrayRef<f32, D>) -> Error {
    let place = finite::first_not_finite(x).unwrap_or(0);
    let value = x.iter().nth(place).copied().unwrap_or(f32::NAN);
    Error::not_finite(what, shape::index_of(place, x.shape()), value.into())
}

/// Fails unless shapes fit and all activations are finite.
pub(super) fn check_activations(
    layer: &dyn Layer,
    x: &ArrayRef2<f32>,
    out: &ArrayRef2<f32>,
) -> Result<()> {
    check_shapes(layer, x, out)?;
    match finite::first_not_finite(x) {
        None => Ok(()),
        Some(_) => Err(not_finite("activation", x)),
    }
}
