//! How a share becomes a count, what happens to ties, and where NaN stands: by name.

use super::Amount;
use crate::error::{Error, Result};
use crate::kernels::ranked::NanPlace;
use ndarray::Axis;

/// How a share of n weights becomes a count to drop.
///
/// A count that was given as a count is taken as it is, except that
/// [`KeepAtLeastOne`](Self::KeepAtLeastOne) holds for it as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum CountRule {
    /// round_half_even(share · n) in f64: PyTorch's, and the default.
    #[default]
    TorchHalfEven,
    /// ⌊share · n⌋: llm-compressor's and Wanda's.
    Floor,
    /// share · n rounded, halves away from zero.
    HalfAway,
    /// n − max(round_half_even(n · (1 − share)), 1), in f32: TensorFlow Model Optimization's. A tensor never
    /// goes as a whole.
    KeepAtLeastOne,
    /// ⌊(n − 1) · share⌋ + 1: NNCF's. At least one goes, also for a share of 0.
    DropAtLeastOne,
    /// ⌊share · n⌋ + 1, at most n: SparseGPT's. Its threshold is the number behind the count, and what
    /// equals the threshold goes.
    FloorPlusOne,
}

impl CountRule {
    /// How many of `len` go.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::prune::{Amount, CountRule};
    ///
    /// let half = Amount::from(0.5);
    /// assert_eq!(CountRule::TorchHalfEven.count(half, 5)?, 2);
    /// assert_eq!(CountRule::HalfAway.count(half, 5)?, 3);
    /// assert_eq!(CountRule::KeepAtLeastOne.count(Amount::from(1.0), 5)?, 4);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::AmountOutOfRange`] for a share outside 0..=1 or NaN, [`Error::CountOutOfRange`] for a
    /// count above `len`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length; the peers round large lengths too"
    )]
    pub fn count(self, amount: Amount, len: usize) -> Result<usize> {
        let exact = amount.count(len)?;
        let Amount::Fraction(share) = amount else {
            return Ok(match self {
                Self::KeepAtLeastOne => exact.min(len.saturating_sub(1)),
                _ => exact,
            });
        };
        if len == 0 {
            return Ok(0);
        }
        let product = share * len as f64;
        let count = match self {
            Self::TorchHalfEven => exact,
            Self::Floor => product as usize,
            Self::HalfAway => product.round() as usize,
            Self::KeepAtLeastOne => {
                let kept = len as f32 * (1.0 - share as f32);
                len - (kept.round_ties_even() as usize).clamp(1, len)
            }
            Self::DropAtLeastOne => ((len - 1) as f64 * share) as usize + 1,
            Self::FloorPlusOne => product as usize + 1,
        };
        Ok(count.min(len))
    }
}

/// What happens to scores that equal one another at the cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TieRule {
    /// Exactly the count goes; of equal scores the lower index first. The default.
    #[default]
    ExactByIndex,
    /// All go that equal the last to go, so more may go than the count.
    AllTied,
    /// All stay that equal the first to stay, so fewer may go than the count.
    NoneTied,
}

/// Where a weight or a score stands that is NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum NanRule {
    /// Nowhere: it is an error that names the first. The default.
    #[default]
    Error,
    /// Above infinity: it stays longest, as in PyTorch. A NaN that stays is left as it is.
    Largest,
    /// Below all others, zeros too: it goes first, and is written as 0.
    Smallest,
}

impl NanRule {
    pub(super) fn place(self) -> NanPlace {
        match self {
            Self::Smallest => NanPlace::Lowest,
            _ => NanPlace::Highest,
        }
    }
}

/// How counts, ties and NaN are decided.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`count`](Self::count) | [`CountRule::TorchHalfEven`] | how a share becomes a count |
/// | [`ties`](Self::ties) | [`TieRule::ExactByIndex`] | what happens to equal scores at the cut |
/// | [`nan`](Self::nan) | [`NanRule::Error`] | where NaN stands |
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Magnitude, Rules, TieRule, Unstructured};
///
/// let weights = array![1.0, 1.0, 1.0, 2.0];
/// let exact = Unstructured::new(Magnitude, 0.25);
/// assert_eq!(exact.mask(&weights)?.dropped(), 1);
/// let together = exact.rules(Rules::new().ties(TieRule::AllTied));
/// assert_eq!(together.mask(&weights)?.dropped(), 3);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rules {
    pub(super) count: CountRule,
    pub(super) ties: TieRule,
    pub(super) nan: NanRule,
}

impl Rules {
    /// PyTorch's count, ties by index, NaN an error.
    pub const fn new() -> Self {
        Self {
            count: CountRule::TorchHalfEven,
            ties: TieRule::ExactByIndex,
            nan: NanRule::Error,
        }
    }

    /// Counts by this rule.
    #[must_use]
    pub const fn count(mut self, rule: CountRule) -> Self {
        self.count = rule;
        self
    }

    /// Decides ties by this rule.
    #[must_use]
    pub const fn ties(mut self, rule: TieRule) -> Self {
        self.ties = rule;
        self
    }

