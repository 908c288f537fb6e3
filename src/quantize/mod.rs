//! Quantization: numbers of a few bits.
//!
//! ```text
//! code = round(x / scale) + zero point        x ≈ (code − zero point) · scale
//! ```
//!
//! Three questions, kept apart. *What does a code mean?* is the [`Scheme`]. *Who shares a scale?* is
//! the [`Granularity`]. *How is a code computed?* is the [`Quantizer`]; [`Linear`], which rounds to
//! the nearest, is the plain one. All of them make the same [`QuantizedTensor`], which needs nobody
//! to be turned back into floats.
//!
//! *Which range should codes reach?* is the fourth, where it is not that of the weights: [`Percentile`],
//! [`ErrorSearch`] and [`Entropy`] answer it, from values or from what [`calibrate`](crate::calibrate) gathered.

mod granularity;
mod linear;
mod parameters;
mod profile;
mod quantizer;
mod range;
mod scheme;
mod tensor;

pub use granularity::{BlockShape, Granularity};
pub use linear::{Linear, NonFinite, linear};
pub use parameters::Parameters;
pub use profile::{Profile, Rounding};
pub use quantizer::{Quantizer, QuantizerExt};
pub use range::{Entropy, ErrorSearch, Percentile};
pub use scheme::Scheme;
pub use tensor::QuantizedTensor;
