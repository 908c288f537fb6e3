//! GGUF: models with their settings in one file, weights in blocks, as llama.cpp and candle read and write them.

mod cursor;
mod decode;
mod encode;
mod header;
mod info;
mod kind;
mod layout;
mod reader;
mod strings;
mod value;
mod writer;

pub use info::GgufTensorInfo;
pub use kind::GgufType;
pub use reader::GgufFile;
pub use strings::GgufStrings;
pub use value::{GgufArray, GgufValue};
pub use writer::GgufWriter;
