//! Why a loss cannot use a feature.

/// Why a loss cannot use a feature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// It has a shape that the loss cannot use.
    #[error("{side} feature {name:?} must {must}, its shape is {shape:?}")]
    Shape {
        /// "student" or "teacher".
        side: &'static str,
        /// Its name.
        name: String,
        /// What would be right.
        must: &'static str,
        /// Its shape.
        shape: Vec<usize>,
    },

    /// It, a value or a gradient is too large for the float that it is computed in.
    #[error("numbers of {of:?} are too large for a loss and its gradient; scale the features down")]
    Overflow {
        /// The feature, "logits", or the loss.
        of: String,
    },
}
