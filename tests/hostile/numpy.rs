//! NumPy's files.

use crate::campaign::{Tally, run, scratch};
use crate::counting::alone;
use crate::mutate::{Means, Seed};
use crate::safetensors::read_all;
use rarefy::formats::{NpzFile, NpzWriter, read_npy_tensor, write_npy_tensor};
use rarefy::tensors::{DType, StoredTensor, TensorSource, TensorSourceExt};
use std::fs;

/// An array of a type and a shape that depend on the number.
fn array(number: usize) -> StoredTensor {
    let types = [
        DType::Bool,
        DType::U8,
        DType::I16,
        DType::F16,
        DType::I32,
        DType::F32,
        DType::U64,
        DType::F64,
        DType::C64,
    ];
    let shapes: [&[usize]; 6] = [
        &[20, 10],
        &[200],
        &[3, 4, 20],
        &[1, 240, 1, 1],
        &[2, 0, 7],
        &[30, 40],
    ];
    let (dtype, shape) = (types[number % types.len()], shapes[number % shapes.len()]);
    let bytes = shape.iter().product::<usize>() * dtype.bits() / 8;
    let bytes = (0..bytes)
        .map(|place| (place * number % 64) as u8)
        .collect();
    StoredTensor::new(dtype, shape.to_vec(), bytes).unwrap()
}

#[test]
fn npy() {
    let _alone = alone();
    let path = scratch("a.npy");
    let mut seeds: Vec<Seed> = (0..60)
        .map(array)
        .filter(|array| array.bytes().len() > 150)
        .map(|array| {
            write_npy_tensor(&path, &array).unwrap();
            let bytes = fs::read(&path).unwrap();
            Seed {
                header: 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]])),
                bytes,
            }
        })
        .collect();
    // The other orders, and the longer length.
    for number in 0..20 {
        let mut seed = seeds[number].clone();
        let text = String::from_utf8(seed.bytes[10..seed.header].to_vec()).unwrap();
        let text = text.replace("False", "True").replace('<', ">");
        let len = (text.len() as u32).to_le_bytes();
        let data = seed.bytes.split_off(seed.header);
        let start = if number % 2 == 0 {
            [1, 0, len[0], len[1]].to_vec()
        } else {
            [&[2, 0], &len[..]].concat()
        };
        seed.bytes.truncate(6);
        seed.bytes.extend([&start, text.as_bytes(), &data].concat());
        seed.header = seed.bytes.len() - data.len();
        seeds.push(seed);
    }
    let put = |bytes: Vec<u8>| {
        fs::write(&path, &bytes).unwrap();
        bytes.len()
    };
    // Parsing is reading: an array's bytes are at most the file's.
    let read = |_: StoredTensor, _: &mut Tally| Ok(());
    run(
        "npy",
        &seeds,
        Means::default(),
        put,
        |_| read_npy_tensor(&path),
        read,
    );
    fs::remove_file(&path).unwrap();
}

#[test]
fn npz() {
    let _alone = alone();
    let path = scratch("a.npz");
    let mut seeds: Vec<Seed> = (0..24)
        .map(|number| {
            let mut writer = NpzWriter::create(&path).unwrap();
            if number % 2 == 1 {
                writer = writer.compressed();
            }
            for array_number in 0..=number % 5 {
                let name = format!("layer.{array_number}");
                writer
                    .write_tensor(&name, &array(number + array_number))
                    .unwrap();
            }
            writer.finish().unwrap();
            let bytes = fs::read(&path).unwrap();
            // Headers are everywhere, and the directory is at the end.
            Seed {
                header: bytes.len(),
                bytes,
            }
        })
        .collect();
    for golden in [
        &include_bytes!("../golden/python.npz")[..],
        include_bytes!("../golden/python_compressed.npz"),
        include_bytes!("../golden/python_wide.npz"),
    ] {
        seeds.push(Seed {
            bytes: golden.to_vec(),
            header: golden.len(),
        });
    }
    let read = |file: NpzFile, tally: &mut Tally| read_all(&file, tally);
    run(
        "npz",
        &seeds,
        Means::default(),
        |bytes| bytes,
        NpzFile::from_bytes,
        read,
    );
    fs::remove_file(&path).unwrap();
}

/// A file of a few kilobytes cannot say that it is gigabytes, and what it may say is read and no more.
#[test]
fn an_array_of_nothing_but_zeros_is_what_its_shape_says() {
    let _alone = alone();
    let path = scratch("bomb.npz");
    let zeros = StoredTensor::new(DType::U8, vec![4 << 20], vec![0; 4 << 20]).unwrap();
    let mut writer = NpzWriter::create(&path).unwrap().compressed();
    writer.write_tensor("zeros", &zeros).unwrap();
    writer.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    println!("{} bytes become {}", bytes.len(), zeros.bytes().len());
    let mut file = None;
    let held =
        crate::counting::held_during(|| file = Some(NpzFile::from_bytes(bytes.clone()).unwrap()));
    assert!(held < crate::campaign::CONSTANT, "{held}");
    let held = crate::counting::held_during(|| file.take().unwrap().tensor("zeros").unwrap());
    assert!(
        held < zeros.bytes().len() + crate::campaign::CONSTANT,
        "{held}"
    );
    // The size in the directory, more than its bytes can become.
    let mut lying = bytes.clone();
    let place = lying
        .windows(4)
        .rposition(|word| word == 0x0201_4B50_u32.to_le_bytes())
        .unwrap();
    lying[place + 24..place + 28].copy_from_slice(&u32::MAX.wrapping_sub(1).to_le_bytes());
    let error = NpzFile::from_bytes(lying).unwrap_err().to_string();
    assert!(
        error.contains("a file cannot have so many bytes"),
        "{error}"
    );
    let _ = NpzFile::from_bytes(bytes).unwrap().infos();
}
