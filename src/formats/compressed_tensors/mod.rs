//! compressed-tensors: quantized checkpoints as vLLM and transformers load them.
//!
//! A layer's weight becomes several tensors of a safetensors file, and `config.json` says how they are meant. One idea a
//! file: which layouts there are, what a config says of weights, which tensors that makes, there, and back.

mod config;
mod decompressed;
mod encode;
mod group;
mod layout;
mod module;
mod narrow;
mod parts;
mod setting;
mod weights;

pub use config::CompressedConfig;
pub use decompressed::Decompressed;
pub use group::CompressedGroup;
pub use layout::CompressedLayout;
pub use weights::CompressedWeights;

/// What errors call all of it.
const FORMAT: &str = "compressed-tensors";
