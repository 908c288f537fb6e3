//! A model's named tensors, as a stream.
//!
//! A [`TensorSource`] says which tensors there are and reads any part of any of them, so that a model larger than memory
//! can be gone through. Files are sources (`formats`, features), and so is a user's own model in memory:
//! [`TensorMap`], or a type that implements the trait. [`StoredTensor`] is a tensor as a file stores it, bytes and type;
//! [`DType`] says which types there are.

mod dtype;
mod info;
mod source;
mod stored;
mod tensor_map;

pub use dtype::DType;
pub use info::TensorInfo;
pub use source::{TensorSource, TensorSourceExt};
pub use stored::{Element, StoredTensor};
pub use tensor_map::TensorMap;
