//! Prunes whole slices: rows, columns, filters, channels, heads.
//!
//! ```text
//! score of slice i = aggregate of the scores of its weights, for example ‖wᵢ‖ₙ
//! ```
//!
//! The slices along an axis with the lowest score go, the lower index first among equal ones. A slice
//! of nothing but zeros goes before all others. (Li et al. 2017, "Pruning filters for efficient
//! ConvNets", <https://arxiv.org/abs/1608.08710>.)

use super::scored::{Scored, UnitScores, keep};
use super::{Aggregate, Amount, Importance, Magnitude, Pruner, PrunerExt, Rules};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::units::{Layout, Slices};
use crate::mask::Mask;
use ndarray::{ArrayRef, ArrayRefD, Axis, Dimension};

/// Prunes the slices along an axis that matter least.
///
/// PyTorch's `LnStructured` with [`Magnitude`] and [`Aggregate::Norm`].
///
/// | setting | default | meaning | range |
/// |---|---|---|---|
/// | `importance` | | what weights are scored by | any [`Importance`] |
/// | `amount` | | how many slices are dropped | a share in 0..=1, or a count up to the number of slices |
/// | `axis` | | what is a slice: `Axis(0)` of a matrix is its rows | an axis of the tensor |
/// | [`aggregate`](Self::aggregate) | the sum | how a slice's scores become one | any order of norm but NaN |
/// | [`together`](Self::together) | 1 | how many neighbouring slices go together, as a head's rows do | a divisor of the axis's length |
/// | [`rules`](Self::rules) | PyTorch's count, ties by index | how counts, ties and NaN are decided | |
///
/// # Examples
///
/// Two heads of three rows each; the second goes:
///
/// ```
/// use ndarray::{Array2, Axis, s};
/// use rarefy::prelude::*;
/// use rarefy::prune::{Magnitude, Structured};
///
/// let mut query = Array2::from_elem((6, 4), 1.0_f32);
/// query.slice_mut(s![3.., ..]).fill(0.5);
/// let mask = Structured::new(Magnitude, 1_usize, Axis(0)).together(3).prune(&mut query)?;
/// assert_eq!(mask.kept(), 12);
/// assert!(query.slice(s![3.., ..]).iter().all(|&weight| weight == 0.0));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::AxisOutOfRange`]: the tensor has no such axis.
/// * [`Error::AmountOutOfRange`], [`Error::UnitCountOutOfRange`]: the amount does not fit.
/// * [`Error::NotDivisible`]: the axis does not fall into groups of that many slices.
/// * [`Error::NumberOutOfRange`]: the order of the norm is NaN.
/// * [`Error::NotANumber`]: a weight, a score, or the sum of a slice's scores is NaN.
/// * [`Error::ShapeMismatch`], and whatever the importance fails with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Structured<I> {
    importance: I,
    amount: Amount,
    pub(super) axis: Axis,
    together: usize,
    aggregate: Aggregate,
    rules: Rules,
}

impl<I> Structured<I> {
    /// Prunes `amount` of the slices along `axis` by the sum of their weights' `importance`.
    pub fn new(importance: I, amount: impl Into<Amount>, axis: Axis) -> Self {
        Self {
            importance,
            amount: amount.into(),
            axis,
            together: 1,
            aggregate: Aggregate::Sum,
            rules: Rules::new(),
        }
    }

    /// Makes one score of a slice's scores in this way.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// Lets so many neighbouring slices go or stay together: the size of a head.
    #[must_use]
    pub fn together(mut self, slices: usize) -> Self {
        self.together = slices;
        self
    }

    /// Decides counts, ties and NaN by these rules.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }
}

/// The slices along `axis`, so many of them at a time.
pub(super) fn slices(shape: &[usize], axis: Axis, together: usize) -> Result<Slices> {
    let Some(&length) = shape.get(axis.index()) else {
        return Err(Error::AxisOutOfRange {
            axis: axis.index(),
            ndim: shape.len(),
        });
    };
    if together == 0 || length % together != 0 {
        return Err(Error::NotDivisible {
            axis: axis.index(),
            length,
            by: together,
        });
    }
    Ok(Slices {
        outer: shape[..axis.index()].iter().product(),
        count: length / together,
        inner: together * shape[axis.index() + 1..].iter().product::<usize>(),
    })
}

/// How many units go; a count above their number says what they are.
pub(super) fn unit_count(
    amount: Amount,
    rules: Rules,
    units: usize,
    what: &'static str,
) -> Result<usize> {
    rules
        .count
        .count(amount, units)
        .map_err(|error| match error {
            Error::CountOutOfRange { count, len } => {
                Error::UnitCountOutOfRange { what, count, len }
            }
            error => error,
        })
}

/// The scores of the units of a tensor, checked.
pub(super) fn unit_scores<F: Float, L: Layout>(
    scored: &Scored<'_, F>,
    layout: &L,
    aggregate: Aggregate,
    rules: Rules,
    what: &'static str,
) -> Result<UnitScores> {
    let units = aggregate.scores(scored, layout, rules.nan)?;
    units.check(what, rules.nan)?;
    Ok(units)
}

