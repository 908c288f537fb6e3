//! Prunes so that of every M neighbours along an axis N stay: N:M.
//!
//! ```text
//! groups 0..M, M..2M, ... along the axis; in each the N highest scores stay
//! a shorter last group of r neighbours keeps ⌈r · N / M⌉
//! ```
//!
//! Two of four is what sparse tensor cores take (Mishra et al. 2021, <https://arxiv.org/abs/2104.08378>).

use super::scored::Scored;
use super::structured::slices;
use super::{Importance, Magnitude, NanRule, Pruner, PrunerExt};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::n_of_m::{self, FirstToGo};
use crate::mask::Mask;
use ndarray::{ArrayRef, ArrayRefD, Axis, Dimension};

/// Which of equal scores in a group go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Search {
    /// The lowest score goes, then the next; of equal ones the lower index first, as in every other pattern.
    /// The default.
    #[default]
    Greedy,
    /// Of all ways to keep N of M, the one with the largest sum of scores; of equal sums the first, in the order in
    /// which keeping a lower index comes first.
    ///
    /// The sums count as exact. The best are then the N highest scores, so no pattern needs to be
    /// tried: among equal scores the higher index goes.
    BestPattern,
}

/// Keeps N of every M neighbours along an axis: those that matter most.
///
/// | setting | default | meaning | range |
/// |---|---|---|---|
/// | `importance` | | what weights are ranked by | any [`Importance`] |
/// | `keep` | | N, how many of a group stay | at most M |
/// | `of` | | M, how many neighbours make a group | at least 1 |
/// | `axis` | | along which axis they are neighbours: that of the inputs, for a product | an axis of the tensor |
/// | [`search`](Self::search) | greedy | which of equal scores go | |
/// | [`nan`](Self::nan) | an error | where NaN stands | |
///
/// Weights that are zero already go before all others. Some write the zeros first: their 2:4 is this one too,
/// their 1:4 is 3 of 4 here.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prelude::*;
/// use rarefy::prune::{Magnitude, SemiStructured};
///
/// let mut weights = array![[4.0, 1.0, -3.0, 2.0, 9.0, 8.0]];
/// SemiStructured::new(Magnitude, 2, 4, Axis(1)).prune(&mut weights)?;
/// assert_eq!(weights, array![[4.0, 0.0, -3.0, 0.0, 9.0, 0.0]]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::NumberOutOfRange`]: `of` is 0, or `keep` above it.
/// * [`Error::AxisOutOfRange`]: the tensor has no such axis.
/// * [`Error::NotANumber`]: a weight or a score is NaN.
/// * [`Error::ShapeMismatch`], and whatever the importance fails with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SemiStructured<I> {
    importance: I,
    keep: usize,
    of: usize,
    axis: Axis,
    search: Search,
    nan: NanRule,
}

impl<I> SemiStructured<I> {
    /// Keeps `keep` of every `of` neighbours along `axis` by `importance`.
    pub fn new(importance: I, keep: usize, of: usize, axis: Axis) -> Self {
        Self {
            importance,
            keep,
            of,
            axis,
            search: Search::Greedy,
            nan: NanRule::Error,
        }
    }

    /// Decides between equal scores in this way.
    #[must_use]
    pub fn search(mut self, search: Search) -> Self {
        self.search = search;
        self
    }

    /// Places NaN by this rule.
    #[must_use]
    pub fn nan(mut self, rule: NanRule) -> Self {
        self.nan = rule;
        self
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a number for a message; lengths above 2⁵³ do not occur"
)]
pub(crate) fn check_group(keep: usize, of: usize) -> Result<()> {
    if of == 0 {
        return Err(Error::NumberOutOfRange {
            what: "length of a group",
            must: "at least 1",
            value: 0.0,
        });
    }
    if keep > of {
        return Err(Error::NumberOutOfRange {
            what: "number of weights kept of a group",
            must: "at most its length",
            value: keep as f64,
        });
    }
    Ok(())
}

impl<F: Float, I: Importance<F>> Pruner<F> for SemiStructured<I> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        check_group(self.keep, self.of)?;
        let lanes = slices(weights.shape(), self.axis, 1)?;
        let scored = Scored::new(weights, &self.importance)?;
        let first = match self.search {
            Search::Greedy => FirstToGo::Lower,
            Search::BestPattern => FirstToGo::Higher,
        };
        let (keep, of) = (self.keep, self.of);
        let words = if scored.by_magnitude() && self.nan == NanRule::Error {
            // Looks for NaN on the way.
            match n_of_m::keep_largest_n_of_m(&scored.weights, lanes, keep, of, first) {
                Ok(words) => words,
                Err(place) => return Err(scored.not_a_number("weight", place)),
            }
        } else {
            scored.check(self.nan)?;
            n_of_m::keep_n_of_m(&scored.keys(self.nan), lanes, keep, of, first)
        };
        Ok(Mask::from_words(weights.shape(), weights.len(), words))
    }
}

