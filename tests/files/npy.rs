//! NumPy's files: read as NumPy wrote them, written as NumPy would, and errors for all else.

#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small numbers of the tests' own"
)]

use crate::folder::Folder;
use ndarray::{Array2, ArrayD, Axis, IxDyn, array};
use rarefy::formats::{NpzFile, NpzWriter, read_npy, read_npy_tensor, write_npy, write_npy_tensor};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorSource, TensorSourceExt};
use rarefy::{Error, FileError};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// The array of the script beside the files, as a tensor.
fn right(name: &str) -> Option<StoredTensor> {
    let mut parts = name.split('.');
    let number: usize = parts.next()?.parse().ok()?;
    let descr = parts.next()?;
    let shapes: [&[usize]; 7] = [&[5, 3], &[7], &[2, 3, 4], &[1], &[], &[0, 4], &[3, 1]];
    let shape = shapes[number % 7];
    let offset = if descr.starts_with(['u', 'b']) { 0 } else { 8 };
    let count = shape.iter().product::<usize>();
    let values = (0..count)
        .map(|i| ((3 * i + number) % 17) as i64 - offset)
        .collect();
    let values = ArrayD::from_shape_vec(IxDyn(shape), values).unwrap();
    Some(match descr {
        "b1" => StoredTensor::of(&values.mapv(|x| x % 2 == 1)),
        "u1" => StoredTensor::of(&values.mapv(|x| x as u8)),
        "i1" => StoredTensor::of(&values.mapv(|x| x as i8)),
        "u2" => StoredTensor::of(&values.mapv(|x| x as u16)),
        "i2" => StoredTensor::of(&values.mapv(|x| x as i16)),
        "u4" => StoredTensor::of(&values.mapv(|x| x as u32)),
        "i4" => StoredTensor::of(&values.mapv(|x| x as i32)),
        "u8" => StoredTensor::of(&values.mapv(|x| x as u64)),
        "i8" => StoredTensor::of(&values),
        "f2" => StoredTensor::of_floats(&values.mapv(|x| x as f64), DType::F16).unwrap(),
        "f4" => StoredTensor::of(&values.mapv(|x| x as f32)),
        "f8" => StoredTensor::of(&values.mapv(|x| x as f64)),
        "c8" => {
            let pairs = values.iter().flat_map(|&x| [x as f32, 0.0]);
            let bytes = pairs.flat_map(f32::to_le_bytes).collect();
            StoredTensor::new(DType::C64, shape.to_vec(), bytes).unwrap()
        }
        _ => return None,
    })
}

#[test]
fn numpys_archives_are_read() {
    for (file, arrays) in [
        ("python.npz", 43),
        ("python_compressed.npz", 44),
        ("python_wide.npz", 6),
    ] {
        let npz = NpzFile::open(golden(file)).unwrap();
        assert_eq!(npz.infos().len(), arrays, "{file}");
        let mut compared = 0;
        for info in npz.infos() {
            let Some(right) = right(&info.name) else {
                continue;
            };
            let tensor = npz.tensor(&info.name).unwrap();
            assert_eq!(
                (tensor.dtype(), tensor.shape()),
                (right.dtype(), right.shape()),
                "{file}, {}",
                info.name
            );
            assert_eq!(tensor.bytes(), right.bytes(), "{file}, {}", info.name);
            // Any part, in any order.
            let (number, len) = (npz.position(&info.name).unwrap(), right.bytes().len());
            for from in (0..len).rev().step_by(5).chain((0..len).step_by(3)) {
                for count in [1, 2, 9, len - from] {
                    let count = count.min(len - from);
                    let mut part = vec![0; count];
                    npz.read_bytes(number, from, &mut part).unwrap();
                    assert_eq!(
                        part,
                        right.bytes()[from..from + count],
                        "{file}, {}",
                        info.name
                    );
                }
            }
            assert!(npz.read_bytes(number, len, &mut [0]).is_err());
            compared += 1;
        }
        assert!(compared == 42 || arrays == 6);
        if arrays > 6 {
            assert_eq!(
                npz.floats::<f32>("ünï \u{1F980}").unwrap(),
                Array2::<f32>::zeros((2, 2)).into_dyn()
            );
            assert_eq!(npz.others(), ["texts", "record"]);
            assert!(matches!(
                npz.tensor("texts"),
                Err(Error::File(FileError::NoTensor { .. }))
            ));
        }
    }
}

