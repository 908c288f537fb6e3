//! The index of a checkpoint of several files.

use crate::error::{Error, FileError, Result};
use crate::formats::file::{damaged, failed, replace};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

/// The name that the index has in a folder.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Longer files than this are no index of a model: a name for each of ten million tensors.
const LONGEST: u64 = 1 << 30;

/// Reads which file each tensor is in.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let failed = failed("read", path);
    let mut file = File::open(path).map_err(&failed)?;
    let len = file.metadata().map_err(&failed)?.len();
    if len > LONGEST {
        return Err(damaged(path, format!("{len} bytes are no index")));
    }
    let mut text = Vec::new();
    file.by_ref()
        .take(LONGEST)
        .read_to_end(&mut text)
        .map_err(&failed)?;
    parse(&text).map_err(|why| damaged(path, why))
}

/// Which file each tensor is in, by the text of an index.
pub(super) fn parse(text: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let index: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or("it has no weight_map")?;
    let mut files = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|file| is_name(file));
        let file =
            file.ok_or_else(|| format!("the file of {tensor:?} is no name of a file beside it"))?;
        files.insert(tensor.clone(), file.to_owned());
    }
    Ok(files)
}

/// Whether this names a file in the same folder, and nothing else anywhere.
fn is_name(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    ) && !file.contains('\\')
}

/// Writes the index of a checkpoint of several files, as a whole or not at all.
///
/// `files` says which file each tensor is in, `total_size` how many bytes all tensors have. It is to be written last, when
/// all files are there.
///
/// # Errors
///
/// [`FileError::CannotHold`] if the name of a file leads elsewhere, and [`FileError::Failed`].
pub fn write_index(
    folder: impl AsRef<Path>,
    files: &BTreeMap<String, String>,
    total_size: u64,
) -> Result<()> {
    if let Some(file) = files.values().find(|file| !is_name(file)) {
        return Err(Error::File(FileError::CannotHold {
            format: "an index",
            what: format!("the file {file:?}"),
            must: "names of files beside it",
        }));
    }
    let index = json!({ "metadata": { "total_size": total_size }, "weight_map": files });
    // Strings and numbers alone: this cannot fail.
    let text = serde_json::to_vec_pretty(&index).map_err(Error::external)?;
    replace(&folder.as_ref().join(INDEX), &[&text])
}
