//! Files of masks: what goes in comes out, and what is damaged is an error.

use crate::folder::Folder;
use ndarray::{Array2, IxDyn};
use rarefy::formats::MaskFile;
use rarefy::prune::{Amount, GradualPruning, Magnitude, PruningState, Unstructured};
use rarefy::schedule::Interval;
use rarefy::{Error, FileError, Mask};
use std::fs;
use std::path::Path;

/// The file that tests/golden/mask_v1.safetensors holds.
fn example() -> MaskFile {
    let mut file = MaskFile::default();
    let mut add = |name: &str, shape: &[usize], keep: fn(usize) -> bool| {
        let mut place = 0;
        let mask = Mask::from_fn(IxDyn(shape), |_| {
            place += 1;
            keep(place - 1)
        });
        file.masks.insert(name.to_owned(), mask.unwrap());
    };
    add("layer.weight", &[5, 13], |place| place % 3 != 0);
    add("layer.bias", &[64], |place| place < 10);
    add("ünï \"quoted\"", &[2, 3, 4], |_| true);
    add("scalar", &[], |_| false);
    add("empty", &[3, 0], |_| true);
    add("__metadata__", &[7], |place| place == 6);
    add("", &[129], |place| place == 128);
    file.notes.insert("step".to_owned(), "1000".to_owned());
    file.notes.insert("".to_owned(), "line\nline".to_owned());
    file
}

fn why(path: &Path) -> String {
    match MaskFile::read(path).unwrap_err() {
        Error::File(FileError::Damaged { why, .. }) => why,
        other => other.to_string(),
    }
}

#[test]
fn what_goes_in_comes_out() {
    let folder = Folder::made("masks-round");
    let path = folder.file();
    for file in [MaskFile::default(), example()] {
        file.write(&path).unwrap();
        assert_eq!(MaskFile::read(&path).unwrap(), file);
        assert_eq!(
            fs::read_dir(&folder.0).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }
    let mut large = MaskFile::default();
    let mask = Mask::from_fn((1000, 1001), |(i, j)| (i * 7 + j * 3) % 5 == 0).unwrap();
    large.masks.insert("w".to_owned(), mask);
    large.write(&path).unwrap();
    assert_eq!(MaskFile::read(&path).unwrap(), large);
    let length = fs::metadata(&path).unwrap().len();
    assert!(length < 1000 * 1001 / 8 + 1000, "{length} bytes");
}

#[test]
fn the_file_of_version_1_opens() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/mask_v1.safetensors"
    );
    assert_eq!(MaskFile::read(path).unwrap(), example());
    // And it is what is written today: the version goes up with any change.
    let folder = Folder::made("masks-version");
    example().write(folder.file()).unwrap();
    assert_eq!(fs::read(folder.file()).unwrap(), fs::read(path).unwrap());
}

/// Makes the file of a new version: `cargo test --features masks --test files masks -- --ignored`.
#[test]
#[ignore = "writes into the repository, once a version"]
fn writes_the_golden_file_where_there_is_none() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/mask_v1.safetensors"
    );
    if !Path::new(path).exists() {
        example().write(path).unwrap();
    }
}

#[test]
fn other_programs_read_the_bits() {
    let folder = Folder::made("masks-bits");
    example().write(folder.file()).unwrap();
    let bytes = fs::read(folder.file()).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, mask) in example().masks {
        let tensor = tensors.tensor(&format!("{name}_mask")).unwrap();
        assert_eq!(tensor.dtype(), safetensors::Dtype::U8);
        let bits = |place: usize| tensor.data()[place / 8] >> (place % 8) & 1 == 1;
        assert_eq!(tensor.data().len(), mask.len().div_ceil(8));
        assert!(
            mask.iter()
                .enumerate()
                .all(|(place, kept)| bits(place) == kept)
        );
    }
}

#[test]
fn a_gradual_pruning_goes_on_from_a_file() {
    let method = |_: &str, amount: Amount| Unstructured::new(Magnitude, amount);
    let when = Interval::starting(0, 3).unwrap();
    let mut pruning = GradualPruning::new(when, |step: u64| 0.1 * step as f64, method);
    let mut weights = Array2::from_shape_fn((9, 9), |(i, j)| (i * 9 + j) as f64);
    for step in 0..5 {
        let mut tensors = [("w", weights.view_mut().into_dyn())];
        pruning.prune(step, &mut tensors).unwrap();
    }
    let mut file = MaskFile::from(pruning.masks().clone());
    let step = pruning.state().step.unwrap();
    file.notes.insert("step".to_owned(), step.to_string());
    let folder = Folder::made("masks-state");
    file.write(folder.file()).unwrap();

    let file = MaskFile::read(folder.file()).unwrap();
    let state = PruningState {
        step: file.notes.get("step").map(|step| step.parse().unwrap()),
        masks: file.masks,
    };
    assert_eq!(&state, pruning.state());
    let resumed = GradualPruning::new(when, |_: u64| 0.5, method).resume(state);
    assert_eq!(resumed.masks()["w"].dropped(), 24); // 0.3 · 81 = 24.3
}

#[test]
fn every_bit_that_flips_is_noticed() {
    let folder = Folder::made("masks-flips");
    let path = folder.file();
    example().write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            let error = MaskFile::read(&path).unwrap_err();
            let damaged = matches!(error, Error::File(FileError::Damaged { .. }));
            assert!(damaged, "bit {bit} of byte {place}: {error}");
        }
    }
}

