//! Prunes what a mask left: the amount counts what is still alive.
//!
//! ```text
//! k = round_half_even(amount · alive)
//! ```
//!
//! Two calls with 0.5 on eight weights leave two. It is what PyTorch's `PruningContainer` does when a
//! tensor is pruned again; [`Pruner::prune_dyn`] by contrast counts over the whole tensor, so that
//! pruning twice with 0.5 leaves four.

use super::scored::Scored;
use super::{Importance, Pruner, Scope, Structured, Unstructured};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::gather::scatter;
use crate::mask::Mask;
use crate::shape;
use ndarray::{ArrayRef, ArrayRefD, Axis, CowArray, Dimension};
use std::sync::Arc;

/// A pruner that can prune what a mask left.
///
/// *Alive* is what the mask keeps: single weights for a pattern of single weights, and for a pattern of
/// whole slices every slice along its axis in which at least one weight is kept.
///
/// PyTorch: the methods that a `torch.nn.utils.prune.PruningContainer` holds.
pub trait Compound<F: Float>: Pruner<F> {
    /// Which weights stay of those that `left` keeps: a mask that keeps no others.
    ///
    /// # Errors
    ///
    /// Whatever makes the decision impossible: [`Error::ShapeMismatch`] if the mask has another shape
    /// than the weights, [`Error::CountOutOfRange`] if the amount is a count above what is alive.
    fn compound_dyn(&self, weights: &ArrayRefD<F>, left: &Mask) -> Result<Mask>;
}

macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<F: Float, P: Compound<F> + ?Sized> Compound<F> for $pointer {
            fn compound_dyn(&self, weights: &ArrayRefD<F>, left: &Mask) -> Result<Mask> {
                (**self).compound_dyn(weights, left)
            }
        }
    )+};
}

forward!(&P, Box<P>, Arc<P>);

/// Prunes what `left` keeps of these weights, and returns the new mask, which keeps no others.
///
/// What either mask drops is +0 afterwards.
///
/// PyTorch: a second call of a function of `torch.nn.utils.prune` on the same parameter.
///
/// # Examples
///
/// ```
/// use ndarray::Array1;
/// use rarefy::prune::{self, Magnitude, Unstructured};
///
/// let mut weights = Array1::from_iter((1..=8).map(f64::from));
/// let half = Unstructured::new(Magnitude, 0.5);
/// let mask = prune::l1_unstructured(&mut weights, 0.5)?;
/// let mask = prune::compound(&half, &mut weights, &mask)?;
/// assert_eq!(mask.kept(), 2);
/// assert_eq!(weights[6], 7.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of the method; the weights are then unchanged. For [`Unstructured`]:
/// [`Error::ShapeMismatch`] if the mask has another shape, [`Error::AmountOutOfRange`] or
/// [`Error::CountOutOfRange`] if the amount does not fit what is alive, [`Error::NotANumber`] if a
/// weight or score that is alive is NaN.
pub fn compound<F: Float, D: Dimension>(
    pruner: &(impl Compound<F> + ?Sized),
    weights: &mut ArrayRef<F, D>,
    left: &Mask,
) -> Result<Mask> {
    let mut weights = weights.view_mut().into_dyn();
    let mask = pruner.compound_dyn(&weights, left)?;
    mask.apply(&mut weights)?;
    Ok(mask)
}

/// The rule of [`Compound`] as a [`Pruner`] of its own, for where one is asked for.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::Mask;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Magnitude, Remaining, Unstructured};
///
/// let left = Mask::from_array(&array![true, true, false, true, true]);
/// let pruner = Remaining::new(Unstructured::new(Magnitude, 0.5), left);
/// let mut weights = array![5.0_f32, 1.0, 9.0, 2.0, 4.0];
/// pruner.prune(&mut weights)?;
/// assert_eq!(weights, array![5.0, 0.0, 0.0, 0.0, 4.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Remaining<P> {
    pruner: P,
    left: Mask,
}

impl<P> Remaining<P> {
    /// Prunes what `left` keeps by `pruner`.
    pub const fn new(pruner: P, left: Mask) -> Self {
        Self { pruner, left }
    }
}

impl<F: Float, P: Compound<F>> Pruner<F> for Remaining<P> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        self.pruner.compound_dyn(weights, &self.left)
    }
}

