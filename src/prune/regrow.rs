//! Moves connections: the weakest weights go, as many others grow in their place.
//!
//! ```text
//! k = round_half_even(amount · kept)
//! ```
//!
//! The k kept weights of the lowest magnitude go. Of all that are not kept then, those that just went
//! among them, k grow: those with the largest |gradient| (RigL: Evci et al. 2020,
//! <https://arxiv.org/abs/1911.11134>), or random ones (SET: Mocanu et al. 2018,
//! <https://arxiv.org/abs/1707.04780>). How many are kept stays as it was.

use super::Amount;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::gather::{gather, scatter};
use crate::kernels::real::Sealed;
use crate::kernels::select::{self, Magnitudes};
use crate::kernels::stream;
use crate::kernels::{array, bits, extremes};
use crate::mask::Mask;
use crate::shape;
use ndarray::{ArrayRef, Dimension};

/// What moved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Regrown {
    /// Which weights stay from now on; as many as before.
    pub mask: Mask,
    /// Those that grew: kept now and not before. They start at +0.
    pub grown: Mask,
    /// Those that went: kept before and not now.
    pub dropped: Mask,
}

impl Regrown {
    /// What was kept before and is now: apply it to the moments of an optimiser, which know nothing of
    /// weights that have just grown.
    ///
    /// # Errors
    ///
    /// None: the masks have one shape.
    pub fn survivors(&self) -> Result<Mask> {
        self.mask.and_not(&self.grown)
    }
}

/// Drops the weakest share of the kept weights and grows as many where the gradient is largest: RigL.
///
/// `gradient` is that of the dense network: of the weights that are dropped too. A weight that goes
/// and grows again at once keeps its value; one that grows from nothing starts at +0. Among equal
/// magnitudes the lower index counts as the lower, in both halves.
///
/// The paper drops α/2 · (1 + cos(π t / T)) of the weights at step t, which is
/// [`schedule::Cosine`](crate::schedule::Cosine) from α to 0.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::{Mask, prune};
///
/// let mask = Mask::from_array(&array![true, true, true, false, false]);
/// let mut weights = array![3.0_f32, 0.1, 2.0, 0.0, 0.0];
/// let gradient = array![0.0_f32, 0.0, 0.0, 0.2, -0.9];
/// let regrown = prune::regrow_by_gradient(&mut weights, &mask, &gradient, 1_usize)?;
/// assert_eq!(weights, array![3.0, 0.0, 2.0, 0.0, 0.0]);
/// assert_eq!(regrown.mask, Mask::from_array(&array![true, false, true, false, true]));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::ShapeMismatch`] if the shapes differ; [`Error::AmountOutOfRange`] or
/// [`Error::CountOutOfRange`] if the amount does not fit the kept weights; [`Error::NotANumber`] if a
/// kept weight, or the gradient where something could grow, is NaN. The weights are then unchanged.
pub fn regrow_by_gradient<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    mask: &Mask,
    gradient: &ArrayRef<F, D>,
    amount: impl Into<Amount>,
) -> Result<Regrown> {
    shape::check_same("mask", mask.shape(), "gradient", gradient.shape())?;
    regrow(weights, mask, amount.into(), |free| {
        let candidates = gather(free.words(), &array::elements(gradient));
        check_numbers("gradient", &candidates, free)?;
        Ok(candidates)
    })
}

/// Drops the weakest share of the kept weights and grows as many at random: SET, sparse evolutionary
/// training.
///
/// The random numbers are a function of the seed and the place in the tensor: the same on every
/// machine, for any number of threads. Give each tensor and each time another seed.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use rarefy::{Mask, prune};
///
/// let mask = Mask::from_fn((8, 8), |(i, j)| (i + j) % 2 == 0)?;
/// let mut weights = Array2::from_shape_fn((8, 8), |(i, j)| (i * 8 + j) as f64);
/// mask.apply(&mut weights)?;
/// let regrown = prune::regrow_at_random(&mut weights, &mask, 0.25, 7)?;
/// assert_eq!(regrown.mask.kept(), 32);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::ShapeMismatch`] if the shapes differ; [`Error::AmountOutOfRange`] or
/// [`Error::CountOutOfRange`] if the amount does not fit the kept weights; [`Error::NotANumber`] if a
/// kept weight is NaN. The weights are then unchanged.
pub fn regrow_at_random<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    mask: &Mask,
    amount: impl Into<Amount>,
    seed: u64,
) -> Result<Regrown> {
    regrow(weights, mask, amount.into(), |free| {
        let mut scores = Vec::with_capacity(free.kept());
        bits::for_each_one(free.words(), |place| {
            scores.push(stream::uniform::<f64>(seed, place as u64));
        });
        Ok(scores)
    })
}

/// The half that both share; `scores_of` scores the places where something could grow, in order.
fn regrow<F: Float, D: Dimension, S: Sealed>(
    weights: &mut ArrayRef<F, D>,
    mask: &Mask,
    amount: Amount,
    scores_of: impl FnOnce(&Mask) -> Result<Vec<S>>,
) -> Result<Regrown> {
    shape::check_same("mask", mask.shape(), "weights", weights.shape())?;
    let alive = gather(mask.words(), &array::elements(weights));
    check_numbers("weight", &alive, mask)?;
    let count = amount.count(alive.len())?;
    let of_words = |words| Mask::from_words(mask.shape(), mask.len(), words);
    let strong = select::keep_highest(&Magnitudes(&alive), count);
    let stay = of_words(scatter(mask.words(), &strong));
    let free = stay.not();
    let scores = scores_of(&free)?;
    let picked = select::keep_highest(&Magnitudes(&scores), scores.len() - count);
    let grow = of_words(scatter(free.words(), &picked));
    let new = stay.or(&grow)?;
    let regrown = Regrown {
        grown: new.and_not(mask)?,
        dropped: mask.and_not(&new)?,
        mask: new,
    };
    regrown.survivors()?.apply(weights)?;
    Ok(regrown)
}

