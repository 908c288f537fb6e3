//! A file of the result that is being written.

use super::Output;
use super::plan::Plan;
use crate::error::Result;
use crate::formats::SafetensorsWriter;
use crate::tensors::{StoredTensor, TensorSource};
use std::collections::BTreeMap;
use std::path::Path;

/// How many bytes are copied at a time.
const BLOCK: usize = 1 << 20;

/// A file of the result that is being written.
#[derive(Debug)]
pub(super) enum Sink {
    Safetensors(SafetensorsWriter),
}

impl Sink {
    /// Begins a file of a plan.
    pub(super) fn create(path: &Path, output: &Output, plan: &Plan, file: usize) -> Result<Self> {
        let infos = plan.infos(file);
        match output {
            _ => SafetensorsWriter::create(path, infos, BTreeMap::new()).map(Self::Safetensors),
        }
    }

    /// Writes the next bytes of a tensor.
    pub(super) fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Safetensors(writer) => writer.append(name, bytes),
        }
    }

    /// Writes whole tensors.
    pub(super) fn write(&mut self, tensors: Vec<(String, StoredTensor)>) -> Result<()> {
        for (name, tensor) in tensors {
            match self {
                Self::Safetensors(writer) => writer.write(&name, &tensor)?,
            }
        }
        Ok(())
    }

    /// Copies a tensor byte for byte.
    pub(super) fn copy(&mut self, source: &dyn TensorSource, tensor: usize) -> Result<()> {
        let info = &source.infos()[tensor];
        let len = info.bytes()?;
        let mut block = vec![0; BLOCK.min(len)];
        for from in (0..len).step_by(BLOCK) {
            let block = &mut block[..BLOCK.min(len - from)];
            source.read_bytes(tensor, from, block)?;
            self.append(&info.name, block)?;
        }
        Ok(())
    }

    /// Brings the file to its place.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Safetensors(writer) => writer.finish(),
        }
    }
}
