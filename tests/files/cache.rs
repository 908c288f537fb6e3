//! The teacher cache: what goes in comes out, whatever is killed.

use crate::folder::Folder;
use ndarray::{Array2, Axis, s};
use rarefy::distill::{KlDivergence, Loss, Output, Target, Teacher, TopKDivergence, TopKTarget};
use rarefy::formats::{CacheReader, CacheSettings, CacheWriter};
use rarefy::{Error, FileError, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const CLASSES: usize = 50;
pub(crate) const K: usize = 3;

/// A file of a cache.
pub(crate) fn shard(folder: &Folder, number: usize) -> PathBuf {
    folder.0.join(format!("shard-{number:08}.safetensors"))
}

pub(crate) fn settings() -> CacheSettings {
    CacheSettings::new(CLASSES, K)
        .shard_rows(40)
        .block_rows(8)
        .teacher("tëst \"quoted\"")
        .notes("line\nline")
}

/// Row i is a function of i, and of halves, so that nothing is rounded.
pub(crate) fn target(rows: std::ops::Range<usize>) -> TopKTarget<f32> {
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

pub(crate) fn write(folder: &Folder, rows: usize) {
    let mut writer = CacheWriter::create(&folder.0, settings()).unwrap();
    for start in (0..rows).step_by(17) {
        writer.append(&target(start..rows.min(start + 17))).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), rows as u64);
}

pub(crate) fn all(reader: &CacheReader) -> Result<TopKTarget<f32>> {
    reader.read(&(0..reader.rows()).collect::<Vec<_>>())
}

pub(crate) fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn rows_come_back_in_any_order() {
    let folder = Folder::new("cache-order");
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
    let folder = Folder::new("cache-threads");
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
    let folder = Folder::new("cache-half");
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
    let folder = Folder::new("cache-teacher");
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
    let folder = Folder::new("cache-again");
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
        .open(shard(&folder, 2))
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
    let folder = Folder::new("cache-pools");
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
    let folder = Folder::new("cache-resume");
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
    let folder = Folder::new("cache-lost");
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
    let folder = Folder::new("cache-kill");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache::a_real_kill_loses_no_shard"])
        .env(FOLDER, &folder.0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !shard(&folder, 5).exists() && started.elapsed() < Duration::from_secs(60) {
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
    let folder = Folder::new("cache-two");
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
    let folder = Folder::new("cache-settings");
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
    let folder = Folder::new("cache-mode");
    write(&folder, 10);
    let plain = folder.0.join("plain");
    fs::write(&plain, b"").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&shard(&folder, 0)), mode(&plain));
}

#[test]
fn a_file_is_what_safetensors_says_it_is() {
    let folder = Folder::new("cache-plain");
    write(&folder, 20);
    let bytes = fs::read(shard(&folder, 0)).unwrap();
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
