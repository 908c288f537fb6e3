//! What losses and teachers promise that are made in a way of their own. Laws that hold for every loss are in
//! `tests/laws`, values of peers in `tests/golden`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, and casts small numbers of its own"
)]

mod compose;
mod minifinetuning;
#[cfg(feature = "half")]
mod stored;
mod streaming;
mod streaming_input;
mod top_k;
