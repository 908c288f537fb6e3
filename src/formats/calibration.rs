//! Statistics by name in one file.
//!
//! The file is safetensors, so any program that reads safetensors reads it. The lists of the statistics `NAME` are the
//! tensors `NAME.LIST`, one axis, F64 for numbers and U64 for counts, little-endian; the counts of a histogram of several
//! channels stand one channel after the other. The metadata, all text:
//!
//! | key | meaning |
//! |---|---|
//! | `format`, `version` | `rarefy calibration`, `1` |
//! | `statistics` | JSON: for each name its `kind`, the `axis` of its channels or null, whether it `skips` what is not finite, and `lists`: for each list the checksum of its bytes, CRC-32 (IEEE) in hexadecimal |
//! | `notes` | JSON: the user's own words by key |
//! | `header_checksum` | the same checksum of all other keys and values |
//!
//! | kind | lists |
//! |---|---|
//! | `min_max` | `low`, `high`; `seen`: 1 for a channel that has values |
//! | `moving_average` | the same, and `share` |
//! | `histogram` | the same as `min_max`; `bins`, `signed` (1 or 0), `exponents` (bins are two to this wide), `counts` |
//! | `channel_sums` | `values`, `magnitudes`, `squares` |
//! | `saturation` | `low`, `high`, `values`, `below`, `above` |

use super::checksum::checksum;
use super::file::{damaged, failed, replace};
use super::header::{self, Format, Header};
use crate::calibrate::{Parts, Statistics};
use crate::error::Result;
use safetensors::Dtype;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

const FORMAT: Format = Format {
    name: "rarefy calibration",
    version: "1",
    described: "a file of statistics",
};

/// Statistics by name, and notes, as a file holds them.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::calibrate::{Histogram, ObserverExt, Statistics};
/// use rarefy::formats::CalibrationFile;
///
/// let mut histogram = Statistics::from(Histogram::new());
/// histogram.observe(&array![0.5_f32, -1.5, 2.0])?;
/// let mut file = CalibrationFile::default();
/// file.statistics.insert("layer.input".into(), histogram);
/// file.notes.insert("batches".into(), "1".into());
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-calibration-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(rarefy::Error::external)?;
/// let path = folder.join("calibration.safetensors");
/// file.write(&path)?;
/// assert_eq!(CalibrationFile::read(&path)?, file);
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CalibrationFile {
    /// The statistics by the names of what was observed.
    pub statistics: BTreeMap<String, Statistics>,
    /// The user's own words by key: how many batches, of what, by which model.
    pub notes: BTreeMap<String, String>,
}

/// What the header says of a list.
struct List {
    name: String,
    counts: bool,
    checksum: String,
    from: u64,
    bytes: usize,
}

/// What the header says of statistics: the settings, and where the lists are.
struct Entry {
    name: String,
    parts: Parts,
    lists: Vec<List>,
}

