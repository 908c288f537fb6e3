//! Compressed layers as candle's modules.

use crate::{failed, tensor_of, with_view};
use candle_core::{Module, Result, Tensor};
use rarefy::infer::Layer;
use rarefy::ndarray::Ix2;

/// A compressed linear layer as a `Module`: the last axis of its input are the layer's inputs, the others rows.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use rarefy::infer::QuantizedLinear;
/// use rarefy::ndarray::array;
///
/// let layer = QuantizedLinear::new(&array![[0.5_f32, -1.0], [0.25, 0.75]], None).map_err(candle_core::Error::wrap)?;
/// let module = rarefy_candle::Compressed(layer);
/// let y = module.forward(&Tensor::ones((3, 4, 2), candle_core::DType::F32, &Device::Cpu)?)?;
/// assert_eq!(y.dims(), [3, 4, 2]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compressed<L>(pub L);

impl<L: Layer> Module for Compressed<L> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, shape) = match x.dims() {
            [rows @ .., _] => (
                rows.iter().product::<usize>(),
                [rows, &[self.0.outputs()]].concat(),
            ),
            [] => candle_core::bail!("a layer has inputs, a scalar has none"),
        };
        let x = x.reshape((rows, x.dims()[x.dims().len() - 1]))?;
        let y = with_view(&x, |view| {
            let view = view
                .into_dimensionality::<Ix2>()
                .map_err(candle_core::Error::wrap)?;
            self.0.forward(&view).map_err(failed)
        })??;
        tensor_of(y)?.reshape(shape)
    }
}
