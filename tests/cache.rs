//! The teacher cache: what goes in comes out, whatever is killed; what is damaged is an error and
//! nothing else is lost.

#![cfg(feature = "cache")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, and casts small numbers of its own"
)]

use ndarray::{Array2, Axis, s};
use rarefy::distill::{KlDivergence, Loss, Output, Target, Teacher, TopKDivergence, TopKTarget};
use rarefy::formats::{CacheReader, CacheSettings, CacheWriter};
use rarefy::{Error, FileError, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CLASSES: usize = 50;
const K: usize = 3;

/// A folder of this test's own, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("rarefy-cache-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn shard(&self, number: usize) -> PathBuf {
        self.0.join(format!("shard-{number:08}.safetensors"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings() -> CacheSettings {
    CacheSettings::new(CLASSES, K)
        .shard_rows(40)
        .block_rows(8)
        .teacher("tëst \"quoted\"")
        .notes("line\nline")
}

/// Row i is a function of i, and of halves, so that nothing is rounded.
fn target(rows: std::ops::Range<usize>) -> TopKTarget<f32> {
    let at = |(row, place): (usize, usize)| (rows.start + row, place);
    let shape = (rows.len(), K);
    let indices = Array2::from_shape_fn(shape, |index| {
        let (row, place) = at(index);
        ((row * 7 + place * 11) % CLASSES) as u32
    });
    let logs = Array2::from_shape_fn(shape, |index| {
        let (row, place) = at(index);
        -1.5 - (row % 100) as f32 / 16.0 - place as f32
    });
    TopKTarget::new(CLASSES, indices, logs).unwrap()
}

fn write(folder: &Folder, rows: usize) {
    let mut writer = CacheWriter::create(&folder.0, settings()).unwrap();
    for start in (0..rows).step_by(17) {
        writer.append(&target(start..rows.min(start + 17))).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), rows as u64);
}

fn all(reader: &CacheReader) -> Result<TopKTarget<f32>> {
    reader.read(&(0..reader.rows()).collect::<Vec<_>>())
}

fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn rows_come_back_in_any_order() {
    let folder = Folder::new("order");
    write(&folder, 100);
    let reader = CacheReader::open(&folder.0).unwrap();
    assert_eq!((reader.rows(), reader.settings()), (100, &settings()));
    assert_eq!(all(&reader).unwrap(), target(0..100));
    let whole = target(0..100);
    // Few blocks in memory, so that they are thrown out and come back.
    let reader = CacheReader::open(&folder.0).unwrap().cached_blocks(2);
    for positions in [
        vec![],
        vec![99],
        vec![5, 5, 99, 0, 41, 5],
        (0..100).rev().collect(),
    ] {
        let rows: Vec<usize> = positions.iter().map(|&row| row as usize).collect();
        let read: TopKTarget<f64> = reader.read(&positions).unwrap();
        assert_eq!(read.indices(), whole.indices().select(Axis(0), &rows));
        let logs = whole.log_probabilities().mapv(f64::from);
        assert_eq!(read.log_probabilities(), logs.select(Axis(0), &rows));
    }
    let says = "position must lie in 0..100, got 100";
    assert_eq!(text(reader.read::<f32>(&[3, 100])), says);
}

#[test]
fn a_cache_can_be_read_by_many_threads() {
    let folder = Folder::new("threads");
    write(&folder, 100);
    let reader = CacheReader::open(&folder.0).unwrap().cached_blocks(1);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let reader = &reader;
            scope.spawn(move || {
                for row in (0..100).map(|row| (row * 37 + thread * 11) % 100) {
                    let read: TopKTarget<f32> = reader.read(&[row as u64]).unwrap();
                    assert_eq!(read, target(row..row + 1));
                }
            });
        }
    });
}