impl CalibrationFile {
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
        for (name, statistics) in &self.statistics {
            let parts = Parts::from(statistics.clone());
            let mut lists = Map::new();
            let mut add = |list: &str, dtype: &str, words: &mut dyn Iterator<Item = [u8; 8]>| {
                let start = data.len();
                data.extend(words.flatten());
                let bytes = &data[start..];
                let (len, sum) = (bytes.len() / 8, format!("{:08x}", checksum([bytes])));
                lists.insert(list.to_owned(), sum.into());
                let offsets = [start, data.len()];
                let tensor = json!({ "dtype": dtype, "shape": [len], "data_offsets": offsets });
                tensors.insert(tensor_name(name, list), tensor);
            };
            for (list, counts) in &parts.counts {
                add(list, "U64", &mut counts.iter().map(|n| n.to_le_bytes()));
            }
            for (list, numbers) in &parts.numbers {
                add(list, "F64", &mut numbers.iter().map(|x| x.to_le_bytes()));
            }
            let entry = json!({
                "kind": parts.kind, "axis": parts.axis, "skips": parts.skips, "lists": lists,
            });
            entries.insert(name.clone(), entry);
        }
        let texts = BTreeMap::from([
            ("statistics", Value::Object(entries).to_string()),
            ("notes", json!(self.notes).to_string()),
        ]);
        let header = header::encode(&FORMAT, texts, tensors);
        replace(path.as_ref(), &[&header, &data])
    }

    /// Reads a file. Nothing is believed: lengths are compared with the file before anything is
    /// allocated, every checksum is checked, and statistics must be ones that could have been observed.
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
        let mut all = BTreeMap::new();
        for Entry {
            name,
            mut parts,
            lists,
        } in entries
        {
            for list in lists {
                let bytes = header::part(&mut file, path, start + list.from, list.bytes)?;
                if format!("{:08x}", checksum([&*bytes])) != list.checksum {
                    let why = format!("the checksum of {} of {name:?} is another", list.name);
                    return Err(damaged(path, why));
                }
                let words = bytes.as_chunks::<8>().0.iter().copied();
                if list.counts {
                    let counts = words.map(u64::from_le_bytes).collect();
                    parts.counts.insert(list.name, counts);
                } else {
                    let numbers = words.map(f64::from_le_bytes).collect();
                    parts.numbers.insert(list.name, numbers);
                }
            }
            let statistics = Statistics::try_from(parts)
                .map_err(|why| damaged(path, format!("the statistics of {name:?}: {why}")))?;
            all.insert(name, statistics);
        }
        Ok(Self {
            statistics: all,
            notes,
        })
    }
}

fn tensor_name(name: &str, list: &str) -> String {
    // Names of lists have no dot, so that no two are the same; and none is what safetensors has for its metadata.
    format!("{name}.{list}")
}

/// The notes and the statistics of a header, if it is one and there are `data` bytes of tensors behind it.
fn parse(text: &[u8], data: u64) -> Result<(BTreeMap<String, String>, Vec<Entry>), String> {
    let header = Header::parse(text, &FORMAT)?;
    let notes =
        serde_json::from_str(header.text("notes")?).map_err(|_| "its notes are no texts")?;
    let all: Map<String, Value> =
        serde_json::from_str(header.text("statistics")?).map_err(|error| error.to_string())?;
    let tensors = header.tensors.tensors();
    let whole = tensors.values().map(|tensor| tensor.data_offsets.1).max();
    let whole = whole.unwrap_or(0) as u64;
    if whole != data {
        return Err(format!("tensors take {whole} bytes, {data} are there"));
    }
    let entry = |(name, value): (String, Value)| {
        let found = entry(&header, &name, &value);
        found.ok_or_else(|| format!("what it says of {name:?} is wrong"))
    };
    let entries: Vec<Entry> = all.into_iter().map(entry).collect::<Result<_, String>>()?;
    let said: usize = entries.iter().map(|entry| entry.lists.len()).sum();
    if tensors.len() != said {
        return Err(format!("it has {} tensors, not {said}", tensors.len()));
    }
    Ok((notes, entries))
}

fn entry(header: &Header, name: &str, value: &Value) -> Option<Entry> {
    let axis = match value.get("axis")? {
        Value::Null => None,
        axis => Some(usize::try_from(axis.as_u64()?).ok()?),
    };
    let list = |(list, sum): (&String, &Value)| {
        let tensor = header.tensors.info(&tensor_name(name, list))?;
        let counts = match tensor.dtype {
            Dtype::U64 => true,
            Dtype::F64 => false,
            _ => return None,
        };
        let (from, to) = tensor.data_offsets;
        let bytes = to.checked_sub(from)?;
        // Offsets without gaps are safetensors' to check, and it has; also that they are those of the shape.
        (tensor.shape.len() == 1).then_some(List {
            name: list.clone(),
            counts,
            checksum: sum.as_str()?.to_owned(),
            from: from as u64,
            bytes,
        })
    };
    let lists = value.get("lists")?.as_object()?.iter().map(list);
    Some(Entry {
        name: name.to_owned(),
        parts: Parts {
            kind: value.get("kind")?.as_str()?.to_owned(),
            axis,
            skips: value.get("skips")?.as_bool()?,
            counts: BTreeMap::new(),
            numbers: BTreeMap::new(),
        },
        lists: lists.collect::<Option<_>>()?,
    })
}
