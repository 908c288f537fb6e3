//! What every pruner, importance, quantizer, loss and schedule must obey.
//!
//! A new method is one line in the list of its file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, prints what it did not run, and casts small numbers of its own"
)]

mod codes;
mod feature_losses;
mod features;
mod hqq;
mod identities;
mod importance;
mod inputs;
mod loss;
mod mask;
mod masked;
mod members;
mod pruner;
mod quantizer;
mod row_masks;
mod schedule;
mod semi_structured;
mod ternary;
mod units;
