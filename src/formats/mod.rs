//! Files: what other runs and other programs read and write.
//!
//! | feature | what | format |
//! |---|---|---|
//! | `cache` | what a teacher said of each row: `CacheWriter`, `CacheReader` | a folder of safetensors files |
//! | `masks` | masks by name: `MaskFile` | a safetensors file |

#[cfg(feature = "cache")]
mod cache;
mod file;
mod header;
#[cfg(feature = "masks")]
mod masks;

#[cfg(feature = "cache")]
pub use cache::{CacheReader, CacheSettings, CacheWriter};
#[cfg(feature = "masks")]
pub use masks::MaskFile;
