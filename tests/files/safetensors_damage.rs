//! Checkpoints of safetensors that are wrong, and what says so: the writer, files, the index of files.

use crate::folder::Folder;
use crate::safetensors::{bytes_of, file, write};
use ndarray::array;
use rarefy::formats::{Checkpoint, SafetensorsFile, SafetensorsWriter, write_index};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorSource, TensorSourceExt};
use rarefy::{Error, FileError};
use std::collections::BTreeMap;
use std::fs;

/// Why a file cannot be read.
fn damage(header: &str, data: usize) -> String {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    match SafetensorsFile::from_bytes(bytes).unwrap_err() {
        Error::File(FileError::Damaged { why, .. }) => why,
        other => panic!("{other}"),
    }
}

#[test]
fn a_writer_says_what_is_wrong_and_leaves_the_old_file() {
    let folder = Folder::made("safetensors-writer");
    let path = folder.file();
    fs::write(&path, b"old").unwrap();
    let infos = || {
        vec![
            TensorInfo::new("a", DType::F32, [2]),
            TensorInfo::new("b", DType::I8, [3]),
        ]
    };
    let create = |infos| SafetensorsWriter::create(&path, infos, BTreeMap::new());
    let message = |infos| create(infos).unwrap_err().to_string();
    let twice = vec![
        TensorInfo::new("a", DType::I8, [1]),
        TensorInfo::new("a", DType::F32, [1]),
    ];
    assert_eq!(message(twice), "two tensors are named \"a\"");
    let reserved = vec![TensorInfo::new("__metadata__", DType::I8, [1])];
    assert_eq!(
        message(reserved),
        "safetensors cannot hold a tensor named __metadata__: any other name"
    );
    let part = vec![TensorInfo::new("a", DType::F4, [3])];
    assert_eq!(
        message(part),
        "tensor \"a\": shape [3] of type F4 ends within a byte"
    );
    let large = vec![TensorInfo::new("a", DType::F64, [usize::MAX, 2])];
    assert!(message(large).contains("has more elements than can be counted"));
    let long = vec![TensorInfo::new("n".repeat(100_000_001), DType::I8, [1])];
    assert_eq!(
        message(long),
        "safetensors cannot hold a header of more than 100 MB: fewer tensors in a file"
    );

    let mut writer = create(infos()).unwrap();
    let error = writer.append("c", &[0]).unwrap_err().to_string();
    assert_eq!(error, "there is no tensor \"c\"");
    writer.append("a", &[0; 6]).unwrap();
    let error = writer.append("a", &[0; 3]).unwrap_err().to_string();
    assert_eq!(error, "tensor \"a\": bytes 6 to 9 of a tensor of 8");
    let error = writer
        .write("b", &StoredTensor::of(&array![1_u8, 2, 3]))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "tensor \"b\": elements are of type U8, needed is I8");
    let error = writer
        .write("b", &StoredTensor::of(&array![[1_i8, 2, 3]]))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "tensor \"b\": shape is [1, 3], needed is [3]");
    writer
        .write("b", &StoredTensor::of(&array![1_i8, 2, 3]))
        .unwrap();
    let error = writer.finish().unwrap_err().to_string();
    assert_eq!(error, "tensor \"a\": 6 of 8 bytes were written");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    drop(create(infos()).unwrap());
    assert_eq!(
        fs::read_dir(&folder.0).unwrap().count(),
        1,
        "nothing is left beside it"
    );

    // A folder where the file should be, none where its folder should be.
    let missing = SafetensorsWriter::create(file(&folder, "no/where"), infos(), BTreeMap::new());
    assert!(matches!(
        missing,
        Err(Error::File(FileError::Failed {
            action: "write",
            ..
        }))
    ));
    fs::create_dir(file(&folder, "taken")).unwrap();
    let taken = SafetensorsWriter::create(file(&folder, "taken"), Vec::new(), BTreeMap::new());
    assert!(taken.and_then(SafetensorsWriter::finish).is_err());
    assert!(!file(&folder, "taken.partial").exists());
}

