//! What can be wrong with statistics.

/// What can be wrong with statistics that were gathered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// Scores are asked for before anything was observed.
    #[error("{what} has not observed a gradient yet")]
    NothingObserved {
        /// Which importance.
        what: &'static str,
    },

    /// Statistics that were gathered in different ways cannot be merged.
    #[error("statistics differ in their {what} and cannot be merged")]
    StatisticsDiffer {
        /// In what: "axis", "bins", ...
        what: &'static str,
    },

    /// Statistics are asked for a range before they have seen a value.
    #[error("{what} has no values in channel {channel}")]
    NoValues {
        /// What was to be observed: "histogram", "minimum and maximum", ...
        what: &'static str,
        /// Which channel; 0 for a whole tensor.
        channel: usize,
    },
}
