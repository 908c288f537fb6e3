//! Files: what other runs and other programs read and write.
//!
//! | feature | what | format |
//! |---|---|---|
//! | `cache` | what a teacher said of each row: [`CacheWriter`], [`CacheReader`] | a folder of safetensors files |

mod cache;

pub use cache::{CacheReader, CacheSettings, CacheWriter};
