//! What a pruning method is, for those who write one and for those who call one.

use crate::error::Result;
use crate::float::Float;
use crate::mask::Mask;
use ndarray::{ArrayRef, ArrayRefD, Dimension};
use std::fmt::Debug;
use std::sync::Arc;

/// Decides which weights stay.
///
/// This is the side to implement and to put in a box; [`PrunerExt`] is the side to call, for arrays
/// of any rank.
///
/// # Examples
///
/// ```
/// use ndarray::{ArrayRefD, array};
/// use rarefy::prelude::*;
/// use rarefy::{Mask, Result};
///
/// /// Keeps weights above a threshold.
/// #[derive(Debug)]
/// struct Above(f32);
///
/// impl Pruner<f32> for Above {
///     fn mask_dyn(&self, weights: &ArrayRefD<f32>) -> Result<Mask> {
///         Ok(Mask::from_array(&weights.mapv(|weight| weight.abs() > self.0)))
///     }
/// }
///
/// let method: Box<dyn Pruner<f32>> = Box::new(Above(0.5));
/// let mut weights = array![[0.1, -0.9], [0.7, 0.5]];
/// let mask = method.prune(&mut weights)?;
/// assert_eq!(weights, array![[0.0, -0.9], [0.7, 0.0]]);
/// assert_eq!(mask.kept(), 2);
/// # Ok::<(), rarefy::Error>(())
/// ```
pub trait Pruner<F: Float>: Debug + Send + Sync {
    /// Which weights stay, as a mask in the shape of the weights. Only reads.
    ///
    /// # Errors
    ///
    /// Whatever makes the decision impossible, NaN among the weights for one.
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask>;

    /// Zeroes what the mask drops, and returns the mask.
    ///
    /// Methods that also correct the weights that stay override this.
    ///
    /// # Errors
    ///
    /// As [`mask_dyn`](Self::mask_dyn); the weights are then unchanged.
    fn prune_dyn(&self, weights: &mut ArrayRefD<F>) -> Result<Mask> {
        let mask = self.mask_dyn(weights)?;
        mask.apply(weights)?;
        Ok(mask)
    }
}

/// Calls a [`Pruner`] on arrays of any rank, owned or viewed, in any memory order.
pub trait PrunerExt<F: Float>: Pruner<F> {
    /// Which weights stay. Only reads.
    ///
    /// # Errors
    ///
    /// Those of the method, see its type.
    fn mask<D: Dimension>(&self, weights: &ArrayRef<F, D>) -> Result<Mask> {
        self.mask_dyn(&weights.view().into_dyn())
    }

    /// Zeroes what the mask drops, and returns the mask.
    ///
    /// # Errors
    ///
    /// Those of the method, see its type; the weights are then unchanged.
    fn prune<D: Dimension>(&self, weights: &mut ArrayRef<F, D>) -> Result<Mask> {
        self.prune_dyn(&mut weights.view_mut().into_dyn())
    }
}

impl<F: Float, P: Pruner<F> + ?Sized> PrunerExt<F> for P {}

macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<F: Float, P: Pruner<F> + ?Sized> Pruner<F> for $pointer {
            fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
                (**self).mask_dyn(weights)
            }

            fn prune_dyn(&self, weights: &mut ArrayRefD<F>) -> Result<Mask> {
                (**self).prune_dyn(weights)
            }
        }
    )+};
}

forward!(&P, Box<P>, Arc<P>);
