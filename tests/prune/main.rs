//! Pruning over time, networks of smaller arrays, weights that are stored in 16 bits, and the tables of
//! docs/pruning.md. Laws that hold for every pruner are in `tests/laws`, values of peers in `tests/golden`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, and casts small numbers of its own"
)]

mod gradual;
mod guide;
mod shrinking;
#[cfg(feature = "half")]
mod stored;
