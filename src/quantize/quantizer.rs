//! What a quantization method is, for those who write one and for those who call one.

use super::{QuantizedTensor, masked};
use crate::error::Result;
use crate::float::Float;
use crate::mask::Mask;
use ndarray::{ArrayRef, ArrayRefD, Dimension};
use std::fmt::Debug;
use std::sync::Arc;

/// Turns weights into codes.
///
/// This is the side to implement and to put in a box; [`QuantizerExt`] is the side to call, for
/// arrays of any rank.
///
/// # Examples
///
/// Signs with the mean magnitude:
///
/// ```
/// use ndarray::{ArrayRefD, array};
/// use rarefy::Result;
/// use rarefy::prelude::*;
/// use rarefy::quantize::{Granularity, Parameters, QuantizedTensor, Scheme};
///
/// #[derive(Debug)]
/// struct Signs;
///
/// impl Quantizer<f32> for Signs {
///     fn quantize_dyn(&self, weights: &ArrayRefD<f32>) -> Result<QuantizedTensor> {
///         let scale = weights.mapv(f32::abs).mean().unwrap_or(1.0);
///         let codes = weights.mapv(|weight| if weight < 0.0 { -1 } else { 1 });
///         let scheme = Scheme::symmetric(2)?;
///         let parameters = Parameters::new(scheme, Granularity::PerTensor, vec![scale]);
///         QuantizedTensor::from_codes(&codes, parameters)
///     }
/// }
///
/// let q = Signs.quantize(&array![[0.5, -1.0], [1.5, -1.0]])?;
/// assert_eq!(q.dequantize::<f32>(), array![[1.0, -1.0], [1.0, -1.0]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
pub trait Quantizer<F: Float>: Debug + Send + Sync {
    /// The weights as codes. Only reads.
    ///
    /// # Errors
    ///
    /// Whatever makes codes impossible, NaN among the weights for one.
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor>;
}

/// Calls a [`Quantizer`] on arrays of any rank, owned or viewed, in any memory order.
pub trait QuantizerExt<F: Float>: Quantizer<F> {
    /// The weights as codes. Only reads.
    ///
    /// # Errors
    ///
    /// Those of the method, see its type.
    fn quantize<D: Dimension>(&self, weights: &ArrayRef<F, D>) -> Result<QuantizedTensor> {
        self.quantize_dyn(&weights.view().into_dyn())
    }

    /// The weights that a mask keeps as codes, those that it drops as zeros that come back as exactly +0. Only reads.
    ///
    /// What the mask drops is 0 to the method, whatever it was, so NaN or infinity does no harm there, and it does not
    /// count for scales beyond their holding 0. Where the method gives each such 0 a code that means 0, as [`Linear`]
    /// does, nothing more is stored. Where it does not, the mask stays beside the codes, as
    /// [`QuantizedTensor::masked`] has it.
    ///
    /// Copies the weights. Without a copy: apply the mask to them in place, quantize, then call `masked`.
    ///
    /// [`Linear`]: super::Linear
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::Mask;
    /// use rarefy::prelude::*;
    /// use rarefy::quantize::Linear;
    ///
    /// let weights = array![0.5_f32, f32::NAN, 3.0, -1.0];
    /// let mask = Mask::from_array(&array![true, false, false, true]);
    /// let q = Linear::new(8).affine().quantize_masked(&weights, &mask)?;
    /// assert_eq!(q.first_revived(&mask)?, None); // checked: what was dropped is exactly 0
    /// assert!(q.mask().is_none()); // and needs no mask for that
    /// assert_eq!(q.zero_points(), [42]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the method, see its type, and [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the mask has
    /// another shape than the weights.
    fn quantize_masked<D: Dimension>(
        &self,
        weights: &ArrayRef<F, D>,
        mask: &Mask,
    ) -> Result<QuantizedTensor> {
        let tensor = self.quantize_dyn(&masked::only_kept(weights, mask)?)?;
        tensor.masked(mask)
    }
}

impl<F: Float, Q: Quantizer<F> + ?Sized> QuantizerExt<F> for Q {}

macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<F: Float, Q: Quantizer<F> + ?Sized> Quantizer<F> for $pointer {
            fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
                (**self).quantize_dyn(weights)
            }
        }
    )+};
}

forward!(&Q, Box<Q>, Arc<Q>);
