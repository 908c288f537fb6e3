//! A teacher's likeliest classes on disk.
//!
//! A cache is a folder of shards. Each is a complete safetensors file with two tensors, `indices` (U32)
//! and `log_probabilities` (F16, of all classes at temperature 1), both of shape `[rows, k]`, so any
//! program that reads safetensors reads it. Every shard but the last has the same number of rows.
//!
//! The header of such a file comes first and says how long the rest is, so a file cannot grow. A shard
//! is therefore written beside its place, brought to the disk, and renamed: at any time, whatever is
//! killed, each shard is there as a whole or as it was. The last may be replaced by a longer one.
//!
//! The metadata of a shard, all text:
//!
//! | key | meaning |
//! |---|---|
//! | `format`, `version` | `rarefy teacher cache`, `1` |
//! | `classes`, `k` | of the target |
//! | `shard_rows`, `block_rows` | rows of a full shard, rows that share a checksum |
//! | `first_row`, `rows` | which rows these are |
//! | `temperature` | `1` |
//! | `teacher`, `notes` | the user's own words |
//! | `block_checksums` | CRC-32 (IEEE) of each block, indices before log-probabilities, in hexadecimal |
//! | `header_checksum` | the same of all other keys and values |

mod block;
mod folder;
mod header;
mod memory;
mod reader;
mod settings;
mod writer;

pub use reader::CacheReader;
pub use settings::CacheSettings;
pub use writer::CacheWriter;
