//! Files of statistics: what goes in comes out, and what is damaged is an error.

use crate::folder::Folder;
use ndarray::{Axis, array};
use rarefy::calibrate::{
    ChannelSums, Histogram, MinMax, MovingAverage, NonFinite, ObserverExt, Saturation, Statistics,
};
use rarefy::formats::CalibrationFile;
use rarefy::{Error, FileError};
use std::fs;
use std::path::Path;

fn observed(statistics: impl Into<Statistics>) -> Statistics {
    let mut statistics = statistics.into();
    for batch in [array![[0.5_f32, -3.0], [1e-3, 70.0]], array![[-0.25, 0.1]]] {
        statistics.observe(&batch).unwrap();
    }
    statistics
}

/// The file that tests/golden/calibration_v1.safetensors holds.
fn example() -> CalibrationFile {
    let mut file = CalibrationFile::default();
    let mut add = |name: &str, statistics: Statistics| {
        file.statistics.insert(name.to_owned(), statistics);
    };
    add("a", observed(MinMax::new()));
    add("a.low", observed(MinMax::new().per_channel(Axis(1))));
    let mut missing = Statistics::from(
        MinMax::new()
            .per_channel(Axis(0))
            .non_finite(NonFinite::Skip),
    );
    missing
        .observe(&array![1.0, f64::NAN, f64::INFINITY])
        .unwrap();
    add("ünï \"quoted\"", missing);
    add("", MinMax::new().into());
    add(
        "average",
        observed(MovingAverage::with_share(0.25).unwrap()),
    );
    add("__metadata__", observed(Histogram::with_bins(8).unwrap()));
    let magnitudes = Histogram::with_bins(16).unwrap().of_magnitudes();
    add("histogram", observed(magnitudes.per_channel(Axis(1))));
    add("sums", observed(ChannelSums::new().per_channel(Axis(1))));
    add(
        "saturation",
        observed(Saturation::new(&[(-1.0, 1.0)]).unwrap()),
    );
    file.notes.insert("batches".to_owned(), "2".to_owned());
    file
}

fn damaged(path: &Path) -> bool {
    let error = CalibrationFile::read(path).unwrap_err();
    matches!(error, Error::File(FileError::Damaged { .. }))
}

#[test]
fn what_goes_in_comes_out() {
    let folder = Folder::made("calibration-round");
    let path = folder.file();
    for file in [CalibrationFile::default(), example()] {
        file.write(&path).unwrap();
        assert_eq!(CalibrationFile::read(&path).unwrap(), file);
        let beside = fs::read_dir(&folder.0).unwrap().count();
        assert_eq!(beside, 1, "nothing is left beside it");
    }
    // And goes on where it was.
    let mut file = CalibrationFile::read(&path).unwrap();
    let mut right = example();
    for file in [&mut file, &mut right] {
        let histogram = file.statistics.get_mut("histogram").unwrap();
        histogram.observe(&array![[9.0_f32, 1e5]]).unwrap();
    }
    assert_eq!(file, right);
}

const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/calibration_v1.safetensors"
);

#[test]
fn the_file_of_version_1_opens() {
    assert_eq!(CalibrationFile::read(GOLDEN).unwrap(), example());
    // And it is what is written today: the version goes up with any change.
    let folder = Folder::made("calibration-version");
    example().write(folder.file()).unwrap();
    assert_eq!(fs::read(folder.file()).unwrap(), fs::read(GOLDEN).unwrap());
}

/// Makes the file of a new version: `cargo test --features calibration --test calibration_files -- --ignored`.
#[test]
#[ignore = "writes into the repository, once a version"]
fn writes_the_golden_file_where_there_is_none() {
    if !Path::new(GOLDEN).exists() {
        example().write(GOLDEN).unwrap();
    }
}

#[test]
fn other_programs_read_the_lists() {
    let folder = Folder::made("calibration-lists");
    example().write(folder.file()).unwrap();
    let bytes = fs::read(folder.file()).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let low = tensors.tensor("a.low.low").unwrap();
    assert_eq!(
        (low.dtype(), low.shape()),
        (safetensors::Dtype::F64, &[2][..])
    );
    assert_eq!(low.data()[8..], f64::to_le_bytes(-3.0));
    let counts = tensors.tensor("histogram.counts").unwrap();
    assert_eq!(
        (counts.dtype(), counts.shape()),
        (safetensors::Dtype::U64, &[32][..])
    );
}

