//! rarefy in candle's training loops.
//!
//! | what | how | copies |
//! |---|---|---|
//! | a tensor of the CPU as an ndarray view | [`with_view`] | none, whatever its strides |
//! | an array as a tensor | [`tensor_of`] | none where it is in row-major order |
//! | a loss of rarefy in candle's graph, with its own value | [`loss`] | the logits are borrowed, the gradient is copied once |
//! | the same by the surrogate Σ z · stop_gradient(g) | [`surrogate`] | the same |
//! | a mask on variables, and on the optimiser's moments | [`apply_mask`] | none: in place |
//! | fake quantization with its straight-through gradient | [`fake_quantize`] | the result |
//! | a compressed layer as a `Module` | [`Compressed`] | inputs where they are not in row-major order, the result |
//!
//! f32 on the CPU only: rarefy computes there. A failure of rarefy comes out as candle's error around it.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a test fails by panicking"
    )
)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod fake;
mod layer;
mod loss;
mod mask;
mod view;

pub use fake::fake_quantize;
pub use layer::Compressed;
pub use loss::{loss, surrogate};
pub use mask::apply_mask;
pub use view::{tensor_of, with_view};

/// A failure of rarefy as one of candle.
pub(crate) fn failed(error: rarefy::Error) -> candle_core::Error {
    candle_core::Error::wrap(error)
}