#[test]
fn half_precision_costs_what_is_stated() {
    let folder = Folder::new("half");
    let logits = Array2::from_shape_fn((30, 300), |(row, class)| {
        ((row * 31 + class * 17) % 101) as f64 * 0.173 - (class % 7) as f64
    });
    let exact = TopKTarget::from_logits(&logits, 64).unwrap();
    let mut writer = CacheWriter::create(&folder.0, CacheSettings::new(300, 64)).unwrap();
    writer.append(&exact).unwrap();
    writer.finish().unwrap();
    let reader = CacheReader::open(&folder.0).unwrap();
    let read: TopKTarget<f64> = reader.read(&(0..30).collect::<Vec<_>>()).unwrap();
    assert_eq!(read.indices(), exact.indices());
    for (&read, &exact) in read
        .log_probabilities()
        .iter()
        .zip(exact.log_probabilities())
    {
        assert!(
            (read - exact).abs() <= exact.abs() / 2048.0,
            "{read} {exact}"
        );
    }
}

#[test]
fn a_reader_is_a_teacher_of_positions() {
    let folder = Folder::new("teacher");
    write(&folder, 50);
    let reader = CacheReader::open(&folder.0).unwrap();
    let positions = [49, 7];
    let output: Output<f64> = reader.teach(&positions[..]).unwrap();
    let finite = output.logits.iter().filter(|z| z.is_finite());
    assert_eq!((output.logits.dim(), finite.count()), ((2, CLASSES), 2 * K));
    // A student without the other classes: the full divergence is the one within the k.
    let mut student = Output::from(
        output
            .logits
            .mapv(|z| if z.is_finite() { z * z } else { z }),
    );
    let top_k = reader.read(&positions).unwrap();
    let sparse = TopKDivergence::new(2.0).value(&student, Target::new().top_k(&top_k));
    let full = KlDivergence::new(2.0).value(&student, Target::from(&output));
    assert!((sparse.unwrap() - full.unwrap()).abs() < 1e-12);
    student.logits.fill(0.0);
    assert!(
        KlDivergence::new(1.0)
            .value(&student, Target::from(&output))
            .is_ok()
    );
}

#[test]
fn a_target_is_read_into_again_and_again() {
    let folder = Folder::new("again");
    write(&folder, 100);
    let whole = target(0..100);
    let reader = CacheReader::open(&folder.0).unwrap().cached_blocks(3);
    // Of another shape at first, then longer, shorter, none, and all in an order of its own.
    let mut read = TopKTarget::new(9, Array2::zeros((7, 1)), Array2::zeros((7, 1))).unwrap();
    let scattered: Vec<u64> = (0..200).map(|i| i * 37 % 100).collect();
    for positions in [vec![99, 3], (10..90).collect(), vec![41], vec![], scattered] {
        reader.read_into(&positions, &mut read).unwrap();
        let rows: Vec<usize> = positions.iter().map(|&row| row as usize).collect();
        let right = TopKTarget::new(
            CLASSES,
            whole.indices().select(Axis(0), &rows),
            whole.log_probabilities().select(Axis(0), &rows),
        );
        assert_eq!(read, right.unwrap());
    }
    let memory = read.indices().as_ptr();
    reader.read_into(&[5, 6], &mut read).unwrap();
    assert_eq!(read.indices().as_ptr(), memory, "the same memory");
    let before = read.clone();
    assert!(reader.read_into(&[5, 100], &mut read).is_err());
    assert_eq!(read, before);
    // A file that is cut while it is open, by a reader that has no block of it in memory.
    let reader = CacheReader::open(&folder.0).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(folder.shard(2))
        .unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    let error = text(reader.read_into(&[0, 99], &mut read));
    assert!(error.ends_with("it has become shorter"), "{error}");
    assert_eq!((read.rows(), read.k()), (0, K));
    reader.read_into(&[5, 6], &mut read).unwrap();
    assert_eq!(read, before);
}

