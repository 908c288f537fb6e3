//! Prunes whole slices of several tensors by one ranking.

use super::global::notes;
use super::rails::select_joined;
use super::{Layer, Normaliser, Pruned, Rail, Rails};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::units::{Layout, Slices};
use crate::mask::Mask;
use crate::prune::scored::{Scored, UnitScores};
use crate::prune::structured::{slices, unit_count, unit_scores};
use crate::prune::{Aggregate, Amount, Rules};
use ndarray::IxDyn;

/// Prunes the slices of several tensors that matter least of all, each along its layer's axis.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | `amount` | | a share of the slices of all layers together, or how many |
/// | [`aggregate`](Self::aggregate) | the sum | how a slice's scores become one |
/// | [`normaliser`](Self::normaliser) | unchanged | how scores of different layers become comparable |
/// | [`rules`](Self::rules) | PyTorch's count, ties by index | how counts, ties and NaN are decided |
/// | [`rails`](Self::rails) | none | what may not go; counts are of slices |
///
/// Slices of nothing but zeros go before all others; among equal scores the earlier layer comes first, and in it the
/// lower index.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prune::{GlobalStructured, Layer, Normaliser};
///
/// let small = array![[0.1, 0.1], [0.2, 0.2]];
/// let large = array![[9.0, 9.0], [1.0, 1.0]];
/// let layers = [Layer::new("small", &small), Layer::new("large", &large)];
/// let plain = GlobalStructured::new(1_usize);
/// assert_eq!(plain.masks(&layers)?.masks[0].dropped(), 2);
/// let fair = plain.normaliser(Normaliser::Max); // 0.5 1.0 against 1.0 0.11
/// assert_eq!(fair.masks(&layers)?.masks[1].dropped(), 2);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalStructured {
    amount: Amount,
    aggregate: Aggregate,
    normaliser: Normaliser,
    rules: Rules,
    rails: Rails,
}

impl GlobalStructured {
    /// Prunes `amount` of all slices together.
    pub fn new(amount: impl Into<Amount>) -> Self {
        Self {
            amount: amount.into(),
            aggregate: Aggregate::Sum,
            normaliser: Normaliser::Unchanged,
            rules: Rules::new(),
            rails: Rails::new(),
        }
    }

    /// Makes one score of a slice's scores in this way.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// Makes scores of different layers comparable in this way.
    #[must_use]
    pub fn normaliser(mut self, normaliser: Normaliser) -> Self {
        self.normaliser = normaliser;
        self
    }

    /// Decides counts, ties and NaN by these rules.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Takes nothing that these rails protect.
    #[must_use]
    pub fn rails(mut self, rails: Rails) -> Self {
        self.rails = rails;
        self
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a number for a message; lengths above 2⁵³ do not occur"
    )]
    fn check(&self, names: &[&str]) -> Result<()> {
        self.aggregate.check()?;
        self.rails.check(names)?;
        match self.rails.least_per_slice {
            0 => Ok(()),
            count => Err(Error::NumberOutOfRange {
                what: "least kept per slice",
                must: "0 where whole slices go",
                value: count as f64,
            }),
        }
    }

    /// A mask for each layer. Only reads.
    ///
    /// # Errors
    ///
    /// * [`Error::AmountOutOfRange`], [`Error::UnitCountOutOfRange`]: the amount does not fit the layers.
    /// * [`Error::UnknownName`], [`Error::NumberOutOfRange`]: a rail names no layer, or is out of its range.
    /// * [`Error::Tensor`] around what went wrong in one layer: an axis it lacks, NaN, scores of another shape.
    pub fn masks<F: Float>(&self, layers: &[Layer<'_, F>]) -> Result<Pruned> {
        let names: Vec<&str> = layers.iter().map(|layer| layer.name).collect();
        self.check(&names)?;
        let score = |layer: &Layer<'_, F>| -> Result<(Slices, UnitScores)> {
            let slices = slices(layer.weights.shape(), layer.axis, 1)?;
            let scored = Scored::new(&layer.weights, layer.importance)?;
            let mut units =
                unit_scores(&scored, &slices, self.aggregate, self.rules, "slice score")?;
            self.normaliser.apply(&mut units.scores);
            // An infinite score among finite ones can be no number afterwards.
            units.check("normalised slice score", self.rules.nan)?;
            Ok((slices, units))
        };
        let mut scored = Vec::with_capacity(layers.len());
        for layer in layers.iter().filter(|layer| !self.rails.skips(layer.name)) {
            scored.push(score(layer).map_err(|error| error.in_tensor(layer.name))?);
        }
        let total = scored.iter().map(|(slices, _)| slices.count).sum();
        let drop = unit_count(self.amount, self.rules, total, "slices")?;
        let keys: Vec<_> = scored
            .iter()
            .map(|(_, units)| units.keys(self.rules.nan))
            .collect();
        let protected: Vec<_> = keys.iter().map(|keys| self.rails.protect(keys)).collect();
        let (kept, acted) = select_joined(&keys, drop, self.rules.ties, &protected);
        let mut kept = scored.iter().zip(kept.into_iter().zip(acted));
        let (mut masks, mut all) = (Vec::with_capacity(layers.len()), Vec::new());
        for layer in layers {
            let (shape, len) = (layer.weights.shape(), layer.weights.len());
            if self.rails.skips(layer.name) {
                masks.push(Mask::keep_all(IxDyn(shape))?);
                let slices = shape.get(layer.axis.index()).copied().unwrap_or(0);
                all.extend(notes(layer.name, vec![(Rail::Skip, slices)]));
            } else if let Some(((slices, _), (words, acted))) = kept.next() {
                masks.push(Mask::from_words(shape, len, slices.expand(&words)));
                all.extend(notes(layer.name, acted));
            }
        }
        Ok(Pruned {
            masks,
            notes: all,
            asked: drop,
        })
    }
}
