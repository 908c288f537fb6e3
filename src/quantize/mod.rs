//! Quantization: numbers of a few bits.
//!
//! ```text
//! code = round(x / scale) + zero point        x ≈ (code − zero point) · scale
//! ```
//!
//! Three questions, kept apart. *What does a code mean?* is the [`Scheme`]. *Who shares a scale?* is
//! the [`Granularity`]. *How is a code computed?* is the [`Quantizer`]; [`Linear`], which rounds to
//! the nearest, is the plain one. All of them make the same [`QuantizedTensor`], which needs nobody
//! to be turned back into floats. Codes need not be evenly spaced: [`Codebook`], [`KMeans`], [`Float8`] and [`Binary`]
//! make others.
//!
//! Beside these stand the layouts that others defined, blocks of weights with their scales as bytes:
//! [`BlockFormat`] says which (GGUF's, the OCP microscaling formats, NVFP4), [`BlockTensor`] holds them.
//!
//! *Which range should codes reach?* is the fourth, where it is not that of the weights: [`Percentile`],
//! [`ErrorSearch`] and [`Entropy`] answer it, from values or from what [`calibrate`](crate::calibrate) gathered.

mod bias;
mod binary;
mod block_format;
mod block_tensor;
mod by_name;
mod casting;
mod codebook;
mod fake;
mod faults;
mod float8;
mod given;
mod granularity;
mod hqq;
mod kmeans;
mod layer;
mod learned;
mod linear;
mod masked;
mod minifloat;
mod parameters;
mod phases;
mod profile;
mod quantizer;
mod range;
mod rows;
mod scheme;
mod tensor;
mod ternary;

pub use bias::IntegerBias;
pub use binary::Binary;
pub use block_format::BlockFormat;
pub use block_tensor::BlockTensor;
pub use by_name::{
    QuantizationProgress, QuantizationRules, QuantizedModel, RuledTensor, UnusedRule,
};
pub use codebook::Codebook;
pub use fake::FakeQuantizer;
pub use float8::Float8;
pub use granularity::{BlockShape, Granularity};
pub use hqq::Hqq;
pub use kmeans::KMeans;
pub use layer::{Bias, QuantizedLayer};
pub use learned::{LearnedGradient, Lsq, Pact};
pub use linear::{Linear, linear};
pub use minifloat::Minifloat;
pub use parameters::Parameters;
pub use phases::{PhasedQuantizer, QuantizationPhase};
pub use profile::{NonFinite, Profile, Rounding};
pub use quantizer::{Quantizer, QuantizerExt};
pub use range::{Entropy, ErrorSearch, Percentile};
pub use scheme::Scheme;
pub use tensor::QuantizedTensor;
pub use ternary::{Ternary, TernaryRule};
