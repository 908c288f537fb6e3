//! How much of each tensor to prune, so that a model loses a given share.
//!
//! | function | who loses most |
//! |---|---|
//! | [`uniform`] | every tensor the same share |
//! | [`erk`] | large square tensors; small and thin ones keep more |
//! | [`lamp`] | tensors whose small weights are small beside their large ones |
//! | [`owl`] | tensors with few outliers among their scores |

use super::{Global, Layer};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::folds::Sum;
use crate::kernels::real::Real;
use crate::kernels::units::{Layout, Slices};
use crate::kernels::{array, extremes};
use crate::prune::{Amount, Lamp};
use crate::shape;
use ndarray::{ArrayRef, Dimension};

fn check_share(share: f64) -> Result<()> {
    Amount::Fraction(share).count(0).map(|_| ())
}

/// The same share for each of `tensors`.
///
/// # Examples
///
/// ```
/// use rarefy::prune::{Amount, allocation};
///
/// assert_eq!(allocation::uniform(2, 0.5)?, [Amount::Fraction(0.5); 2]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::AmountOutOfRange`] if the share is not in 0..=1.
pub fn uniform(tensors: usize, share: f64) -> Result<Vec<Amount>> {
    check_share(share)?;
    Ok(vec![Amount::Fraction(share); tensors])
}

/// Shares by which tensors of these shapes keep weights in proportion to the sum of their lengths.
///
/// ```text
/// density of a tensor = ε · Σ lengths / Π lengths, at most 1;   ε such that all lose `share` together
/// ```
///
/// The Erdős–Rényi kernel of Evci et al. 2020, <https://arxiv.org/abs/1911.11134>. A tensor without axes or
/// without elements keeps all it has.
///
/// # Examples
///
/// ```
/// use rarefy::prune::{Amount, allocation};
///
/// let amounts = allocation::erk(&[&[100, 100], &[10, 10]], 0.9)?;
/// let shares = amounts.iter().map(|amount| match amount {
///     Amount::Fraction(share) => *share,
///     _ => 0.0,
/// });
/// let shares: Vec<f64> = shares.collect();
/// assert!(shares[0] > 0.9 && shares[1] < 0.9);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::AmountOutOfRange`] if the share is not in 0..=1, [`Error::ShapeOverflow`] if a shape has more elements
/// than can be counted.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of weights; above 2⁵³ they do not occur"
)]
pub fn erk(shapes: &[&[usize]], share: f64) -> Result<Vec<Amount>> {
    check_share(share)?;
    let mut tensors = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let len = shape::count(shape)? as f64;
        let lengths: f64 = shape.iter().map(|&length| length as f64).sum();
        let whole = shape.is_empty() || len == 0.0;
        tensors.push((len, if whole { 0.0 } else { lengths / len }, whole));
    }
    let total: f64 = tensors.iter().map(|(len, ..)| len).sum();
    loop {
        let dense = tensors.iter().filter(|tensor| tensor.2);
        let budget = total * (1.0 - share) - dense.map(|(len, ..)| len).sum::<f64>();
        let open = tensors.iter().filter(|tensor| !tensor.2);
        let parts: f64 = open.clone().map(|(len, part, _)| len * part).sum();
        let largest = open.map(|tensor| tensor.1).fold(0.0, f64::max);
        let scale = if parts > 0.0 {
            budget.max(0.0) / parts
        } else {
            0.0
        };
        if largest > 0.0 && scale * largest > 1.0 {
            // Those that would keep more than they have keep all; the others share what is left.
            for tensor in &mut tensors {
                tensor.2 |= tensor.1 == largest;
            }
            continue;
        }
        let amount = |&(_, part, whole): &(f64, f64, bool)| {
            Amount::Fraction(if whole {
                0.0
            } else {
                (1.0 - scale * part).max(0.0)
            })
        };
        return Ok(tensors.iter().map(amount).collect());
    }
}

