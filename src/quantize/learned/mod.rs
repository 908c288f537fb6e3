//! Quantization that learns where it cuts off.

mod lsq;
mod pact;

pub use lsq::{LearnedGradient, Lsq};
pub use pact::Pact;
