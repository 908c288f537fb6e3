//! Reading a teacher cache, checksums verified, next to reading the same files into a reused buffer.
//!
//! ```text
//! cargo bench --features cache --bench cache
//! ```

#![allow(
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[allow(dead_code, reason = "the floor here is a file, not memory")]
mod floors;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use rarefy::distill::TopKTarget;
use rarefy::formats::{CacheReader, CacheSettings, CacheWriter};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};

const CLASSES: usize = 32_000;
const K: usize = 64;
/// Three shards, 75 MB.
const ROWS: usize = 3 << 16;
/// A batch of training.
const BATCH: usize = 4096;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("rarefy-bench-cache-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).expect("the folder was made");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Rows that differ, without a teacher of 32,000 classes to ask for each.
fn rows(first: usize) -> TopKTarget<f32> {
    let indices = Array2::from_shape_fn((BATCH, K), |(row, place)| {
        (((first + row) * 7 + place * 131) % CLASSES) as u32
    });
    let logs = Array2::from_shape_fn((BATCH, K), |(row, place)| {
        -4.5 - ((first + row) % 64) as f32 / 64.0 - place as f32 / 16.0
    });
    TopKTarget::new(CLASSES, indices, logs).expect("indices differ and probabilities are small")
}

fn write(folder: &Path) {
    let settings = CacheSettings::new(CLASSES, K);
    let mut writer = CacheWriter::create(folder, settings).expect("the folder is new");
    for first in (0..ROWS).step_by(BATCH) {
        writer.append(&rows(first)).expect("rows fit the settings");
    }
    writer.finish().expect("the disk has room");
}

fn read_plainly(files: &[PathBuf], buffer: &mut [u8]) -> u64 {
    let mut sum = 0;
    for path in files {
        let mut file = File::open(path).expect("the file is there");
        loop {
            let read = file.read(buffer).expect("the file can be read");
            if read == 0 {
                break;
            }
            sum += read as u64;
            black_box(&mut *buffer);
        }
    }
    sum
}

fn cache(c: &mut Criterion) {
    let folder = Folder::new();
    write(&folder.0);
    let files = folder.files();
    let bytes: u64 = files
        .iter()
        .map(|file| fs::metadata(file).expect("there").len())
        .sum();
    let mut group = c.benchmark_group(format!("cache of {ROWS} rows, k {K}"));
    floors::configure(&mut group, bytes as usize);
    let open = || CacheReader::open(&folder.0).expect("the cache is whole");
    let positions: Vec<u64> = (0..ROWS as u64).collect();
    group.bench_function("read all rows, batch by batch (verified)", |b| {
        // A fresh reader each time, so that no block is in its memory; opening is outside the clock.
        b.iter_batched(
            open,
            |reader| {
                for batch in positions.chunks(BATCH) {
                    let target: TopKTarget<f32> = reader.read(batch).expect("rows are there");
                    black_box(target);
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("the same into a reused target", |b| {
        let mut target: TopKTarget<f32> = open().read(&positions[..BATCH]).expect("rows are there");
        b.iter_batched(
            open,
            |reader| {
                for batch in positions.chunks(BATCH) {
                    let read = reader.read_into(batch, &mut target);
                    read.expect("rows are there");
                    black_box(&mut target);
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("open", |b| b.iter(open));
    // A block at a time, as the reader does, and in pieces of the second-level cache's size.
    for (name, size) in [("a block", 1024 * K * 6), ("1 MiB", 1 << 20)] {
        let mut buffer = vec![0; size];
        group.bench_function(format!("floor: the same files into {name}, reused"), |b| {
            b.iter(|| read_plainly(black_box(&files), &mut buffer));
        });
    }
    group.finish();
}

criterion_group!(benches, cache);
criterion_main!(benches);
