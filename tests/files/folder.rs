//! A folder of a test's own, gone at its end.

use std::fs;
use std::path::PathBuf;

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// One that is not there yet. All tests share the name of the process, so each gives a name of its own.
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("rarefy-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// One that is there.
    #[cfg(any(feature = "calibration", feature = "masks", feature = "tensors"))]
    pub(crate) fn made(name: &str) -> Self {
        let folder = Self::new(name);
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    #[cfg(feature = "recipe")]
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    #[cfg(any(feature = "calibration", feature = "masks", feature = "safetensors"))]
    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("values.safetensors")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
