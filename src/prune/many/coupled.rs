//! Prunes units that reach through several tensors: attention heads, neurons of a feed-forward layer.
//!
//! ```text
//! score of unit u = across tensors of the aggregate of the scores of its slices
//! ```
//!
//! Michel, Levy and Neubig 2019, "Are sixteen heads really better than one?", <https://arxiv.org/abs/1905.10650>.

use super::Layer;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::folds;
use crate::kernels::units::{Layout, Slices};
use crate::mask::Mask;
use crate::prune::scored::{Scored, UnitScores, keep};
use crate::prune::structured::{slices, unit_count, unit_scores};
use crate::prune::{Aggregate, Amount, Rules};

/// Prunes units that are slices of several tensors at once, so that they go from all or from none.
///
/// Each layer's axis falls into as many equal parts as there are units, one for each in order:
///
/// | units | layers and axes, for weights of outputs × inputs |
/// |---|---|
/// | attention heads | query, key and value: `Axis(0)`; output: `Axis(1)`; biases of the first three: `Axis(0)` |
/// | groups of heads that share a key and value | the same, with as many units as there are key heads |
/// | feed-forward neurons | up and gate: `Axis(0)`; down: `Axis(1)`; bias of up: `Axis(0)` |
///
/// | setting | default | meaning | range |
/// |---|---|---|---|
/// | `units` | | how many there are | a divisor of the length of each layer's axis |
/// | `amount` | | how many go | a share in 0..=1, or a count up to `units` |
/// | [`aggregate`](Self::aggregate) | the sum | how the scores within one tensor become one | |
/// | [`across`](Self::across) | the sum | how those of the tensors become one; the norm of norms of one order is the joint norm | |
/// | [`rules`](Self::rules) | PyTorch's count, ties by index | how counts, ties and NaN are decided | |
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Axis, s};
/// use rarefy::prune::{Coupled, Layer};
///
/// let (mut query, mut output) = (Array2::<f32>::ones((8, 6)), Array2::<f32>::ones((6, 8)));
/// query.slice_mut(s![2..4, ..]).fill(0.1); // the second of four heads does little
/// let layers = [
///     Layer::new("query", &query).axis(Axis(0)),
///     Layer::new("output", &output).axis(Axis(1)),
/// ];
/// let masks = Coupled::new(4, 1_usize).masks(&layers)?;
/// masks[0].apply(&mut query)?;
/// masks[1].apply(&mut output)?;
/// assert!(query.slice(s![2..4, ..]).iter().all(|&weight| weight == 0.0));
/// assert!(output.slice(s![.., 2..4]).iter().all(|&weight| weight == 0.0));
/// assert_eq!(output.sum(), 36.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coupled {
    units: usize,
    amount: Amount,
    aggregate: Aggregate,
    across: Aggregate,
    rules: Rules,
}

impl Coupled {
    /// Prunes `amount` of `units`.
    pub fn new(units: usize, amount: impl Into<Amount>) -> Self {
        Self {
            units,
            amount: amount.into(),
            aggregate: Aggregate::Sum,
            across: Aggregate::Sum,
            rules: Rules::new(),
        }
    }

    /// Makes one score of the scores within a tensor in this way.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// Makes one score of those of the tensors in this way.
    #[must_use]
    pub fn across(mut self, aggregate: Aggregate) -> Self {
        self.across = aggregate;
        self
    }

    /// Decides counts, ties and NaN by these rules.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    fn layout(&self, shape: &[usize], axis: ndarray::Axis) -> Result<Slices> {
        let length = slices(shape, axis, 1)?.count;
        if self.units == 0 || length == 0 || length % self.units != 0 {
            return Err(Error::NotDivisible {
                axis: axis.index(),
                length,
                by: self.units,
            });
        }
        slices(shape, axis, length / self.units)
    }

    /// A mask for each layer, which drops the same units in each. Only reads.
    ///
    /// # Errors
    ///
    /// * [`Error::AmountOutOfRange`], [`Error::UnitCountOutOfRange`]: the amount does not fit.
    /// * [`Error::NumberOutOfRange`]: the order of a norm is NaN.
    /// * [`Error::NotANumber`]: the score of a unit is.
    /// * [`Error::Tensor`] around what went wrong in one layer: an axis that it lacks or that does not fall into so
    ///   many parts, NaN, scores of another shape.
    pub fn masks<F: Float>(&self, layers: &[Layer<'_, F>]) -> Result<Vec<Mask>> {
        self.aggregate.check()?;
        self.across.check()?;
        let drop = unit_count(self.amount, self.rules, self.units, "units")?;
        let score = |layer: &Layer<'_, F>| -> Result<(Slices, UnitScores)> {
            let layout = self.layout(layer.weights.shape(), layer.axis)?;
            let scored = Scored::new(&layer.weights, layer.importance)?;
            let units = unit_scores(&scored, &layout, self.aggregate, self.rules, "unit score")?;
            Ok((layout, units))
        };
        let mut scored = Vec::with_capacity(layers.len());
        for layer in layers {
            scored.push(score(layer).map_err(|error| error.in_tensor(layer.name))?);
        }
        let mut together = UnitScores {
            scores: Vec::with_capacity(self.units),
            zeros: Vec::with_capacity(self.units),
        };
        for unit in 0..self.units {
            let own: Vec<f64> = scored.iter().map(|(_, units)| units.scores[unit]).collect();
            together.scores.push(one_score(self.across, &own));
            together
                .zeros
                .push(scored.iter().all(|(_, units)| units.zeros[unit]));
        }
        together.check("unit score", self.rules.nan)?;
        let kept = keep(&together.keys(self.rules.nan), drop, self.rules.ties);
        let mask = |(layer, (layout, _)): (&Layer<'_, F>, &(Slices, UnitScores))| {
            let words = layout.expand(&kept);
            Mask::from_words(layer.weights.shape(), layer.weights.len(), words)
        };
        Ok(layers.iter().zip(&scored).map(mask).collect())
    }
}

/// One score of several; NaN if one is.
#[expect(
    clippy::cast_precision_loss,
    reason = "a mean; more than 2⁵³ tensors do not occur"
)]
fn one_score(across: Aggregate, scores: &[f64]) -> f64 {
    if scores.iter().any(|score| score.is_nan()) {
        return f64::NAN;
    }
    let sum = || scores.iter().sum::<f64>();
    let whole = Slices {
        outer: 1,
        count: 1,
        inner: scores.len(),
    };
    match across {
        Aggregate::Sum => sum(),
        Aggregate::AbsoluteSum => sum().abs(),
        Aggregate::Mean => sum() / scores.len().max(1) as f64,
        Aggregate::Max => scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Aggregate::Norm(order) => folds::norms(&whole, scores, order)[0],
    }
}
