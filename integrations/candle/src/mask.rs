//! Masks on variables.

use crate::failed;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use rarefy::Mask;
use rarefy::ndarray::ArrayViewMutD;

struct Apply<'a>(&'a Mask);

impl InplaceOp1 for Apply<'_> {
    fn name(&self) -> &'static str {
        "rarefy-mask"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let CpuStorage::F32(values) = storage else {
            bail!("a tensor of f32 is needed");
        };
        let Some((from, to)) = layout.contiguous_offsets() else {
            bail!("a tensor in row-major order is needed");
        };
        let Some(values) = values.get_mut(from..to) else {
            bail!("the tensor's layout leaves its memory");
        };
        let array = ArrayViewMutD::from_shape(layout.dims(), values);
        let mut array = array.map_err(candle_core::Error::wrap)?;
        self.0.apply(&mut array).map_err(failed)
    }
}

/// Zeroes what a mask drops, in place: of a variable after each step of the optimiser, and of its moments, so that pruned
/// weights stay pruned.
///
/// # Errors
///
/// A tensor of another shape or type, elsewhere than on the CPU, or not in row-major order.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Var};
/// use rarefy::prune::{Magnitude, PrunerExt, Unstructured};
///
/// let weights = Var::new(&[[0.3_f32, -1.2], [0.8, -0.2]], &Device::Cpu)?;
/// let mask = rarefy_candle::with_view(&weights, |view| Unstructured::new(Magnitude, 0.5).mask(&view))?
///     .map_err(candle_core::Error::wrap)?;
/// rarefy_candle::apply_mask(&weights, &mask)?;
/// assert_eq!(weights.to_vec2::<f32>()?, [[0.0, -1.2], [0.8, 0.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn apply_mask(tensor: &Tensor, mask: &Mask) -> Result<()> {
    tensor.inplace_op1(&Apply(mask))
}
