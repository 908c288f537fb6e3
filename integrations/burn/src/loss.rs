//! Losses of rarefy in burn's graph.

use crate::{Result, tensor_of, with_view};
use burn::tensor::Tensor;
use rarefy::distill::{Loss, LossValue, Output, Target};
use rarefy::ndarray::Ix2;

/// A loss over logits (rows × classes): its own value, and a scalar whose `backward` gives its analytic gradient and whose
/// value means nothing.
///
/// # Errors
///
/// Those of the loss; logits that are no f32.
pub fn surrogate(
    loss: &dyn Loss<f32>,
    student: &Tensor<2>,
    target: Target<'_, f32>,
) -> Result<(f32, Tensor<1>)> {
    let logits = with_view(student, |view| {
        view.into_dimensionality::<Ix2>()
            .map(|view| view.to_owned())
    })??;
    let LossValue { value, grad } = loss.evaluate(&Output::from(logits), target)?;
    let gradient = tensor_of::<2, _>(grad.logits, &student.device())?.detach();
    Ok((value, (student.clone() * gradient).sum()))
}
