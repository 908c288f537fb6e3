//! rarefy in burn's training loops, through burn's public interface alone.
//!
//! | what | how | copies |
//! |---|---|---|
//! | a tensor's values as an ndarray view | [`with_view`] | once, out of the backend |
//! | an array as a tensor | [`tensor_of`] | none where it is in row-major order |
//! | a loss of rarefy, by the surrogate Σ z · stop_gradient(g) | [`surrogate`] | logits out, gradient in |
//! | a mask on a tensor | [`apply_mask`] | the result |
//! | fake quantization with its straight-through gradient | [`fake_quantize`] | values out, two tensors in |
//!
//! f32: rarefy computes on the CPU, so a tensor on another device is copied to it and back.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod array;
mod fake;
mod loss;
mod mask;

pub use array::{tensor_of, with_view};
pub use fake::fake_quantize;
pub use loss::surrogate;
pub use mask::apply_mask;

/// What can go wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the functions here return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
