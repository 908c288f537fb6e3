//! A cache whose files were cut, changed, exchanged or not written: an error, and nothing else is lost.

use crate::cache::{all, settings, shard, target, text, write};
use crate::folder::Folder;
use ndarray::Axis;
use rarefy::distill::TopKTarget;
use rarefy::formats::{CacheReader, CacheWriter};
use rarefy::{Error, FileError};
use std::fs;

#[test]
fn a_failed_write_leaves_the_writer_as_it_was() {
    let folder = Folder::new("cache-failed");
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
    let folder = Folder::new("cache-bytes");
    let rows = 100;
    write(&folder, rows);
    let right = target(0..rows);
    for number in [0, 2] {
        let path = shard(&folder, number);
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
    let folder = Folder::new("cache-cut");
    write(&folder, 100);
    let last = shard(&folder, 2);
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
    let folder = Folder::new("cache-missing");
    write(&folder, 130);
    let (first, second) = (shard(&folder, 1), shard(&folder, 2));
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
    let other = Folder::new("cache-foreign");
    let mut writer = CacheWriter::create(&other.0, settings().notes("other")).unwrap();
    writer.append(&target(0..80)).unwrap();
    fs::write(&first, fs::read(shard(&other, 1)).unwrap()).unwrap();
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