#[test]
fn any_pool_reads_the_same_and_its_threads_may_all_read() {
    let folder = Folder::new("pools");
    // Nine blocks of 21,000 entries, so that a read is cut up: a task takes 65,536.
    let rows = 60_000;
    let settings = CacheSettings::new(CLASSES, K)
        .shard_rows(20_000)
        .block_rows(7000);
    let mut writer = CacheWriter::create(&folder.0, settings).unwrap();
    writer.append(&target(0..rows)).unwrap();
    writer.finish().unwrap();
    let whole = target(0..rows);
    for threads in [1, 2, 3, 16] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        for blocks in [1, 2, 16] {
            let reader = CacheReader::open(&folder.0).unwrap().cached_blocks(blocks);
            assert_eq!(pool.install(|| all(&reader)).unwrap(), whole);
            // Readers within a pool that share blocks, files and memory.
            pool.scope(|scope| {
                for first in (0..rows as u64).step_by(5000) {
                    let (reader, whole) = (&reader, &whole);
                    scope.spawn(move |_| {
                        let positions: Vec<u64> =
                            (0..500).map(|i| (first + i * 71) % 60_000).collect();
                        let read: TopKTarget<f32> = reader.read(&positions).unwrap();
                        let rows: Vec<usize> = positions.iter().map(|&p| p as usize).collect();
                        assert_eq!(read.indices(), whole.indices().select(Axis(0), &rows));
                    });
                }
            });
        }
    }
}

#[test]
fn a_writer_goes_on_where_it_stopped() {
    let folder = Folder::new("resume");
    let mut written = 0;
    drop(CacheWriter::create(&folder.0, settings()).unwrap());
    // Within a shard, to its end exactly, over several.
    for more in [5, 12, 23, 40, 90, 1, 0, 200] {
        let mut writer = CacheWriter::resume(&folder.0).unwrap();
        assert_eq!(
            (writer.rows(), writer.settings()),
            (written as u64, &settings())
        );
        writer.append(&target(written..written + more)).unwrap();
        written += more;
        assert_eq!(writer.rows(), written as u64);
        assert_eq!(writer.finish().unwrap(), written as u64);
        let reader = CacheReader::open(&folder.0).unwrap();
        assert_eq!(all(&reader).unwrap(), target(0..written));
    }
    // A shard that became longer is a new file: an old reader sees the old one.
    let before = CacheReader::open(&folder.0).unwrap();
    let mut writer = CacheWriter::resume(&folder.0).unwrap();
    writer.append(&target(written..written + 3)).unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.on_disk(), written as u64 + 3);
    assert_eq!(all(&before).unwrap(), target(0..written));
    assert_eq!(
        all(&CacheReader::open(&folder.0).unwrap()).unwrap(),
        target(0..written + 3)
    );
}

#[test]
fn what_was_not_flushed_is_all_that_is_lost() {
    let folder = Folder::new("lost");
    let mut writer = CacheWriter::create(&folder.0, settings()).unwrap();
    writer.append(&target(0..85)).unwrap();
    assert_eq!((writer.rows(), writer.on_disk()), (85, 80));
    drop(writer);
    // What a kill in the middle of a write leaves.
    let partial = folder.0.join("shard-00000002.safetensors.partial");
    fs::write(&partial, b"half a sh").unwrap();
    let foreign = folder.0.join("readme.partial");
    fs::write(&foreign, b"mine").unwrap();
    let reader = CacheReader::open(&folder.0).unwrap();
    assert_eq!(all(&reader).unwrap(), target(0..80));
    assert!(partial.exists(), "a reader removes nothing");
    let mut writer = CacheWriter::resume(&folder.0).unwrap();
    assert!(!partial.exists() && foreign.exists());
    assert_eq!(writer.rows(), 80);
    writer.append(&target(80..85)).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        all(&CacheReader::open(&folder.0).unwrap()).unwrap(),
        target(0..85)
    );
}

