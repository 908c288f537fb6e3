//! GPTQ checkpoints: what GPTQModel, AutoGPTQ and auto-round write and vLLM and transformers read.

mod checkpoint;
mod config;
mod packing;
mod weights;
mod write;

pub use checkpoint::GptqCheckpoint;
pub(super) use config::group_size;
pub use config::{GptqConfig, GptqFormat};
pub use weights::GptqWeights;
