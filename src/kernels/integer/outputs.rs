//! What makes numbers of products of codes.

use super::panels::WIDTH;

/// What codes of weights mean, and the bias; of each output, filled up to whole panels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outputs {
    pub(super) scales: Vec<f32>,
    /// None where all are 0.
    pub(super) zeros: Vec<i32>,
    /// None where there is no bias.
    pub(super) bias: Vec<f32>,
}

impl Outputs {
    /// One scale, zero point and bias for each output; zero points and bias may be none at all.
    pub(crate) fn new(mut scales: Vec<f32>, mut zeros: Vec<i32>, mut bias: Vec<f32>) -> Self {
        let whole = scales.len().next_multiple_of(WIDTH);
        scales.resize(whole, 0.0);
        if zeros.iter().all(|&zero| zero == 0) {
            zeros.clear();
        } else {
            zeros.resize(whole, 0);
        }
        if !bias.is_empty() {
            bias.resize(whole, 0.0);
        }
        Self {
            scales,
            zeros,
            bias,
        }
    }

    /// Whether a zero point is not 0: then sums of rows are needed.
    pub(crate) const fn have_zeros(&self) -> bool {
        !self.zeros.is_empty()
    }

    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// One for each output or none.
    pub(crate) fn zeros(&self) -> &[i32] {
        &self.zeros
    }

    pub(crate) const fn bytes(&self) -> usize {
        (self.scales.len() + self.zeros.len() + self.bias.len()) * size_of::<f32>()
    }
}
