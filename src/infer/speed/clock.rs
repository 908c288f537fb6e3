//! What tells the time.

use crate::error::Result;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A clock: the time since some moment, whichever that is.
#[derive(Clone)]
pub(super) struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    pub(super) fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The system's, which does not go back.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    #[expect(clippy::unnecessary_wraps, reason = "not every target has one")]
    pub(super) fn system() -> Result<Self> {
        let start = std::time::Instant::now();
        Ok(Self::new(move || start.elapsed()))
    }

    /// There is none: the standard library's panics here.
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    pub(super) fn system() -> Result<Self> {
        Err(crate::error::Error::NoClock)
    }

    pub(super) fn now(&self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
