//! Checkpoints of bitsandbytes with 4 bits: what transformers writes of models in NF4 and FP4.

mod checkpoint;
mod state;

pub use checkpoint::BitsAndBytesCheckpoint;
