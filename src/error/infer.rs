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

    /// A group of neighbours has more weights that are not zero than its format keeps.
    #[error(
        "weight {index:?} is one too many, {keep} of {of} neighbours may differ from zero: prune with \
         `SemiStructured` first"
    )]
    TooManyInGroup {
        /// Output and input.
        index: [usize; 2],
        /// How many may stay.
        keep: usize,
        /// Of how many neighbours.
        of: usize,
    },

    /// There are more stored weights, runs or inputs than 32 bits count.
    #[error("{outputs} × {inputs} weights are too many for this format, which counts in 32 bits")]
    TooLarge {
        /// Rows of the weights.
        outputs: usize,
        /// Columns of the weights.
        inputs: usize,
    },

    /// The starts of rows do not begin at 0, do not ascend, or do not end at the number of values.
    #[error("start {row} of the rows must lie in {least}..={most}, got {start}")]
    RowStart {
        /// Which start; there is one more than rows.
        row: usize,
        /// The number given.
        start: usize,
        /// The lowest that would do.
        least: usize,
        /// The highest that would do.
        most: usize,
    },

    /// The columns of a row do not ascend, or name an input that does not exist.
    #[error("column {place} of row {row} must lie in {least}..{inputs}, got {column}")]
    Column {
        /// Which row.
        row: usize,
        /// Which of all columns.
        place: usize,
        /// The number given.
        column: usize,
        /// The lowest that would do: one more than the column before.
        least: usize,
        /// How many inputs there are.
        inputs: usize,
    },

    /// An order of inputs leaves one out and names another twice, or one that does not exist.
    #[error(
        "position {position} of the order must name an input in 0..{inputs} that none before it names, got {input}"
    )]
    Order {
        /// The first such position.
        position: usize,
        /// What is named there.
        input: usize,
        /// How many inputs there are.
        inputs: usize,
    },
}
