//! Scores weights by their share of what would be left beside them.
//!
//! ```text
//! score of w = w² / Σ v² over all v that come no earlier than w when sorted by magnitude
//! ```
//!
//! So the largest weight of each tensor has score 1, and tensors can be compared: the layer-adaptive
//! magnitude of Lee et al. 2021, <https://arxiv.org/abs/2010.07611>.

use super::Importance;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::kernels::select::Magnitudes;
use crate::kernels::{array, finite, sort};
use crate::shape;
use ndarray::{ArrayD, ArrayRefD, IxDyn};

/// Scores weights by their square, as a share of the squares of all that are no smaller.
///
/// Within one tensor it ranks as [`Magnitude`](super::Magnitude) does; it is meant for
/// [`Global`](crate::prune::Global) pruning of several. Equal magnitudes come in order of index. A tensor
/// of zeros has scores 0.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::Lamp;
///
/// let scores = Lamp.scores(&array![1.0_f64, 2.0, -2.0].into_dyn())?;
/// assert_eq!(scores, array![1.0 / 9.0, 4.0 / 8.0, 1.0].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NotANumber`] or [`Error::Infinite`] if a weight is not finite: it has no share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lamp;

/// Each square as a share of those that come no earlier, in f64.
pub(crate) fn shares(squares: &mut [f64], ascending: &[usize]) {
    let mut rest = 0.0;
    for &place in ascending.iter().rev() {
        rest += squares[place];
        squares[place] = if rest > 0.0 {
            squares[place] / rest
        } else {
            0.0
        };
    }
}

impl<F: Float> Importance<F> for Lamp {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        if let Some(place) = finite::first_not_finite(weights) {
            let index = shape::index_of(place, weights.shape());
            let value = weights[IxDyn(&index)].widen();
            return Err(Error::not_finite("weight", index, value));
        }
        let flat = array::elements(weights);
        let places = sort::ascending(&Magnitudes(&flat));
        let largest = places
            .last()
            .map_or(0.0, |&place| flat[place].widen().abs());
        // Squares of an f64 may leave its range; relative to the largest they do not.
        let scale = if (1e-100..=1e100).contains(&largest) || largest == 0.0 {
            1.0
        } else {
            largest
        };
        let mut squares: Vec<f64> = flat
            .iter()
            .map(|weight| (weight.widen() / scale) * (weight.widen() / scale))
            .collect();
        shares(&mut squares, &places);
        let mut squares = squares.into_iter();
        Ok(ArrayD::from_shape_simple_fn(IxDyn(weights.shape()), || {
            F::cast(squares.next().unwrap_or(0.0))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::Lamp;
    use crate::prune::Importance;
    use ndarray::{Array1, array};

    #[test]
    fn scores_are_the_formula() {
        let weights = Array1::from_iter((0..500).map(|i| f64::from(i * 7919 % 211) - 100.0));
        let scores = Lamp.scores(&weights.clone().into_dyn()).unwrap();
        for (i, (w, score)) in weights.iter().zip(&scores).enumerate() {
            let later = |&(j, v): &(usize, &f64)| v.abs() > w.abs() || v.abs() == w.abs() && j >= i;
            let rest: f64 = weights
                .iter()
                .enumerate()
                .filter(later)
                .map(|(_, v)| v * v)
                .sum();
            assert!((score - w * w / rest).abs() <= 1e-14, "{i}");
        }
    }

    #[test]
    fn the_range_of_f64_is_no_limit() {
        for scale in [1e-300, 1e-160, 1e160, 1e300] {
            let weights = array![1.0 * scale, 2.0 * scale, -2.0 * scale].into_dyn();
            let scores = Lamp.scores(&weights).unwrap();
            let right = [1.0 / 9.0, 0.5, 1.0_f64];
            assert!(
                scores
                    .iter()
                    .zip(right)
                    .all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-12)
            );
        }
        let zeros = array![0.0_f32, -0.0].into_dyn();
        assert_eq!(Lamp.scores(&zeros).unwrap(), array![0.0, 0.0].into_dyn());
        let error = Lamp
            .scores(&array![1.0, f32::INFINITY].into_dyn())
            .unwrap_err();
        assert_eq!(error.to_string(), "weight [1] is inf, must be finite");
    }
}
