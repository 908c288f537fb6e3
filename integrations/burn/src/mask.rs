//! Masks on tensors.

use crate::{Result, tensor_of, with_view};
use burn::tensor::Tensor;
use rarefy::Mask;

/// The tensor with zeros where a mask drops: of weights after each step of the optimiser, so that pruned ones stay pruned.
///
/// It is outside of the graph: `require_grad` makes it a leaf.
///
/// # Errors
///
/// A tensor of another shape or type.
pub fn apply_mask<const D: usize>(tensor: &Tensor<D>, mask: &Mask) -> Result<Tensor<D>> {
    let mut values = with_view(tensor, |view| view.to_owned())?;
    mask.apply(&mut values)?;
    tensor_of(values, &tensor.device())
}
