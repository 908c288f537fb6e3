//! The weights of one module.

use super::GptqConfig;
use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::formats::integers::Packing;
use crate::quantize::QuantizedTensor;
use crate::tensors::TensorSource;
use ndarray::{Array2, Ix2};

/// The quantized weights of a module, and in which order they take its inputs.
///
/// The tensor has the shape outputs × inputs. Its columns are the inputs in their order, or, where a checkpoint was made
/// with act-order (`desc_act`), in one that brings those of a group together: column j is input `order[j]`.
/// `infer::Reordered` makes a layer of that.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Axis};
/// use rarefy::formats::{GptqConfig, GptqWeights};
/// use rarefy::infer::{GroupedLinear, Layer, Reordered};
/// use rarefy::quantize::{Linear, QuantizerExt};
/// use rarefy::tensors::TensorMap;
///
/// let weights = Array2::from_shape_fn((32, 64), |(i, j)| ((3 * i + j) % 17) as f32 / 8.0 - 1.0);
/// let linear = Linear::new(4).per_group(Axis(1), 32);
/// let scales = GptqWeights::half_scales(linear.quantize(&weights)?.parameters())?;
/// let q = linear.quantize_with(&weights, &scales)?;
///
/// // The parts of a checkpoint, here in memory; `SafetensorsWriter` takes them too.
/// let checkpoint = TensorMap::new(GptqWeights::new(q.clone())?.encode("layer")?)?;
/// let read = GptqWeights::read(&checkpoint, "layer", &GptqConfig::new(4, Some(32)))?;
/// assert_eq!(read.dequantize::<f32>()?.into_dyn(), q.dequantize::<f32>());
///
/// let layer = GroupedLinear::from_tensor(read.tensor(), None)?;
/// let y = match read.order() {
///     None => layer.forward(&Array2::ones((1, 64)))?,
///     Some(order) => Reordered::new(layer, order.to_vec())?.forward(&Array2::ones((1, 64)))?,
/// };
/// assert_eq!(y.dim(), (1, 32));
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GptqWeights {
    pub(super) tensor: QuantizedTensor,
    pub(super) order: Option<Vec<usize>>,
}

impl GptqWeights {
    /// Weights of shape outputs × inputs whose columns are the inputs in their order.
    ///
    /// # Errors
    ///
    /// [`FileError::CannotHold`]: another rank.
    pub fn new(tensor: QuantizedTensor) -> Result<Self> {
        match tensor.shape().len() {
            2 => Ok(Self {
                tensor,
                order: None,
            }),
            _ => Err(Error::File(FileError::CannotHold {
                format: "GPTQ",
                what: format!("a tensor of shape {:?}", tensor.shape()),
                must: "outputs × inputs",
            })),
        }
    }

    /// The weights of `module` as this crate's codes: unsigned, with the zero points and scales that are stored.
    ///
    /// Beside the result it takes the memory of the codes once more.
    ///
    /// # Errors
    ///
    /// * [`FileError::NoTensor`], [`FileError::WrongDType`], [`FileError::WrongShape`]: a part is missing or not as the
    ///   configuration says.
    /// * [`FileError::CannotHold`]: no inputs or outputs, or an order of inputs (`g_idx`) whose groups are not as
    ///   long as the configuration says.
    /// * [`Error::NumberOutOfRange`]: an input of a group that does not exist.
    /// * [`Error::CodeOutOfRange`]: a zero point of 2ᵇ. Where v1 stores 2ᵇ − 1, readers differ: this one and
    ///   auto-round's take 2ᵇ, AutoGPTQ's first one took 0.
    /// * [`Error::ScaleOutOfRange`]: a scale that is not finite and positive.
    /// * Whatever reading can fail with.
    ///
    /// [`GptqCheckpoint`](super::GptqCheckpoint) reads the weights of the third and of the last two lines as a dense tensor.
    pub fn read(source: &dyn TensorSource, module: &str, config: &GptqConfig) -> Result<Self> {
        let integers = config.read(source, module)?;
        let quantized = integers.quantized();
        let (tensor, order) = quantized.map_err(|error| error.in_tensor(module))?;
        Ok(Self { tensor, order })
    }

    /// The weights, with columns in the order of [`order`](Self::order).
    pub const fn tensor(&self) -> &QuantizedTensor {
        &self.tensor
    }

    /// Which input each column of the tensor is: each once. `None` where that is the one of its number.
    pub fn order(&self) -> Option<&[usize]> {
        self.order.as_deref()
    }

    /// Tensor and order without a copy.
    pub fn into_parts(self) -> (QuantizedTensor, Option<Vec<usize>>) {
        (self.tensor, self.order)
    }

    /// The numbers that the codes mean, outputs × inputs, with the inputs in the model's own order.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`]: never, as the rank is 2.
    pub fn dequantize<F: Float>(&self) -> Result<Array2<F>> {
        let shape = self.tensor.shape();
        let mismatch = |_| Error::ShapeMismatch {
            left: "tensor",
            left_shape: shape.to_vec(),
            right: "needed",
            right_shape: vec![0; 2],
        };
        let sorted = self.tensor.dequantize::<F>().into_dimensionality::<Ix2>();
        let sorted = sorted.map_err(mismatch)?;
        let Some(order) = &self.order else {
            return Ok(sorted);
        };
        let mut values = Array2::zeros(sorted.dim());
        for (column, &input) in sorted.columns().into_iter().zip(order) {
            values.column_mut(input).assign(&column);
        }
        Ok(values)
    }
}