#[test]
fn what_is_written_is_what_numpy_writes() {
    let folder = Folder::made("npy-bytes");
    let path = folder.0.join("a.npy");
    let archive = fs::read(golden("python.npz")).unwrap();
    let npz = NpzFile::open(golden("python.npz")).unwrap();
    let mut compared = 0;
    for info in npz.infos().iter().filter(|info| info.name.ends_with('C')) {
        let number: usize = info.name.split('.').next().unwrap().parse().unwrap();
        // The others are in the other order of bytes.
        if (13..19).contains(&number) {
            continue;
        }
        let right = right(&info.name).unwrap();
        write_npy_tensor(&path, &right).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(
            archive.windows(bytes.len()).any(|part| part == bytes),
            "{}",
            info.name
        );
        assert_eq!(read_npy_tensor(&path).unwrap(), right);
        compared += 1;
    }
    assert_eq!(compared, 15);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn arrays_come_back_in_any_memory_order() {
    let folder = Folder::made("npy-round");
    let path = folder.0.join("a.npy");
    let array = Array2::from_shape_fn((3, 5), |(i, j)| (i * 5 + j) as f32 - 7.0);
    write_npy(&path, &array.t()).unwrap();
    assert_eq!(read_npy::<f32>(&path).unwrap(), array.t().into_dyn());
    let error = read_npy::<f64>(&path).unwrap_err().to_string();
    assert_eq!(error, "elements are of type F32, needed is F64");
    let mut kept = array.mapv(|x| x > 0.0);
    kept.invert_axis(Axis(0));
    write_npy(&path, &kept).unwrap();
    assert_eq!(read_npy::<bool>(&path).unwrap(), kept.into_dyn());
    #[cfg(feature = "half")]
    {
        let halves = array.mapv(half::f16::from_f32);
        write_npy(&path, &halves).unwrap();
        assert_eq!(read_npy::<half::f16>(&path).unwrap(), halves.into_dyn());
    }
    for dtype in DType::ALL {
        let tensor = StoredTensor::new(*dtype, vec![8], vec![0; dtype.bits()]).unwrap();
        match write_npy_tensor(&path, &tensor) {
            Ok(()) => assert_eq!(read_npy_tensor(&path).unwrap(), tensor),
            Err(error) => {
                let expected = format!("NumPy cannot hold elements of type {dtype}: ");
                assert!(error.to_string().starts_with(&expected), "{error}");
                assert!(dtype.name().starts_with(['F', 'B']));
            }
        }
    }
}

#[test]
fn archives_come_back_and_are_the_same_bytes_again() {
    let folder = Folder::made("npz-round");
    let path = folder.0.join("a.npz");
    let zeros = Array2::<f32>::zeros((300, 200));
    let write = |compressed: bool| {
        let mut writer = NpzWriter::create(&path).unwrap();
        if compressed {
            writer = writer.compressed();
        }
        writer.write("zeros", &zeros).unwrap();
        writer.write("ünï/\"", &array![1_u64, 2]).unwrap();
        let error = writer.write("zeros", &zeros).unwrap_err().to_string();
        assert_eq!(error, "two arrays are named \"zeros\"");
        assert!(writer.write(&"n".repeat(65_532), &zeros).is_err());
        let bfloat = StoredTensor::of_floats(&zeros, DType::Bf16).unwrap();
        let error = writer.write_tensor("b", &bfloat).unwrap_err().to_string();
        assert!(
            error.starts_with("tensor \"b\": NumPy cannot hold elements of type BF16"),
            "{error}"
        );
        writer.finish().unwrap();
        fs::read(&path).unwrap()
    };
    for compressed in [false, true] {
        let bytes = write(compressed);
        assert_eq!(write(compressed), bytes);
        assert_eq!(bytes.len() < 5000, compressed);
        let npz = NpzFile::open(&path).unwrap();
        assert_eq!(
            npz.floats::<f64>("zeros").unwrap(),
            Array2::<f64>::zeros((300, 200)).into_dyn()
        );
        assert_eq!(
            npz.elements::<u64>("ünï/\"").unwrap(),
            array![1, 2].into_dyn()
        );
        assert_eq!(npz.path(), path);
    }
    // What is dropped leaves the old file, and nothing beside it.
    let old = fs::read(&path).unwrap();
    let mut writer = NpzWriter::create(&path).unwrap();
    writer.write("a", &array![1_u8]).unwrap();
    drop(writer);
    assert_eq!(fs::read(&path).unwrap(), old);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    NpzWriter::create(&path).unwrap().finish().unwrap();
    assert!(NpzFile::open(&path).unwrap().infos().is_empty());
}

/// A file of this header, with so many bytes behind it.
fn file_of(major: u8, text: &str, data: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([major, 0]);
    let len = (text.len() as u32).to_le_bytes();
    bytes.extend(if major == 1 { &len[..2] } else { &len });
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len() + data, 1);
    bytes
}

#[test]
fn headers_of_others_are_read() {
    let folder = Folder::made("npy-others");
    let path = folder.0.join("a.npy");
    for text in [
        "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }\n",
        "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<i2\"}",
        " { 'fortran_order' : False , 'shape' : ( 2L , 3L , ) , 'descr' : '>i2' } \n ",
    ] {
        for major in [1, 2, 3] {
            fs::write(&path, file_of(major, text, 12)).unwrap();
            assert_eq!(
                read_npy::<i16>(&path).unwrap(),
                ArrayD::from_elem(IxDyn(&[2, 3]), 257)
            );
        }
    }
}

