//! NumPy: one array in a file (`.npy`), several by name in a zip archive (`.npz`).
//!
//! Both are read and written here and not by a crate: those that exist allocate what a header says before they look for the
//! bytes, and recurse as deep as it nests.

mod array;
mod container;
mod header;
mod npz;
mod stream;
mod writer;

pub use array::{read_npy, read_npy_tensor, write_npy, write_npy_tensor};
pub use npz::NpzFile;
pub use writer::NpzWriter;
