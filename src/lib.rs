#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::missing_assert_message,
        reason = "tests cast small numbers that they chose, and an assertion's values say enough"
    )
)]

#[cfg(feature = "half")]
pub use half;
pub use ndarray;
#[cfg(feature = "sprs")]
pub use sprs;

pub mod calibrate;
pub mod distill;
#[cfg(any(
    feature = "cache",
    feature = "calibration",
    feature = "masks",
    feature = "tensors"
))]
pub mod formats;
pub mod infer;
pub mod prelude;
pub mod prune;
pub mod quantize;
#[cfg(feature = "recipe")]
pub mod recipe;
pub mod report;
pub mod schedule;
#[cfg(feature = "tensors")]
pub mod tensors;

mod error;
mod float;
mod kernels;
mod mask;
mod shape;

pub use error::{
    BiasError, CalibrationError, CouplingError, Error, External, FeatureError, FileError,
    InferError, Result,
};
pub use float::Float;
pub use mask::Mask;

/// The longer texts of the repository's `docs/` folder, compiled like all other documentation.
#[cfg(doc)]
pub mod guide {
    #![doc = "The longer texts of the repository's `docs/` folder."]

    #[doc = include_str!("../docs/architecture.md")]
    pub mod architecture {}

    #[doc = include_str!("../docs/conformance.md")]
    pub mod conformance {}

    #[doc = include_str!("../docs/distillation.md")]
    pub mod distillation {}

    #[doc = include_str!("../docs/formats.md")]
    pub mod formats {}

    #[doc = include_str!("../docs/inference.md")]
    pub mod inference {}

    #[doc = include_str!("../docs/language_model.md")]
    pub mod language_model {}

    #[doc = include_str!("../docs/numerics.md")]
    pub mod numerics {}

    #[doc = include_str!("../docs/performance.md")]
    pub mod performance {}

    #[doc = include_str!("../docs/pruning.md")]
    pub mod pruning {}

    #[doc = include_str!("../docs/quantization.md")]
    pub mod quantization {}

    #[doc = include_str!("../docs/reliability.md")]
    pub mod reliability {}
}
