//! AWQ checkpoints: what AutoAWQ wrote.

mod checkpoint;
mod config;
mod packing;

pub use checkpoint::AwqCheckpoint;
pub use config::AwqConfig;