#[test]
fn a_real_kill_loses_no_shard() {
    const FOLDER: &str = "RAREFY_TEST_CACHE_FOLDER";
    if let Ok(folder) = std::env::var(FOLDER) {
        // The child: it writes until it is killed.
        let mut writer = CacheWriter::create(folder, settings()).unwrap();
        for start in (0..).step_by(7) {
            writer.append(&target(start..start + 7)).unwrap();
        }
        return;
    }
    let folder = Folder::new("kill");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_real_kill_loses_no_shard"])
        .env(FOLDER, &folder.0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !folder.shard(5).exists() && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut writer = CacheWriter::resume(&folder.0).unwrap();
    let rows = writer.rows() as usize;
    assert!(rows >= 200, "{rows}");
    writer.append(&target(rows..rows + 100)).unwrap();
    writer.finish().unwrap();
    let reader = CacheReader::open(&folder.0).unwrap();
    assert_eq!(all(&reader).unwrap(), target(0..rows + 100));
    for entry in fs::read_dir(&folder.0).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with("partial"), "{name}");
    }
}

#[test]
fn only_one_writer_gets_a_folder_and_none_writes_over_a_cache() {
    let folder = Folder::new("two");
    let writer = CacheWriter::create(&folder.0, settings()).unwrap();
    for second in [
        CacheWriter::create(&folder.0, settings()),
        CacheWriter::resume(&folder.0),
    ] {
        assert!(
            matches!(second, Err(Error::File(FileError::InUse { .. }))),
            "{second:?}"
        );
    }
    drop(writer);
    let second = CacheWriter::create(&folder.0, settings());
    assert!(
        matches!(second, Err(Error::File(FileError::Exists { .. }))),
        "{second:?}"
    );
    assert!(CacheWriter::resume(&folder.0).is_ok());
}

#[test]
fn bad_settings_and_targets_are_refused() {
    let folder = Folder::new("settings");
    for (settings, says) in [
        (
            CacheSettings::new(0, 1),
            "number of classes must be at least 1 and at most 2^32, got 0",
        ),
        (
            CacheSettings::new(5, 0),
            "k must be at least 1 and at most the number of classes, got 0",
        ),
        (
            CacheSettings::new(5, 6),
            "k must be at least 1 and at most the number of classes, got 6",
        ),
        (
            CacheSettings::new(5, 1).shard_rows(0),
            "rows of a shard must be at least 1, got 0",
        ),
        (
            CacheSettings::new(5, 1).block_rows(0),
            "rows of a block must be at least 1, got 0",
        ),
    ] {
        assert_eq!(text(CacheWriter::create(&folder.0, settings)), says);
    }
    assert!(!folder.0.exists());
    for error in [
        CacheReader::open(&folder.0).unwrap_err(),
        CacheWriter::resume(&folder.0).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::File(FileError::Failed { action: "list", .. })),
            "{error}"
        );
    }
    fs::create_dir_all(&folder.0).unwrap();
    assert!(text(CacheReader::open(&folder.0)).ends_with("there is no shard in it"));
    assert!(text(CacheWriter::resume(&folder.0)).ends_with("there is no shard in it"));
    assert_eq!(
        fs::read_dir(&folder.0).unwrap().count(),
        0,
        "nothing is left behind"
    );
    let mut writer = CacheWriter::create(&folder.0, settings()).unwrap();
    let other = TopKTarget::from_logits(&Array2::<f32>::zeros((2, CLASSES)), 4).unwrap();
    let says = "4 top-k classes of a row given, 3 needed";
    assert_eq!(text(writer.append(&other)), says);
    let other = TopKTarget::from_logits(&Array2::<f32>::zeros((2, 9)), 3).unwrap();
    assert_eq!(text(writer.append(&other)), "9 classes given, 50 needed");
    assert_eq!(writer.rows(), 0);
}

