//! A file of the result that is being written.

use super::Output;
use super::layout::Layout;
use super::plan::Plan;
use crate::error::Result;
use crate::formats::{GgufTensorInfo, GgufType, GgufWriter, SafetensorsWriter};
use crate::tensors::{StoredTensor, TensorInfo, TensorSource};
use std::collections::BTreeMap;
use std::path::Path;

/// How many bytes are copied at a time.
const BLOCK: usize = 1 << 20;

/// A file of the result that is being written.
#[derive(Debug)]
pub(super) enum Sink {
    Safetensors(SafetensorsWriter),
    Gguf(GgufWriter),
}

impl Sink {
    /// Begins a file of a plan for these tensors.
    pub(super) fn create(
        path: &Path,
        output: &Output,
        tensors: &[TensorInfo],
        plan: &Plan,
        file: usize,
    ) -> Result<Self> {
        let Output::Gguf(said) = output else {
            let writer = SafetensorsWriter::create(path, plan.infos(file), BTreeMap::new());
            return writer.map(Self::Safetensors);
        };
        let infos = plan.steps.iter().map(|step| {
            let info = &tensors[step.tensor];
            let kind = match step.layout {
                Layout::Blocks(format) => GgufType::from(format),
                _ => GgufType::from(info.dtype),
            };
            GgufTensorInfo::new(&*info.name, kind, &*info.shape)
        });
        GgufWriter::create(path, said.values()?, infos.collect()).map(Self::Gguf)
    }

    /// Writes the next bytes of a tensor.
    pub(super) fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Safetensors(writer) => writer.append(name, bytes),
            Self::Gguf(writer) => writer.append(name, bytes),
        }
    }

    /// Writes whole tensors.
    pub(super) fn write(&mut self, tensors: Vec<(String, StoredTensor)>) -> Result<()> {
        for (name, tensor) in tensors {
            match self {
                Self::Safetensors(writer) => writer.write(&name, &tensor)?,
                Self::Gguf(writer) => writer.write(&name, &tensor)?,
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
            Self::Gguf(writer) => writer.finish(),
        }
    }
}
