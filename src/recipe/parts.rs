//! What the parts of a job leave for whoever joins them.

use super::plan::Step;
use super::{Output, Recipe};
use crate::error::{Error, FileError, Result};
use crate::formats::{GgufFile, SafetensorsFile, failed, read_json, write_file};
use crate::report::TensorReport;
use crate::tensors::{TensorInfo, TensorSource};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What is said of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    recipe: Recipe,
    /// A row for each tensor that a rule changed; none while the file is being written.
    tensors: Option<Vec<TensorReport>>,
}

fn path(folder: &Path, (file, of): (usize, usize)) -> PathBuf {
    folder.join(format!("part-{:05}-of-{of:05}.json", file + 1))
}

/// Writes a JSON file, as a whole or not at all.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(Error::external)?;
    write_file(path, &text)
}

/// Whether something is said of a file, so that it is a part's.
pub(super) fn is_there(folder: &Path, place: (usize, usize)) -> bool {
    path(folder, place).exists()
}

/// Says that a file is being written: what was said before is of another one.
pub(super) fn begin(folder: &Path, place: (usize, usize), recipe: &Recipe) -> Result<()> {
    let part = Part {
        recipe: recipe.clone(),
        tensors: None,
    };
    write_json(&path(folder, place), &part)
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
        tensors: Some(tensors.to_vec()),
    };
    write_json(&path(folder, place), &part)
}

/// What was said of a file, if it was finished by this recipe and its rows are those of these steps.
pub(super) fn read(
    folder: &Path,
    place: (usize, usize),
    recipe: &Recipe,
    (infos, steps): (&[TensorInfo], &[Step]),
) -> Result<Vec<TensorReport>> {
    let path = path(folder, place);
    let part: Part = read_json(&path)?;
    if part.recipe != *recipe {
        return Err(other(&path, "its recipe is another"));
    }
    let Some(rows) = part.tensors else {
        return Err(other(&path, "it was not finished"));
    };
    let changed: Vec<&Step> = steps.iter().filter(|step| step.rule.is_some()).collect();
    let mut same = changed.len() == rows.len();
    for (step, row) in changed.iter().zip(&rows) {
        let info = &infos[step.tensor];
        let bytes = (info.bytes()?, step.bytes()?);
        same &= row.name() == info.name && row.shape() == info.shape;
        same &= (row.bytes_before(), row.bytes_after()) == bytes;
    }
    if same {
        Ok(rows)
    } else {
        Err(other(&path, "its tensors are others"))
    }
}

/// Fails unless a file has these tensors; of a GGUF file, such names.
pub(super) fn check(path: &Path, output: &Output, infos: &[TensorInfo]) -> Result<()> {
    let same = if let Output::Gguf(_) = output {
        let file = GgufFile::open(path)?;
        let mut names: Vec<&str> = file.infos().iter().map(|info| info.name.as_str()).collect();
        let mut right: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
        names.sort_unstable();
        right.sort_unstable();
        names == right
    } else {
        let by_name = |infos: &[TensorInfo]| -> BTreeMap<String, TensorInfo> {
            let named = infos.iter().map(|info| (info.name.clone(), info.clone()));
            named.collect()
        };
        by_name(SafetensorsFile::open(path)?.infos()) == by_name(infos)
    };
    if same {
        Ok(())
    } else {
        Err(other(path, "its tensors are others"))
    }
}

/// Removes what was said, when it is in the report.
pub(super) fn remove(folder: &Path, files: usize) -> Result<()> {
    for file in 0..files {
        let path = path(folder, (file, files));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn other(path: &Path, why: &'static str) -> Error {
    Error::File(FileError::OtherJob {
        path: path.display().to_string(),
        why,
    })
}
