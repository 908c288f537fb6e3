//! Pruners that decide nothing: a mask that exists already, and none at all.

use super::{Compound, Pruner};
use crate::error::Result;
use crate::float::Float;
use crate::mask::Mask;
use crate::shape;
use ndarray::ArrayRefD;

/// Prunes what a given mask drops.
///
/// PyTorch: `torch.nn.utils.prune.custom_from_mask(module, name, mask)`.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::Mask;
/// use rarefy::prelude::*;
/// use rarefy::prune::FromMask;
///
/// let mut weights = array![1.0_f32, 2.0, 3.0];
/// FromMask::new(Mask::from_array(&array![true, false, true])).prune(&mut weights)?;
/// assert_eq!(weights, array![1.0, 0.0, 3.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the weights have another shape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FromMask(Mask);

impl FromMask {
    /// Prunes what this mask drops.
    pub const fn new(mask: Mask) -> Self {
        Self(mask)
    }
}

impl<F: Float> Pruner<F> for FromMask {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        shape::check_same("mask", self.0.shape(), "weights", weights.shape())?;
        Ok(self.0.clone())
    }
}

impl<F: Float> Compound<F> for FromMask {
    fn compound_dyn(&self, weights: &ArrayRefD<F>, left: &Mask) -> Result<Mask> {
        shape::check_same("mask", left.shape(), "weights", weights.shape())?;
        left.and(&self.0)
    }
}

/// Prunes nothing: for the tensors of a list that stay as they are.
///
/// PyTorch: `torch.nn.utils.prune.identity(module, name)`.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::Identity;
///
/// assert_eq!(Identity.mask(&array![1.0_f32, 0.0])?.kept(), 2);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Identity;

impl<F: Float> Pruner<F> for Identity {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        Mask::keep_all(weights.raw_dim())
    }
}

impl<F: Float> Compound<F> for Identity {
    fn compound_dyn(&self, weights: &ArrayRefD<F>, left: &Mask) -> Result<Mask> {
        shape::check_same("mask", left.shape(), "weights", weights.shape())?;
        Ok(left.clone())
    }
}
