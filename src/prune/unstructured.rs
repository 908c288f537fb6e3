//! Prunes single weights, wherever they are.
//!
//! ```text
//! k = round_half_even(amount · n)
//! ```
//!
//! The k weights with the lowest score go: exactly k, also where scores are equal. Among equal
//! scores the lower index in row-major order goes first, on every machine and for any number of
//! threads. A weight that is zero already goes before all others.
//!
//! The selection takes O(n) and no copy of the weights: counts of digits, no sort.

use super::{Amount, Elementwise, Importance, Magnitude, Pruner, PrunerExt};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::select::{self, Magnitudes, Scores};
use crate::kernels::{array, extremes};
use crate::mask::Mask;
use crate::shape;
use ndarray::{ArrayRef, ArrayRefD, Dimension};

/// Prunes the weights that matter least, wherever they are.
///
/// PyTorch's `L1Unstructured` when the importance is [`Magnitude`].
///
/// | setting | meaning | range |
/// |---|---|---|
/// | `importance` | what weights are ranked by | any [`Importance`] |
/// | `amount` | what is zero afterwards | a share in 0..=1, or a count up to the number of weights |
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Magnitude, Unstructured};
///
/// let mask = Unstructured::new(Magnitude, 0.5).mask(&array![[3.0, -1.0], [-2.0, 0.5]])?;
/// assert_eq!(mask.to_array(), array![[true, false], [true, false]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::AmountOutOfRange`], [`Error::CountOutOfRange`]: the amount does not fit the tensor.
/// * [`Error::NotANumber`]: a weight or a score is NaN. Infinity is fine: it is the largest.
/// * [`Error::ShapeMismatch`]: the importance gave scores of another shape.
/// * Whatever the importance fails with.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Unstructured<I> {
    pub(super) importance: I,
    pub(super) amount: Amount,
}

impl<I> Unstructured<I> {
    /// Prunes `amount` of the weights by `importance`.
    pub fn new(importance: I, amount: impl Into<Amount>) -> Self {
        Self {
            importance,
            amount: amount.into(),
        }
    }
}

impl<F: Float, I: Importance<F>> Pruner<F> for Unstructured<I> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let drop = self.amount.count(weights.len())?;
        let flat = array::elements(weights);
        check_numbers("weight", &flat, weights.shape())?;
        let words = match self.importance.elementwise() {
            Some(Elementwise::Magnitude) => select::keep_highest(&Magnitudes(&flat), drop),
            Some(Elementwise::Given(scores)) => keep_by_score(weights, &flat, scores, drop)?,
            None => keep_by_score(weights, &flat, &self.importance.scores(weights)?, drop)?,
        };
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }
}

fn keep_by_score<F: Float>(
    weights: &ArrayRefD<F>,
    flat: &[F],
    scores: &ArrayRefD<F>,
    drop: usize,
) -> Result<Vec<u64>> {
    shape::check_same("weights", weights.shape(), "scores", scores.shape())?;
    let scores = array::elements(scores);
    check_numbers("score", &scores, weights.shape())?;
    Ok(select::keep_highest(&Scores::new(flat, &scores), drop))
}

fn check_numbers<F: Float>(what: &'static str, values: &[F], shape: &[usize]) -> Result<()> {
    match extremes::first_nan(values) {
        Some(place) => Err(Error::NotANumber {
            what,
            index: shape::index_of(place, shape),
        }),
        None => Ok(()),
    }
}

/// Zeroes the `amount` of weights with the smallest magnitude, and returns the mask of the rest.
///
/// `amount` is a share of the tensor (`0.3`) or a count (`3_usize`), and it is exact: see
/// [`Amount`]. What is pruned becomes +0.
///
/// PyTorch: `torch.nn.utils.prune.l1_unstructured(module, name, amount)`.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prune;
///
/// let mut weights = array![[0.3, -1.2, 0.1], [0.8, -0.2, 2.0]];
/// let mask = prune::l1_unstructured(&mut weights, 0.5)?;
/// assert_eq!(weights, array![[0.0, -1.2, 0.0], [0.8, 0.0, 2.0]]);
/// assert_eq!(mask.sparsity(), 0.5);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::AmountOutOfRange`] or [`Error::CountOutOfRange`] if the amount does not fit the tensor,
/// [`Error::NotANumber`] if a weight is NaN. The weights are then unchanged.
pub fn l1_unstructured<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    amount: impl Into<Amount>,
) -> Result<Mask> {
    Unstructured::new(Magnitude, amount).prune(weights)
}

