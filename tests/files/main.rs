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
    feature = "compressed-tensors",
    feature = "masks"
))]
mod folder;
#[cfg(feature = "masks")]
mod masks;
#[cfg(feature = "tensors")]
mod rounding;
#[cfg(feature = "serde")]
mod serialise;
