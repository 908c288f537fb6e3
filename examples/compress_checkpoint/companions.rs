//! What lies beside the tensors of a model: its configuration, its tokenizer.

use serde_json::Value;
use std::error::Error;
use std::fs;
use std::path::Path;

/// The configuration of the model in a folder.
pub fn config(from: &Path) -> Result<Option<Value>, Box<dyn Error>> {
    let path = from.join("config.json");
    if !path.is_file() {
        return Ok(None);
    }
    let mut config: Value = serde_json::from_slice(&fs::read(path)?)?;
    // What codes were before says nothing of what they are now.
    if let Some(keys) = config.as_object_mut() {
        keys.remove("quantization_config");
    }
    Ok(Some(config))
}

/// Copies what is neither tensors nor configuration, and not there yet.
pub fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    if !from.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_model = [
            ".safetensors",
            ".index.json",
            ".bin",
            ".gguf",
            ".pt",
            ".onnx",
        ]
        .iter()
        .any(|end| name.ends_with(end));
        let known =
            name == "config.json" || name == "quantize_config.json" || name.starts_with('.');
        let there = to.join(&name);
        if path.is_dir() && !known {
            // As the folder of a pooling layer: small, one deep.
            fs::create_dir_all(&there)?;
            copy(&path, &there)?;
            let config = path.join("config.json");
            if config.is_file() {
                fs::copy(config, there.join("config.json"))?;
            }
        } else if !is_model && !known && !there.exists() {
            fs::copy(&path, there)?;
        }
    }
    Ok(())
}
