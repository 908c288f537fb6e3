//! Failures that are not ours, and how errors carry them and the names of tensors.

use super::Error;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What our functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the caller's own code, as [`Error::external`](Error::external) took it.
#[derive(Clone)]
pub struct External(Arc<dyn StdError + Send + Sync>);

impl External {
    pub(super) fn new(source: Box<dyn StdError + Send + Sync>) -> Self {
        Self(Arc::from(source))
    }

    pub(super) fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for External {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl Error {
    /// The error about a number that is NaN or infinite.
    pub(crate) fn not_finite(what: &'static str, index: Vec<usize>, value: f64) -> Self {
        if value.is_nan() {
            Self::NotANumber { what, index }
        } else {
            Self::Infinite { what, index, value }
        }
    }

    /// Wraps a failure of the caller's own code, so that it can pass through ours.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::Error;
    ///
    /// let error = Error::external(std::fmt::Error);
    /// assert!(error.downcast_ref::<std::fmt::Error>().is_some());
    /// ```
    pub fn external(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::External(External::new(source.into()))
    }

    /// The failure that went in by [`Error::external`], if this is one of type `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::External(external) => external.downcast_ref(),
            Self::Tensor { error, .. } | Self::Teacher { error, .. } => error.downcast_ref(),
            _ => None,
        }
    }

    /// The same error with the name of the tensor that it belongs to.
    #[must_use]
    pub fn in_tensor(self, tensor: impl Into<String>) -> Self {
        Self::Tensor {
            tensor: tensor.into(),
            error: Box::new(self),
        }
    }
}