    /// Places NaN by this rule.
    #[must_use]
    pub const fn nan(mut self, rule: NanRule) -> Self {
        self.nan = rule;
        self
    }
}

/// Which weights are ranked among one another; the amount is a share, or the count, of each such group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Scope {
    /// All weights of the tensor. The default.
    #[default]
    Tensor,
    /// Neighbouring slices along an axis, so many at a time; the last group may have fewer.
    ///
    /// `Axis(0)` and 1 ranks within each output row, as Wanda does.
    Slices {
        /// Along which axis.
        #[cfg_attr(feature = "serde", serde(with = "crate::shape::number_of_axis"))]
        axis: Axis,
        /// How many slices make a group, at least one.
        together: usize,
    },
}

impl Scope {
    /// The groups of this many slices that a tensor of this shape falls into, or none for the whole.
    pub(super) fn groups(self, shape: &[usize]) -> Result<Option<(Axis, usize)>> {
        let Self::Slices { axis, together } = self else {
            return Ok(None);
        };
        if axis.index() >= shape.len() {
            return Err(Error::AxisOutOfRange {
                axis: axis.index(),
                ndim: shape.len(),
            });
        }
        if together == 0 {
            return Err(Error::NumberOutOfRange {
                what: "slices ranked together",
                must: "at least 1",
                value: 0.0,
            });
        }
        Ok(Some((axis, together)))
    }
}

/// A peer whose counts, ties and scope are reproduced: see [`Unstructured::profile`](super::Unstructured::profile).
///
/// `docs/pruning.md` has the table of what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// `torch.nn.utils.prune`, and NaN as the largest. It leaves ties to its top-k; here they go by index.
    Torch,
    /// llm-compressor's magnitude modifier.
    LlmCompressor,
    /// TensorFlow Model Optimization's `prune_low_magnitude`.
    TfMot,
    /// NNCF's magnitude sparsity of one layer.
    Nncf,
    /// Wanda: within each output row, stable.
    Wanda,
    /// SparseGPT: within each block of 128 columns, by a threshold.
    SparseGpt,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 6] = [
        Self::Torch,
        Self::LlmCompressor,
        Self::TfMot,
        Self::Nncf,
        Self::Wanda,
        Self::SparseGpt,
    ];

    /// Its rules.
    pub const fn rules(self) -> Rules {
        let rules = Rules::new();
        match self {
            Self::Torch => rules.nan(NanRule::Largest),
            Self::LlmCompressor => rules.count(CountRule::Floor).ties(TieRule::AllTied),
            Self::TfMot => rules
                .count(CountRule::KeepAtLeastOne)
                .ties(TieRule::NoneTied),
            Self::Nncf => rules
                .count(CountRule::DropAtLeastOne)
                .ties(TieRule::AllTied),
            Self::Wanda => rules.count(CountRule::Floor),
            Self::SparseGpt => rules.count(CountRule::FloorPlusOne).ties(TieRule::AllTied),
        }
    }

    /// Which weights it ranks among one another.
    pub const fn scope(self) -> Scope {
        match self {
            Self::Wanda => Scope::Slices {
                axis: Axis(0),
                together: 1,
            },
            Self::SparseGpt => Scope::Slices {
                axis: Axis(1),
                together: 128,
            },
            _ => Scope::Tensor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CountRule::{
        DropAtLeastOne, Floor, FloorPlusOne, HalfAway, KeepAtLeastOne, TorchHalfEven,
    };
    use crate::prune::Amount;

    #[test]
    fn each_rule_counts_as_its_formula_says() {
        let rules = [
            TorchHalfEven,
            Floor,
            HalfAway,
            KeepAtLeastOne,
            DropAtLeastOne,
            FloorPlusOne,
        ];
        let cases = [
            (0.0, 5, [0, 0, 0, 0, 1, 1]),
            (0.5, 5, [2, 2, 3, 3, 3, 3]),
            (0.3, 5, [2, 1, 2, 1, 2, 2]),
            (0.29, 100, [29, 28, 29, 29, 29, 29]),
            (0.99, 10, [10, 9, 10, 9, 9, 10]),
            (1.0, 5, [5, 5, 5, 4, 5, 5]),
            (1.0, 1, [1, 1, 1, 0, 1, 1]),
            (0.7, 0, [0, 0, 0, 0, 0, 0]),
        ];
        for (share, len, counts) in cases {
            for (rule, count) in rules.into_iter().zip(counts) {
                let ours = rule.count(Amount::Fraction(share), len).unwrap();
                assert_eq!(ours, count, "{rule:?} of {share} · {len}");
            }
        }
        for rule in rules {
            let counted = rule.count(Amount::Count(5), 5).unwrap();
            assert_eq!(counted, if rule == KeepAtLeastOne { 4 } else { 5 });
            assert!(rule.count(Amount::Count(6), 5).is_err());
            assert!(rule.count(Amount::Fraction(-0.1), 5).is_err());
        }
    }
}
