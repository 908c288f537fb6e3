//! safetensors: tensors by name, as other programs read and write them.

mod checkpoint;
mod header;
mod index;
mod reader;
mod writer;

pub use checkpoint::Checkpoint;
pub use index::write_index;
pub use reader::SafetensorsFile;
pub use writer::SafetensorsWriter;