fn check_numbers<F: Float>(what: &'static str, values: &[F], of: &Mask) -> Result<()> {
    let Some(number) = extremes::first_nan(values) else {
        return Ok(());
    };
    let place = bits::nth_one(of.words(), number);
    Err(Error::NotANumber {
        what,
        index: shape::index_of(place, of.shape()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Regrown, regrow_at_random, regrow_by_gradient};
    use crate::prune::Amount;
    use crate::{Error, Mask};
    use ndarray::{Array2, array};

    const SHAPE: (usize, usize) = (23, 31);

    fn noise(salt: usize) -> Array2<f32> {
        // Few levels, so that there are ties.
        Array2::from_shape_fn(SHAPE, |(i, j)| {
            ((i * 131 + j * 37 + salt * 17) * 2_654_435 % 41) as f32 - 20.0
        })
    }

    /// The obvious twin, by two stable sorts.
    fn slow(weights: &Array2<f32>, mask: &Mask, scores: &[f64], count: usize) -> Vec<bool> {
        let flat: Vec<f32> = weights.iter().copied().collect();
        let mut kept: Vec<bool> = mask.iter().collect();
        let mut alive: Vec<usize> = (0..kept.len()).filter(|&place| kept[place]).collect();
        alive.sort_by(|&a, &b| flat[a].abs().total_cmp(&flat[b].abs()));
        for &place in &alive[..count] {
            kept[place] = false;
        }
        let mut free: Vec<usize> = (0..kept.len()).filter(|&place| !kept[place]).collect();
        free.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        for &place in &free[free.len() - count..] {
            kept[place] = true;
        }
        kept
    }

    fn check(before: &Array2<f32>, after: &Array2<f32>, old: &Mask, regrown: &Regrown) {
        assert_eq!(regrown.mask.kept(), old.kept());
        assert_eq!(regrown.grown.kept(), regrown.dropped.kept());
        assert_eq!(regrown.grown, regrown.mask.and_not(old).unwrap());
        let survivors = regrown.survivors().unwrap();
        assert_eq!(survivors, regrown.mask.and(old).unwrap());
        for ((after, before), kept) in after.iter().zip(before).zip(survivors.iter()) {
            let right = if kept { *before } else { 0.0 };
            assert_eq!(after.to_bits(), right.to_bits());
        }
    }

    #[test]
    fn the_weakest_go_and_the_largest_gradients_grow() {
        let (weights, gradient) = (noise(1), noise(2));
        let scores: Vec<f64> = gradient.iter().map(|g| f64::from(g.abs())).collect();
        for modulus in [1, 2, 5] {
            let mask = Mask::from_fn(SHAPE, |(i, j)| (i + j) % modulus == 0).unwrap();
            for amount in [0.0, 0.2, 0.5, 1.0] {
                let mut after = weights.clone();
                let regrown = regrow_by_gradient(&mut after, &mask, &gradient, amount).unwrap();
                check(&weights, &after, &mask, &regrown);
                let count = Amount::from(amount).count(mask.kept()).unwrap();
                let right = slow(&weights, &mask, &scores, count);
                assert_eq!(regrown.mask.iter().collect::<Vec<_>>(), right);
            }
        }
    }

    #[test]
    fn random_growth_is_a_function_of_the_seed() {
        let weights = noise(3);
        let mask = Mask::from_fn(SHAPE, |(i, j)| i * j % 4 == 1).unwrap();
        let run = |seed| {
            let mut after = weights.clone();
            let regrown = regrow_at_random(&mut after, &mask, 0.3, seed).unwrap();
            check(&weights, &after, &mask, &regrown);
            regrown.mask
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let scores: Vec<f64> = (0..mask.len() as u64)
            .map(|place| crate::kernels::stream::uniform::<f64>(1, place))
            .collect();
        let count = Amount::from(0.3).count(mask.kept()).unwrap();
        let right = slow(&weights, &mask, &scores, count);
        assert_eq!(run(1).iter().collect::<Vec<_>>(), right);
    }

    #[test]
    fn bad_input_changes_nothing() {
        let mask = Mask::from_array(&array![true, true, false]);
        let mut weights = array![1.0, 2.0, 0.0];
        let gradient = array![f64::NAN, 0.0, f64::NAN];
        // The first is not free, so its gradient is not looked at.
        let error = regrow_by_gradient(&mut weights, &mask, &gradient, 0.0).unwrap_err();
        assert_eq!(error.to_string(), "gradient [2] is NaN");
        let error = regrow_by_gradient(&mut weights, &mask, &array![0.0, 0.0], 0.5).unwrap_err();
        assert_eq!(error.to_string(), "shapes differ: mask [3], gradient [2]");
        let error = regrow_at_random(&mut weights, &mask, 3_usize, 0).unwrap_err();
        assert!(matches!(error, Error::CountOutOfRange { count: 3, len: 2 }));
        assert_eq!(weights, array![1.0, 2.0, 0.0]);
        weights[1] = f64::NAN;
        let error = regrow_at_random(&mut weights, &mask, 0.5, 0).unwrap_err();
        assert_eq!(error.to_string(), "weight [1] is NaN");
    }
}
