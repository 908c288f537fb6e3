//! Files and serde's values: what goes in comes out, and what is damaged or forged is an error.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, says what it did not run, and casts small numbers of its own"
)]

#[cfg(feature = "gptq")]
mod awq;
#[cfg(feature = "bitsandbytes")]
mod bitsandbytes;
#[cfg(feature = "cache")]
mod cache;
#[cfg(feature = "cache")]
mod cache_damage;
#[cfg(feature = "calibration")]
mod calibration;
#[cfg(feature = "compressed-tensors")]
mod compressed_tensors;
#[cfg(any(
    feature = "cache",
    feature = "calibration",
    feature = "masks",
    feature = "tensors"
))]
mod folder;
#[cfg(feature = "gguf")]
mod gguf;
#[cfg(feature = "gguf")]
mod gguf_damage;
#[cfg(feature = "gguf")]
mod gguf_writer;
#[cfg(feature = "gptq")]
mod gptq;
#[cfg(feature = "gptq")]
mod gptq_damage;
#[cfg(feature = "gptq")]
mod gptq_peer;
#[cfg(feature = "gptq")]
mod gptq_writer;
#[cfg(feature = "masks")]
mod masks;
#[cfg(feature = "npy")]
mod npy;
#[cfg(any(feature = "gptq", feature = "bitsandbytes"))]
mod peer_files;
#[cfg(all(feature = "npy", feature = "safetensors"))]
mod python_readers;
#[cfg(feature = "recipe")]
mod recipe;
#[cfg(feature = "tensors")]
mod rounding;
#[cfg(feature = "safetensors")]
mod safetensors;
#[cfg(feature = "safetensors")]
mod safetensors_damage;
#[cfg(feature = "safetensors")]
mod saves;
#[cfg(feature = "serde")]
mod serialise;
#[cfg(feature = "safetensors")]
mod torch_pruning;