/// How many weights each layer loses when `amount` of all go by [`Lamp`] scores.
///
/// Lee et al. 2021, <https://arxiv.org/abs/2010.07611>. The layers' own importances are not asked.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prune::{Amount, Layer, allocation};
///
/// let (even, uneven) = (array![1.0, 1.0, 1.0, 1.0], array![0.1, 0.1, 0.1, 9.0]);
/// let layers = [Layer::new("even", &even), Layer::new("uneven", &uneven)];
/// let amounts = allocation::lamp(&layers, 3_usize)?;
/// assert_eq!(amounts, [Amount::Count(0), Amount::Count(3)]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// As [`Global::masks`], and [`Error::Infinite`] with the layer's name for a weight that is infinite.
pub fn lamp<F: Float>(layers: &[Layer<'_, F>], amount: impl Into<Amount>) -> Result<Vec<Amount>> {
    let layers: Vec<Layer<'_, F>> = layers
        .iter()
        .map(|layer| layer.clone().importance(&Lamp))
        .collect();
    let masks = Global::new(amount).masks(&layers)?.masks;
    let count = |mask: &crate::mask::Mask| Amount::Count(mask.dropped());
    Ok(masks.iter().map(count).collect())
}

/// The share of scores that are above `multiple` times their mean; 0 where there are none.
///
/// What [`owl`] takes. The scores are those of a layer, for example [`Wanda`](crate::prune::Wanda)'s.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prune::allocation;
///
/// assert_eq!(allocation::outlier_share(&array![1.0, 1.0, 1.0, 9.0], 2.0)?, 0.25);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NotANumber`] if a score is NaN, [`Error::NumberOutOfRange`] if the multiple is.
#[expect(
    clippy::cast_precision_loss,
    reason = "a share; counts above 2⁵³ do not occur"
)]
pub fn outlier_share<F: Float, D: Dimension>(
    scores: &ArrayRef<F, D>,
    multiple: f64,
) -> Result<f64> {
    if multiple.is_nan() {
        return Err(Error::NumberOutOfRange {
            what: "multiple of the mean",
            must: "a number",
            value: multiple,
        });
    }
    let flat = array::elements(scores);
    if let Some(place) = extremes::first_nan(&flat) {
        return Err(Error::NotANumber {
            what: "score",
            index: shape::index_of(place, scores.shape()),
        });
    }
    if flat.is_empty() {
        return Ok(0.0);
    }
    let whole = Slices {
        outer: 1,
        count: 1,
        inner: flat.len(),
    };
    let len = flat.len() as f64;
    let limit = whole.fold(&flat, &Sum)[0] / len * multiple;
    let above = flat.iter().filter(|score| score.widen() > limit).count();
    Ok(above as f64 / len)
}

/// Shares around `share` by which tensors with more outliers lose less.
///
/// ```text
/// u = 2λ · (outliers − least) / (most − least)      share of a tensor = share − (u − mean u)
/// ```
///
/// Yin et al. 2024, "Outlier weighed layerwise sparsity", <https://arxiv.org/abs/2310.05175>. The mean of the shares is
/// `share`: it is over tensors, not over weights. Where all have equally many outliers, all get `share`.
///
/// # Examples
///
/// ```
/// use rarefy::prune::{Amount, allocation};
///
/// let amounts = allocation::owl(&[0.0, 0.02], 0.5, 0.125)?;
/// assert_eq!(amounts, [Amount::Fraction(0.625), Amount::Fraction(0.375)]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::AmountOutOfRange`] if the share is not in 0..=1; [`Error::NumberOutOfRange`] if an outlier share is not
/// finite, or λ is negative, not finite, or so large that a share would leave 0..=1.
#[expect(
    clippy::cast_precision_loss,
    reason = "a mean; more than 2⁵³ tensors do not occur"
)]
pub fn owl(outliers: &[f64], share: f64, lambda: f64) -> Result<Vec<Amount>> {
    check_share(share)?;
    if !(lambda >= 0.0 && lambda.is_finite()) {
        return Err(Error::NumberOutOfRange {
            what: "lambda",
            must: "finite and not negative",
            value: lambda,
        });
    }
    if let Some(&value) = outliers.iter().find(|outliers| !outliers.is_finite()) {
        return Err(Error::NumberOutOfRange {
            what: "share of outliers",
            must: "finite",
            value,
        });
    }
    let least = outliers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = outliers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spread = most - least;
    let scaled = |&own: &f64| {
        if spread > 0.0 {
            (own - least) / spread * 2.0 * lambda
        } else {
            0.0
        }
    };
    let scaled: Vec<f64> = outliers.iter().map(scaled).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len().max(1) as f64;
    let shares: Vec<f64> = scaled.iter().map(|own| share - (own - mean)).collect();
    if shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
        return Err(Error::NumberOutOfRange {
            what: "lambda",
            must: "so small that every share stays in 0..=1",
            value: lambda,
        });
    }
    Ok(shares.into_iter().map(Amount::Fraction).collect())
}
