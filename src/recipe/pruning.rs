//! Which weights go.

use crate::error::Result;
use crate::float::Float;
use crate::kernels::n_of_m::kept_of;
use crate::mask::Mask;
use crate::prune::{Amount, Magnitude, PrunerExt, SemiStructured, Unstructured, check_group};
use ndarray::{ArrayRefD, Axis};
use serde::{Deserialize, Serialize};

/// Which weights go. In JSON, for example, `{"magnitude": 0.5}`, `{"global": 0.5}`,
/// `{"semi_structured": {"keep": 2, "of": 4}}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Pruning {
    /// This share of each tensor: [`l1_unstructured`](crate::prune::l1_unstructured).
    Magnitude(f64),
    /// This share of all tensors together that the rule decides about: what [`Global`](crate::prune::Global) does, without
    /// having them in memory together. Those tensors are read three times more, five
    /// times where one is F64.
    Global(f64),
    /// All but the `keep` largest of each `of` neighbours along the last axis:
    /// [`semi_structured`](crate::prune::semi_structured).
    SemiStructured {
        /// How many stay.
        keep: usize,
        /// Of how many.
        of: usize,
    },
}

impl Pruning {
    /// The mask that needs no other tensor; `None` where it does.
    pub(super) fn prune<F: Float>(self, weights: &mut ArrayRefD<F>) -> Result<Option<Mask>> {
        match self {
            Self::Magnitude(share) => Unstructured::new(Magnitude, share).prune(weights).map(Some),
            Self::SemiStructured { keep, of } => {
                let last = Axis(weights.ndim().saturating_sub(1));
                SemiStructured::new(Magnitude, keep, of, last)
                    .prune(weights)
                    .map(Some)
            }
            Self::Global(_) => Ok(None),
        }
    }

    /// Fails unless the share is one, and the group has as many as are kept.
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Magnitude(share) | Self::Global(share) => {
                Amount::Fraction(share).count(0).map(drop)
            }
            Self::SemiStructured { keep, of } => check_group(keep, of),
        }
    }

    /// How many weights of `len` in this shape stay, where the shape alone says so. The pruning must be
    /// [checked](Self::check).
    pub(super) fn kept(self, shape: &[usize], len: usize) -> Result<Option<usize>> {
        Ok(match self {
            Self::Magnitude(share) => Some(len - Amount::Fraction(share).count(len)?),
            Self::SemiStructured { keep, of } => {
                let row = shape.last().copied().unwrap_or(1);
                let rows = len.checked_div(row).unwrap_or(0);
                // As `keep` is at most `of`, no more than there are.
                Some(rows * (row / of * keep + kept_of(row % of, keep, of)))
            }
            Self::Global(_) => None,
        })
    }
}
