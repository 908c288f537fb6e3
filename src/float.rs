//! The floats that we compute in.

use crate::kernels::real::Sealed;
use crate::kernels::trained::Trained;
use crate::kernels::uneven::Uneven;
use ndarray::NdFloat;
use num_traits::FromPrimitive;
use std::iter::Sum;

/// A float that the crate computes in: `f32` or `f64`.
///
/// Generic methods of a user's own can use what ndarray's `NdFloat` has, and `mean`, `sum` and
/// `F::from_f64` beside it.
///
/// Half precision is a storage format here, never a type to compute in. The trait is sealed: it
/// cannot be implemented outside, so that it can grow.
#[diagnostic::on_unimplemented(
    message = "rarefy works on arrays of f32 or f64, not of `{Self}`",
    label = "not an f32 or f64",
    note = "convert the array first, for example with `array.mapv(|x| x as f32)`"
)]
pub trait Float: NdFloat + FromPrimitive + Sum + Sealed + Trained + Uneven {
    /// The value of this type that is nearest to `value`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::Float;
    ///
    /// assert_eq!(<f32 as Float>::cast(0.1), 0.1_f32);
    /// ```
    fn cast(value: f64) -> Self {
        Self::narrow(value)
    }
}

impl Float for f32 {}
impl Float for f64 {}
