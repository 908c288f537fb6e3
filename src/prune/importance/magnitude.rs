//! Scores weights by their magnitude.
//!
//! ```text
//! score = |w|
//! ```
//!
//! The classic: small weights change the output little (Han et al. 2015,
//! <https://arxiv.org/abs/1506.02626>). Ranking by w² or any other function that grows with |w|
//! gives the same mask.

use super::{Elementwise, Importance};
use crate::error::Result;
use crate::float::Float;
use ndarray::{ArrayD, ArrayRefD};

/// Scores weights by their magnitude, |w|.
///
/// The importance of PyTorch's `L1Unstructured`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Magnitude;

impl<F: Float> Importance<F> for Magnitude {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        Ok(weights.mapv(|weight| weight.abs()))
    }

    fn elementwise(&self) -> Option<Elementwise<'_, F>> {
        Some(Elementwise::Magnitude)
    }
}
