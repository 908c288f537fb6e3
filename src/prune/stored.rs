//! Prunes weights that are stored in 16 bits.
//!
//! The mask is that of the weights widened to f32, which is exact, but nothing is widened: the bits of an f16 and
//! of a bf16 order as their magnitudes do.

use super::scored::tied;
use super::{Amount, Magnitude, NanRule, PrunerExt, Scope, Unstructured};
use crate::error::{Error, Result};
use crate::kernels::widen::{Narrow, NarrowMagnitudes};
use crate::kernels::{array, select};
use crate::mask::Mask;
use crate::shape;
use half::{bf16, f16};
use ndarray::{ArrayRef, Dimension};
use num_traits::Zero;

/// A type of 16 bits that weights may be stored in: [`half::f16`] or [`half::bf16`].
///
/// The trait is sealed. It and what takes it come with the feature `half`. [`Mask::apply`] and its like take
/// such weights too.
#[diagnostic::on_unimplemented(
    message = "weights of 16 bits are f16 or bf16, not `{Self}`",
    note = "weights in f32 and f64 are pruned by the methods of `Pruner`"
)]
pub trait StoredWeight: Narrow + Zero {}

impl StoredWeight for f16 {}
impl StoredWeight for bf16 {}

impl Unstructured<Magnitude> {
    /// Which of the weights stay: what [`mask`](PrunerExt::mask) says of them in f32.
    ///
    /// No copy is made of the weights where their whole is ranked and NaN is an error, which is the default.
    ///
    /// # Examples
    ///
    /// ```
    /// use half::f16;
    /// use ndarray::array;
    /// use rarefy::prune::{Magnitude, Unstructured};
    ///
    /// let weights = array![3.0_f32, -1.0, -2.0, 0.5].mapv(f16::from_f32);
    /// let mask = Unstructured::new(Magnitude, 0.5).mask_stored(&weights)?;
    /// assert_eq!(mask.to_array().into_raw_vec_and_offset().0, [true, false, true, false]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Unstructured`].
    pub fn mask_stored<S: StoredWeight, D: Dimension>(
        &self,
        weights: &ArrayRef<S, D>,
    ) -> Result<Mask> {
        if self.scope != Scope::Tensor || self.rules.nan != NanRule::Error {
            return self.mask(&weights.mapv(Narrow::single));
        }
        let drop = self.rules.count.count(self.amount, weights.len())?;
        let flat = array::elements(weights);
        let keys = NarrowMagnitudes(&flat);
        let limit = NarrowMagnitudes::<S>::INFINITE;
        let Some(words) = select::keep_highest_below(&keys, drop, limit) else {
            let nan = |weight: &S| weight.magnitude() > S::INFINITE;
            let place = flat.iter().position(nan).unwrap_or_default();
            return Err(Error::NotANumber {
                what: "weight",
                index: shape::index_of(place, weights.shape()),
            });
        };
        let words = tied(&keys, words, self.rules.ties);
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }

    /// Zeroes the weights that matter least, and returns the mask.
    ///
    /// # Errors
    ///
    /// Those of [`Unstructured`]; the weights are then unchanged.
    pub fn prune_stored<S: StoredWeight, D: Dimension>(
        &self,
        weights: &mut ArrayRef<S, D>,
    ) -> Result<Mask> {
        let mask = self.mask_stored(weights)?;
        mask.apply(weights)?;
        Ok(mask)
    }
}

/// Zeroes the `amount` of weights with the smallest magnitude, and returns the mask: [`l1_unstructured`] for
/// weights that are stored in f16 or bf16.
///
/// [`l1_unstructured`]: super::l1_unstructured
///
/// # Examples
///
/// ```
/// use half::bf16;
/// use ndarray::array;
/// use rarefy::prune;
///
/// let mut weights = array![[3.0_f32, -1.0], [-2.0, 0.5]].mapv(bf16::from_f32);
/// let mask = prune::l1_unstructured_stored(&mut weights, 0.5)?;
/// assert_eq!(weights.mapv(f32::from), array![[3.0, 0.0], [-2.0, 0.0]]);
/// assert_eq!(mask.kept(), 2);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`Unstructured`]; the weights are then unchanged.
pub fn l1_unstructured_stored<S: StoredWeight, D: Dimension>(
    weights: &mut ArrayRef<S, D>,
    amount: impl Into<Amount>,
) -> Result<Mask> {
    Unstructured::new(Magnitude, amount).prune_stored(weights)
}