impl<F: Float, I: Importance<F>> Compound<F> for Unstructured<I> {
    fn compound_dyn(&self, weights: &ArrayRefD<F>, left: &Mask) -> Result<Mask> {
        shape::check_same("mask", left.shape(), "weights", weights.shape())?;
        if self.scope != Scope::Tensor {
            return Err(Error::ScopeInCompound);
        }
        // Scores are of the network as it is: what was dropped is zero in it.
        let mut masked = CowArray::from(weights.view());
        if left.dropped() > 0 && self.importance.elementwise().is_none() {
            let mut owned = masked.into_owned();
            left.apply(&mut owned)?;
            masked = owned.into();
        }
        let alive = Scored::new(&masked, &self.importance)?.alive(left);
        alive.check_in(self.rules.nan, left)?;
        let drop = self.rules.count.count(self.amount, alive.weights.len())?;
        let picked = alive.keep(drop, self.rules);
        let words = scatter(left.words(), &picked);
        Ok(Mask::from_words(left.shape(), left.len(), words))
    }
}

impl<F: Float, I: Importance<F>> Compound<F> for Structured<I> {
    fn compound_dyn(&self, weights: &ArrayRefD<F>, left: &Mask) -> Result<Mask> {
        compound_along(self.axis, weights, left, |slices| self.mask_dyn(slices))
    }
}

/// Prunes what `left` keeps by a method of whole slices along `axis`: the body of
/// [`Compound::compound_dyn`] for such a pattern.
///
/// `mask_of` gets the weights of the slices in which anything is alive, with +0 for what `left`
/// drops, and says which of them stay.
///
/// # Errors
///
/// [`Error::ShapeMismatch`] if the mask has another shape than the weights, or `mask_of` returned one
/// that has another shape than what it got; [`Error::AxisOutOfRange`]; whatever `mask_of` fails with.
pub fn compound_along<F: Float>(
    axis: Axis,
    weights: &ArrayRefD<F>,
    left: &Mask,
    mask_of: impl FnOnce(&ArrayRefD<F>) -> Result<Mask>,
) -> Result<Mask> {
    shape::check_same("mask", left.shape(), "weights", weights.shape())?;
    let alive = left.alive(axis)?;
    let mut slices = weights.select(axis, &alive);
    left.select(axis, &alive)?.apply(&mut slices)?;
    let mask = mask_of(&slices)?;
    shape::check_same("mask", mask.shape(), "weights", slices.shape())?;
    let mut kept = ndarray::ArrayD::from_elem(weights.raw_dim(), false);
    let picked = mask.to_array();
    for (&index, slice) in alive.iter().zip(picked.axis_iter(axis)) {
        kept.index_axis_mut(axis, index).assign(&slice);
    }
    left.and(&Mask::from_array(&kept))
}

#[cfg(test)]
mod tests {
    use super::{Compound, compound, compound_along};
    use crate::prune::{FromMask, Identity, Magnitude, Pruner, PrunerExt, Remaining, Unstructured};
    use crate::{Error, Mask, Result};
    use ndarray::{Array2, ArrayRefD, Axis, array};

    /// The obvious twin: sorts what is alive.
    fn slow(weights: &Array2<f64>, left: &Mask, drop: usize) -> Mask {
        let flat: Vec<f64> = weights.iter().copied().collect();
        let mut alive: Vec<usize> = left
            .iter()
            .enumerate()
            .filter_map(|(place, kept)| kept.then_some(place))
            .collect();
        alive.sort_by(|&a, &b| flat[a].abs().total_cmp(&flat[b].abs()));
        let gone = &alive[..drop];
        let mut place = 0;
        Mask::from_fn(weights.dim(), |_| {
            place += 1;
            left.iter().nth(place - 1) == Some(true) && !gone.contains(&(place - 1))
        })
        .unwrap()
    }

