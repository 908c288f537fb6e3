//! A convolution over images whose weights have eight bits.

use super::eight_bits::{EightBits, activation_settings, bias_of, quantize};
use super::layer::not_finite;
use super::scratch::{in_order, take};
use super::{Scratch, bias};
use crate::error::{Error, InferError, Result};
use crate::float::Float;
use crate::kernels::integer::codes::{Room, encode};
use crate::kernels::integer::patches::{Geometry, border, patches};
use crate::kernels::integer::product::product;
use crate::quantize::{QuantizedLayer, QuantizedTensor};
use crate::shape;
use ndarray::{Array2, Array4, ArrayRef1, ArrayRef4, Axis};
use std::fmt;

/// A two-dimensional convolution with weights of eight bits and activations of eight bits.
///
/// Images have shape count × channels × height × width, weights outputs × channels × kernel height × kernel width, as
/// in PyTorch's `Conv2d` without groups. Each image becomes codes with a scale of its own, as the rows of
/// [`QuantizedLinear`](super::QuantizedLinear) do; products are exact in the same way, and the border is exactly 0.
/// The patches of one image at a time are copied into the scratch.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`stride`](Self::stride) | 1 × 1 | steps of the kernel |
/// | [`padding`](Self::padding) | 0 × 0 | rows and columns of zeros on each side |
/// | [`dilation`](Self::dilation) | 1 × 1 | distance between the kernel's elements |
/// | [`seven_bit_activations`](Self::seven_bit_activations) | off | codes in -63..=63 instead of -127..=127 |
/// | [`static_activations`](Self::static_activations) | off | one scale and zero point for all images, given |
///
/// # Examples
///
/// ```
/// use ndarray::Array4;
/// use rarefy::infer::QuantizedConv2d;
///
/// let weights = Array4::from_elem((2, 3, 3, 3), 0.1_f32);
/// let layer = QuantizedConv2d::new(&weights, None)?.padding([1, 1]);
/// let y = layer.forward(&Array4::from_elem((1, 3, 5, 4), 1.0))?;
/// assert_eq!(y.shape(), [1, 2, 5, 4]);
/// assert!((y[[0, 0, 2, 2]] - 2.7).abs() < 0.01 && (y[[0, 0, 0, 0]] - 1.2).abs() < 0.01);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct QuantizedConv2d {
    weights: EightBits,
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
}

impl QuantizedConv2d {
    /// Quantizes weights: int8, symmetric, a scale for each output.
    ///
    /// # Errors
    ///
    /// A weight or a number of the bias is NaN or infinite, the bias has not one number for each output, or the kernel
    /// is empty.
    pub fn new<F: Float>(weights: &ArrayRef4<F>, bias: Option<&ArrayRef1<F>>) -> Result<Self> {
        let bias = bias::checked(bias, weights.dim().0)?;
        Self::packed(&quantize(weights)?, bias)
    }

    /// Packs weights that are quantized already: integer codes of at most 8 bits, symmetric or with zero points, one
    /// scale for the tensor or for each output. Weights that a mask dropped are 0.
    ///
    /// # Errors
    ///
    /// The tensor is not of rank 4, or has another scheme or granularity; the bias does not fit; the kernel is empty.
    pub fn from_tensor(weights: &QuantizedTensor, bias: Option<&ArrayRef1<f32>>) -> Result<Self> {
        let outputs = weights.shape().first().copied().unwrap_or(0);
        Self::packed(weights, bias::checked(bias, outputs)?)
    }

    /// Packs weights and bias of a layer as it is stored.
    ///
    /// # Errors
    ///
    /// Those of [`from_tensor`](Self::from_tensor).
    pub fn from_layer<F: Float>(layer: &QuantizedLayer<F>) -> Result<Self> {
        Self::packed(layer.weights(), bias_of(layer.bias()))
    }

    fn packed(weights: &QuantizedTensor, bias: Vec<f32>) -> Result<Self> {
        let &[_, channels, height, width] = weights.shape() else {
            return Err(Error::Infer(InferError::Rank {
                needed: "outputs × channels × height × width",
                given: weights.shape().to_vec(),
            }));
        };
        positive("height and width of a kernel", [height, width])?;
        // Channels last, as patches are copied.
        let places = height * width;
        let order = (0..places).flat_map(|place| (0..channels).map(move |c| c * places + place));
        Ok(Self {
            weights: EightBits::new(weights, bias, &order)?,
            channels,
            kernel: [height, width],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
        })
    }

    /// The same with other steps of the kernel, down and to the right.
    ///
    /// # Errors
    ///
    /// A step is 0.
    pub fn stride(mut self, stride: [usize; 2]) -> Result<Self> {
        positive("stride", stride)?;
        self.stride = stride;
        Ok(self)
    }

    /// The same with so many rows of zeros above and below, and columns on both sides.
    #[must_use]
    pub const fn padding(mut self, padding: [usize; 2]) -> Self {
        self.padding = padding;
        self
    }

