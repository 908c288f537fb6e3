//! A tensor that is blocks of bytes.

use super::BlockFormat;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::{array, bits};
use crate::mask::Mask;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, Dimension, IxDyn};
use std::fmt;

/// A tensor in a [`BlockFormat`]: its shape and bytes, which hold the scales too.
///
/// The bytes are what goes into a file; of a GGUF format they are a GGUF tensor's data.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use rarefy::quantize::{BlockFormat, BlockTensor};
///
/// let weights = Array2::from_shape_fn((2, 32), |(i, j)| (j as f32 - 16.0) * (i + 1) as f32);
/// let packed = BlockTensor::encode(&weights, BlockFormat::Mxfp4)?;
/// assert_eq!(packed.dequantize::<f32>()[[0, 0]], -16.0);
///
/// // Bytes from elsewhere are checked when they come in.
/// let bytes = packed.bytes().to_vec();
/// assert_eq!(BlockTensor::from_bytes(BlockFormat::Mxfp4, vec![2, 32], bytes)?, packed);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct BlockTensor {
    format: BlockFormat,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    /// What comes back as +0 whatever its bytes mean: see `masked.rs`.
    pub(super) mask: Option<Mask>,
}

/// A tensor as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    format: BlockFormat,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    #[serde(default)]
    mask: Option<Mask>,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for BlockTensor {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let tensor = Self::from_bytes(written.format, written.shape, written.bytes)?;
        tensor.with_mask(written.mask)
    }
}

impl BlockTensor {
    /// Encodes weights.
    ///
    /// Blocks run along the last axis, whose length the length of a block divides. Weights in f64 are
    /// rounded to f32 first. Weights that are all zero come back as zero, whatever the format. The same
    /// bytes for any memory order, number of threads and machine.
    ///
    /// # Errors
    ///
    /// Those of [`BlockFormat::encode_into`], which writes to bytes of the caller's.
    pub fn encode<F: Float, D: Dimension>(
        weights: &ArrayRef<F, D>,
        format: BlockFormat,
    ) -> Result<Self> {
        let mut bytes = vec![0; format.bytes_for(weights.shape())?];
        format.encode_into(weights, &mut bytes)?;
        Ok(Self {
            format,
            shape: weights.shape().to_vec(),
            bytes,
            mask: None,
        })
    }

    /// A tensor of bytes that exist already.
    ///
    /// # Errors
    ///
    /// Those of [`BlockFormat::bytes_for`] this shape, and
    ///
    /// * [`Error::WrongCount`]: more or fewer bytes than the shape needs.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: a scale that is not a finite number; names the block.
    /// * [`Error::ScaleOutOfRange`]: the tensor's scale (`Nvfp4`) is negative, infinite or NaN.
    pub fn from_bytes(format: BlockFormat, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self> {
        let expected = format.bytes_for(&shape)?;
        if bytes.len() != expected {
            return Err(Error::WrongCount {
                what: "bytes of blocks",
                given: bytes.len(),
                expected,
            });
        }
        format.check_scales(&bytes)?;
        Ok(Self {
            format,
            shape,
            bytes,
            mask: None,
        })
    }

    /// How the bytes are laid out.
    pub fn format(&self) -> BlockFormat {
        self.format
    }

    /// The shape of the tensor.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many weights there are.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no weights at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes: all blocks in row-major order, then what belongs to the whole tensor.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without a copy. A mask beside them goes: take a copy of it before.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bits stored per weight, everything counted; 0 where there are no weights.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio; counts above 2⁵³ do not occur"
    )]
    pub fn bits_per_weight(&self) -> f64 {
        if self.is_empty() {
            0.0
        } else {
            let mask = self.mask.as_ref().map_or(0, Mask::bytes);
            8.0 * (self.bytes.len() + mask) as f64 / self.len() as f64
        }
    }

    /// What the bytes mean, in a new array.
    ///
    /// Computed in f32, as the formats define it, and widened for f64. Codes around a middle, as those of `Q4_0`, give
    /// zero no sign; what a mask that is kept beside the bytes drops is +0.
    pub fn dequantize<F: Float>(&self) -> ArrayD<F> {
        let mut values = ArrayD::zeros(IxDyn(&self.shape));
        self.decode(&mut values);
        values
    }

    /// What the bytes mean, in a given array of any memory order.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if `values` have another shape.
    pub fn dequantize_into<F: Float, D: Dimension>(
        &self,
        values: &mut ArrayRef<F, D>,
    ) -> Result<()> {
        shape::check_same("block tensor", &self.shape, "array", values.shape())?;
        self.decode(values);
        Ok(())
    }

    fn decode<F: Float, D: Dimension>(&self, values: &mut ArrayRef<F, D>) {
        let scale = self.format.tensor_scale(&self.bytes);
        let blocks = &self.bytes[..self.bytes.len() - self.format.tensor_bytes()];
        array::update(values, |values| {
            self.format.codec().decode(blocks, values, scale);
            if let Some(mask) = &self.mask {
                bits::apply(mask.words(), values, F::zero());
            }
        });
    }
}

impl fmt::Debug for BlockTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockTensor")
            .field("format", &self.format)
            .field("shape", &self.shape)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
