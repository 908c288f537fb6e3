//! What lies beside the tensors of a model: its configuration, its tokenizer.

use serde_json::Value;
use std::error::Error;
use std::fs;
use std::path::Path;

/// The configuration of a model: in its folder, or beside its file.
pub(crate) fn config(from: &Path) -> Result<Option<Value>, Box<dyn Error>> {
    let folder = if from.is_dir() {
        from
    } else {
        from.parent().unwrap_or(Path::new("."))
    };
    let path = folder.join("config.json");
    if !path.is_file() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
}

/// Copies what is neither tensors nor configuration, and not there yet; folders one deep, as that of a pooling layer.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let from = if from.is_dir() {
        from
    } else {
        from.parent().unwrap_or(Path::new("."))
    };
    let result = fs::canonicalize(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let there = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            // The result may lie inside of the model.
            let inside = result.starts_with(fs::canonicalize(&path)?);
            let is_hidden = there
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if !inside && !is_hidden {
                copy_files(&path, &there, &[])?;
            }
        }
    }
    copy_files(from, to, &["config.json", "quantize_config.json"])
}

fn copy_files(from: &Path, to: &Path, but: &[&str]) -> Result<(), Box<dyn Error>> {
    /// How files with weights end.
    const WEIGHTS: [&str; 10] = [
        ".safetensors",
        ".index.json",
        ".bin",
        ".gguf",
        ".pt",
        ".pth",
        ".onnx",
        ".h5",
        ".msgpack",
        ".ot",
    ];
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_left = WEIGHTS.iter().any(|end| name.ends_with(end))
            || name.starts_with('.')
            || but.contains(&&*name);
        if path.is_file() && !is_left && !to.join(&name).exists() {
            fs::create_dir_all(to)?;
            fs::copy(&path, to.join(&name))?;
        }
    }
    Ok(())
}