    #[test]
    fn exactly_the_amount_of_what_is_alive_goes() {
        // Zeros that are alive, ties, and dead weights that were never zeroed.
        let weights = Array2::from_shape_fn((13, 17), |(i, j)| f64::from((i * j % 9) as u32) - 4.0);
        for modulus in [1, 2, 3, 7] {
            let left = Mask::from_fn((13, 17), |(i, j)| (i * 17 + j) % modulus == 0).unwrap();
            for amount in [0.0, 0.3, 0.5, 0.9, 1.0] {
                let drop = crate::prune::Amount::from(amount)
                    .count(left.kept())
                    .unwrap();
                let pruner = Unstructured::new(Magnitude, amount);
                let mut pruned = weights.clone();
                let mask = compound(&pruner, &mut pruned, &left).unwrap();
                assert_eq!(mask.kept(), left.kept() - drop);
                assert_eq!(mask, slow(&weights, &left, drop), "{amount} of {modulus}");
                let mut right = weights.clone();
                mask.apply(&mut right).unwrap();
                assert_eq!(pruned, right);
                let boxed: Box<dyn Pruner<f64>> = Box::new(Remaining::new(pruner, left.clone()));
                assert_eq!(boxed.mask(&weights).unwrap(), mask);
            }
        }
    }

    #[test]
    fn a_mask_that_keeps_all_changes_nothing() {
        let weights =
            Array2::from_shape_fn((9, 30), |(i, j)| f64::from((i * 31 + j * 7) as u32 % 50));
        let pruner = Unstructured::new(Magnitude, 0.4);
        let all = Mask::keep_all((9, 30)).unwrap();
        let mask = pruner
            .compound_dyn(&weights.view().into_dyn(), &all)
            .unwrap();
        assert_eq!(mask, pruner.mask(&weights).unwrap());
    }

    #[test]
    fn dead_numbers_are_not_looked_at_and_alive_ones_are_named() {
        let left = Mask::from_array(&array![[false, true], [true, true]]);
        let half = Unstructured::new(Magnitude, 0.5);
        let mut weights = array![[f64::NAN, 1.0], [2.0, 3.0]];
        compound(&half, &mut weights, &left).unwrap();
        assert_eq!(weights, array![[0.0, 0.0], [0.0, 3.0]]);
        weights[[1, 0]] = f64::NAN;
        let error = compound(&half, &mut weights, &left).unwrap_err();
        assert_eq!(error.to_string(), "weight [1, 0] is NaN");
        weights[[1, 0]] = 0.0;
        let four = Unstructured::new(Magnitude, 4_usize);
        let error = compound(&four, &mut weights, &left).unwrap_err();
        assert!(matches!(error, Error::CountOutOfRange { count: 4, len: 3 }));
        let other = Mask::keep_all((2, 3)).unwrap();
        let error = compound(&half, &mut weights, &other).unwrap_err();
        let text = "shapes differ: mask [2, 3], weights [2, 2]";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn given_masks_are_multiplied() {
        let left = Mask::from_array(&array![true, true, false]);
        let given = FromMask::new(Mask::from_array(&array![true, false, true]));
        let mut weights = array![1.0_f32, 2.0, 3.0];
        assert_eq!(compound(&Identity, &mut weights, &left).unwrap(), left);
        let mask = compound(&given, &mut weights, &left).unwrap();
        assert_eq!(mask, Mask::from_array(&array![true, false, false]));
        assert_eq!(weights, array![1.0, 0.0, 0.0]);
    }

    #[test]
    fn whole_slices_are_counted_where_anything_is_alive() {
        /// Drops the first slice of what it gets.
        #[derive(Debug)]
        struct First;
        impl Pruner<f32> for First {
            fn mask_dyn(&self, weights: &ArrayRefD<f32>) -> Result<Mask> {
                let mut kept = weights.mapv(|_| true);
                kept.index_axis_mut(Axis(0), 0).fill(false);
                Ok(Mask::from_array(&kept))
            }
        }
        impl Compound<f32> for First {
            fn compound_dyn(&self, weights: &ArrayRefD<f32>, left: &Mask) -> Result<Mask> {
                compound_along(Axis(0), weights, left, |slices| self.mask_dyn(slices))
            }
        }
        let left = Mask::from_array(&array![[false, false], [true, false], [true, true]]);
        let mut weights = Array2::ones((3, 2));
        let mask = compound(&First, &mut weights, &left).unwrap();
        assert_eq!(weights, array![[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]);
        assert_eq!(mask.kept(), 2);
    }
}
