//! Weights and where their scores come from, ready to be ranked.

use super::{Elementwise, Importance, NanRule, Rules, TieRule};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::factors::Products;
use crate::kernels::gather::gather;
use crate::kernels::ranked::{Ranked, Source, UnitKeys};
use crate::kernels::select::{self, Keys, Magnitudes, Scores};
use crate::kernels::{above, array, bits, extremes, runs, ties};
use crate::mask::Mask;
use crate::shape;
use ndarray::{ArrayD, ArrayRefD, ArrayViewD, IxDyn};
use std::borrow::Cow;
use std::ops::Range;

/// The weights of a tensor in row-major order, with their scores.
pub(super) struct Scored<'a, F: Clone> {
    pub(super) shape: Vec<usize>,
    pub(super) weights: Cow<'a, [F]>,
    scores: Held<'a, F>,
}

enum Held<'a, F: Clone> {
    Magnitude,
    Given(Cow<'a, [F]>),
    Product(Cow<'a, [F]>),
    Random { seed: u64, start: usize },
}

impl<'a, F: Float> Scored<'a, F> {
    /// Asks `importance` for the scores of `weights`.
    pub(super) fn new<I: Importance<F> + ?Sized>(
        weights: &'a ArrayRefD<F>,
        importance: &'a I,
    ) -> Result<Self> {
        let same = |scores: &ArrayRefD<F>| {
            shape::check_same("weights", weights.shape(), "scores", scores.shape())
        };
        let scores = match importance.elementwise() {
            Some(Elementwise::Magnitude) => Held::Magnitude,
            Some(Elementwise::Given(scores)) => {
                same(scores)?;
                Held::Given(array::elements(scores))
            }
            Some(Elementwise::Product(factors)) => {
                shape::check_same("weights", weights.shape(), "factors", factors.shape())?;
                Held::Product(array::elements(factors))
            }
            Some(Elementwise::Random(seed)) => Held::Random { seed, start: 0 },
            None => {
                let scores = importance.scores(weights)?;
                same(&scores)?;
                Held::Given(Cow::Owned(array::elements(&scores).into_owned()))
            }
        };
        Ok(Self {
            shape: weights.shape().to_vec(),
            weights: array::elements(weights),
            scores,
        })
    }

    fn source(&self) -> Source<'_, F> {
        match &self.scores {
            Held::Magnitude => Source::Magnitude,
            Held::Given(scores) => Source::Given(scores),
            Held::Product(factors) => Source::Product(factors),
            Held::Random { seed, start } => Source::Random {
                seed: *seed,
                start: *start,
            },
        }
    }

    /// Whether the scores are the weights' magnitudes.
    pub(super) fn by_magnitude(&self) -> bool {
        matches!(self.scores, Held::Magnitude)
    }

    /// The scores as they are, but the weights where the scores are their magnitudes.
    pub(super) fn values(&self) -> Cow<'_, [F]> {
        match &self.scores {
            Held::Magnitude => Cow::Borrowed(&self.weights),
            Held::Given(scores) => Cow::Borrowed(scores),
            Held::Product(_) | Held::Random { .. } => {
                let source = self.source();
                let score = |(index, &weight)| source.score(weight, index);
                Cow::Owned(self.weights.iter().enumerate().map(score).collect())
            }
        }
    }

    /// Keys that any two tensors have in common.
    pub(super) fn keys(&self, nan: NanRule) -> Ranked<'_, F> {
        Ranked::new(&self.weights, self.source(), nan.place())
    }

    /// Fails at the first NaN, unless the rule has a place for it.
    pub(super) fn check(&self, nan: NanRule) -> Result<()> {
        if nan != NanRule::Error {
            return Ok(());
        }
        self.check_numbers("weight", extremes::first_nan(&self.weights))?;
        let first = match &self.scores {
            Held::Magnitude | Held::Random { .. } => None,
            Held::Given(scores) => extremes::first_nan(scores),
            Held::Product(_) => self.keys(nan).first_nan_score(),
        };
        self.check_numbers("score", first)
    }

    fn check_numbers(&self, what: &'static str, first: Option<usize>) -> Result<()> {
        first.map_or(Ok(()), |place| Err(self.not_a_number(what, place)))
    }

    /// The error for a NaN at `place`.
    pub(super) fn not_a_number(&self, what: &'static str, place: usize) -> Error {
        Error::NotANumber {
            what,
            index: shape::index_of(place, &self.shape),
        }
    }

    /// The same weights and scores in the order that `order` gives.
    pub(super) fn reordered(
        &self,
        order: &impl Fn(&ArrayRefD<F>) -> ArrayD<F>,
    ) -> Scored<'static, F> {
        let reordered = |values: &[F]| {
            let shape = IxDyn(&self.shape);
            let array = ArrayViewD::from_shape(shape, values).map(|view| order(&view));
            // The values are as many as the shape says, always.
            Cow::Owned(array.map_or_else(
                |_| values.to_vec(),
                |array| array.into_raw_vec_and_offset().0,
            ))
        };
        Scored {
            shape: self.shape.clone(),
            weights: reordered(&self.weights),
            scores: match &self.scores {
                Held::Magnitude => Held::Magnitude,
                _ => Held::Given(reordered(&self.values())),
            },
        }
    }

    /// The weights that a mask keeps, in order, and their scores.
    pub(super) fn alive(&self, left: &Mask) -> Scored<'static, F> {
        let gather = |values: &[F]| gather(left.words(), values);
        let weights = gather(&self.weights);
        Scored {
            shape: vec![weights.len()],
            weights: Cow::Owned(weights),
            scores: match &self.scores {
                Held::Magnitude => Held::Magnitude,
                _ => Held::Given(Cow::Owned(gather(&self.values()))),
            },
        }
    }

    /// [`check`](Self::check) for what a mask kept: the index is that of the whole tensor.
    pub(super) fn check_in(&self, nan: NanRule, left: &Mask) -> Result<()> {
        self.check(nan).map_err(|error| match error {
            Error::NotANumber { what, index } => Error::NotANumber {
                what,
                index: shape::index_of(bits::nth_one(left.words(), index[0]), left.shape()),
            },
            other => other,
        })
    }

    /// The weights of this range of places, and their scores.
    pub(super) fn part(&self, range: Range<usize>) -> Scored<'_, F> {
        let scores = match &self.scores {
            Held::Magnitude => Held::Magnitude,
            Held::Given(scores) => Held::Given(Cow::Borrowed(&scores[range.clone()])),
            Held::Product(factors) => Held::Product(Cow::Borrowed(&factors[range.clone()])),
            Held::Random { seed, start } => Held::Random {
                seed: *seed,
                start: start + range.start,
            },
        };
        Scored {
            shape: vec![range.len()],
            weights: Cow::Borrowed(&self.weights[range]),
            scores,
        }
    }

    /// Mask bits of the weights whose score is above the threshold, compared in f64.
    pub(super) fn above(&self, threshold: f64) -> Vec<u64> {
        above::keep_above(&self.weights, self.source(), threshold)
    }

    /// [`keep`](Self::keep), after [`check`](Self::check).
    pub(super) fn checked_keep(&self, drop: usize, rules: Rules) -> Result<Vec<u64>> {
        if rules.nan == NanRule::Error {
            // The selection reads all weights anyway, and NaN has the largest key.
            let words = match &self.scores {
                Held::Magnitude => {
                    keep_below(&Magnitudes(&self.weights), drop, rules.ties, F::INFINITE)
                }
                Held::Product(factors) => {
                    let keys = Products::new(&self.weights, factors);
                    keep_below(&keys, drop, rules.ties, Products::<F>::limit())
                }
                Held::Given(_) | Held::Random { .. } => None,
            };
            if let Some(words) = words {
                return Ok(words);
            }
        }
        self.check(rules.nan)?;
        Ok(self.keep(drop, rules))
    }

    /// Mask bits of what stays when `drop` of the weights go.
    pub(super) fn keep(&self, drop: usize, rules: Rules) -> Vec<u64> {
        // The plain rankings have no place for NaN.
        match &self.scores {
            Held::Magnitude if rules.nan == NanRule::Error => {
                keep(&Magnitudes(&self.weights), drop, rules.ties)
            }
            Held::Given(scores) if rules.nan == NanRule::Error => {
                keep(&Scores::new(&self.weights, scores), drop, rules.ties)
            }
            Held::Product(factors) if rules.nan == NanRule::Error => {
                keep(&Products::new(&self.weights, factors), drop, rules.ties)
            }
            _ => keep(&self.keys(rules.nan), drop, rules.ties),
        }
    }
}

