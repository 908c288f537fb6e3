//! Prunes single weights, wherever they are.
//!
//! ```text
//! k = round_half_even(amount · n)
//! ```
//!
//! The k weights with the lowest score go: exactly k, also where scores are equal. Among equal
//! scores the lower index in row-major order goes first, on every machine and for any number of
//! threads. A weight that is zero already goes before all others. [`Rules`] name other ways.
//!
//! The selection takes O(n) and no copy of the weights: counts of digits, no sort.

use super::scored::Scored;
use super::{Amount, Importance, Magnitude, Profile, Pruner, PrunerExt, Rules, Scope};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::{parallel, runs};
use crate::mask::Mask;
use ndarray::{ArrayRef, ArrayRefD, Axis, Dimension};

/// Prunes the weights that matter least, wherever they are.
///
/// PyTorch's `L1Unstructured` when the importance is [`Magnitude`].
///
/// | setting | default | meaning | range |
/// |---|---|---|---|
/// | `importance` | | what weights are ranked by | any [`Importance`] |
/// | `amount` | | what is zero afterwards | a share in 0..=1, or a count up to the number of weights |
/// | [`rules`](Self::rules) | PyTorch's count, ties by index | how counts, ties and NaN are decided | |
/// | [`scope`](Self::scope) | the tensor | which weights are ranked among one another | |
/// | [`profile`](Self::profile) | | rules and scope of another library | |
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
/// * [`Error::AmountOutOfRange`](crate::Error::AmountOutOfRange),
///   [`Error::CountOutOfRange`](crate::Error::CountOutOfRange): the amount does not fit the tensor, or the
///   smallest group of the scope.
/// * [`Error::NotANumber`](crate::Error::NotANumber): a weight or a score is NaN. Infinity is fine: it is the
///   largest.
/// * [`Error::ShapeMismatch`](crate::Error::ShapeMismatch): the importance gave scores of another shape.
/// * [`Error::AxisOutOfRange`](crate::Error::AxisOutOfRange),
///   [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange): the scope does not fit the tensor.
/// * Whatever the importance fails with.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Unstructured<I> {
    pub(super) importance: I,
    pub(super) amount: Amount,
    pub(super) rules: Rules,
    pub(super) scope: Scope,
}

impl<I> Unstructured<I> {
    /// Prunes `amount` of the weights by `importance`.
    pub fn new(importance: I, amount: impl Into<Amount>) -> Self {
        Self {
            importance,
            amount: amount.into(),
            rules: Rules::new(),
            scope: Scope::Tensor,
        }
    }

    /// Decides counts, ties and NaN by these rules.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Ranks weights among those of a group alone, and drops the amount of each group.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Decides as another library does: its rules, and its scope.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.rules(profile.rules()).scope(profile.scope())
    }
}

impl<F: Float, I: Importance<F>> Pruner<F> for Unstructured<I> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let groups = self.scope.groups(weights.shape())?;
        if let Some((axis, together)) = groups {
            return self.mask_of_groups(weights, axis, together);
        }
        let drop = self.rules.count.count(self.amount, weights.len())?;
        let scored = Scored::new(weights, &self.importance)?;
        let words = scored.checked_keep(drop, self.rules)?;
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }
}

