//! Prunes single weights of several tensors by one ranking.
//!
//! ```text
//! k = round_half_even(amount · total)
//! ```
//!
//! The k lowest scores of all tensors together go. Among equal scores the earlier tensor comes first, and in it the
//! lower index. No copy of the tensors is made.

use super::rails::select_joined;
use super::{Layer, Note, Rail, Rails};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::protect;
use crate::kernels::ranked::Ranked;
use crate::mask::Mask;
use crate::prune::structured::slices;
use crate::prune::{Amount, Rules};
use ndarray::IxDyn;

/// Prunes the weights of several tensors that matter least of all.
///
/// PyTorch: `global_unstructured` with `L1Unstructured`.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | `amount` | | a share of the weights of all layers together, or how many |
/// | [`rules`](Self::rules) | PyTorch's count, ties by index | how counts, ties and NaN are decided |
/// | [`rails`](Self::rails) | none | what may not go |
///
/// Scores of different layers are compared as they are: [`Lamp`](crate::prune::Lamp) and
/// [`RelativeMagnitude`](crate::prune::RelativeMagnitude) are made for that.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prune::{Global, Layer};
///
/// let (mut first, mut second) = (array![[3.0, 0.1], [2.0, 0.2]], array![0.3, 5.0]);
/// let layers = [Layer::new("first", &first), Layer::new("second", &second)];
/// let pruned = Global::new(0.5).masks(&layers)?;
/// pruned.masks[0].apply(&mut first)?;
/// pruned.masks[1].apply(&mut second)?;
/// assert_eq!(first, array![[3.0, 0.0], [2.0, 0.0]]);
/// assert_eq!(second, array![0.0, 5.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    amount: Amount,
    rules: Rules,
    rails: Rails,
}

/// What pruning several tensors gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// A mask for each layer, in their order.
    pub masks: Vec<Mask>,
    /// Where guard rails acted, in the order of the layers.
    pub notes: Vec<Note>,
    /// How many weights, or slices, were to go.
    pub asked: usize,
}

impl Pruned {
    /// How many weights go.
    pub fn dropped(&self) -> usize {
        self.masks.iter().map(Mask::dropped).sum()
    }
}

/// Notes of one layer.
pub(super) fn notes(name: &str, acted: Vec<(Rail, usize)>) -> impl Iterator<Item = Note> + '_ {
    acted.into_iter().map(|(rail, kept)| Note {
        tensor: name.to_owned(),
        rail,
        kept,
    })
}

impl Global {
    /// Prunes `amount` of all weights together.
    pub fn new(amount: impl Into<Amount>) -> Self {
        Self {
            amount: amount.into(),
            rules: Rules::new(),
            rails: Rails::new(),
        }
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

    /// A mask for each layer. Only reads.
    ///
    /// # Errors
    ///
    /// * [`Error::AmountOutOfRange`](crate::Error::AmountOutOfRange),
    ///   [`Error::CountOutOfRange`](crate::Error::CountOutOfRange): the amount does not fit the layers.
    /// * [`Error::UnknownName`](crate::Error::UnknownName), [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange):
    ///   a rail names no layer, or is out of its range.
    /// * [`Error::Tensor`](crate::Error::Tensor) around what went wrong in one layer: NaN, scores of another shape.
    pub fn masks<F: Float>(&self, layers: &[Layer<'_, F>]) -> Result<Pruned> {
        let names: Vec<&str> = layers.iter().map(|layer| layer.name).collect();
        self.rails.check(&names)?;
        let counted = |layer: &&Layer<'_, F>| !self.rails.skips(layer.name);
        let total = layers
            .iter()
            .filter(counted)
            .map(|layer| layer.weights.len())
            .sum();
        let drop = self.rules.count.count(self.amount, total)?;

        let mut scored = Vec::with_capacity(layers.len());
        for layer in layers.iter().filter(counted) {
            scored.push(layer.scored(self.rules.nan)?);
        }
        let keys: Vec<Ranked<'_, F>> = scored.iter().map(|s| s.keys(self.rules.nan)).collect();
        let mut protected = Vec::with_capacity(keys.len());
        for (layer, keys) in layers.iter().filter(counted).zip(&keys) {
            let mut rails = self.rails.protect(keys);
            if self.rails.least_per_slice > 0 {
                let slices = slices(layer.weights.shape(), layer.axis, 1)
                    .map_err(|error| error.in_tensor(layer.name))?;
                let words = protect::keep_in_each_slice(keys, slices, self.rails.least_per_slice);
                rails.push((Rail::LeastPerSlice, words));
            }
            protected.push(rails);
        }
        let (kept, acted) = select_joined(&keys, drop, self.rules.ties, &protected);
        let mut kept = kept.into_iter().zip(acted);
        let (mut masks, mut all) = (Vec::with_capacity(layers.len()), Vec::new());
        for layer in layers {
            let (shape, len) = (layer.weights.shape(), layer.weights.len());
            if self.rails.skips(layer.name) {
                masks.push(Mask::keep_all(IxDyn(shape))?);
                all.extend(notes(layer.name, vec![(Rail::Skip, len)]));
            } else if let Some((words, acted)) = kept.next() {
                masks.push(Mask::from_words(shape, len, words));
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

/// A mask for each layer that drops the `amount` of weights that matter least of all together.
///
/// PyTorch: `torch.nn.utils.prune.global_unstructured(parameters, L1Unstructured, amount)`. Only reads: apply the
/// masks to the weights.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prune::{self, Layer};
///
/// let (first, second) = (array![[3.0, 0.1], [2.0, 0.2]], array![0.3, 5.0]);
/// let layers = [Layer::new("first", &first), Layer::new("second", &second)];
/// let masks = prune::global_unstructured(&layers, 2_usize)?;
/// assert_eq!((masks[0].dropped(), masks[1].dropped()), (2, 0));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// As [`Global::masks`].
pub fn global_unstructured<F: Float>(
    layers: &[Layer<'_, F>],
    amount: impl Into<Amount>,
) -> Result<Vec<Mask>> {
    Ok(Global::new(amount).masks(layers)?.masks)
}
