//! Fake quantization with its straight-through gradient.

use crate::{Result, tensor_of, with_view};
use burn::tensor::Tensor;
use rarefy::ndarray::ArrayD;
use rarefy::quantize::FakeQuantizer;

/// The values as if they were quantized; `backward` passes the gradient where a value lies in the range of the codes, and 0
/// elsewhere.
///
/// It is x · inside + stop_gradient(faked − x · inside), with `inside` 1 in the range and 0 elsewhere.
///
/// # Errors
///
/// Those of [`FakeQuantizer`]; a tensor that is no f32.
pub fn fake_quantize<const D: usize>(
    values: &Tensor<D>,
    quantizer: &FakeQuantizer,
) -> Result<Tensor<D>> {
    let (faked, inside) = with_view(values, |view| {
        let faked = quantizer.forward(&view)?;
        let mut inside = ArrayD::ones(view.raw_dim());
        quantizer.backward_in_place(&view, &mut inside)?;
        Ok::<_, rarefy::Error>((faked, inside))
    })??;
    let device = values.device();
    let (faked, inside) = (
        tensor_of::<D, _>(faked, &device)?,
        tensor_of::<D, _>(inside, &device)?,
    );
    let through = values.clone() * inside.detach();
    Ok(through.clone() + (faked - through).detach())
}