impl<I> Unstructured<I> {
    fn mask_of_groups<F: Float>(
        &self,
        weights: &ArrayRefD<F>,
        axis: Axis,
        together: usize,
    ) -> Result<Mask>
    where
        I: Importance<F>,
    {
        // With the axis in front, a group lies in one piece.
        let front = |array: &ArrayRefD<F>| {
            let mut view = array.view();
            for place in (1..=axis.index()).rev() {
                view.swap_axes(place - 1, place);
            }
            view.as_standard_layout().into_owned()
        };
        let scored = Scored::new(weights, &self.importance)?;
        scored.check(self.rules.nan)?;
        let length = weights.len_of(axis);
        let slice = weights.len().checked_div(length).unwrap_or(0);
        let size = |group: usize| together.min(length - group * together) * slice;
        let groups = length.div_ceil(together);
        let mut counts = Vec::with_capacity(groups);
        for group in 0..groups {
            counts.push(self.rules.count.count(self.amount, size(group))?);
        }
        let scored = if axis == Axis(0) {
            scored
        } else {
            scored.reordered(&front)
        };
        let parts = parallel::map_ranges(groups, 1, |group| {
            let group = group.start;
            let start = group * together * slice;
            let part = scored.part(start..start + size(group));
            part.keep(counts[group], self.rules)
        });
        let mut words = runs::paint(weights.len(), |_| (false, weights.len()));
        for (group, part) in parts.iter().enumerate() {
            runs::put(&mut words, group * together * slice, part, size(group));
        }
        if axis == Axis(0) {
            return Ok(Mask::from_words(weights.shape(), weights.len(), words));
        }
        // Back to where the axis was.
        let mut shape = weights.shape().to_vec();
        shape.remove(axis.index());
        shape.insert(0, length);
        let mut kept = Mask::from_words(&shape, weights.len(), words).to_array();
        for place in 1..=axis.index() {
            kept.swap_axes(place - 1, place);
        }
        Ok(Mask::from_array(&kept))
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
/// [`Error::AmountOutOfRange`](crate::Error::AmountOutOfRange) or
/// [`Error::CountOutOfRange`](crate::Error::CountOutOfRange) if the amount does not fit the tensor,
/// [`Error::NotANumber`](crate::Error::NotANumber) if a weight is NaN. The weights are then unchanged.
pub fn l1_unstructured<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    amount: impl Into<Amount>,
) -> Result<Mask> {
    Unstructured::new(Magnitude, amount).prune(weights)
}

#[cfg(test)]
mod tests {
    use super::{Unstructured, l1_unstructured};
    use crate::prune::{
        Amount, Elementwise, Importance, Magnitude, NanRule, PrunerExt, Rules, Scope,
    };
    use crate::{Mask, Result};
    use ndarray::{Array1, Array3, ArrayD, ArrayRefD, Axis, array};

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

    #[test]
    fn groups_are_ranked_apart_along_any_axis() {
        let weights = Array3::from_shape_fn((5, 4, 3), |(i, j, k)| {
            f64::from(u8::try_from((i * 31 + j * 17 + k * 7) % 23).unwrap()) - 11.0
        });
        for axis in [Axis(0), Axis(1), Axis(2)] {
            for together in [1, 2, 7] {
                let scope = Scope::Slices { axis, together };
                let pruner = Unstructured::new(Magnitude, 0.4).scope(scope);
                let mask = pruner.mask(&weights).unwrap().to_array();
                for (part, kept) in weights
                    .axis_chunks_iter(axis, together)
                    .zip(mask.axis_chunks_iter(axis, together))
                {
                    // A group on its own, its slices in the order of the axis.
                    let order: Vec<usize> = [axis.index()]
                        .into_iter()
                        .chain((0..3).filter(|&other| other != axis.index()))
                        .collect();
                    let part = part.into_dyn().permuted_axes(order.clone());
                    let right = Unstructured::new(Magnitude, 0.4).mask(&part).unwrap();
                    let kept = kept.permuted_axes(order);
                    assert_eq!(Mask::from_array(&kept), right, "{axis:?} {together}");
                }
            }
        }
    }

    #[test]
    fn counts_hold_for_each_group() {
        let weights = Array3::<f32>::ones((5, 4, 3));
        let scope = Scope::Slices {
            axis: Axis(0),
            together: 2,
        };
        let pruner = Unstructured::new(Magnitude, Amount::Count(12)).scope(scope);
        assert_eq!(pruner.mask(&weights).unwrap().dropped(), 36);
        let pruner = Unstructured::new(Magnitude, Amount::Count(13)).scope(scope);
        let error = pruner.mask(&weights).unwrap_err();
        assert_eq!(
            error.to_string(),
            "count must lie in 0..=12, the number of weights, got 13"
        );
    }

    #[test]
    fn nan_can_be_the_largest_or_the_smallest() {
        let weights = array![f32::NAN, 0.0, f32::INFINITY, -1.0];
        let kept = |rule, drop: usize| {
            let rules = Rules::new().nan(rule);
            let mask = Unstructured::new(Magnitude, drop)
                .rules(rules)
                .mask(&weights);
            mask.unwrap().iter().collect::<Vec<_>>()
        };
        assert_eq!(kept(NanRule::Largest, 3), [true, false, false, false]);
        assert_eq!(kept(NanRule::Smallest, 1), [false, true, true, true]);
        assert_eq!(kept(NanRule::Smallest, 2), [false, false, true, true]);
    }
}
