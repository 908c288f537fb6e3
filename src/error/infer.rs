//! Why a layer cannot be made of weights.

/// Why a layer cannot be made of weights, or not compute.
///
/// Schemes and granularities are given as their `Debug` output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// The codes mean something that the layer does not compute with.
    #[error("weights must have {needed}, these have {given}")]
    Scheme {
        /// What would be right.
        needed: &'static str,
        /// The scheme of the weights.
        given: String,
    },

    /// Parameters of activations whose codes mean something that the layer does not compute with.
    #[error("activations must have integer codes of at most 8 bits, these have {given}")]
    ActivationScheme {
        /// Their scheme.
        given: String,
    },

    /// Weights share scales in a way that the layer does not compute with.
    #[error("weights must have {needed}, these have {given}")]
    Granularity {
        /// What would be right.
        needed: &'static str,
        /// The granularity of the weights.
        given: String,
    },

    /// The weights have another rank than the layer's.
    #[error("weights must have shape {needed}, these have {given:?}")]
    Rank {
        /// What would be right: "outputs × inputs", ...
        needed: &'static str,
        /// The shape of the weights.
        given: Vec<usize>,
    },

    /// A row that a table does not have.
    #[error("index {position} must lie in 0..{rows}, the rows of the table, got {row}")]
    RowOutOfRange {
        /// Which of the indices given.
        position: usize,
        /// The row that it asks for.
        row: usize,
        /// How many there are.
        rows: usize,
    },
}
