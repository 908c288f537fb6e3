//! Prunes blocks of A × B neighbours.
//!
//! ```text
//! score of a block = aggregate of the scores of its weights
//! ```
//!
//! Blocks with the lowest score go, as slices do. Block-sparse kernels and caches like them (Narang, Undersander
//! and Diamos 2017, <https://arxiv.org/abs/1711.02782>).

use super::scored::{Scored, keep};
use super::structured::{unit_count, unit_scores};
use super::{Aggregate, Amount, Importance, Pruner, Rules};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::blocks;
use crate::kernels::units::Layout;
use crate::mask::Mask;
use ndarray::Dimension;
use ndarray::{ArrayRefD, IntoDimension};

/// Prunes the blocks that matter least.
///
/// | setting | default | meaning | range |
/// |---|---|---|---|
/// | `importance` | | what weights are scored by | any [`Importance`] |
/// | `amount` | | how many blocks are dropped | a share in 0..=1, or a count up to the number of blocks |
/// | `block` | | its length along each axis | at least 1; as many as there are axes |
/// | [`aggregate`](Self::aggregate) | the mean | how a block's scores become one | any order of norm but NaN |
/// | [`rules`](Self::rules) | PyTorch's count, ties by index | how counts, ties and NaN are decided | |
///
/// Where a length is no multiple of the block's, the last blocks along that axis are smaller; the mean is over the
/// weights that they have. Blocks of nothing but zeros go before all others, and equal ones in row-major order.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Blocks, Magnitude};
///
/// let mut weights = array![[1.0, 1.0, 5.0], [1.0, 1.0, 0.1]];
/// Blocks::new(Magnitude, 1_usize, (2, 2)).prune(&mut weights)?;
/// assert_eq!(weights, array![[0.0, 0.0, 5.0], [0.0, 0.0, 0.1]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::WrongCount`]: not one length for each axis. [`Error::NumberOutOfRange`]: a length is 0, or the
///   order of the norm is NaN.
/// * [`Error::AmountOutOfRange`], [`Error::UnitCountOutOfRange`]: the amount does not fit.
/// * [`Error::NotANumber`]: a weight, a score, or the sum of a block's scores is NaN.
/// * [`Error::ShapeMismatch`], and whatever the importance fails with.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks<I> {
    importance: I,
    amount: Amount,
    block: Vec<usize>,
    aggregate: Aggregate,
    rules: Rules,
}

impl<I> Blocks<I> {
    /// Prunes `amount` of the blocks of this shape by the mean of their weights' `importance`.
    pub fn new(importance: I, amount: impl Into<Amount>, block: impl IntoDimension) -> Self {
        Self {
            importance,
            amount: amount.into(),
            block: block.into_dimension().slice().to_vec(),
            aggregate: Aggregate::Mean,
            rules: Rules::new(),
        }
    }

    /// Makes one score of a block's scores in this way.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// Decides counts, ties and NaN by these rules.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }
}

impl<F: Float, I: Importance<F>> Pruner<F> for Blocks<I> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        if self.block.len() != weights.ndim() {
            return Err(Error::WrongCount {
                what: "lengths of a block",
                given: self.block.len(),
                expected: weights.ndim(),
            });
        }
        if self.block.contains(&0) {
            return Err(Error::NumberOutOfRange {
                what: "length of a block",
                must: "at least 1",
                value: 0.0,
            });
        }
        self.aggregate.check()?;
        let layout = blocks::Blocks::new(weights.shape(), &self.block);
        let drop = unit_count(self.amount, self.rules, layout.units(), "blocks")?;
        let scored = Scored::new(weights, &self.importance)?;
        let units = unit_scores(&scored, &layout, self.aggregate, self.rules, "block score")?;
        let words = layout.expand(&keep(&units.keys(self.rules.nan), drop, self.rules.ties));
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }
}

#[cfg(test)]
mod tests {
    use super::Blocks;
    use crate::prune::{Aggregate, Magnitude, PrunerExt, Structured, Unstructured};
    use ndarray::{Array2, Axis};

    #[test]
    fn rows_and_single_weights_are_blocks_too() {
        let weights = Array2::from_shape_fn((9, 7), |(i, j)| {
            f64::from(u8::try_from((i * 37 + j * 11) % 64).unwrap()) - 31.5
        });
        for amount in [0.0, 0.3, 0.5, 1.0] {
            let single = Blocks::new(Magnitude, amount, (1, 1))
                .mask(&weights)
                .unwrap();
            let right = Unstructured::new(Magnitude, amount).mask(&weights).unwrap();
            assert_eq!(single, right);
            let rows = Blocks::new(Magnitude, amount, (1, 7)).aggregate(Aggregate::Norm(2.0));
            let right = Structured::new(Magnitude, amount, Axis(0)).aggregate(Aggregate::Norm(2.0));
            assert_eq!(rows.mask(&weights).unwrap(), right.mask(&weights).unwrap());
        }
    }

    #[test]
    fn a_smaller_block_counts_by_its_own_mean() {
        let mut weights = Array2::<f32>::ones((3, 3));
        weights[[2, 2]] = 1.5;
        let mask = Blocks::new(Magnitude, 3_usize, (2, 2))
            .mask(&weights)
            .unwrap();
        assert_eq!((mask.kept(), mask.keeps(&[2, 2])), (1, Some(true)));
        let by_sum = Blocks::new(Magnitude, 3_usize, (2, 2)).aggregate(Aggregate::Sum);
        assert_eq!(by_sum.mask(&weights).unwrap().kept(), 4);
    }

    #[test]
    fn blocks_that_do_not_fit_say_so() {
        let weights = Array2::<f32>::ones((4, 4));
        let error = Blocks::new(Magnitude, 0.5, 2).mask(&weights).unwrap_err();
        assert_eq!(error.to_string(), "1 lengths of a block given, 2 needed");
        let error = Blocks::new(Magnitude, 0.5, (2, 0))
            .mask(&weights)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "length of a block must be at least 1, got 0"
        );
        let error = Blocks::new(Magnitude, 5_usize, (2, 2))
            .mask(&weights)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "count must lie in 0..=4, the number of blocks, got 5"
        );
    }
}