/// Zeroes all but the `keep` largest magnitudes of every `of` neighbours along `axis`, and returns the mask of
/// the rest.
///
/// # Examples
///
/// ```
/// use ndarray::{Axis, array};
/// use rarefy::prune;
///
/// let mut weights = array![[4.0, 1.0, -3.0, 2.0]];
/// let mask = prune::semi_structured(&mut weights, 2, 4, Axis(1))?;
/// assert_eq!(weights, array![[4.0, 0.0, -3.0, 0.0]]);
/// assert_eq!(mask.sparsity(), 0.5);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// As [`SemiStructured`]. The weights are then unchanged.
pub fn semi_structured<F: Float, D: Dimension>(
    weights: &mut ArrayRef<F, D>,
    keep: usize,
    of: usize,
    axis: Axis,
) -> Result<Mask> {
    SemiStructured::new(Magnitude, keep, of, axis).prune(weights)
}

#[cfg(test)]
mod tests {
    use super::{Search, SemiStructured, semi_structured};
    use crate::prune::{GivenScores, Magnitude, PrunerExt};
    use ndarray::{Array2, Axis, array};

    /// Sums of scores of all ways to keep `keep` of `scores`, in the order that the docs name.
    fn best_pattern(scores: &[f64], keep: usize) -> Vec<bool> {
        let mut best: Option<(f64, Vec<bool>)> = None;
        for code in (0..1_u32 << scores.len()).rev() {
            let kept: Vec<bool> = (0..scores.len())
                .map(|i| code >> (scores.len() - 1 - i) & 1 == 1)
                .collect();
            if kept.iter().filter(|&&kept| kept).count() != keep {
                continue;
            }
            let sum = scores.iter().zip(&kept).filter(|(_, kept)| **kept);
            let sum = sum.map(|(score, _)| score).sum();
            if best.as_ref().is_none_or(|(most, _)| sum > *most) {
                best = Some((sum, kept));
            }
        }
        best.map_or(Vec::new(), |(_, kept)| kept)
    }

    #[test]
    fn the_best_pattern_is_the_first_of_the_largest_sums() {
        // Small integers, so that sums are exact and ties are many.
        let scores = Array2::from_shape_fn((40, 6), |(i, j)| {
            f64::from(u8::try_from((i * 7 + j * 5 + i * j) % 4).unwrap()) - 1.0
        });
        let weights = Array2::<f64>::ones((40, 6));
        for keep in 0..=6 {
            let pruner = SemiStructured::new(GivenScores::new(&scores), keep, 6, Axis(1));
            let mask = pruner.search(Search::BestPattern).mask(&weights).unwrap();
            for (row, scores) in scores.rows().into_iter().enumerate() {
                let right = best_pattern(scores.as_slice().unwrap(), keep);
                let ours: Vec<bool> = (0..6).map(|j| mask.keeps(&[row, j]).unwrap()).collect();
                assert_eq!(ours, right, "row {row}, {keep} of 6");
            }
        }
    }

    #[test]
    fn groups_run_along_the_axis() {
        let weights = Array2::from_shape_fn((6, 5), |(i, j)| {
            f64::from(u8::try_from((i * 11 + j * 7) % 30).unwrap()) - 14.5
        });
        let down = SemiStructured::new(Magnitude, 1, 4, Axis(0))
            .mask(&weights)
            .unwrap();
        let across = SemiStructured::new(Magnitude, 1, 4, Axis(1))
            .mask(&weights.t())
            .unwrap();
        assert_eq!(down.to_array().reversed_axes(), across.to_array());
        assert_eq!(down.kept(), 2 * 5);
    }

    #[test]
    fn groups_out_of_range_say_so() {
        let mut weights = array![[1.0_f32, 2.0]];
        let mut error = |keep, of, axis| {
            let result = semi_structured(&mut weights, keep, of, Axis(axis));
            result.unwrap_err().to_string()
        };
        assert_eq!(
            error(1, 0, 1),
            "length of a group must be at least 1, got 0"
        );
        assert_eq!(
            error(5, 4, 1),
            "number of weights kept of a group must be at most its length, got 5"
        );
        assert_eq!(
            error(2, 4, 2),
            "axis 2 does not exist, the array has 2 axes"
        );
    }
}
