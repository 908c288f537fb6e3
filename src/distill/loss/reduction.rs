//! From a value for each row to one number.

use crate::distill::Target;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;

/// How the values of the rows become one number: their weighted sum, divided by what?
///
/// ```text
/// value = Σᵢ wᵢ · valueᵢ / N
/// ```
///
/// The gradient is divided by the same N. Named by N, because "mean" means four things:
///
/// | | N | PyTorch's name |
/// |---|---|---|
/// | [`Sum`](Self::Sum) | 1 | `sum` |
/// | [`MeanOverRows`](Self::MeanOverRows) | number of rows | `batchmean` of `kl_div`; `mean` of `cross_entropy` without class weights |
/// | [`MeanOverElements`](Self::MeanOverElements) | rows · classes | `mean` of `kl_div` |
/// | [`MeanOverWeights`](Self::MeanOverWeights) | Σᵢ wᵢ | none |
/// | [`DividedBy`](Self::DividedBy) | the caller's number | none; valid tokens over all micro-batches, for one |
///
/// A row of weight 0 counts as a row in `MeanOverRows` and `MeanOverElements`. A row that the target's
/// mask leaves out, or whose label is ignored, is as if it were not there: with a mask `MeanOverRows` is
/// the mean over valid tokens. If no row is there, means are errors and the others give 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Reduction {
    /// The weighted sum itself.
    Sum,
    /// Divided by the number of rows.
    #[default]
    MeanOverRows,
    /// Divided by the number of logits.
    MeanOverElements,
    /// Divided by the sum of the weights of the rows.
    MeanOverWeights,
    /// Divided by this number, which must be positive and finite.
    DividedBy(f64),
}

/// What each row counts.
pub(in crate::distill) struct Shares {
    /// The weight of each row, divided by what the reduction says; 0 for a row that is not read.
    pub(in crate::distill) shares: Vec<f64>,
    /// Whether the row is there and its weight is not 0.
    pub(in crate::distill) reads: Vec<bool>,
}

impl Reduction {
    /// The shares of rows. Of `weights` and the mask in a target each may be missing; a row for which
    /// `ignores` is true is as if it were not there.
    pub(in crate::distill) fn shares<F: Float>(
        self,
        (rows, classes): (usize, usize),
        target: Target<'_, F>,
        ignores: impl Fn(usize) -> bool,
    ) -> Result<Shares> {
        let count = |what, given| {
            let expected = rows;
            Err(Error::WrongCount {
                what,
                given,
                expected,
            })
        };
        let mut weights = match target.weights {
            None => vec![1.0; rows],
            Some(weights) if weights.len() == rows => weights.iter().map(|w| w.widen()).collect(),
            Some(weights) => return count("row weights", weights.len()),
        };
        let bad = |weight: &f64| !(0.0..f64::INFINITY).contains(weight);
        if let Some(row) = weights.iter().position(bad) {
            let weight = weights[row];
            return Err(Error::RowWeightOutOfRange { row, weight });
        }
        match target.mask {
            Some(mask) if mask.len() != rows => return count("mask flags", mask.len()),
            _ => {}
        }
        let there = |row| target.mask.is_none_or(|mask| mask[row]) && !ignores(row);
        let mut counted = 0_usize;
        for (row, weight) in weights.iter_mut().enumerate() {
            if there(row) {
                counted += 1;
            } else {
                *weight = 0.0;
            }
        }
        let divisor = self.divisor(counted, classes, &weights, rows)?;
        Ok(Shares {
            reads: weights.iter().map(|&weight| weight > 0.0).collect(),
            shares: weights.iter().map(|weight| weight / divisor).collect(),
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of rows above 2⁵³ do not occur"
    )]
    fn divisor(self, counted: usize, classes: usize, weights: &[f64], rows: usize) -> Result<f64> {
        let divisor = match self {
            Self::Sum => 1.0,
            Self::MeanOverRows => counted as f64,
            Self::MeanOverElements => counted as f64 * classes as f64,
            Self::MeanOverWeights => weights.iter().sum(),
            Self::DividedBy(number) => {
                if !(number > 0.0 && number.is_finite()) {
                    return Err(Error::NumberOutOfRange {
                        what: "what the loss is divided by",
                        must: "positive and finite",
                        value: number,
                    });
                }
                number
            }
        };
        if divisor == 0.0 {
            return Err(Error::NoWeight { rows });
        }
        Ok(divisor)
    }
}
