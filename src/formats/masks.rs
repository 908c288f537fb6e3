//! Masks by name in one file.
//!
//! The file is safetensors, so any program that reads safetensors reads it. The mask of the tensor
//! `NAME` is the tensor `NAME_mask` of dtype U8, PyTorch's name for it, with a bit a weight: bit i mod 8
//! of byte ⌊i / 8⌋ belongs to weight i in row-major order, 1 for kept; NumPy's
//! `unpackbits(bytes, bitorder="little")`. The metadata, all text:
//!
//! | key | meaning |
//! |---|---|
//! | `format`, `version` | `rarefy masks`, `1` |
//! | `masks` | JSON: for each name its `shape`, how many weights are `kept`, and the `checksum` of its bytes, CRC-32 (IEEE) in hexadecimal |
//! | `notes` | JSON: the user's own words by key |
//! | `header_checksum` | the same checksum of all other keys and values |

use super::checksum::checksum;
use super::file::{damaged, failed, replace};
use super::header::{self, Format, Header};
use crate::error::Result;
use crate::mask::Mask;
use crate::shape;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

const FORMAT: Format = Format {
    name: "rarefy masks",
    version: "1",
    described: "a file of masks",
};

/// Masks by name, and notes, as a file holds them.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::formats::MaskFile;
/// use rarefy::prune;
///
/// let mut weights = array![[0.3_f32, -1.2, 0.1], [0.8, -0.2, 2.0]];
/// let mut file = MaskFile::default();
/// file.masks.insert("layer.weight".into(), prune::l1_unstructured(&mut weights, 0.5)?);
/// file.notes.insert("step".into(), "1000".into());
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-masks-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(rarefy::Error::external)?;
/// let path = folder.join("masks.safetensors");
/// file.write(&path)?;
/// assert_eq!(MaskFile::read(&path)?, file);
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskFile {
    /// The masks by the names of their tensors.
    pub masks: BTreeMap<String, Mask>,
    /// The user's own words by key: a step, a model, how it was pruned.
    pub notes: BTreeMap<String, String>,
}

impl From<BTreeMap<String, Mask>> for MaskFile {
    fn from(masks: BTreeMap<String, Mask>) -> Self {
        Self {
            masks,
            notes: BTreeMap::new(),
        }
    }
}

/// What the header says of a mask.
struct Entry {
    name: String,
    shape: Vec<usize>,
    kept: u64,
    checksum: String,
    from: u64,
    bytes: usize,
}

impl MaskFile {
    /// Writes the file, or replaces the one that is there.
    ///
    /// It is written beside its place, as `NAME.partial`, brought to the disk, and renamed: at any time,
    /// whatever is killed, the file is there as a whole or as it was. One at a time may write a file.
    ///
    /// # Errors
    ///
    /// [`FileError::Failed`](crate::FileError::Failed) if that is not possible.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut tensors = Map::new();
        let mut entries = Map::new();
        let mut data = Vec::new();
        for (name, mask) in &self.masks {
            let start = data.len();
            data.extend(mask.words().iter().flat_map(|word| word.to_le_bytes()));
            data.truncate(start + mask.len().div_ceil(8));
            let bytes = &data[start..];
            let sum = format!("{:08x}", checksum([bytes]));
            let entry = json!({ "shape": mask.shape(), "kept": mask.kept(), "checksum": sum });
            entries.insert(name.clone(), entry);
            let offsets = [start, data.len()];
            let tensor = json!({ "dtype": "U8", "shape": [bytes.len()], "data_offsets": offsets });
            tensors.insert(tensor_name(name), tensor);
        }
        let texts = BTreeMap::from([
            ("masks", Value::Object(entries).to_string()),
            ("notes", json!(self.notes).to_string()),
        ]);
        let header = header::encode(&FORMAT, texts, tensors);
        replace(path.as_ref(), &[&header, &data])
    }

    /// Reads a file. Nothing is believed: lengths are compared with the file before anything is
    /// allocated, and every checksum is checked.
    ///
    /// # Errors
    ///
    /// [`FileError::Damaged`](crate::FileError::Damaged) if it is not what was written, or not such a
    /// file; [`FileError::Failed`](crate::FileError::Failed) if it cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(failed("open", path))?;
        let (text, start, data) = header::read(&mut file, path)?;
        let (notes, entries) = parse(&text, data).map_err(|why| damaged(path, why))?;
        let mut masks = BTreeMap::new();
        for entry in entries {
            let bytes = header::part(&mut file, path, start + entry.from, entry.bytes)?;
            let mask = decode(&entry, &bytes).map_err(|why| {
                let why = format!("the mask of {:?}: {why}", entry.name);
                damaged(path, why)
            })?;
            masks.insert(entry.name, mask);
        }
        Ok(Self { masks, notes })
    }
}

fn tensor_name(name: &str) -> String {
    // So that no name is the one that safetensors has for its metadata.
    format!("{name}_mask")
}

fn decode(entry: &Entry, bytes: &[u8]) -> Result<Mask, String> {
    if format!("{:08x}", checksum([bytes])) != entry.checksum {
        return Err("its checksum is another".to_owned());
    }
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let mask = Mask::from_parts(entry.shape.clone(), words.collect());
    let mask = mask.map_err(|error| error.to_string())?;
    if mask.kept() as u64 != entry.kept {
        let (kept, said) = (mask.kept(), entry.kept);
        return Err(format!("it keeps {kept} weights, not {said}"));
    }
    Ok(mask)
}

/// The notes and the masks of a header, if it is one and there are `data` bytes of tensors behind it.
fn parse(text: &[u8], data: u64) -> Result<(BTreeMap<String, String>, Vec<Entry>), String> {
    let header = Header::parse(text, &FORMAT)?;
    let notes =
        serde_json::from_str(header.text("notes")?).map_err(|_| "its notes are no texts")?;
    let masks: Map<String, Value> =
        serde_json::from_str(header.text("masks")?).map_err(|error| error.to_string())?;
    let tensors = header.tensors.tensors();
    if tensors.len() != masks.len() {
        let (given, said) = (tensors.len(), masks.len());
        return Err(format!("it has {given} tensors, not {said}"));
    }
    let whole = tensors.values().map(|tensor| tensor.data_offsets.1).max();
    let whole = whole.unwrap_or(0) as u64;
    if whole != data {
        return Err(format!("tensors take {whole} bytes, {data} are there"));
    }
    let entry = |(name, value): (String, Value)| {
        let found = entry(&header.tensors, &name, &value);
        found.ok_or_else(|| format!("what it says of {name:?} is wrong"))
    };
    let entries: Result<Vec<Entry>, String> = masks.into_iter().map(entry).collect();
    Ok((notes, entries?))
}

fn entry(metadata: &Metadata, name: &str, value: &Value) -> Option<Entry> {
    let size = |value: &Value| usize::try_from(value.as_u64()?).ok();
    let sizes = value.get("shape")?.as_array()?.iter().map(size);
    let sizes: Vec<usize> = sizes.collect::<Option<_>>()?;
    let bytes = shape::count(&sizes).ok()?.div_ceil(8);
    let tensor = metadata.info(&tensor_name(name))?;
    let (from, to) = tensor.data_offsets;
    // Offsets without gaps are safetensors' to check, and it has.
    let right =
        tensor.dtype == Dtype::U8 && tensor.shape == [bytes] && to.checked_sub(from) == Some(bytes);
    right.then_some(Entry {
        name: name.to_owned(),
        shape: sizes,
        kept: value.get("kept")?.as_u64()?,
        checksum: value.get("checksum")?.as_str()?.to_owned(),
        from: from as u64,
        bytes,
    })
}