impl<F: Float, I: Importance<F>> Pruner<F> for Structured<I> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        self.aggregate.check()?;
        let slices = slices(weights.shape(), self.axis, self.together)?;
        let drop = unit_count(self.amount, self.rules, slices.count, "slices")?;
        let scored = Scored::new(weights, &self.importance)?;
        let units = unit_scores(&scored, &slices, self.aggregate, self.rules, "slice score")?;
        let kept = keep(&units.keys(self.rules.nan), drop, self.rules.ties);
        let words = slices.expand(&kept);
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }
}

/// Zeroes the `amount` of slices along `axis` with the smallest Lₙ norm, and returns the mask of the rest.
///
/// `amount` is a share of the slices or how many; `n` is any number, `f64::INFINITY` and
/// `f64::NEG_INFINITY` among them.
///
/// PyTorch: `torch.nn.utils.prune.ln_structured(module, name, amount, n, dim)`.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prune;
///
/// let mut weights = array![[3.0, -4.0], [1.0, 1.0], [0.0, 9.0]];
/// let mask = prune::ln_structured(&mut weights, 1_usize, 2.0, Axis(0))?;
/// assert_eq!(weights, array![[3.0, -4.0], [0.0, 0.0], [0.0, 9.0]]);
/// assert_eq!(mask.dropped(), 2);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::AxisOutOfRange`], [`Error::AmountOutOfRange`] or [`Error::UnitCountOutOfRange`] if axis or amount do
/// not fit the tensor, [`Error::NumberOutOfRange`] if `n` is NaN, [`Error::NotANumber`] if a weight is. The
/// weights are then unchanged.
pub fn ln_structured<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    amount: impl Into<Amount>,
    n: f64,
    axis: Axis,
) -> Result<Mask> {
    let pruner = Structured::new(Magnitude, amount, axis).aggregate(Aggregate::Norm(n));
    pruner.prune(weights)
}

#[cfg(test)]
mod tests {
    use super::{Structured, ln_structured};
    use crate::prune::{Aggregate, GivenScores, Magnitude, NanRule, PrunerExt, Rules};
    use ndarray::{Array2, Axis, array};

    #[test]
    fn each_norm_has_its_own_smallest_row() {
        // Norms 1, 2, ∞, −∞ and 0 of the rows.
        let weights = array![
            [0.0, 0.0, 5.0],
            [2.0, 2.0, 2.0],
            [3.0, 3.0, 1.0],
            [4.0, 0.5, 0.25]
        ];
        for (n, smallest) in [
            (1.0, 3),
            (2.0, 1),
            (f64::INFINITY, 1),
            (f64::NEG_INFINITY, 0),
            (0.0, 0),
        ] {
            let mask = ln_structured(&mut weights.clone(), 1_usize, n, Axis(0)).unwrap();
            let dropped = mask.iter().position(|kept| !kept).map(|place| place / 3);
            assert_eq!(dropped, Some(smallest), "order {n}");
        }
    }

    #[test]
    fn zero_slices_go_first_and_equal_ones_by_index() {
        let weights = array![[1.0, 0.0, 1.0, 1.0], [1.0, 0.0, -1.0, 1.0]];
        let scores = array![[1.0, 9.0, 1.0, 0.0], [1.0, 9.0, 1.0, 0.0]];
        let dropped = |count: usize| {
            let pruner = Structured::new(GivenScores::new(&scores), count, Axis(1));
            let mask = pruner.mask(&weights).unwrap();
            (0..4)
                .filter(|&c| mask.keeps(&[0, c]) == Some(false))
                .collect::<Vec<_>>()
        };
        assert_eq!(dropped(1), [1]);
        assert_eq!(dropped(2), [1, 3]);
        assert_eq!(dropped(3), [0, 1, 3]);
    }

    #[test]
    fn slices_with_nan_stand_where_the_rule_says() {
        let mut weights = Array2::<f32>::ones((3, 4));
        weights[[1, 2]] = f32::NAN;
        for aggregate in [Aggregate::Sum, Aggregate::Max, Aggregate::Norm(2.0)] {
            for (rule, kept) in [
                (NanRule::Largest, [false, true, true]),
                (NanRule::Smallest, [true, false, true]),
            ] {
                let pruner = Structured::new(Magnitude, 1_usize, Axis(0)).aggregate(aggregate);
                let error = pruner.mask(&weights).unwrap_err();
                assert_eq!(error.to_string(), "weight [1, 2] is NaN");
                let mask = pruner.rules(Rules::new().nan(rule)).mask(&weights).unwrap();
                for (row, kept) in kept.into_iter().enumerate() {
                    assert_eq!(mask.keeps(&[row, 0]), Some(kept), "{rule:?} {aggregate:?}");
                }
            }
        }
    }

    #[test]
    fn sums_that_are_no_numbers_name_the_slice() {
        let scores = array![[1.0, 2.0], [f64::INFINITY, f64::NEG_INFINITY]];
        let weights = Array2::ones((2, 2));
        let pruner = Structured::new(GivenScores::new(&scores), 1_usize, Axis(0));
        let error = pruner.mask(&weights).unwrap_err();
        assert_eq!(error.to_string(), "slice score [1] is NaN");
    }
}
