//! Makes scores of different tensors comparable.

use crate::kernels::ranked::{NanPlace, UnitKeys};
use crate::kernels::sort;
use crate::prune::importance::shares;

/// How the scores of a tensor's slices are made comparable with those of other tensors.
///
/// Torch-Pruning's normalisers, without the small number that it adds to some divisors: where a divisor is 0 or
/// infinite, all scores of the tensor are 0 instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Normaliser {
    /// As they are. The default.
    #[default]
    Unchanged,
    /// s / mean
    Mean,
    /// s / largest
    Max,
    /// s / sum
    Sum,
    /// (s − smallest) / (largest − smallest)
    Standardise,
    /// (s − mean) / standard deviation, with n − 1 in its divisor
    Gaussian,
    /// s / the sum of all scores that are no lower: the largest becomes 1
    Lamp,
}

impl Normaliser {
    /// Normalises the scores that are numbers by one another; NaN stays NaN, for the rule to place.
    pub(super) fn apply(self, scores: &mut [f64]) {
        let number = |score: &&f64| !score.is_nan();
        let mut numbers: Vec<f64> = scores.iter().filter(number).copied().collect();
        self.apply_to_numbers(&mut numbers);
        let places = scores.iter_mut().filter(|score| !score.is_nan());
        for (score, normalised) in places.zip(numbers) {
            *score = normalised;
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean; more than 2⁵³ slices do not occur"
    )]
    fn apply_to_numbers(self, scores: &mut [f64]) {
        let len = scores.len() as f64;
        let sum: f64 = scores.iter().sum();
        let extreme =
            |start: f64, better: fn(f64, f64) -> f64| scores.iter().copied().fold(start, better);
        let (least, most) = (
            extreme(f64::INFINITY, f64::min),
            extreme(f64::NEG_INFINITY, f64::max),
        );
        let mean = sum / len;
        let (from, divisor) = match self {
            Self::Unchanged => return,
            Self::Lamp => {
                let zeros = vec![false; scores.len()];
                let keys = UnitKeys::new(scores, &zeros, NanPlace::Highest);
                let order = sort::ascending(&keys);
                shares(scores, &order);
                return;
            }
            Self::Mean => (0.0, mean),
            Self::Max => (0.0, most),
            Self::Sum => (0.0, sum),
            Self::Standardise => (least, most - least),
            Self::Gaussian => {
                let squares: f64 = scores.iter().map(|s| (s - mean) * (s - mean)).sum();
                (mean, (squares / (len - 1.0)).sqrt())
            }
        };
        let usable = divisor != 0.0 && divisor.is_finite();
        for score in scores {
            *score = if usable {
                (*score - from) / divisor
            } else {
                0.0
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Normaliser;

    #[test]
    fn each_is_its_formula() {
        let cases = [
            (Normaliser::Unchanged, [1.0, 4.0, 3.0]),
            (Normaliser::Mean, [0.375, 1.5, 1.125]),
            (Normaliser::Max, [0.25, 1.0, 0.75]),
            (Normaliser::Sum, [0.125, 0.5, 0.375]),
            (Normaliser::Standardise, [0.0, 1.0, 2.0 / 3.0]),
            (
                Normaliser::Gaussian,
                [-1.0910894511799618, 0.8728715609439694, 0.2182178902359924],
            ),
            (Normaliser::Lamp, [0.125, 1.0, 3.0 / 7.0]),
        ];
        for (normaliser, right) in cases {
            let mut scores = [1.0, 4.0, 3.0];
            normaliser.apply(&mut scores);
            let near = scores.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-14);
            assert!(near, "{normaliser:?}: {scores:?}");
        }
    }

    #[test]
    fn divisors_that_are_no_use_give_zeros() {
        for (normaliser, scores) in [
            (Normaliser::Mean, vec![0.0, 0.0]),
            (Normaliser::Standardise, vec![2.0, 2.0]),
            (Normaliser::Gaussian, vec![3.0]),
            (Normaliser::Sum, vec![f64::INFINITY, 1.0]),
            (Normaliser::Lamp, vec![0.0, 0.0]),
        ] {
            let mut after = scores.clone();
            normaliser.apply(&mut after);
            assert!(after.iter().all(|&score| score == 0.0), "{normaliser:?}");
        }
    }

    #[test]
    fn what_is_no_number_changes_nothing_else() {
        for normaliser in [Normaliser::Mean, Normaliser::Gaussian, Normaliser::Lamp] {
            let mut scores = [1.0, f64::NAN, 4.0, 3.0];
            let mut right = [1.0, 4.0, 3.0];
            normaliser.apply(&mut scores);
            normaliser.apply(&mut right);
            assert!(scores[1].is_nan(), "{normaliser:?}");
            assert_eq!([scores[0], scores[2], scores[3]], right, "{normaliser:?}");
        }
    }
}
