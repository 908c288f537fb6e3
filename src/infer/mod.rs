//! Layers that compute with compressed weights.
//!
//! A layer is a value that holds packed weights and computes with them as they are: no float copy of the
//! weights is ever made. It goes into a forward pass of the caller's own; nothing here knows what a network is.
//! `docs/inference.md` says what to use when, and from where on it is faster than floats.
//!
//! All layers are [`Layer`]s: `x` has a row for each example (or token) and a column for each input, `y` a column
//! for each output, weights have the shape outputs × inputs as in PyTorch's `Linear`, and y = x · Wᵀ + bias.
//! Sequences flatten into rows at no cost. They compute in f32. [`Reordered`] gives a layer its inputs in another order.
//!
//! What a layer gives has the same bits for any number of threads and for any number of rows that are given at
//! once, unless its page says otherwise.

mod bias;
mod block_linear;
mod dense;
mod eight_bits;
mod embedding;
mod grouped_linear;
mod layer;
mod quantized_conv2d;
mod quantized_linear;
mod reordered;
mod scratch;
mod sparse;
pub mod speed;

pub use block_linear::BlockLinear;
pub use dense::DenseLinear;
pub use embedding::QuantizedEmbedding;
pub use grouped_linear::{Activations, GroupedLinear};
pub use layer::Layer;
pub use quantized_conv2d::QuantizedConv2d;
pub use quantized_linear::QuantizedLinear;
pub use reordered::Reordered;
pub use scratch::Scratch;
pub use sparse::{Csr, SparseFormat, SparseLinear};
