//! Prunes by chance: weights or slices drawn from a seed.

use super::scored::{Scored, UnitScores, keep};
use super::structured::{slices, unit_count};
use super::{Amount, Pruner, PrunerExt, Random, Rules, Unstructured};
use crate::error::Result;
use crate::float::Float;
use crate::kernels::folds::NonZero;
use crate::kernels::stream;
use crate::kernels::units::Layout;
use crate::mask::Mask;
use ndarray::{ArrayRef, ArrayRefD, Axis, Dimension};

/// Prunes slices along an axis by chance, one draw a slice.
///
/// PyTorch's `RandomStructured`, with a seed in the place of the global generator. Slices of nothing but
/// zeros go before all others, as everywhere.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Axis};
/// use rarefy::prelude::*;
/// use rarefy::prune::RandomStructured;
///
/// let mut weights = Array2::<f32>::ones((8, 3));
/// let mask = RandomStructured::new(0.25, Axis(0), 7).prune(&mut weights)?;
/// assert_eq!(mask.dropped(), 2 * 3);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// As [`Structured`](super::Structured) has them for axis, amount and NaN among the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomStructured {
    amount: Amount,
    axis: Axis,
    seed: u64,
}

impl RandomStructured {
    /// Prunes `amount` of the slices along `axis`, drawn from `seed`.
    pub fn new(amount: impl Into<Amount>, axis: Axis, seed: u64) -> Self {
        Self {
            amount: amount.into(),
            axis,
            seed,
        }
    }
}

impl<F: Float> Pruner<F> for RandomStructured {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let rules = Rules::new();
        let slices = slices(weights.shape(), self.axis, 1)?;
        let drop = unit_count(self.amount, rules, slices.count, "slices")?;
        let chance = Random::new(self.seed);
        let scored = Scored::new(weights, &chance)?;
        scored.check(rules.nan)?;
        let nonzero = slices.fold(&scored.weights, &NonZero);
        let units = UnitScores {
            scores: (0..slices.count as u64)
                .map(|unit| stream::uniform(self.seed, unit))
                .collect(),
            zeros: nonzero.into_iter().map(|count| count == 0.0).collect(),
        };
        let words = slices.expand(&keep(&units.keys(rules.nan), drop, rules.ties));
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }
}

/// Zeroes the `amount` of weights drawn from `seed`, and returns the mask of the rest.
///
/// The same seed gives the same mask on every machine and in any pool.
///
/// PyTorch: `torch.nn.utils.prune.random_unstructured(module, name, amount)`.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use rarefy::prune;
///
/// let mut weights = Array2::<f32>::ones((10, 10));
/// let mask = prune::random_unstructured(&mut weights, 0.3, 7)?;
/// assert_eq!(mask.dropped(), 30);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// As [`l1_unstructured`](super::l1_unstructured). The weights are then unchanged.
pub fn random_unstructured<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    amount: impl Into<Amount>,
    seed: u64,
) -> Result<Mask> {
    Unstructured::new(Random::new(seed), amount).prune(weights)
}

/// Zeroes the `amount` of slices along `axis` drawn from `seed`, and returns the mask of the rest.
///
/// PyTorch: `torch.nn.utils.prune.random_structured(module, name, amount, dim)`.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Axis};
/// use rarefy::prune;
///
/// let mut weights = Array2::<f32>::ones((10, 4));
/// let mask = prune::random_structured(&mut weights, 3_usize, Axis(0), 7)?;
/// assert_eq!(mask.dropped(), 3 * 4);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// As [`ln_structured`](super::ln_structured). The weights are then unchanged.
pub fn random_structured<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    amount: impl Into<Amount>,
    axis: Axis,
    seed: u64,
) -> Result<Mask> {
    RandomStructured::new(amount, axis, seed).prune(weights)
}

#[cfg(test)]
mod tests {
    use super::{random_structured, random_unstructured};
    use ndarray::{Array1, Array2, Axis};

    #[test]
    fn every_weight_and_every_slice_has_the_same_chance() {
        let mut times = Array1::<f64>::zeros(20);
        let mut rows = Array1::<f64>::zeros(20);
        for seed in 0..2000 {
            let mask = random_unstructured(&mut Array1::<f32>::ones(20), 0.25, seed).unwrap();
            let by_row =
                random_structured(&mut Array2::<f64>::ones((20, 2)), 5_usize, Axis(0), seed)
                    .unwrap();
            for (place, kept) in mask.iter().enumerate() {
                times[place] += f64::from(u8::from(!kept));
                rows[place] += f64::from(u8::from(by_row.keeps(&[place, 0]) == Some(false)));
            }
        }
        // 500 ± 5 standard deviations of √(2000 · ¼ · ¾) = 19.4.
        assert!(
            times
                .iter()
                .chain(&rows)
                .all(|count| (count - 500.0).abs() < 97.0)
        );
        assert_eq!((times.sum(), rows.sum()), (10_000.0, 10_000.0));
    }
}