#[cfg(unix)]
#[test]
fn files_have_the_mode_that_the_user_set() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    write(&folder, 10);
    let plain = folder.0.join("plain");
    fs::write(&plain, b"").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&folder.shard(0)), mode(&plain));
}

#[test]
fn a_failed_write_leaves_the_writer_as_it_was() {
    let folder = Folder::new("failed");
    let mut writer = CacheWriter::create(&folder.0, settings()).unwrap();
    writer.append(&target(0..30)).unwrap();
    // A folder where the half-written file should go.
    let partial = folder.0.join("shard-00000000.safetensors.partial");
    fs::create_dir(&partial).unwrap();
    let error = writer.append(&target(30..50)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::File(FileError::Failed {
                action: "write",
                ..
            })
        ),
        "{error}"
    );
    assert_eq!(writer.rows(), 30);
    assert!(writer.flush().is_err());
    fs::remove_dir(&partial).unwrap();
    writer.append(&target(30..50)).unwrap();
    assert_eq!(writer.finish().unwrap(), 50);
    assert_eq!(
        all(&CacheReader::open(&folder.0).unwrap()).unwrap(),
        target(0..50)
    );
}

/// Opens and reads: the truth, or an error.
fn truth_or_error(folder: &Folder, right: &TopKTarget<f32>, at: &str) {
    match CacheReader::open(&folder.0) {
        Err(_) => {}
        Ok(reader) => {
            assert_eq!(reader.settings(), &settings(), "{at}");
            match all(&reader) {
                Ok(read) => assert_eq!(&read, right, "{at}"),
                Err(error) => assert!(
                    matches!(error, Error::File(FileError::Damaged { .. })),
                    "{error}, {at}"
                ),
            }
        }
    }
}

