//! What the parts of a job leave for whoever joins them.

use super::Recipe;
use crate::error::{Error, FileError, Result};
use crate::formats::{SafetensorsFile, damaged, failed, write_file};
use crate::report::TensorReport;
use crate::tensors::{TensorInfo, TensorSource};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What is said of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    recipe: Recipe,
    tensors: Vec<TensorReport>,
}

fn path(folder: &Path, (file, of): (usize, usize)) -> PathBuf {
    folder.join(format!("part-{:05}-of-{of:05}.json", file + 1))
}

/// Writes a JSON file, as a whole or not at all.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(Error::external)?;
    write_file(path, &text)
}

/// Leaves what is said of a file.
pub(super) fn write(
    folder: &Path,
    place: (usize, usize),
    recipe: &Recipe,
    tensors: &[TensorReport],
) -> Result<()> {
    let part = Part {
        recipe: recipe.clone(),
        tensors: tensors.to_vec(),
    };
    write_json(&path(folder, place), &part)
}

/// What was said of a file by a part with this recipe.
pub(super) fn read(
    folder: &Path,
    place: (usize, usize),
    recipe: &Recipe,
) -> Result<Vec<TensorReport>> {
    let path = path(folder, place);
    let text = fs::read(&path).map_err(failed("read", &path))?;
    let part: Part =
        serde_json::from_slice(&text).map_err(|error| damaged(&path, error.to_string()))?;
    if part.recipe != *recipe {
        return Err(other(&path, "its recipe is another"));
    }
    Ok(part.tensors)
}

/// Fails unless a file has these tensors.
pub(super) fn check(path: &Path, infos: &[TensorInfo]) -> Result<()> {
    let file = SafetensorsFile::open(path)?;
    let by_name = |infos: &[TensorInfo]| -> BTreeMap<String, TensorInfo> {
        infos
            .iter()
            .map(|info| (info.name.clone(), info.clone()))
            .collect()
    };
    if by_name(file.infos()) != by_name(infos) {
        return Err(other(path, "its tensors are others"));
    }
    Ok(())
}

/// Removes what was said, when it is in the report.
pub(super) fn remove(folder: &Path, files: usize) -> Result<()> {
    for file in 0..files {
        let path = path(folder, (file, files));
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    Ok(())
}

fn other(path: &Path, why: &'static str) -> Error {
    Error::File(FileError::OtherJob {
        path: path.display().to_string(),
        why,
    })
}
