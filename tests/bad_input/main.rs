//! Bad input gets a typed error that says what was given, and changes nothing. One test a question of
//! the edge-case tables in docs/numerics.md.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, casts small numbers, and an assertion's values say enough"
)]

mod basics;
mod calibrate;
mod codes;
mod inner;
mod losses;
mod masks;
mod prune;
mod quantize;
mod vocabulary;
