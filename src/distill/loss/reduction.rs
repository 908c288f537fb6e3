//! From a value for each row to one number.

use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::ArrayRef1;

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
/// Rows of weight 0 count as rows in `MeanOverRows` and `MeanOverElements`.
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

impl Reduction {
    /// The weights of the rows, each divided by N.
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of rows above 2⁵³ do not occur"
    )]
    pub(super) fn shares<F: Float>(
        self,
        (rows, classes): (usize, usize),
        weights: Option<&ArrayRef1<F>>,
    ) -> Result<Vec<f64>> {
        let weights = match weights {
            None => vec![1.0; rows],
            Some(weights) if weights.len() == rows => weights.iter().map(|w| w.widen()).collect(),
            Some(weights) => {
                let (what, given) = ("row weights", weights.len());
                return Err(Error::WrongCount {
                    what,
                    given,
                    expected: rows,
                });
            }
        };
        if let Some(row) = weights
            .iter()
            .position(|weight| !(0.0..f64::INFINITY).contains(weight))
        {
            return Err(Error::RowWeightOutOfRange {
                row,
                weight: weights[row],
            });
        }
        let divisor = match self {
            Self::Sum => 1.0,
            Self::MeanOverRows => rows as f64,
            Self::MeanOverElements => rows as f64 * classes as f64,
            Self::MeanOverWeights => weights.iter().sum(),
            Self::DividedBy(number) => number,
        };
        if divisor == 0.0 && self == Self::MeanOverWeights {
            return Err(Error::NoWeight { rows });
        }
        if !(divisor > 0.0 && divisor.is_finite()) {
            let what = "what the loss is divided by";
            return Err(Error::NumberOutOfRange {
                what,
                must: "positive and finite",
                value: divisor,
            });
        }
        Ok(weights.into_iter().map(|weight| weight / divisor).collect())
    }
}
