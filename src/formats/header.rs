//! The headers of our files: safetensors, with texts that say what the file is and vouch for themselves.

use super::checksum::checksum;
#[cfg(any(feature = "calibration", feature = "masks"))]
use super::file::cut;
use super::file::{damaged, failed};
use crate::error::Result;
use safetensors::tensor::Metadata;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The longest header that safetensors allows.
const LONGEST: u64 = 100_000_000;
/// Where safetensors keeps texts.
const TEXTS: &str = "__metadata__";
const FORMAT: &str = "format";
const VERSION: &str = "version";
/// The checksum of all other keys and values.
const OF_HEADER: &str = "header_checksum";

/// One of our formats.
pub(super) struct Format {
    /// What the header says.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// What a file is, for the message when it is not.
    pub(super) described: &'static str,
}

/// What a header says: the tensors, and texts by key.
pub(super) struct Header {
    pub(super) tensors: Metadata,
    texts: BTreeMap<String, String>,
}

impl Header {
    /// The header in this text, if it is of this format and its checksum is right.
    pub(super) fn parse(text: &[u8], format: &Format) -> Result<Self, String> {
        // Twice: safetensors has the last word on its format, and what it gives has no order.
        let tensors: Metadata = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let whole: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let texts = match whole.get(TEXTS).and_then(Value::as_object) {
            Some(texts) => texts
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            None => return Err("it has no metadata".to_owned()),
        };
        let header = Self { tensors, texts };
        if header.text(FORMAT)? != format.name {
            return Err(format!("it is not {}", format.described));
        }
        let (given, right) = (header.text(VERSION)?, format.version);
        if given != right {
            return Err(format!("version {given} is not {right}"));
        }
        let others = header.texts.iter().filter(|(key, _)| *key != OF_HEADER);
        if header.text(OF_HEADER)? != checksum_of_texts(others) {
            return Err("the checksum of its header is another".to_owned());
        }
        Ok(header)
    }

    /// The text of this key.
    pub(super) fn text(&self, key: &str) -> Result<&str, String> {
        let text = self.texts.get(key).map(String::as_str);
        text.ok_or_else(|| format!("it has no {key}"))
    }
}

/// The bytes before the tensors: what safetensors has to say of each, and these texts with those that
/// every file of ours has.
pub(super) fn encode(
    format: &Format,
    mut texts: BTreeMap<&str, String>,
    mut tensors: serde_json::Map<String, Value>,
) -> Vec<u8> {
    texts.insert(FORMAT, format.name.to_owned());
    texts.insert(VERSION, format.version.to_owned());
    let sum = checksum_of_texts(&texts);
    texts.insert(OF_HEADER, sum);
    tensors.insert(TEXTS.to_owned(), serde_json::json!(texts));
    framed(&Value::Object(tensors))
}

/// The checksum of keys and values, which come in the order of the keys.
fn checksum_of_texts<K: AsRef<str>, V: AsRef<str>>(
    texts: impl IntoIterator<Item = (K, V)>,
) -> String {
    let mut bytes = Vec::new();
    for (key, value) in texts {
        for text in [key.as_ref(), value.as_ref()] {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
    }
    format!("{:08x}", checksum([&*bytes]))
}

/// A header as it stands in a file: its length, and spaces so that tensors begin at a multiple of 8.
fn framed(header: &Value) -> Vec<u8> {
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}

/// The text of a header, where the tensors begin, and how many bytes they have.
pub(super) fn read(file: &mut File, path: &Path) -> Result<(Vec<u8>, u64, u64)> {
    let failed = failed("read", path);
    let length = file.metadata().map_err(&failed)?.len();
    let mut size = [0; 8];
    if length < 8 {
        return Err(damaged(path, format!("{length} bytes are no header")));
    }
    file.seek(SeekFrom::Start(0)).map_err(&failed)?;
    file.read_exact(&mut size).map_err(&failed)?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST.min(length - 8) {
        let why = format!("a header of {size} bytes in a file of {length}");
        return Err(damaged(path, why));
    }
    // Within the file: that was compared.
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let read = file.take(size).read_to_end(&mut text).map_err(&failed)?;
    if read as u64 != size {
        return Err(damaged(path, "it became shorter while it was read"));
    }
    Ok((text, 8 + size, length - 8 - size))
}

/// So many bytes of a file from one on, of which it was compared that they are there.
#[cfg(any(feature = "calibration", feature = "masks"))]
pub(super) fn part(file: &mut File, path: &Path, from: u64, count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let found = file.seek(SeekFrom::Start(from));
    let read = found.and_then(|_| file.read_exact(&mut bytes));
    read.map_err(|error| cut(path, error))?;
    Ok(bytes)
}