#[test]
fn every_length_but_the_right_one_is_refused() {
    let folder = Folder::made("masks-lengths");
    let path = folder.file();
    example().write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = MaskFile::read(&path).unwrap_err();
        assert!(
            matches!(error, Error::File(FileError::Damaged { .. })),
            "{length}: {error}"
        );
    }
    fs::write(&path, [&*bytes, b"x"].concat()).unwrap();
    assert!(matches!(
        MaskFile::read(&path).unwrap_err(),
        Error::File(FileError::Damaged { .. })
    ));
}

/// A file with this header, and zeros for tensors.
fn forged(path: &Path, header: &str, data: usize) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    fs::write(path, bytes).unwrap();
}

/// The checksum that a hostile writer computes as well as we do.
fn sealed(texts: &[(&str, &str)]) -> String {
    let mut bytes = Vec::new();
    for text in texts.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    let mut all: serde_json::Map<String, serde_json::Value> = texts
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    let sum = format!("{:08x}", crc32fast::hash(&bytes));
    all.insert("header_checksum".to_owned(), sum.into());
    serde_json::Value::Object(all).to_string()
}

#[test]
fn hostile_files_are_refused_before_anything_is_allocated() {
    let folder = Folder::made("masks-hostile");
    let path = folder.file();
    let with = |masks: &str, notes: &str, tensors: &str, data: usize| {
        let texts = [
            ("format", "rarefy masks"),
            ("masks", masks),
            ("notes", notes),
            ("version", "1"),
        ];
        let header = format!("{{\"__metadata__\":{}{tensors}}}", sealed(&texts));
        forged(&path, &header, data);
        why(&path)
    };
    let one = ",\"a_mask\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}";
    let sum = format!("{:08x}", crc32fast::hash(&[0]));
    let mask = |shape: &str, kept: &str| {
        format!("{{\"a\":{{\"shape\":{shape},\"kept\":{kept},\"checksum\":\"{sum}\"}}}}")
    };
    // The forger's file is right where it says nothing wrong.
    let header = |masks: &str| {
        let texts = [
            ("format", "rarefy masks"),
            ("masks", masks),
            ("notes", "{}"),
            ("version", "1"),
        ];
        format!("{{\"__metadata__\":{}{one}}}", sealed(&texts))
    };
    forged(&path, &header(&mask("[8]", "0")), 1);
    assert_eq!(MaskFile::read(&path).unwrap().masks["a"].dropped(), 8);

    let wrong = "what it says of \"a\" is wrong";
    for shape in [
        "[9]",
        "[0]",
        "[-8]",
        "[8.0]",
        "8",
        "[18446744073709551615]",
        "[4294967296,4294967296,0]",
        "[9223372036854775807,8]",
        "null",
    ] {
        assert_eq!(with(&mask(shape, "0"), "{}", one, 1), wrong, "{shape}");
    }
    assert_eq!(
        with(&mask("[8]", "1"), "{}", one, 1),
        "the mask of \"a\": it keeps 0 weights, not 1"
    );
    assert_eq!(with(&mask("[8]", "null"), "{}", one, 1), wrong);
    assert_eq!(with("{}", "{}", one, 1), "it has 1 tensors, not 0");
    assert_eq!(
        with(&mask("[8]", "0"), "{}", "", 0),
        "it has 0 tensors, not 1"
    );
    assert_eq!(with("{}", "{\"a\":1}", "", 0), "its notes are no texts");
    assert!(with("{", "{}", "", 0).contains("EOF"));
    let signed = one.replace("U8", "I8");
    assert_eq!(with(&mask("[8]", "0"), "{}", &signed, 1), wrong);
    let far = one.replace("[0,1]", "[0,9007199254740993]");
    assert!(!with(&mask("[8]", "0"), "{}", &far, 1).is_empty());

    forged(&path, "{}", 0);
    assert_eq!(why(&path), "it has no metadata");
    forged(&path, "{\"__metadata__\":{\"format\":\"pt\"}}", 0);
    assert_eq!(why(&path), "it is not a file of masks");
    let newer = "{\"__metadata__\":{\"format\":\"rarefy masks\",\"version\":\"2\"}}";
    forged(&path, newer, 0);
    assert_eq!(why(&path), "version 2 is not 1");
    fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
    let size = "a header of 18446744073709551615 bytes in a file of 8";
    assert_eq!(why(&path), size);
}

#[test]
fn what_cannot_be_written_or_read_says_so() {
    let folder = Folder::made("masks-places");
    let missing = folder.0.join("nowhere").join("masks.safetensors");
    let written = example().write(&missing).unwrap_err();
    assert!(matches!(
        written,
        Error::File(FileError::Failed {
            action: "write",
            ..
        })
    ));
    let read = MaskFile::read(&missing).unwrap_err();
    assert!(matches!(
        read,
        Error::File(FileError::Failed { action: "open", .. })
    ));
    // A file that could not be replaced is as it was.
    let taken = folder.file();
    fs::create_dir_all(taken.join("full")).unwrap();
    let replaced = example().write(&taken).unwrap_err();
    assert!(matches!(
        replaced,
        Error::File(FileError::Failed {
            action: "replace",
            ..
        })
    ));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}
