//! A file that is mapped into memory.
//!
//! Measured: docs/performance.md, "Checkpoints". Pages come in when they are read and are shared with every other process
//! that maps the file; reading copies them.
#![expect(
    unsafe_code,
    reason = "a map is memory that others may write; the gain is measured above"
)]

use memmap2::Mmap;
use std::fs::File;
use std::io;

/// The bytes of a file that is mapped into memory.
#[derive(Debug)]
pub(crate) struct Mapped(Mmap);

impl Mapped {
    /// Maps a file.
    ///
    /// # Safety
    ///
    /// Nobody may change or shorten the file while the value lives.
    pub(crate) unsafe fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the caller vouches that the file stays as it is, which is all that `map` asks for.
        unsafe { Mmap::map(file) }.map(Self)
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
