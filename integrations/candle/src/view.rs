//! Tensors as arrays, arrays as tensors.

use candle_core::{CpuStorage, Device, Result, Storage, Tensor, bail};
use rarefy::ndarray::{Array, ArrayViewD, Dimension, IxDyn, ShapeBuilder};

/// Calls `with` with a tensor of f32 on the CPU as an array, without a copy, whatever its strides.
///
/// # Errors
///
/// A tensor elsewhere, or of another type.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let tensor = Tensor::new(&[[1_f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?.t()?;
/// let last = rarefy_candle::with_view(&tensor, |array| array[[2, 1]])?;
/// assert_eq!(last, 6.0);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn with_view<R>(tensor: &Tensor, with: impl FnOnce(ArrayViewD<'_, f32>) -> R) -> Result<R> {
    // The guard lives as long as the view.
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
        bail!(
            "a tensor of f32 on the CPU is needed, this is {:?} on {:?}",
            tensor.dtype(),
            tensor.device()
        );
    };
    let shape = IxDyn(layout.dims()).strides(IxDyn(layout.stride()));
    let values = values.get(layout.start_offset()..).unwrap_or(&[]);
    let view = ArrayViewD::from_shape(shape, values).map_err(candle_core::Error::wrap)?;
    Ok(with(view))
}

/// An array as a tensor on the CPU; moved if it is in row-major order, else copied.
///
/// # Errors
///
/// None but candle's own.
pub fn tensor_of<D: Dimension>(array: Array<f32, D>) -> Result<Tensor> {
    let shape = array.shape().to_vec();
    let len = array.len();
    let values = if array.is_standard_layout() {
        let (mut values, offset) = array.into_raw_vec_and_offset();
        // An array that was cut out of another has what is around it still.
        values.drain(..offset.unwrap_or(0));
        values.truncate(len);
        values
    } else {
        array.iter().copied().collect()
    };
    Tensor::from_vec(values, shape, &Device::Cpu)
}
