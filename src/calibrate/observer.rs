//! What an observer is, for those who write one and for those who call one.

use crate::error::Result;
use crate::float::Float;
use ndarray::{ArrayRef, ArrayRefD, Dimension};
use std::fmt::Debug;

/// Takes in values, batch by batch, and keeps something about them.
///
/// This is the side to implement and to put in a box; [`ObserverExt`] is the side to call, for arrays of any rank.
///
/// # Examples
///
/// How many values are zero:
///
/// ```
/// use ndarray::{ArrayRefD, array};
/// use rarefy::Result;
/// use rarefy::calibrate::{Observer, ObserverExt};
///
/// #[derive(Debug, Default)]
/// struct Zeros(usize);
///
/// impl Observer<f32> for Zeros {
///     fn observe_dyn(&mut self, values: &ArrayRefD<f32>) -> Result<()> {
///         self.0 += values.iter().filter(|value| **value == 0.0).count();
///         Ok(())
///     }
/// }
///
/// let mut zeros: Box<dyn Observer<f32>> = Box::new(Zeros::default());
/// zeros.observe(&array![[1.0, 0.0], [0.0, 2.0]])?;
/// # Ok::<(), rarefy::Error>(())
/// ```
pub trait Observer<F: Float>: Debug + Send + Sync {
    /// Takes in the values of one batch.
    ///
    /// # Errors
    ///
    /// Whatever makes that impossible, NaN among the values for one. What was observed before stays.
    fn observe_dyn(&mut self, values: &ArrayRefD<F>) -> Result<()>;
}

/// Calls an [`Observer`] on arrays of any rank, owned or viewed, in any memory order.
pub trait ObserverExt<F: Float>: Observer<F> {
    /// Takes in the values of one batch. A batch without values changes nothing.
    ///
    /// # Errors
    ///
    /// Those of the observer, see its type. What was observed before stays.
    fn observe<D: Dimension>(&mut self, values: &ArrayRef<F, D>) -> Result<()> {
        self.observe_dyn(&values.view().into_dyn())
    }
}

impl<F: Float, O: Observer<F> + ?Sized> ObserverExt<F> for O {}

macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<F: Float, O: Observer<F> + ?Sized> Observer<F> for $pointer {
            fn observe_dyn(&mut self, values: &ArrayRefD<F>) -> Result<()> {
                (**self).observe_dyn(values)
            }
        }
    )+};
}

forward!(&mut O, Box<O>);