#[cfg(test)]
mod tests {
    use super::{Unstructured, l1_unstructured};
    use crate::prune::{Elementwise, Importance, Magnitude, PrunerExt};
    use crate::{Mask, Result};
    use ndarray::{Array1, ArrayD, ArrayRefD, Axis, array};

    #[derive(Debug)]
    struct Given(ArrayD<f64>);

    impl Importance<f64> for Given {
        fn scores(&self, _: &ArrayRefD<f64>) -> Result<ArrayD<f64>> {
            Ok(self.0.clone())
        }
    }

    #[derive(Debug)]
    struct Borrowed(ArrayD<f64>);

    impl Importance<f64> for Borrowed {
        fn scores(&self, _: &ArrayRefD<f64>) -> Result<ArrayD<f64>> {
            unreachable!("elementwise scores are asked for first")
        }

        fn elementwise(&self) -> Option<Elementwise<'_, f64>> {
            Some(Elementwise::Given(&self.0))
        }
    }

    #[test]
    fn equal_magnitudes_go_by_index() {
        let mut weights = array![1.0, -1.0, 1.0, 0.5, -1.0];
        l1_unstructured(&mut weights, 3_usize).unwrap();
        assert_eq!(weights, array![0.0, 0.0, 1.0, 0.0, -1.0]);
    }

    #[test]
    fn pruning_twice_is_pruning_once() {
        let mut weights = Array1::from_iter((1..=10).map(f64::from));
        let first = l1_unstructured(&mut weights, 0.3).unwrap();
        let again = l1_unstructured(&mut weights, 0.3).unwrap();
        assert_eq!(first, again);
        l1_unstructured(&mut weights, 0.5).unwrap();
        assert_eq!(weights.iter().filter(|&&weight| weight == 0.0).count(), 5);
    }

    #[test]
    fn infinity_is_the_largest_and_can_be_pruned() {
        let mut weights = array![f64::INFINITY, 1.0, f64::NEG_INFINITY];
        l1_unstructured(&mut weights, 2_usize).unwrap();
        assert_eq!(weights, array![0.0, 0.0, f64::NEG_INFINITY]);
        l1_unstructured(&mut weights, 1.0).unwrap();
        assert_eq!(weights, array![0.0, 0.0, 0.0]);
    }

    #[test]
    fn nan_is_an_error_with_its_index_and_changes_nothing() {
        let mut weights = array![[1.0, 2.0], [f64::NAN, 4.0]];
        let error = l1_unstructured(&mut weights, 0.5).unwrap_err();
        assert_eq!(error.to_string(), "weight [1, 0] is NaN");
        assert_eq!(weights[[0, 0]], 1.0);
        let scores = Given(array![1.0, f64::NAN].into_dyn());
        let error = Unstructured::new(scores, 0.5)
            .mask(&array![1.0, 2.0])
            .unwrap_err();
        assert_eq!(error.to_string(), "score [1] is NaN");
    }

    #[test]
    fn scores_decide_and_zeros_go_first() {
        let weights = array![1.0, 0.0, 3.0, 4.0];
        let scores = array![5.0, 9.0, -7.0, f64::NEG_INFINITY].into_dyn();
        let kept = |amount: usize| {
            let given = Unstructured::new(Given(scores.clone()), amount)
                .mask(&weights)
                .unwrap();
            let borrowed = Unstructured::new(Borrowed(scores.clone()), amount);
            assert_eq!(borrowed.mask(&weights).unwrap(), given);
            given
        };
        assert_eq!(kept(1), Mask::from_array(&array![true, false, true, true]));
        assert_eq!(kept(2), Mask::from_array(&array![true, false, true, false]));
        assert_eq!(
            kept(3),
            Mask::from_array(&array![true, false, false, false])
        );
    }

    #[test]
    fn scores_of_another_shape_are_refused() {
        let pruner = Unstructured::new(Given(array![1.0].into_dyn()), 0.5);
        let error = pruner.mask(&array![1.0, 2.0]).unwrap_err();
        assert_eq!(error.to_string(), "shapes differ: weights [2], scores [1]");
    }

    #[test]
    fn any_memory_order_gives_the_same_mask() {
        let mut weights = array![[4.0, 1.0, 3.0], [2.0, 6.0, 5.0]];
        let expected = Unstructured::new(Magnitude, 0.5).mask(&weights).unwrap();
        let mut reversed = weights.clone().reversed_axes();
        let mask = l1_unstructured(&mut reversed.view_mut().reversed_axes(), 0.5).unwrap();
        assert_eq!(mask, expected);
        weights.invert_axis(Axis(1));
        weights.invert_axis(Axis(1));
        l1_unstructured(&mut weights, 0.5).unwrap();
        assert_eq!(weights, reversed.reversed_axes());
    }
}
