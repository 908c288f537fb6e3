//! Opens a model whatever its format.

use super::{
    AwqCheckpoint, AwqConfig, BitsAndBytesCheckpoint, Checkpoint, CompressedConfig, Decompressed,
    GgufFile, GptqCheckpoint, GptqConfig, TorchPruning,
};
use crate::error::{Error, FileError, Result};
use crate::formats::file::read_json;
use crate::tensors::{TensorInfo, TensorSource};
use serde_json::Value;
use std::path::Path;

/// Opens the model at `path`, whatever its format, as tensors that a recipe can read.
///
/// | what is there | what its tensors are |
/// |---|---|
/// | a `.gguf` file | its tensors, what blocks mean as F32: [`GgufFile`] |
/// | a folder, a safetensors file, an index | those of the [`Checkpoint`] |
/// | the same, `quantization_config` says `compressed-tensors` | what its codes mean: [`Decompressed`] |
///
/// # Errors
///
/// Those of what opens it; [`FileError::Setting`] for a `quant_method` of others, whose tensors would be taken for floats.
pub fn open_model(path: impl AsRef<Path>) -> Result<Box<dyn TensorSource>> {
    let path = path.as_ref();
    if path.extension().is_some_and(|end| end == "gguf") {
        return Ok(Box::new(GgufFile::open(path)?));
    }
    let checkpoint = Checkpoint::open(path)?;
    let Some(config) = config(checkpoint.folder())? else {
        return of_floats(checkpoint);
    };
    match method(&config)? {
        Some("compressed-tensors") => {
            let config = CompressedConfig::from_json(&config)?;
            Ok(Box::new(Decompressed::new(checkpoint, config)?))
        }
        Some("gptq") => {
            let config = GptqConfig::from_json(&config)?;
            Ok(Box::new(GptqCheckpoint::new(checkpoint, config)?))
        }
        Some("awq") => {
            let config = AwqConfig::from_json(&config)?;
            Ok(Box::new(AwqCheckpoint::new(checkpoint, config)?))
        }
        Some("bitsandbytes") => Ok(Box::new(BitsAndBytesCheckpoint::new(checkpoint)?)),
        None => of_floats(checkpoint),
        Some(other) => Err(unknown(format!("{other:?}"))),
    }
}

/// Floats, of which PyTorch may have pruned some.
fn of_floats(checkpoint: Checkpoint) -> Result<Box<dyn TensorSource>> {
    let is_mask = |info: &TensorInfo| {
        let name = info.name.strip_suffix("_mask");
        name.is_some_and(|name| checkpoint.position(&format!("{name}_orig")).is_some())
    };
    if checkpoint.infos().iter().any(is_mask) {
        Ok(Box::new(TorchPruning::new(checkpoint)?))
    } else {
        Ok(Box::new(checkpoint))
    }
}

/// The configuration in a folder, if there is one.
fn config(folder: &Path) -> Result<Option<Value>> {
    let path = folder.join("config.json");
    if path.is_file() {
        read_json(&path).map(Some)
    } else {
        Ok(None)
    }
}

/// How a model's codes are laid out; `None` if it has floats.
fn method(config: &Value) -> Result<Option<&str>> {
    let Some(said) = config
        .get("quantization_config")
        .filter(|said| !said.is_null())
    else {
        return Ok(None);
    };
    let method = said.get("quant_method");
    match method.and_then(Value::as_str) {
        Some(method) => Ok(Some(method)),
        None => Err(unknown(
            method.map_or_else(|| "missing".to_owned(), Value::to_string),
        )),
    }
}

fn unknown(given: String) -> Error {
    Error::File(FileError::Setting {
        key: "quantization_config.quant_method".to_owned(),
        given,
        must: "\"compressed-tensors\", \"gptq\", \"awq\" or \"bitsandbytes\"",
    })
}