#[test]
fn what_is_no_array_says_why() {
    let folder = Folder::made("npy-wrong");
    let path = folder.0.join("a.npy");
    let why = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read_npy_tensor(&path).unwrap_err().to_string()
    };
    let dict = |descr: &str, order: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}")
    };
    for (text, data, expected) in [
        (
            dict("'<f4'", "False", "(2,)"),
            7,
            "its elements take 8 bytes, 7 are there",
        ),
        (
            dict("'<f4'", "False", "(2,)"),
            9,
            "its elements take 8 bytes, 9 are there",
        ),
        (dict("'<f4'", "False", "(2)"), 8, "must end with a comma"),
        (dict("'<f4'", "False", "(2,,)"), 8, "no number"),
        (dict("'<f4'", "False", "(-2,)"), 8, "no number"),
        (dict("'<f4'", "False", "(2 3)"), 8, "',' must stand before"),
        (dict("'<f4'", "False", "[2]"), 8, "'(' must stand before"),
        (
            dict("'<f4'", "False", "(99999999999999999999,)"),
            8,
            "no number",
        ),
        (
            dict("'<f4'", "False", "(18446744073709551615,)"),
            8,
            "more elements than can be counted",
        ),
        (
            dict("'<f4'", "False", "(4294967296, 4294967296)"),
            8,
            "more elements than can be counted",
        ),
        (
            dict("'<f4'", "False", &format!("({})", "1,".repeat(65))),
            4,
            "more than 64 axes",
        ),
        (dict("'<f4'", "0", "(2,)"), 8, "must be True or False"),
        (
            dict("'<U5'", "False", "(2,)"),
            8,
            "cannot hold elements of NumPy's type \"<U5\"",
        ),
        (
            dict("'|O'", "False", "(2,)"),
            8,
            "cannot hold elements of NumPy's type \"|O\"",
        ),
        (dict("'|f4'", "False", "(2,)"), 8, "cannot hold"),
        (dict("'=f4'", "False", "(2,)"), 8, "cannot hold"),
        (dict("''", "False", "(2,)"), 8, "cannot hold"),
        (
            dict("[('a', '<f4')]", "False", "(2,)"),
            8,
            "cannot hold elements of NumPy's type of records",
        ),
        (dict("'<f4", "False", "(2,)"), 8, "'}' must stand before"),
        (dict("'<f\\x34'", "False", "(2,)"), 8, "no plain end"),
        (
            "{'descr': '<f4', 'descr': '<f4'}".to_owned(),
            4,
            "twice or unknown",
        ),
        ("{'descr': '<f4'}".to_owned(), 4, "it must say descr"),
        ("{}x".to_owned(), 4, "it must say descr"),
        (
            "{'d': 1}".to_owned(),
            4,
            "the key \"d\" is there twice or unknown",
        ),
        ("(".repeat(60_000), 4, "'{' must stand before"),
        (String::new(), 4, "'{' must stand before"),
    ] {
        let message = why(&file_of(1, &text, data));
        assert!(message.contains(expected), "{text:.60}: {message}");
    }
    for bytes in [
        &b""[..],
        b"\x93NUMPY",
        b"\x93NUMPX\x01\x00\x00\x00",
        b"\x93NUMPY\x04\x00\x00\x00",
        b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF",
    ] {
        assert!(why(bytes).contains("is damaged"), "{bytes:?}");
    }
    assert!(
        read_npy::<f32>(folder.0.join("no.npy"))
            .unwrap_err()
            .to_string()
            .starts_with("cannot open")
    );
}

#[test]
fn a_changed_archive_is_an_error() {
    for file in ["python.npz", "python_compressed.npz", "python_wide.npz"] {
        let right = fs::read(golden(file)).unwrap();
        let read = |bytes: Vec<u8>| -> rarefy::Result<BTreeMap<String, StoredTensor>> {
            let npz = NpzFile::from_bytes(bytes)?;
            let named = |info: &TensorInfo| Ok((info.name.clone(), npz.tensor(&info.name)?));
            npz.infos().iter().map(named).collect()
        };
        let truth = read(right.clone()).unwrap();
        for place in (0..right.len()).step_by(3) {
            let mut bytes = right.clone();
            bytes[place] ^= 1 << (place % 8);
            // Dates, versions and comments are nobody's; an array may become one of another type, which nobody reads.
            if let Ok(tensors) = read(bytes) {
                for (name, tensor) in tensors {
                    assert_eq!(
                        truth.get(&name),
                        Some(&tensor),
                        "{file}, byte {place}, {name}"
                    );
                }
            }
            if place % 7 == 0 {
                assert!(
                    read(right[..place].to_vec()).is_err(),
                    "{file}, {place} bytes"
                );
            }
        }
    }
}