#[test]
fn every_bit_that_flips_and_every_cut_is_noticed() {
    let folder = Folder::made("calibration-flips");
    let path = folder.file();
    example().write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(&path, &flipped).unwrap();
        assert!(damaged(&path), "byte {place}");
    }
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(damaged(&path), "{length}");
    }
    fs::write(&path, [&*bytes, b"x"].concat()).unwrap();
    assert!(damaged(&path));
}

/// A right file but for its lists, whose checksums a hostile writer computes as well as we do.
fn forged(kind: &str, axis: &str, lists: &[(&str, &str, &[u64])]) -> Vec<u8> {
    let (mut tensors, mut sums, mut data) = (String::new(), Vec::new(), Vec::new());
    for (name, dtype, words) in lists {
        let start = data.len();
        data.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let (len, end) = (words.len(), data.len());
        tensors += &format!(
            ",\"x.{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{len}],\"data_offsets\":[{start},{end}]}}"
        );
        let sum = crc32fast::hash(&data[start..]);
        sums.push(format!("\"{name}\":\"{sum:08x}\""));
    }
    let statistics = format!(
        "{{\"x\":{{\"kind\":\"{kind}\",\"axis\":{axis},\"skips\":false,\"lists\":{{{}}}}}}}",
        sums.join(",")
    );
    let texts = [
        ("format", "rarefy calibration"),
        ("notes", "{}"),
        ("statistics", &*statistics),
        ("version", "1"),
    ];
    let mut hashed = Vec::new();
    for text in texts.iter().flat_map(|(key, value)| [key, value]) {
        hashed.extend((text.len() as u64).to_le_bytes());
        hashed.extend(text.as_bytes());
    }
    let mut all: serde_json::Map<String, serde_json::Value> = texts
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    let sum = format!("{:08x}", crc32fast::hash(&hashed));
    all.insert("header_checksum".to_owned(), sum.into());
    let header = format!(
        "{{\"__metadata__\":{}{tensors}}}",
        serde_json::Value::Object(all)
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn statistics_that_nobody_could_have_observed_are_refused() {
    let folder = Folder::made("calibration-hostile");
    let path = folder.file();
    let why = |bytes: Vec<u8>| {
        fs::write(&path, bytes).unwrap();
        match CalibrationFile::read(&path) {
            Ok(_) => "fine".to_owned(),
            Err(Error::File(FileError::Damaged { why, .. })) => why,
            Err(other) => other.to_string(),
        }
    };
    let f = |x: f64| x.to_bits();
    let min_max = |seen: u64, low: f64, high: f64| {
        let (low, high) = ([f(low)], [f(high)]);
        forged(
            "min_max",
            "null",
            &[
                ("high", "F64", &high),
                ("low", "F64", &low),
                ("seen", "U64", &[seen]),
            ],
        )
    };
    assert_eq!(why(min_max(1, -1.0, 2.0)), "fine");
    assert_eq!(why(min_max(0, 0.0, 0.0)), "fine");
    let of = "the statistics of \"x\": ";
    assert_eq!(
        why(min_max(1, 2.0, 1.0)),
        format!("{of}a range of it ends before it starts")
    );
    assert_eq!(
        why(min_max(2, 0.0, 0.0)),
        format!("{of}a range of it ends before it starts")
    );
    assert_eq!(
        why(min_max(1, f64::NAN, 1.0)),
        format!("{of}NaN is among its low")
    );
    assert_eq!(
        why(forged("strange", "null", &[])),
        format!("{of}\"strange\" is no kind of statistics")
    );
    assert_eq!(
        why(forged("min_max", "null", &[])),
        format!("{of}it has no seen")
    );
    assert_eq!(
        why(forged("min_max", "-1", &[])),
        "what it says of \"x\" is wrong"
    );
    assert_eq!(
        why(forged("min_max", "null", &[("seen", "I64", &[1])])),
        "what it says of \"x\" is wrong"
    );
    let two: &[u64] = &[0, 0];
    assert_eq!(
        why(forged(
            "min_max",
            "null",
            &[
                ("high", "F64", two),
                ("low", "F64", two),
                ("seen", "U64", two)
            ]
        )),
        format!("{of}2 channels without an axis")
    );
    let histogram = |bins: u64, exponent: f64, counts: &[u64], low: f64, high: f64| {
        let (exponent, low, high) = ([f(exponent)], [f(low)], [f(high)]);
        forged(
            "histogram",
            "null",
            &[
                ("bins", "U64", &[bins]),
                ("counts", "U64", counts),
                ("exponents", "F64", &exponent),
                ("high", "F64", &high),
                ("low", "F64", &low),
                ("seen", "U64", &[1]),
                ("signed", "U64", &[1]),
            ],
        )
    };
    assert_eq!(why(histogram(4, 0.0, &[0, 1, 1, 0], -0.5, 1.0)), "fine");
    assert_eq!(
        why(histogram(4, 1.0, &[0, 1, 1, 0], -0.5, 1.0)),
        format!("{of}its ranges are not within its bins")
    );
    assert_eq!(
        why(histogram(4, 0.5, &[0, 1, 1, 0], -0.5, 1.0)),
        format!("{of}2^0.5 is no width of a bin")
    );
    assert_eq!(
        why(histogram(4, 5000.0, &[0, 1, 1, 0], -0.5, 1.0)),
        format!("{of}2^5000 is no width of a bin")
    );
    assert_eq!(
        why(histogram(4, 0.0, &[0, 0, 0, 0], -0.5, 1.0)),
        format!("{of}its counts are not those of its ranges")
    );
    assert_eq!(
        why(histogram(4, 0.0, &[u64::MAX, 1, 1, 0], -0.5, 1.0)),
        format!("{of}there are more values than can be counted")
    );
    assert_eq!(
        why(histogram(8, 0.0, &[0, 1, 1, 0], -0.5, 1.0)),
        format!("{of}4 counts for 1 channels")
    );
    assert!(why(histogram(u64::MAX, 0.0, &[0, 1, 1, 0], -0.5, 1.0)).contains("number of bins"));
    let sums = |squares: f64| {
        let squares = [f(squares)];
        forged(
            "channel_sums",
            "null",
            &[
                ("magnitudes", "F64", &[0]),
                ("squares", "F64", &squares),
                ("values", "U64", &[1]),
            ],
        )
    };
    assert_eq!(why(sums(1.0)), "fine");
    assert_eq!(
        why(sums(-1.0)),
        format!("{of}a sum of magnitudes is negative")
    );
    assert!(why(sums(f64::INFINITY)).contains("inf is among its squares"));
    let saturation = |below: u64| {
        let (low, high) = ([f(-1.0)], [f(1.0)]);
        forged(
            "saturation",
            "null",
            &[
                ("above", "U64", &[1]),
                ("below", "U64", &[below]),
                ("high", "F64", &high),
                ("low", "F64", &low),
                ("values", "U64", &[2]),
            ],
        )
    };
    assert_eq!(why(saturation(1)), "fine");
    assert_eq!(
        why(saturation(2)),
        format!("{of}more values lie outside than there are")
    );
    assert_eq!(
        why(saturation(u64::MAX)),
        format!("{of}more values lie outside than there are")
    );
}

#[cfg(feature = "serde")]
#[test]
fn serde_gives_back_what_it_took_and_checks_it() {
    for statistics in example().statistics.into_values() {
        let text = serde_json::to_string(&statistics).unwrap();
        let back: Statistics = serde_json::from_str(&text).unwrap();
        assert_eq!(back, statistics, "{text}");
    }
    let text = serde_json::to_string(&observed(Histogram::with_bins(8).unwrap())).unwrap();
    assert!(serde_json::from_str::<Histogram>(&text).is_ok());
    assert!(serde_json::from_str::<MinMax>(&text).is_err());
    let wrong = text.replace("\"bins\":[8]", "\"bins\":[16]");
    assert_ne!(wrong, text);
    assert!(serde_json::from_str::<Histogram>(&wrong).is_err());
}
