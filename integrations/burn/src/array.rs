//! Tensors as arrays, arrays as tensors.

use crate::Result;
use burn::tensor::{Device, Tensor, TensorData};
use rarefy::ndarray::{Array, ArrayViewD, Dimension, IxDyn};

/// Calls `with` with the values of a tensor of f32 as an array. They are copied out of the backend once.
///
/// # Errors
///
/// A tensor of another type.
pub fn with_view<const D: usize, R>(
    tensor: &Tensor<D>,
    with: impl FnOnce(ArrayViewD<'_, f32>) -> R,
) -> Result<R> {
    let data = tensor.to_data();
    let values = data
        .as_slice::<f32>()
        .map_err(|error| format!("{error:?}"))?;
    let shape = data.shape().to_vec();
    Ok(with(ArrayViewD::from_shape(IxDyn(&shape), values)?))
}

/// An array as a tensor on a device.
///
/// # Errors
///
/// Another number of axes than `D`.
pub fn tensor_of<const D: usize, A: Dimension>(
    array: Array<f32, A>,
    device: &Device,
) -> Result<Tensor<D>> {
    let shape = <[usize; D]>::try_from(array.shape());
    let shape = shape.map_err(|_| format!("an array of {} axes, {D} are needed", array.ndim()))?;
    let values: Vec<f32> = array.iter().copied().collect();
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}
