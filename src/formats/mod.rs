//! Files: what other runs and other programs read and write.
//!
//! | feature | what | format |
//! |---|---|---|
//! | `cache` | what a teacher said of each row: `CacheWriter`, `CacheReader` | a folder of safetensors files |
//! | `masks` | masks by name: `MaskFile` | a safetensors file |
//! | `calibration` | statistics of activations by name: `CalibrationFile` | a safetensors file |

#[cfg(feature = "cache")]
mod cache;
#[cfg(feature = "calibration")]
mod calibration;
mod file;
mod header;
#[cfg(feature = "masks")]
mod masks;

#[cfg(feature = "cache")]
pub use cache::{CacheReader, CacheSettings, CacheWriter};
#[cfg(feature = "calibration")]
pub use calibration::CalibrationFile;
#[cfg(feature = "masks")]
pub use masks::MaskFile;
