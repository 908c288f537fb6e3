//! Fake quantization with its straight-through gradient.

use crate::{failed, tensor_of, with_view};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rarefy::ndarray::{ArrayViewD, IxDyn, ShapeBuilder};
use rarefy::quantize::FakeQuantizer;

struct Fake(FakeQuantizer);

impl CustomOp1 for Fake {
    fn name(&self) -> &'static str {
        "rarefy-fake-quantize"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let CpuStorage::F32(values) = storage else {
            bail!("a tensor of f32 is needed");
        };
        let shape = IxDyn(layout.dims()).strides(IxDyn(layout.stride()));
        let values = values.get(layout.start_offset()..).unwrap_or(&[]);
        let view = ArrayViewD::from_shape(shape, values).map_err(candle_core::Error::wrap)?;
        let faked = self.0.forward(&view).map_err(failed)?;
        let (values, _) = faked.into_raw_vec_and_offset();
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    fn bwd(&self, values: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut back = with_view(gradient, |view| view.to_owned())?;
        with_view(values, |values| {
            self.0.backward_in_place(&values, &mut back)
        })?
        .map_err(failed)?;
        tensor_of(back).map(Some)
    }
}

/// The values as if they were quantized; `backward` passes the gradient where a value lies in the range of the codes, and 0
/// elsewhere.
///
/// # Errors
///
/// Those of [`FakeQuantizer`]; a tensor that is no f32 on the CPU.
pub fn fake_quantize(values: &Tensor, quantizer: &FakeQuantizer) -> Result<Tensor> {
    values.apply_op1(Fake(quantizer.clone()))
}
