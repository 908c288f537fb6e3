//! Whether a compressed layer is faster than its dense twin on this machine, and from which sparsity on.
//!
//! Fewer bytes are not always less time: that depends on the machine, on the shape, on how many rows come at once and
//! on how sparse the weights are. So a [`SpeedTest`] measures both and gives a [`Speed`], whose verdict has three
//! values: faster, slower, within the noise. [`SpeedTest::break_even`] does it for a list of sparsities.
//! [`Report`](crate::report::Report) prints both.
//!
//! The dense twin is any [`Layer`](super::Layer): [`DenseLinear`](super::DenseLinear), or what a program computes
//! already, as an [`FnLayer`].
//!
//! What is measured and what is concluded are apart: [`Timing::of`], [`Speed::of_rounds`] and [`BreakEven::of`] are
//! functions of given times alone.

mod break_even;
mod clock;
mod comparison;
mod fn_layer;
mod speed_test;
mod timing;

pub use break_even::BreakEven;
pub use comparison::{Compared, Speed, Verdict};
pub use fn_layer::FnLayer;
pub use speed_test::{SpeedProgress, SpeedTest};
pub use timing::Timing;
