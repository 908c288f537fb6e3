//! What can be wrong with files.

use std::io;
use std::sync::Arc;

/// What can be wrong with files.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Reading or writing a file failed.
    #[error("cannot {action} {path}: {source}")]
    Failed {
        /// What was tried: "open", "write", ...
        action: &'static str,
        /// Which file or folder.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },

    /// A file does not hold what it should: it was cut off or changed, or is another kind of file.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },

    /// Something is already where something new should be written.
    #[error("{path} exists already; resume it, or choose another place")]
    Exists {
        /// Which folder.
        path: String,
    },

    /// Somebody else is writing there.
    #[error("{path} is being written by another process or another value of this one")]
    InUse {
        /// Which folder.
        path: String,
    },

    /// A model has no tensor of this name.
    #[error("there is no tensor {name:?}")]
    NoTensor {
        /// The name asked for.
        name: String,
    },

    /// The elements of a tensor are of another type than is needed.
    #[error("elements are of type {given}, needed is {expected}")]
    WrongDType {
        /// Their type, by its name in safetensors.
        given: &'static str,
        /// The right one, or all right ones.
        expected: &'static str,
    },

    /// A tensor is of a type of ggml whose blocks are not known here, or not even their size.
    #[error("elements are of ggml's type {name}, whose blocks are not known here")]
    TypeNotRead {
        /// Its name, or "number 99" if it has none.
        name: String,
    },

    /// A tensor has another shape than is needed.
    #[error("shape is {given:?}, needed is {expected:?}")]
    WrongShape {
        /// Its shape.
        given: Vec<usize>,
        /// The right one.
        expected: Vec<usize>,
    },

    /// Elements of 4 or 6 bits do not fill their last byte.
    #[error("shape {shape:?} of type {dtype} ends within a byte")]
    PartOfAByte {
        /// The type.
        dtype: &'static str,
        /// The shape.
        shape: Vec<usize>,
    },

    /// Bytes were asked for that a tensor does not have, or given that it has no room for.
    #[error("bytes {from} to {} of a tensor of {len}", from.saturating_add(*count))]
    NoSuchBytes {
        /// The first of them.
        from: usize,
        /// How many.
        count: usize,
        /// How many the tensor has.
        len: usize,
    },

    /// An element of a mask that is neither 0 nor 1.
    #[error("element {index:?} of a mask is neither 0 nor 1")]
    NotAMask {
        /// Where it is; the first in row-major order.
        index: Vec<usize>,
    },

    /// A finite number is infinite in the type that it should be stored in.
    #[error("element {index:?} is too large for {dtype}")]
    TooLarge {
        /// The type.
        dtype: &'static str,
        /// Where the number is.
        index: Vec<usize>,
    },

    /// A file or a layout cannot say what it should hold.
    #[error("{format} cannot hold {what}: {must}")]
    CannotHold {
        /// Which one.
        format: &'static str,
        /// What it was given.
        what: String,
        /// What it can hold.
        must: &'static str,
    },

    /// A setting of a configuration file is missing or not one that is understood.
    #[error("{key} is {given}, must be {must}")]
    Setting {
        /// Which setting: names from the outermost on, with dots between.
        key: String,
        /// What it is, as JSON; "missing" if it is not there.
        given: String,
        /// What would be right.
        must: &'static str,
    },

    /// A tensor was not written as a whole before the file was finished.
    #[error("{written} of {len} bytes were written")]
    Unfinished {
        /// How many bytes came.
        written: usize,
        /// How many it has.
        len: usize,
    },

    /// The caller's watch said to stop. What was complete stays: files of a checkpoint, without the index that makes them
    /// one.
    #[error("stopped by the caller after {done} of {total} bytes; files that were complete stay")]
    Stopped {
        /// How many bytes of the model were done.
        done: u64,
        /// How many there were to do.
        total: u64,
    },

    /// A job has more parts than its result has files.
    #[error(
        "the result has {files} files, too few for {parts} parts; a smaller size of files gives more"
    )]
    TooManyParts {
        /// How many parts were asked for.
        parts: usize,
        /// How many files there are.
        files: usize,
    },

    /// What one part of a job left behind is not what the job needs.
    #[error("{path} is of another job: {why}")]
    OtherJob {
        /// Which file.
        path: String,
        /// What is different.
        why: &'static str,
    },
}