/// Mask bits of what stays when `drop` go.
pub(super) fn keep<K: Keys>(keys: &K, drop: usize, rule: TieRule) -> Vec<u64> {
    tied(keys, select::keep_highest(keys, drop), rule)
}

/// [`keep`], or nothing if a key is above `limit`.
fn keep_below<K: Keys>(keys: &K, drop: usize, rule: TieRule, limit: K::Key) -> Option<Vec<u64>> {
    let words = select::keep_highest_below(keys, drop, limit)?;
    Some(tied(keys, words, rule))
}

/// Mask bits of an exact count, with ties decided by the rule.
pub(super) fn tied<K: Keys>(keys: &K, words: Vec<u64>, rule: TieRule) -> Vec<u64> {
    match rule {
        TieRule::ExactByIndex => words,
        TieRule::AllTied => ties::drop_all_tied(keys, words),
        TieRule::NoneTied => ties::keep_all_tied(keys, words),
    }
}

/// The scores of units, and which of them hold nothing but zeros.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnitScores {
    pub(super) scores: Vec<f64>,
    pub(super) zeros: Vec<bool>,
}

impl UnitScores {
    pub(super) fn keys(&self, nan: NanRule) -> UnitKeys<'_> {
        UnitKeys::new(&self.scores, &self.zeros, nan.place())
    }

    /// Fails at the first unit whose score is NaN, unless the rule has a place for it.
    pub(super) fn check(&self, what: &'static str, nan: NanRule) -> Result<()> {
        let first = self.scores.iter().position(|score| score.is_nan());
        match first {
            Some(unit) if nan == NanRule::Error => Err(Error::NotANumber {
                what,
                index: vec![unit],
            }),
            _ => Ok(()),
        }
    }

    /// Bits of the units whose score is above the threshold.
    pub(super) fn above(&self, threshold: f64) -> Vec<u64> {
        runs::paint(self.scores.len(), |unit| {
            (self.scores[unit] > threshold, unit + 1)
        })
    }
}
