//! What a quantization method is, for those who write one and for those who call one.

use super::QuantizedTensor;
use crate::error::Result;
use crate::float::Float;
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
