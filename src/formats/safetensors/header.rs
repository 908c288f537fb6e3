//! The header of a safetensors file: which tensors, where, and texts.

use crate::tensors::{DType, TensorInfo};
use safetensors::tensor::{Metadata, TensorInfo as Entry};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The longest header that the format allows.
pub(super) const LONGEST: u64 = 100_000_000;
/// Where the format keeps texts.
pub(super) const TEXTS: &str = "__metadata__";

/// What a header says, checked.
#[derive(Debug)]
pub(super) struct Header {
    /// The tensors in the order of their bytes.
    pub(super) infos: Vec<TensorInfo>,
    /// Where each begins, counted from the first byte behind the header.
    pub(super) starts: Vec<u64>,
    pub(super) texts: BTreeMap<String, String>,
}

/// A header in the order in which it stands, each name once.
struct Written {
    texts: BTreeMap<String, String>,
    tensors: Vec<(String, Entry)>,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a tensor for each name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
                let mut written = Written {
                    texts: BTreeMap::new(),
                    tensors: Vec::new(),
                };
                let mut names = BTreeSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        let why = format!("the name {name:?} is there twice");
                        return Err(A::Error::custom(why));
                    }
                    if name == TEXTS {
                        written.texts = map.next_value()?;
                    } else {
                        let entry = map.next_value()?;
                        written.tensors.push((name, entry));
                    }
                }
                Ok(written)
            }
        }

        from.deserialize_map(Names)
    }
}

impl Header {
    /// The header in this text, if `data` bytes of tensors are behind it.
    pub(super) fn parse(text: &[u8], data: u64) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let Written { texts, mut tensors } = written;
        tensors.sort_by_key(|(_, entry)| entry.data_offsets);
        let names: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
        // Offsets without holes or overlaps, sizes that are shape times type: safetensors has the last word on its format.
        // Its own map of texts is of a type that its features decide.
        let checked = Metadata::new(None, tensors).map_err(|error| error.to_string())?;
        if checked.data_len() as u64 != data {
            let needed = checked.data_len();
            return Err(format!("tensors take {needed} bytes, {data} are there"));
        }
        let mut infos = Vec::with_capacity(names.len());
        let mut starts = Vec::with_capacity(names.len());
        for name in names {
            let entry = checked.info(&name).ok_or("a tensor is lost")?;
            let dtype = entry.dtype.to_string();
            let dtype =
                DType::named(&dtype).ok_or_else(|| format!("the type {dtype} is unknown"))?;
            let info = TensorInfo::new(name, dtype, entry.shape.clone());
            let bytes = info.bytes().map_err(|error| error.to_string())?;
            let (from, to) = entry.data_offsets;
            if to.checked_sub(from) != Some(bytes) {
                return Err(format!("the bytes of {:?} are not its shape's", info.name));
            }
            infos.push(info);
            starts.push(from as u64);
        }
        Ok(Self {
            infos,
            starts,
            texts,
        })
    }
}

/// A header as it stands in a file: its length, and spaces so that tensors begin at a multiple of 8.
pub(super) fn encode(
    infos: &[TensorInfo],
    spans: &[(u64, u64)],
    texts: &BTreeMap<String, String>,
) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if !texts.is_empty() {
        header.insert(TEXTS.to_owned(), serde_json::json!(texts));
    }
    for (info, (from, to)) in infos.iter().zip(spans) {
        let entry = serde_json::json!({
            "dtype": info.dtype.name(),
            "shape": info.shape,
            "data_offsets": [from, to],
        });
        header.insert(info.name.clone(), entry);
    }
    let mut text = serde_json::Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}
