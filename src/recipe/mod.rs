//! Recipes: which tensor of a model becomes what, by name, in one pass with bounded memory.
//!
//! A [`Recipe`] is a small value that serde reads and writes. Its rules say by name which tensors are pruned and how, which
//! are quantized and how, and which are left; its [`Output`] says how the result lies in files. A [`Job`] applies it: tensor
//! by tensor, from any [`TensorSource`](crate::tensors::TensorSource) into a folder, with a callback that sees the progress
//! and can stop the work, and with errors that name the tensor. What it holds in memory is a few times the largest tensor,
//! never the model. Several jobs can share the work ([`Job::shard`]), on as many machines as there are; the result has the
//! same bytes.
//!
//! ```
//! use ndarray::Array2;
//! use rarefy::formats::Checkpoint;
//! use rarefy::recipe::{Job, Recipe};
//! use rarefy::tensors::{DType, StoredTensor, TensorMap, TensorSourceExt};
//! use std::ops::ControlFlow;
//!
//! let recipe: Recipe = serde_json::from_str(
//!     r#"{
//!         "rules": [
//!             {"names": ["embeddings.*"]},
//!             {"names": ["*.weight"], "quantize": {"linear": {"bits": 8, "sharing": "channel"}}}
//!         ],
//!         "output": {"compressed-tensors": "pack-quantized"}
//!     }"#,
//! )?;
//!
//! let weights = Array2::from_shape_fn((64, 32), |(i, j)| ((i * 37 + j * 11) % 101) as f32 / 50.0 - 1.0);
//! let model = TensorMap::new([
//!     ("embeddings.weight".to_owned(), StoredTensor::of_floats(&weights, DType::F32)?),
//!     ("layer.weight".to_owned(), StoredTensor::of_floats(&weights, DType::F32)?),
//! ])?;
//! # let folder = std::env::temp_dir().join(format!("rarefy-recipe-{}", std::process::id()));
//! let done = Job::new(&model, &recipe)?.run(&folder, |progress| {
//!     println!("{} of {} bytes: {}", progress.done, progress.total, progress.name);
//!     ControlFlow::Continue(())
//! })?;
//! println!("{}", done.report);
//! assert!(Checkpoint::open(&folder)?.info("layer.weight_scale").is_ok());
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod by_rows;
mod change;
mod compare;
mod configure;
mod job;
mod layout;
mod output;
mod parts;
mod plan;
mod pruning;
mod quantization;
mod rules;
mod shard;
mod sink;
mod threshold;

pub use job::{Done, Job, Progress};
pub use output::{GgufOutput, Output};
pub use pruning::Pruning;
pub use quantization::{Quantization, Range, Sharing};
pub use rules::{Recipe, Rule};
pub use shard::Shard;
