//! The header of a shard: written by us, read from anybody.

use super::block::{INDEX_BYTES, LOG_BYTES, Rows};
use super::folder::{damaged, failed, read_at};
use super::settings::CacheSettings;
use crate::error::Result;
use crate::formats::checksum::checksum;
use crate::formats::header::{self, Format};
use safetensors::Dtype;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

const FORMAT: Format = Format {
    name: "rarefy teacher cache",
    version: "1",
    described: "a teacher cache",
};
const INDICES: &str = "indices";
const LOGS: &str = "log_probabilities";

/// What a shard says about itself.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) settings: CacheSettings,
    pub(super) first_row: u64,
    pub(super) rows: usize,
    checksums: Vec<u32>,
    /// Where the tensors begin.
    start: u64,
}

/// The bytes before the tensors.
pub(super) fn encode(settings: &CacheSettings, first_row: u64, rows: &Rows) -> Vec<u8> {
    let k = settings.k;
    let count = rows.count(k);
    let checksums = rows.checksums(settings.block_rows, k);
    let checksums: String = checksums.iter().map(|sum| format!("{sum:08x}")).collect();
    let texts = BTreeMap::from([
        ("classes", settings.classes.to_string()),
        ("k", k.to_string()),
        ("shard_rows", settings.shard_rows.to_string()),
        ("block_rows", settings.block_rows.to_string()),
        ("first_row", first_row.to_string()),
        ("rows", count.to_string()),
        ("temperature", "1".to_owned()),
        ("teacher", settings.teacher.clone()),
        ("notes", settings.notes.clone()),
        ("block_checksums", checksums),
    ]);
    let (indices, logs) = (rows.indices.len(), rows.logs.len());
    let (shape, whole) = ([count, k], indices + logs);
    let tensors = Map::from_iter([
        (
            INDICES.to_owned(),
            json!({ "dtype": "U32", "shape": shape, "data_offsets": [0, indices] }),
        ),
        (
            LOGS.to_owned(),
            json!({ "dtype": "F16", "shape": shape, "data_offsets": [indices, whole] }),
        ),
    ]);
    header::encode(&FORMAT, texts, tensors)
}

/// Reads the header of shard `number`, and checks it against the length of the file.
pub(super) fn read(file: &mut File, path: &Path, number: u64) -> Result<Header> {
    let (text, start, data) = header::read(file, path)?;
    parse(&text, data, number)
        .map(|header| Header { start, ..header })
        .map_err(|why| damaged(path, why))
}

/// The header of shard `number`, if it is one and there are `data` bytes of tensors behind it.
fn parse(text: &[u8], data: u64, number: u64) -> Result<Header, String> {
    let header = header::Header::parse(text, &FORMAT)?;
    let text = |key| header.text(key);
    let number_of = |key| {
        let text = text(key)?;
        text.parse::<usize>()
            .map_err(|_| format!("{key} is {text:?}, not a number"))
    };
    let settings = CacheSettings {
        classes: number_of("classes")?,
        k: number_of("k")?,
        shard_rows: number_of("shard_rows")?,
        block_rows: number_of("block_rows")?,
        teacher: text("teacher")?.to_owned(),
        notes: text("notes")?.to_owned(),
    };
    settings.check().map_err(|error| error.to_string())?;
    let (rows, k) = (number_of("rows")?, settings.k);
    let first_row = number.checked_mul(settings.shard_rows as u64);
    let first_row = first_row.filter(|first| first.checked_add(rows as u64).is_some());
    let first_row = first_row.ok_or("its rows cannot be counted")?;
    if text("first_row")? != first_row.to_string() {
        return Err(format!("it is not shard {number}"));
    }
    if rows > settings.shard_rows {
        let full = settings.shard_rows;
        return Err(format!("{rows} rows in a shard of {full}"));
    }
    let found = |name, dtype| {
        let info = header
            .tensors
            .info(name)
            .ok_or(format!("it has no {name}"))?;
        if info.dtype != dtype || info.shape != [rows, k] {
            return Err(format!("{name} must be {dtype:?} of shape [{rows}, {k}]"));
        }
        Ok(info.data_offsets)
    };
    let (indices, logs) = (found(INDICES, Dtype::U32)?, found(LOGS, Dtype::F16)?);
    // Offsets without gaps and lengths that go with the shapes are safetensors' to check, and it has.
    if indices.0 != 0 || logs.0 != indices.1 || logs.1 as u64 != data {
        let whole = logs.1.max(indices.1);
        return Err(format!("tensors take {whole} bytes, {data} are there"));
    }
    let checksums =
        checksums(text("block_checksums")?).ok_or("its checksums are not hexadecimal")?;
    let blocks = rows.div_ceil(settings.block_rows);
    if checksums.len() != blocks {
        let given = checksums.len();
        return Err(format!("{given} checksums for {blocks} blocks"));
    }
    Ok(Header {
        settings,
        first_row,
        rows,
        checksums,
        start: 0,
    })
}

fn checksums(text: &str) -> Option<Vec<u32>> {
    let (each, rest) = text.as_bytes().as_chunks::<8>();
    let digits = |digits: &[u8; 8]| {
        let text = std::str::from_utf8(digits).ok()?;
        // A sign would be let through.
        let plain = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(text, 16).ok()).flatten()
    };
    rest.is_empty().then(|| each.iter().map(digits).collect())?
}

impl Header {
    pub(super) fn blocks(&self) -> usize {
        self.checksums.len()
    }

    /// Reads the rows of a block into memory that may hold others, and verifies their checksum.
    pub(super) fn block(
        &self,
        file: &File,
        path: &Path,
        block: usize,
        rows: &mut Rows,
    ) -> Result<()> {
        let k = self.settings.k;
        // Nothing overflows: all of it lies inside a file whose length was compared.
        let first = block * self.settings.block_rows;
        let count = self.settings.block_rows.min(self.rows - first);
        let logs_start = self.start + (self.rows * k * INDEX_BYTES) as u64;
        let read = |to: &mut Vec<u8>, start: u64, bytes: usize| {
            to.resize(count * k * bytes, 0);
            let from = start + (first * k * bytes) as u64;
            match read_at(file, to, from) {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    Err(damaged(path, "it has become shorter"))
                }
                read => read.map_err(failed("read", path)),
            }
        };
        read(&mut rows.indices, self.start, INDEX_BYTES)?;
        read(&mut rows.logs, logs_start, LOG_BYTES)?;
        if self.checksums.get(block) == Some(&checksum([&*rows.indices, &*rows.logs])) {
            return Ok(());
        }
        let (from, to) = (self.first_row + first as u64, first + count);
        let to = self.first_row + to as u64;
        let why = format!("the checksum of rows {from}..{to} is another");
        Err(damaged(path, why))
    }
}
