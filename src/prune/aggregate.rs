//! Makes one score of the scores of weights that go together.

use super::NanRule;
use super::scored::{Scored, UnitScores};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::folds::{self, Max, MaxAbs, NonZero, NotNumbers, Sum, SumAbs};
use crate::kernels::units::Layout;

/// How the scores of weights that go together become one score.
///
/// Computed in f64, in an order that depends on the shape alone. A group without weights has score 0.
///
/// | | formula | of magnitudes |
/// |---|---|---|
/// | [`Sum`](Self::Sum) | Σ s | the L₁ norm |
/// | [`Mean`](Self::Mean) | Σ s / n | the mean magnitude: fair where groups differ in size |
/// | [`Max`](Self::Max) | max s | the L∞ norm |
/// | [`AbsoluteSum`](Self::AbsoluteSum) | \|Σ s\| | the L₁ norm; of signed scores it lets them cancel |
/// | [`Norm`](Self::Norm) | (Σ \|s\|ⁿ)^(1/n) | the Lₙ norm |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Aggregate {
    /// The sum of the scores. The default.
    #[default]
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// The magnitude of the sum.
    AbsoluteSum,
    /// Their norm of this order, any number: ∞ is the largest magnitude, −∞ the smallest, 0 how many
    /// are not zero. PyTorch's `n` of `ln_structured`.
    Norm(f64),
}

impl Aggregate {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Norm(order) if order.is_nan() => Err(Error::NumberOutOfRange {
                what: "order of a norm",
                must: "a number",
                value: order,
            }),
            _ => Ok(()),
        }
    }

    /// The score of each unit, after [`Scored::check`]. A unit with NaN among its weights or scores has the score NaN.
    pub(super) fn scores<F: Float, L: Layout>(
        self,
        scored: &Scored<'_, F>,
        layout: &L,
        nan: NanRule,
    ) -> Result<UnitScores> {
        let mut scores = self.computed(scored, layout);
        if nan == NanRule::Error {
            if self.shows_odd_weights(scored) && scores.iter().all(|&score| is_plain(score)) {
                // So there is neither, and no sweep is needed to look for them.
                let zeros = vec![false; scores.len()];
                return Ok(UnitScores { scores, zeros });
            }
            scored.check(nan)?;
        } else {
            // Extremes pass NaN over.
            let bad = layout.fold(&scored.weights, &NotNumbers);
            let bad_scores = layout.fold(&scored.values(), &NotNumbers);
            for (score, bad) in scores.iter_mut().zip(bad.iter().zip(bad_scores)) {
                if bad.0 + bad.1 > 0.0 {
                    *score = f64::NAN;
                }
            }
        }
        let nonzero = layout.fold(&scored.weights, &NonZero);
        let zeros = nonzero.into_iter().map(|count| count == 0.0).collect();
        Ok(UnitScores { scores, zeros })
    }

    /// Whether a unit's score is 0, infinite or NaN wherever one of its weights is NaN or all are zero.
    ///
    /// So are sums and norms of magnitudes: squares of an f64 that leave its range are taken relative to the largest
    /// magnitude other than NaN, and then that is 0 or infinite, or the sum NaN.
    fn shows_odd_weights<F: Float>(self, scored: &Scored<'_, F>) -> bool {
        let shows = match self {
            Self::Sum | Self::Mean | Self::AbsoluteSum => true,
            Self::Norm(order) => order == 1.0 || order == 2.0,
            Self::Max => false,
        };
        shows && scored.by_magnitude()
    }

    /// The formula.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean; more than 2⁵³ weights do not occur"
    )]
    fn computed<F: Float, L: Layout>(self, scored: &Scored<'_, F>, layout: &L) -> Vec<f64> {
        let values = scored.values();
        let magnitudes = scored.by_magnitude();
        let sum = || {
            if magnitudes {
                layout.fold(&values, &SumAbs)
            } else {
                layout.fold(&values, &Sum)
            }
        };
        match self {
            Self::Norm(order) => folds::norms(layout, &values, order),
            _ if values.is_empty() => vec![0.0; layout.units()],
            Self::Sum => sum(),
            Self::AbsoluteSum => sum().into_iter().map(f64::abs).collect(),
            Self::Max if magnitudes => layout.fold(&values, &MaxAbs),
            Self::Max => layout.fold(&values, &Max),
            Self::Mean => {
                let mean = |(unit, sum)| sum / layout.size(unit).max(1) as f64;
                sum().into_iter().enumerate().map(mean).collect()
            }
        }
    }
}

fn is_plain(score: f64) -> bool {
    score > 0.0 && score < f64::INFINITY
}
