//! Files that lie: a hundred thousand of each format, made by changing files that are right. Each is read or is a typed
//! error, never a panic, and costs no more memory than its bytes and what a tensor's shape says. A program of its own, as its
//! allocator counts.
//!
//! `RAREFY_HOSTILE=1000000 cargo test --all-features --test hostile -- --nocapture` tries more and prints the figures of
//! `docs/reliability.md`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, prints its figures, and casts small numbers of its own"
)]
#![expect(
    unsafe_code,
    reason = "an allocator cannot be written without; nothing else of the crate's uses this one"
)]

mod campaign;
mod compressed;
#[path = "../memory/counting.rs"]
mod counting;
mod edit;
mod gguf;
mod headers;
mod mutate;
mod numpy;
mod ours;
mod packed;
#[path = "../files/peer_files.rs"]
#[allow(dead_code, reason = "what the other program needs of it")]
mod peer_files;
mod safetensors;
