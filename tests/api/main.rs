//! What a user's own code meets: types that travel between threads, and methods of one's own in our traits.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, and casts small numbers of its own"
)]

mod auto_traits;
mod custom_implementations;
