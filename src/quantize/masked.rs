//! Zeros that a mask makes, kept through quantization, and checked.
//!
//! A code that means exactly 0 is enough where there is one: then nothing is stored beside the codes. Whether it is
//! there is not asked of the scheme but looked up in what comes back, because a method may have a code for 0 and not use
//! it. Only where a dropped weight comes back as anything but +0 the mask stays, at a bit a weight.

use super::{BlockFormat, BlockTensor, QuantizedTensor};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::{array, bits};
use crate::mask::Mask;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, Dimension, IxDyn};

/// A copy of the weights with +0 wherever the mask drops one.
pub(super) fn only_kept<F: Float, D: Dimension>(
    weights: &ArrayRef<F, D>,
    mask: &Mask,
) -> Result<ArrayD<F>> {
    shape::check_same("mask", mask.shape(), "weights", weights.shape())?;
    let mut kept = ArrayD::zeros(IxDyn(weights.shape()));
    mask.rewind(&mut kept, &weights.view().into_dyn())?;
    Ok(kept)
}

/// Where the first value is that the mask drops and that is not +0.
fn first_not_zero<F: Float>(mask: &Mask, values: &ArrayD<F>) -> Option<Vec<usize>> {
    let place = bits::first_revived(mask.words(), &array::elements(values))?;
    Some(shape::index_of(place, values.shape()))
}

/// What drops all that either drops.
fn both(kept: Option<Mask>, mask: &Mask) -> Result<Option<Mask>> {
    kept.map_or_else(|| Ok(mask.clone()), |kept| kept.and(mask))
        .map(Some)
}

impl QuantizedTensor {
    /// The same, with +0 wherever the mask drops a weight.
    ///
    /// A mask is kept only if one of these would come back as something else, for instance where no code means 0. It
    /// counts in [`bytes`](Self::bytes) and in comparisons. Codes stay as they are. With a mask already there, what
    /// either drops is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::{Mask, quantize};
    ///
    /// let mask = Mask::from_array(&array![true, false, true]);
    /// let q = quantize::linear(&array![1.0_f32, 0.5, -1.0], 8)?; // nobody zeroed the 0.5
    /// assert_eq!(q.first_revived(&mask)?, Some(vec![1]));
    /// let masked = q.masked(&mask)?;
    /// assert_eq!(masked.dequantize::<f32>(), array![1.0, 0.0, -1.0].into_dyn());
    /// assert_eq!(masked.mask(), Some(&mask));
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the mask has another shape.
    pub fn masked(mut self, mask: &Mask) -> Result<Self> {
        if self.first_revived(mask)?.is_some() {
            self.mask = both(self.mask.take(), mask)?;
        }
        Ok(self)
    }

    /// The mask that is kept beside the codes, if there is one: what it drops comes back as +0.
    pub fn mask(&self) -> Option<&Mask> {
        self.mask.as_ref()
    }

    /// The index of the first weight that `mask` drops and that does not come back as exactly +0; `None` if all of them
    /// do.
    ///
    /// Turns everything back into floats to look at them.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the mask has another shape.
    pub fn first_revived(&self, mask: &Mask) -> Result<Option<Vec<usize>>> {
        /// With scales above it no product of an integer that is 0 in f32 is another number in f64.
        const SMALL: f32 = 1e-30;
        shape::check_same("mask", mask.shape(), "quantized tensor", self.shape())?;
        let integers = self.scheme().is_integer();
        Ok(
            if integers && self.scales().iter().all(|&scale| scale > SMALL) {
                first_not_zero(mask, &self.dequantize::<f32>())
            } else {
                first_not_zero(mask, &self.dequantize::<f64>())
            },
        )
    }

    /// The same with this mask as it is.
    #[cfg(feature = "serde")]
    pub(super) fn with_mask(mut self, mask: Option<Mask>) -> Result<Self> {
        if let Some(mask) = &mask {
            shape::check_same("mask", mask.shape(), "quantized tensor", self.shape())?;
        }
        self.mask = mask;
        Ok(self)
    }
}

impl BlockTensor {
    /// Encodes the weights that a mask keeps, and zeros where it drops one, which come back as exactly +0.
    ///
    /// What the mask drops may be NaN or infinite. The mask stays beside the bytes in formats that have no code for 0
    /// ([`BlockFormat::keeps_zero`]), at a bit a weight. Copies the weights.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::Array2;
    /// use rarefy::Mask;
    /// use rarefy::quantize::{BlockFormat, BlockTensor};
    ///
    /// let weights = Array2::from_shape_fn((2, 32), |(i, j)| (j as f32 - 12.3) * (i + 1) as f32);
    /// let mask = Mask::from_fn((2, 32), |(_, j)| j % 4 == 0)?;
    /// let counted = BlockTensor::encode_masked(&weights, BlockFormat::Q4_1, &mask)?;
    /// assert_eq!((counted.mask(), counted.bits_per_weight()), (Some(&mask), 5.0 + 1.0));
    /// let around = BlockTensor::encode_masked(&weights, BlockFormat::Q4_0, &mask)?;
    /// assert_eq!((around.mask(), around.bits_per_weight()), (None, 4.5));
    /// assert_eq!(counted.dequantize::<f32>()[[0, 1]], 0.0);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`BlockFormat::encode_into`], and [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the mask has
    /// another shape than the weights.
    pub fn encode_masked<F: Float, D: Dimension>(
        weights: &ArrayRef<F, D>,
        format: BlockFormat,
        mask: &Mask,
    ) -> Result<Self> {
        Self::encode(&only_kept(weights, mask)?, format)?.masked(mask)
    }

    /// The same, with +0 wherever the mask drops a weight; as [`QuantizedTensor::masked`].
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the mask has another shape.
    pub fn masked(mut self, mask: &Mask) -> Result<Self> {
        if self.first_revived(mask)?.is_some() {
            self.mask = both(self.mask.take(), mask)?;
        }
        Ok(self)
    }

    /// The mask that is kept beside the bytes, if there is one: what it drops comes back as +0.
    pub fn mask(&self) -> Option<&Mask> {
        self.mask.as_ref()
    }

    /// The index of the first weight that `mask` drops and that does not come back as exactly +0; `None` if all of them
    /// do.
    ///
    /// Turns everything back into floats to look at them.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the mask has another shape.
    pub fn first_revived(&self, mask: &Mask) -> Result<Option<Vec<usize>>> {
        shape::check_same("mask", mask.shape(), "block tensor", self.shape())?;
        Ok(first_not_zero(mask, &self.dequantize::<f32>()))
    }

    /// The same with this mask as it is.
    #[cfg(feature = "serde")]
    pub(super) fn with_mask(mut self, mask: Option<Mask>) -> Result<Self> {
        if let Some(mask) = &mask {
            shape::check_same("mask", mask.shape(), "block tensor", self.shape())?;
        }
        self.mask = mask;
        Ok(self)
    }
}