#[test]
fn a_model_of_many_files_is_one_model() {
    let folder = Folder::made("safetensors-shards");
    let first = [
        TensorInfo::new("z", DType::F32, [2, 2]),
        TensorInfo::new("spare", DType::U8, [1]),
    ];
    let second = [
        TensorInfo::new("a", DType::F16, [3]),
        TensorInfo::new("none", DType::I64, [0]),
    ];
    let names = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    write(&file(&folder, names[0]), &first);
    write(&file(&folder, names[1]), &second);
    // Two files and no index.
    let error = Checkpoint::open(&folder.0).unwrap_err().to_string();
    assert!(
        error.contains("2 safetensors files and no model.safetensors.index.json"),
        "{error}"
    );
    let map = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|&(a, b)| (a.to_owned(), b.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let right = [("z", names[0]), ("a", names[1]), ("none", names[1])];
    write_index(&folder.0, &map(&right), 22).unwrap();
    let index = file(&folder, "model.safetensors.index.json");
    for path in [&folder.0, &index] {
        let model = Checkpoint::open(path).unwrap();
        let found: Vec<&str> = model
            .infos()
            .iter()
            .map(|info| info.name.as_str())
            .collect();
        assert_eq!(found, ["z", "none", "a"], "{}", path.display());
        for info in [&first[0], &second[0], &second[1]] {
            assert_eq!(model.tensor(&info.name).unwrap().bytes(), bytes_of(info));
        }
        assert_eq!(
            (model.file_of(0), model.file_of(2), model.file_of(3)),
            (Some(0), Some(1), None)
        );
        assert_eq!((model.folder(), model.files().len()), (&*folder.0, 2));
        assert!(model.tensor("spare").is_err(), "the index does not name it");
        assert!(model.read_bytes(9, 0, &mut []).is_err());
    }
    assert_eq!(
        Checkpoint::open(file(&folder, names[0]))
            .unwrap()
            .infos()
            .len(),
        2
    );
    let text = fs::read_to_string(&index).unwrap();
    assert!(text.contains("\"total_size\": 22"), "{text}");

    let error = |pairs: &[(&str, &str)]| {
        write_index(&folder.0, &map(pairs), 0).unwrap();
        Checkpoint::open(&folder.0).unwrap_err().to_string()
    };
    // A file that is not there; a tensor that its file has not.
    assert!(error(&[("z", "model-00003-of-00002.safetensors")]).starts_with("cannot open "));
    assert_eq!(error(&[("z", names[1])]), "there is no tensor \"z\"");
    // Names that lead elsewhere, written by us and by others.
    for outside in [
        "../x.safetensors",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "..",
        ".",
        "",
    ] {
        let written = write_index(&folder.0, &map(&[("z", outside)]), 0)
            .unwrap_err()
            .to_string();
        assert!(written.contains("names of files beside it"), "{written}");
        let forged = serde_json::json!({ "weight_map": { "z": outside } });
        fs::write(&index, forged.to_string()).unwrap();
        let read = Checkpoint::open(&folder.0).unwrap_err().to_string();
        assert!(read.contains("is no name of a file beside it"), "{read}");
    }
    for (text, why) in [
        ("", "EOF"),
        ("{}", "it has no weight_map"),
        (r#"{"weight_map": []}"#, "invalid type"),
        (r#"{"weight_map": {"z": 1}}"#, "invalid type"),
        (
            r#"{"weight_map": {"z": "a.safetensors", "z": "b.safetensors"}}"#,
            "\"z\" is in two files",
        ),
    ] {
        fs::write(&index, text).unwrap();
        let error = Checkpoint::open(&folder.0).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    // Without the index: one file, then none.
    fs::remove_file(&index).unwrap();
    fs::remove_file(file(&folder, names[0])).unwrap();
    assert_eq!(Checkpoint::open(&folder.0).unwrap().infos().len(), 2);
    fs::remove_file(file(&folder, names[1])).unwrap();
    assert!(
        Checkpoint::open(&folder.0)
            .unwrap_err()
            .to_string()
            .contains("it has no safetensors file")
    );
    assert!(Checkpoint::open(file(&folder, "nowhere")).is_err());
}

#[test]
fn what_is_no_safetensors_file_says_why() {
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{}}}"#, tensor(dtype, shape, offsets))
    };
    let u8 = |offsets: &str, shape: &str| tensor("U8", shape, offsets);
    for (header, data, why) in [
        (String::new(), 0, "EOF"),
        ("[]".to_owned(), 0, "an object with a tensor for each name"),
        (r#"{"a":1}"#.to_owned(), 0, "invalid type"),
        (
            r#"{"__metadata__":{"a":1}}"#.to_owned(),
            0,
            "expected a string",
        ),
        (
            r#"{"__metadata__":{},"__metadata__":{}}"#.to_owned(),
            0,
            "\"__metadata__\" is there twice",
        ),
        ("{} x".to_owned(), 0, "trailing characters"),
        (one("F33", "[1]", "[0,4]"), 4, "the type \"F33\" is unknown"),
        (
            one("F32", "[1]", "[0,3]"),
            3,
            "the bytes of \"a\" are not its shape's",
        ),
        (
            one("F32", "[1]", "[4,0]"),
            4,
            "the bytes of \"a\" are not its shape's",
        ),
        (one("F4", "[1]", "[0,1]"), 1, "ends within a byte"),
        (
            one("F32", "[4294967296,4294967296]", "[0,0]"),
            0,
            "more elements than can be counted",
        ),
        (
            one("F32", "[18446744073709551615]", "[0,0]"),
            0,
            "more elements than can be counted",
        ),
        (one("F32", "[-1]", "[0,4]"), 4, "invalid value"),
        (one("F32", "[1.5]", "[0,4]"), 4, "invalid type"),
        (one("F32", "[1]", "[0,4,8]"), 4, "trailing"),
        (
            one("U8", "[18446744073709551616]", "[0,0]"),
            0,
            "invalid type",
        ),
        (
            one("U8", &format!("[{}1]", "1,".repeat(64)), "[0,1]"),
            1,
            "at most 64 lengths",
        ),
        (
            one("U8", "[4]", "[1,5]"),
            5,
            "\"a\" begins at byte 1, not 0",
        ),
        (
            one("U8", "[4]", "[0,4]"),
            5,
            "tensors take 4 bytes, 5 are there",
        ),
        (
            one("U8", "[4]", "[0,4]"),
            3,
            "tensors take 4 bytes, 3 are there",
        ),
        (
            format!(
                r#"{{"a":{},"a":{}}}"#,
                u8("[0,1]", "[1]"),
                u8("[1,2]", "[1]")
            ),
            2,
            "\"a\" is there twice",
        ),
        (
            format!(
                r#"{{"a":{},"a":{}}}"#,
                u8("[0,0]", "[0]"),
                u8("[0,2]", "[2]")
            ),
            2,
            "\"a\" is there twice",
        ),
        (
            format!(
                r#"{{"a":{},"b":{}}}"#,
                u8("[0,2]", "[2]"),
                u8("[1,3]", "[2]")
            ),
            3,
            "\"b\" begins at byte 1, not 2",
        ),
        (
            format!(
                r#"{{"a":{},"b":{}}}"#,
                u8("[0,2]", "[2]"),
                u8("[3,4]", "[1]")
            ),
            4,
            "\"b\" begins at byte 3, not 2",
        ),
        (format!(r#"{{"a":{}"#, u8("[0,2]", "[2]")), 2, "EOF"),
        (
            r#"{"a":{"dtype":"U8","shape":[1]}}"#.to_owned(),
            1,
            "missing field `data_offsets`",
        ),
    ] {
        let message = damage(&header, data);
        assert!(message.contains(why), "{header}: {message}");
    }
    for bytes in [
        vec![],
        vec![0; 7],
        vec![255; 8],
        vec![255; 100],
        [&100_000_001_u64.to_le_bytes()[..], b"{}"].concat(),
    ] {
        let error = SafetensorsFile::from_bytes(bytes).unwrap_err().to_string();
        assert!(
            error.starts_with("safetensors in memory is damaged"),
            "{error}"
        );
    }
    // A long name is not the whole message.
    assert!(
        damage(
            &one("U8", "[4]", "[1,5]")
                .replace("\"a\"", &format!("{:?}", "\u{1F980}".repeat(10_000))),
            5
        )
        .len()
            < 2000
    );
}

#[test]
fn tensors_may_stand_in_any_order_and_without_bytes() {
    // By their bytes c, e, a, b, d; of those that begin at one byte the one without comes first.
    let text = [
        ("a", 2, 3),
        ("b", 3, 7),
        ("c", 0, 2),
        ("d", 7, 7),
        ("e", 2, 2),
    ]
    .map(|(name, from, to)| {
        format!(
            r#""{name}":{{"dtype":"U8","shape":[{}],"data_offsets":[{from},{to}]}}"#,
            to - from
        )
    });
    let text = format!(" {{{}}} ", text.join(","));
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.extend(0..7);
    let file = SafetensorsFile::from_bytes(bytes).unwrap();
    let names: Vec<&str> = file.infos().iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["c", "e", "a", "b", "d"]);
    for (name, right) in [
        ("a", &[2][..]),
        ("b", &[3, 4, 5, 6]),
        ("c", &[0, 1]),
        ("d", &[]),
        ("e", &[]),
    ] {
        assert_eq!(file.tensor(name).unwrap().bytes(), right);
    }
}
