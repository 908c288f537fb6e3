//! Why a bias cannot be made of integers.

/// Why a bias cannot be made of integers of 32 bits.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BiasError {
    /// A code leaves the integers.
    #[error(
        "bias {bias:e} of channel {channel} leaves 32 bits at scale {scale:e}: input scale times weight scale must be \
         at least {least:e} there, or the bias stay a float"
    )]
    Overflow {
        /// Which output channel.
        channel: usize,
        /// Its bias.
        bias: f64,
        /// The product of input scale and weight scale.
        scale: f32,
        /// The least product that would do.
        least: f32,
    },

    /// Input scale times weight scale is no scale.
    #[error(
        "input scale {input:e} times weight scale {weight:e} of channel {channel} must be positive and finite in f32, \
         or the bias stay a float"
    )]
    Scale {
        /// Which output channel.
        channel: usize,
        /// The input's scale.
        input: f32,
        /// The weights' scale.
        weight: f32,
    },

    /// The weights of an output channel have several scales, so its sum has none.
    #[error(
        "the weights of one output channel have several scales, so its bias has none: there must be one for the tensor \
         or for each index on axis 0, or the bias stay a float"
    )]
    NoScale,
}
