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
}
