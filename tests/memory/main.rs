//! How much memory is held at the most, by an allocator that counts: a program of its own, in which one test runs
//! at a time.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, and casts small numbers of its own"
)]
#![expect(
    unsafe_code,
    reason = "an allocator cannot be written without; nothing else of the crate's uses this one"
)]

#[cfg(all(feature = "gptq", feature = "bitsandbytes"))]
mod checkpoints;
mod counting;
#[cfg(feature = "compressed-tensors")]
mod decompressed;
mod layers;
mod prune;
#[cfg(feature = "half")]
mod stored;
mod streaming;