    /// The same with another distance between the elements of the kernel.
    ///
    /// # Errors
    ///
    /// A distance is 0.
    pub fn dilation(mut self, dilation: [usize; 2]) -> Result<Self> {
        positive("dilation", dilation)?;
        self.dilation = dilation;
        Ok(self)
    }

    activation_settings!(weights);

    /// Bytes that weights, scales and bias take.
    pub fn bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// The shape of the result for images of this shape.
    ///
    /// # Errors
    ///
    /// The images have other channels than the weights, or the kernel is larger than an image with its border.
    pub fn out_shape(&self, images: [usize; 4]) -> Result<[usize; 4]> {
        let [count, _, height, width] = images;
        let needed = [count, self.channels, height, width];
        shape::check_same("images", &images, "needed", &needed)?;
        let too_small = || Error::ShapeMismatch {
            left: "images",
            left_shape: images.to_vec(),
            right: "kernel",
            right_shape: self.kernel.to_vec(),
        };
        let geometry = self.geometry([height, width]);
        let [height, width] = geometry.out().ok_or_else(too_small)?;
        let out = [count, self.weights.panels.outputs(), height, width];
        shape::count(&out)?;
        Ok(out)
    }

    const fn geometry(&self, image: [usize; 2]) -> Geometry {
        Geometry {
            channels: self.channels,
            image,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
        }
    }

    /// Computes the convolution into a new array.
    ///
    /// # Errors
    ///
    /// Those of [`out_shape`](Self::out_shape), or an activation is NaN or infinite.
    pub fn forward(&self, images: &ArrayRef4<f32>) -> Result<Array4<f32>> {
        let mut out = Array4::zeros(self.out_shape(images.dim().into())?);
        self.forward_into(images, &mut out, &mut Scratch::default())?;
        Ok(out)
    }

    /// Computes the convolution into a given array, which may have been written where an error comes back.
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward), or `out` has another shape than the result.
    pub fn forward_into(
        &self,
        images: &ArrayRef4<f32>,
        out: &mut ArrayRef4<f32>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let out_shape = self.out_shape(images.dim().into())?;
        shape::check_same("output", out.shape(), "needed", &out_shape)?;
        let (_, channels, height, width) = images.dim();
        let geometry = self.geometry([height, width]);
        let overflow = || Error::ShapeOverflow {
            shape: images.shape().to_vec(),
        };
        let (image_bytes, patch_bytes) = geometry.bytes().ok_or_else(overflow)?;
        let EightBits {
            panels,
            outputs,
            coding,
            machine,
        } = &self.weights;
        let numbers = in_order(images, &mut scratch.gathered);
        let room = Room {
            codes: &mut scratch.codes,
            scales: &mut scratch.floats,
            sums: None,
        };
        let len = channels * height * width;
        let encoded = encode(numbers, len, *coding, *machine, room)
            .map_err(|_| not_finite("input", images))?;
        let bordered = take(&mut scratch.image, image_bytes);
        let pixels = out_shape[2] * out_shape[3];
        let sums_len = if outputs.have_zeros() { pixels } else { 0 };
        let sums = take(&mut scratch.sums, sums_len);
        for (number, mut out) in out.axis_iter_mut(Axis(0)).enumerate() {
            let (codes, scale, zero) = encoded.single(number, len);
            border(codes, &geometry, zero.to_le_bytes()[0], bordered);
            let rows = patches(
                bordered,
                &geometry,
                (*coding, zero),
                scale,
                take(&mut scratch.patches, patch_bytes),
                outputs.have_zeros().then_some(&mut *sums),
            );
            let shape = (out_shape[1], pixels);
            let standard = out.is_standard_layout();
            if let Some(out) = standard.then_some(out.view_mut()) {
                let out = out.into_shape_with_order(shape);
                let out = out.map_err(|_| overflow())?.reversed_axes();
                product(panels, outputs, &rows, *machine, out);
            } else {
                let mut gathered = Array2::zeros(shape);
                let view = gathered.view_mut().reversed_axes();
                product(panels, outputs, &rows, *machine, view);
                for (out, y) in out.iter_mut().zip(gathered) {
                    *out = y;
                }
            }
        }
        Ok(())
    }
}

fn positive(what: &'static str, numbers: [usize; 2]) -> Result<()> {
    if numbers.contains(&0) {
        return Err(Error::NumberOutOfRange {
            what,
            must: "at least 1",
            value: 0.0,
        });
    }
    Ok(())
}

impl fmt::Debug for QuantizedConv2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantizedConv2d")
            .field("outputs", &self.weights.panels.outputs())
            .field("channels", &self.channels)
            .field("kernel", &self.kernel)
            .field("stride", &self.stride)
            .field("padding", &self.padding)
            .field("dilation", &self.dilation)
            .field("bytes", &self.bytes())
            .finish()
    }
}
