//! What codes, blocks, layers and observers promise, each in its own file. Laws that hold for every quantizer are in
//! `tests/laws`, values of peers in `tests/golden`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::missing_assert_message,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking, and casts small numbers of its own"
)]

mod blocks;
mod calibrate;
mod codes;
mod fake;
mod layers;