#[test]
fn any_changed_byte_and_any_cut_is_an_error_and_costs_one_shard() {
    let folder = Folder::new("bytes");
    let rows = 100;
    write(&folder, rows);
    let right = target(0..rows);
    for number in [0, 2] {
        let path = folder.shard(number);
        let good = fs::read(&path).unwrap();
        let others = (0..rows as u64).filter(|row| (row / 40) as usize != number);
        // The last shard's rows are not counted where it is damaged.
        let others: Vec<u64> = others.filter(|&row| number == 2 || row < 80).collect();
        let places: Vec<usize> = others.iter().map(|&row| row as usize).collect();
        let salvaged = |at: &str| {
            let reader = CacheReader::salvage(&folder.0).unwrap();
            let read: TopKTarget<f32> = reader.read(&others).unwrap();
            let indices = right.indices().select(Axis(0), &places);
            assert_eq!(read.indices(), indices, "{at}");
        };
        // Every byte of a header; a checksum does not care which byte of the rows it is.
        let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
        for place in (0..header).chain((header..good.len()).step_by(7)) {
            let mut bad = good.clone();
            bad[place] ^= 1 << (place % 8);
            fs::write(&path, &bad).unwrap();
            let at = format!("byte {place} of shard {number}");
            truth_or_error(&folder, &right, &at);
            if place % 31 == 0 {
                salvaged(&at);
                if let Ok(writer) = CacheWriter::resume(&folder.0) {
                    assert_eq!(writer.rows(), rows as u64, "{at}");
                }
            }
        }
        for length in (0..good.len())
            .step_by(13)
            .chain([good.len() + 1, good.len() + 1000])
        {
            let mut bad = good.clone();
            bad.resize(length, 0);
            fs::write(&path, &bad).unwrap();
            let at = format!("shard {number} of {length} bytes");
            let error = text(CacheReader::open(&folder.0));
            assert!(error.contains("is damaged"), "{error}, {at}");
            assert!(
                error.contains(&format!("shard-0000000{number}")),
                "{error}, {at}"
            );
            if length % 5 == 0 {
                salvaged(&at);
                assert!(CacheWriter::resume(&folder.0).is_err(), "{at}");
            }
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(all(&CacheReader::open(&folder.0).unwrap()).unwrap(), right);
}

#[test]
fn a_cut_last_shard_is_named_and_can_be_written_again() {
    let folder = Folder::new("cut");
    write(&folder, 100);
    let last = folder.shard(2);
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();
    let error = text(CacheWriter::resume(&folder.0));
    assert!(
        error.contains("shard-00000002.safetensors is damaged: tensors take"),
        "{error}"
    );
    let reader = CacheReader::salvage(&folder.0).unwrap();
    assert_eq!((reader.rows(), reader.damage().count()), (80, 1));
    assert_eq!(all(&reader).unwrap(), target(0..80));
    fs::remove_file(&last).unwrap();
    let mut writer = CacheWriter::resume(&folder.0).unwrap();
    assert_eq!(writer.rows(), 80);
    writer.append(&target(80..100)).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        fs::read(&last).unwrap(),
        bytes,
        "the same rows are the same bytes"
    );
}

#[test]
fn missing_and_foreign_shards_are_errors() {
    let folder = Folder::new("missing");
    write(&folder, 130);
    let (first, second) = (folder.shard(1), folder.shard(2));
    let bytes = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    assert!(
        text(CacheReader::open(&folder.0))
            .ends_with("shard-00000001.safetensors is damaged: it is missing")
    );
    assert!(text(CacheWriter::resume(&folder.0)).ends_with("it is missing"));
    let reader = CacheReader::salvage(&folder.0).unwrap();
    assert_eq!(reader.rows(), 130);
    assert!(text(reader.read::<f32>(&[0, 45])).ends_with("it is missing"));
    assert_eq!(
        reader.read::<f32>(&[0, 129]).unwrap().indices(),
        target(0..130).indices().select(Axis(0), &[0, 129])
    );
    // A shard in another's place.
    fs::write(&first, fs::read(&second).unwrap()).unwrap();
    assert!(text(CacheReader::open(&folder.0)).ends_with("it is not shard 1"));
    // One of another cache.
    let other = Folder::new("foreign");
    let mut writer = CacheWriter::create(&other.0, settings().notes("other")).unwrap();
    writer.append(&target(0..80)).unwrap();
    fs::write(&first, fs::read(other.shard(1)).unwrap()).unwrap();
    assert!(
        text(CacheReader::open(&folder.0)).ends_with("it belongs to another cache than the first")
    );
    assert!(
        text(CacheWriter::resume(&folder.0))
            .ends_with("it belongs to another cache than the first")
    );
    fs::write(&first, bytes).unwrap();
    // Names that count to the end of numbers.
    for name in [
        "shard-18446744073709551615",
        "shard-99999999999",
        "shard-1",
        "shard-x",
    ] {
        let path = folder.0.join(format!("{name}.safetensors"));
        fs::write(&path, b"").unwrap();
        let _ = CacheReader::salvage(&folder.0).map(|reader| reader.damage().count());
        let _ = CacheReader::open(&folder.0);
        let _ = CacheWriter::resume(&folder.0);
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(
        all(&CacheReader::open(&folder.0).unwrap()).unwrap(),
        target(0..130)
    );
}

#[test]
fn a_file_is_what_safetensors_says_it_is() {
    let folder = Folder::new("plain");
    write(&folder, 20);
    let bytes = fs::read(folder.shard(0)).unwrap();
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(size % 8, 0);
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
    assert_eq!(header["indices"]["shape"], serde_json::json!([20, K]));
    assert_eq!(header["log_probabilities"]["dtype"], "F16");
    assert_eq!(header["__metadata__"]["notes"], "line\nline");
    assert_eq!(header["__metadata__"]["temperature"], "1");
    let first = &bytes[8 + size..8 + size + 12];
    let first: Vec<u32> = first
        .chunks(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(first, target(0..1).indices().slice(s![0, ..]).to_vec());
}
