//! Compares with what PyTorch and other peers gave: the files of reference values here, made by the scripts
//! beside them. Each file of tests is called as the file that it reads or as who made it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, says what it compared with, and casts small numbers of its own"
)]

mod blocks;
mod calibrate;
mod codes;
mod compose;
#[cfg(feature = "compressed-tensors")]
mod compressed_tensors;
mod containers;
mod conventions;
mod corpus;
mod divergences;
mod fake;
#[cfg(feature = "gguf")]
mod gguf_peer;
mod inner;
mod products;
mod prune;
mod quantize;
mod reference;
mod streaming;
mod top_k;
mod torch;
