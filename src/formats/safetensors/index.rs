//! The index of a checkpoint of several files.

use crate::error::{Error, FileError, Result};
use crate::formats::file::{damaged, failed, replace};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

/// The name that the index has in a folder.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Longer files than this are no index of a model: a name for each of a million tensors.
const LONGEST: u64 = 100_000_000;

/// Reads which file each tensor is in.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let failed = failed("read", path);
    let mut file = File::open(path).map_err(&failed)?;
    let len = file.metadata().map_err(&failed)?.len();
    if len > LONGEST {
        return Err(damaged(path, format!("{len} bytes are no index")));
    }
    // As much as the file has, and not twice that.
    let mut text = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.by_ref()
        .take(LONGEST)
        .read_to_end(&mut text)
        .map_err(&failed)?;
    parse(&text).map_err(|why| damaged(path, why))
}

/// Which file each tensor is in, by the text of an index.
pub(super) fn parse(text: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let index: Index = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let Files(files) = index.weight_map.ok_or("it has no weight_map")?;
    if let Some((tensor, _)) = files.iter().find(|(_, file)| !is_name(file)) {
        let why = format!("the file of {tensor:?} is no name of a file beside it");
        return Err(why);
    }
    Ok(files)
}

/// What is read of an index; the rest is for people.
#[derive(serde::Deserialize)]
struct Index {
    weight_map: Option<Files>,
}

/// Names of files, each tensor's once.
struct Files(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Files;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a file for each tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Files, A::Error> {
                let mut files = BTreeMap::new();
                while let Some(tensor) = map.next_key::<String>()? {
                    match files.entry(tensor) {
                        Entry::Vacant(place) => place.insert(map.next_value()?),
                        Entry::Occupied(place) => {
                            let why = format!("{:?} is in two files", place.key());
                            return Err(A::Error::custom(why));
                        }
                    };
                }
                Ok(Files(files))
            }
        }

        from.deserialize_map(Names)
    }
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
