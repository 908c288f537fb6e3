//! GGUF files: what goes in comes out, in whatever part it is asked for, and other programs read it too.

use crate::folder::Folder;
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rarefy::formats::{
    GgufArray, GgufFile, GgufStrings, GgufTensorInfo, GgufType, GgufValue, GgufWriter,
};
use rarefy::quantize::{BlockFormat, BlockTensor};
use rarefy::tensors::{DType, StoredTensor, TensorSource, TensorSourceExt};
use std::fs;
use std::path::Path;
use std::process::Command;

pub(crate) fn key(key: &str, value: impl Into<GgufValue>) -> (String, GgufValue) {
    (key.to_owned(), value.into())
}

pub(crate) fn model() -> Vec<(String, GgufValue)> {
    vec![key("general.architecture", "llama")]
}

/// The formats that ggml has.
fn formats() -> Vec<BlockFormat> {
    let all = BlockFormat::ALL.iter().copied();
    all.filter(|&format| GgufType::from(format).number().is_some())
        .collect()
}

/// Weights of many sizes, signs and a block of zeros.
fn weights(shape: &[usize]) -> ArrayD<f32> {
    let mut state = 7_u64;
    let mut values = ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    });
    for (place, value) in values.iter_mut().enumerate() {
        *value *= [1.0, 0.01, 30.0, 0.0][place / 256 % 4];
    }
    values
}

fn every_value() -> Vec<(String, GgufValue)> {
    let nested = GgufArray::Arrays(vec![
        vec![1_i32, -2].into(),
        GgufArray::Arrays(vec![vec!["deep"].into(), GgufArray::Arrays(vec![])]),
    ]);
    vec![
        key("z.last letter first", u8::MAX),
        key("general.architecture", "llama"),
        key("a", i8::MIN),
        key("b", u16::MAX),
        key("c", i16::MIN),
        key("d", u32::MAX),
        key("e", i32::MIN),
        key("f", f32::MIN_POSITIVE),
        key("g", true),
        key("h", "zwölf Boxkämpfer 𝕏\0"),
        key("i", u64::MAX),
        key("j", i64::MIN),
        key("k", f64::EPSILON),
        key("l", false),
        key("m", ""),
        key("n", vec![1_u8, 2]),
        key("o", vec![-1_i8]),
        key("p", vec![300_u16]),
        key("q", vec![-300_i16]),
        key("r", vec![70_000_u32]),
        key("s", vec![-70_000_i32]),
        key("t", vec![0.5_f32, f32::INFINITY]),
        key("u", vec![true, false, true]),
        key("v", vec!["<s>", "", "ü"]),
        key("w", vec![u64::MAX]),
        key("x", vec![i64::MIN]),
        key("y", vec![1e300_f64]),
        key("empty", Vec::<f32>::new()),
        key("no texts", GgufStrings::new()),
        key("nested", nested),
        // Longer than what is read at a time.
        key("long", (0..50_000).collect::<Vec<u32>>()),
        key("long text", "long ".repeat(30_000)),
    ]
}

#[test]
fn every_value_comes_back_in_its_order() {
    let folder = Folder::made("gguf-values");
    let path = folder.0.join("values.gguf");
    let said = every_value();
    let writer = GgufWriter::create(&path, said.clone(), Vec::new()).unwrap();
    writer.finish().unwrap();
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(file.metadata(), said);
    for (key, value) in &said {
        assert_eq!(file.value(key), Some(value));
    }
    assert_eq!(file.value("nothing"), None);
    assert_eq!(
        (file.version(), file.tensors(), file.path()),
        (3, &[][..], &*path)
    );
    let in_memory = GgufFile::from_bytes(fs::read(&path).unwrap()).unwrap();
    assert_eq!(in_memory.metadata(), said);
}

#[test]
fn getters_give_what_fits() {
    let value = GgufValue::from(-1_i8);
    assert_eq!((value.as_i32(), value.as_i64()), (Some(-1), Some(-1)));
    assert_eq!(
        (value.as_u32(), value.as_u64(), value.as_usize()),
        (None, None, None)
    );
    assert_eq!(GgufValue::from(u64::MAX).as_u32(), None);
    assert_eq!(GgufValue::from(u64::MAX).as_u64(), Some(u64::MAX));
    assert_eq!(GgufValue::from(3_u16).as_usize(), Some(3));
    assert_eq!(GgufValue::from(1.5_f64).as_f32(), None);
    assert_eq!(GgufValue::from(1.5_f64).as_f64(), Some(1.5));
    assert_eq!(GgufValue::from(1.5_f32).as_f64(), Some(1.5));
    assert_eq!(GgufValue::from(1.5_f32).as_f32(), Some(1.5));
    assert_eq!(GgufValue::from(1.5_f32).as_i64(), None);
    assert_eq!(GgufValue::from(true).as_bool(), Some(true));
    assert_eq!(GgufValue::from(true).as_u32(), None);
    assert_eq!(GgufValue::from("a").as_bool(), None);
    assert_eq!(GgufValue::from("a".to_owned()).as_str(), Some("a"));
    assert_eq!(GgufValue::from(1_u8).as_str(), None);
    let array = GgufValue::from(vec![1_u8, 2]);
    assert_eq!(array.as_array().map(GgufArray::len), Some(2));
    assert!(array.as_strings().is_none() && array.as_f32().is_none() && array.as_f64().is_none());
    assert!(GgufArray::Arrays(Vec::new()).is_empty());
    assert!(GgufValue::from("a").as_array().is_none());
}

/// A file of every type of tensors, and what floats they come back as.
fn write_every_type(path: &Path) -> Vec<(String, ArrayD<f32>)> {
    let plain = [DType::F32, DType::F16, DType::Bf16, DType::F64];
    let integers = [DType::I8, DType::I16, DType::I32, DType::I64];
    let shape = [2, 3, 512];
    let values = weights(&shape);
    let mut tensors = Vec::new();
    // Names that are no multiple of anything long, in no order; plain types with rows of 5.
    for (number, dtype) in plain.into_iter().chain(integers).enumerate() {
        let name = format!("{}{dtype}", "p".repeat(9 - number));
        tensors.push(GgufTensorInfo::new(name, dtype, [1, 3, 1, 5]));
    }
    for format in formats() {
        let name = format!("blk.{format:?}");
        tensors.push(GgufTensorInfo::new(name, format, shape));
    }
    let mut writer = GgufWriter::create(path, model(), tensors.clone()).unwrap();
    assert_eq!(writer.tensors(), tensors);
    let small = weights(&[15]).into_shape_with_order(IxDyn(&[1, 3, 1, 5]));
    let small = small.unwrap();
    let mut right = Vec::new();
    for info in tensors.iter().rev() {
        let name = &info.name;
        match info.kind {
            GgufType::Blocks(format) => {
                let blocks = BlockTensor::encode(&values, format).unwrap();
                writer.write_blocks(name, &blocks).unwrap();
                right.push((name.clone(), blocks.dequantize()));
            }
            GgufType::Plain(dtype) if dtype.is_float() => {
                let tensor = StoredTensor::of_floats(&small, dtype).unwrap();
                writer.write(name, &tensor).unwrap();
                right.push((name.clone(), tensor.floats().unwrap()));
            }
            _ => {
                let bytes: Vec<u8> = (0..info.bytes().unwrap() as u8).collect();
                let (first, second) = bytes.split_at(7);
                writer.append(name, first).unwrap();
                writer.append(name, second).unwrap();
            }
        }
    }
    writer.finish().unwrap();
    right
}

#[test]
fn every_type_of_tensors_comes_back() {
    let folder = Folder::made("gguf-tensors");
    let path = folder.0.join("tensors.gguf");
    let right = write_every_type(&path);
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(file.tensors().len(), 8 + 13);
    assert_eq!(
        file.value("general.quantization_version"),
        Some(&2_u32.into())
    );
    for (name, values) in &right {
        assert_eq!(&file.floats::<f32>(name).unwrap(), values, "{name}");
        let wide = file.floats::<f64>(name).unwrap();
        assert_eq!(wide, values.mapv(f64::from), "{name}");
        let streamed = TensorSourceExt::floats::<f32>(&file, name).unwrap();
        assert_eq!(&streamed, values, "{name}");
        let info = file.info(name).unwrap();
        assert_eq!(info.shape, values.shape());
        // What a source gives is what it says.
        let stored = file.tensor(name).unwrap();
        assert_eq!(
            (stored.dtype(), stored.shape()),
            (info.dtype, values.shape())
        );
        assert_eq!(&stored.floats::<f32>().unwrap(), values);
    }
    for (number, info) in file.tensors().iter().enumerate() {
        assert_eq!(file.position(&info.name), Some(number));
        assert_eq!(file.infos()[number].name, info.name);
        assert_eq!(file.infos()[number].dtype, info.kind.read_as());
        if let GgufType::Blocks(format) = info.kind {
            let blocks = file.block_tensor(&info.name).unwrap();
            let right = BlockTensor::encode(&weights(&info.shape), format).unwrap();
            assert_eq!(blocks, right);
        }
    }
    let counted = file.elements::<i8>("pppppI8").unwrap();
    assert_eq!(counted.as_slice().unwrap(), (0..15).collect::<Vec<i8>>());
    let counted = file.elements::<i64>("ppI64").unwrap();
    assert_eq!(counted[[0, 0, 0, 1]], 0x0F0E_0D0C_0B0A_0908);
}

#[test]
fn any_part_is_the_part_of_the_whole() {
    let folder = Folder::made("gguf-parts");
    let path = folder.0.join("parts.gguf");
    write_every_type(&path);
    let file = GgufFile::open(&path).unwrap();
    for (number, info) in file.infos().iter().enumerate() {
        let whole = file.tensor(&info.name).unwrap().into_bytes();
        let len = whole.len();
        let ranges = [
            (0, len),
            (0, 0),
            (len, 0),
            (0, 1),
            (1, 1),
            (1, 2),
            (2, 2),
            (3, 2),
            (1, len - 2),
            (len - 1, 1),
            (len / 2 - 3, 11),
            (len / 3, len / 3 + 1),
            (127.min(len), 3.min(len - 127.min(len))),
            (len / 2 + 1, len / 4 + 2),
        ];
        for (from, count) in ranges {
            let mut part = vec![0xAA; count];
            file.read_bytes(number, from, &mut part).unwrap();
            assert_eq!(
                part,
                whole[from..from + count],
                "{} {from} {count}",
                info.name
            );
        }
    }
}

/// Longer than what is decoded at a time.
#[test]
fn a_long_tensor_is_decoded_in_pieces() {
    let values = weights(&[3, 65_536 + 256]);
    let folder = Folder::made("gguf-long");
    let path = folder.0.join("long.gguf");
    let tensors = vec![GgufTensorInfo::new("w", BlockFormat::Q5K, values.shape())];
    let mut writer = GgufWriter::create(&path, model(), tensors).unwrap();
    writer.write_floats("w", &values).unwrap();
    writer.finish().unwrap();
    let file = GgufFile::open(&path).unwrap();
    let whole = file.block_tensor("w").unwrap().dequantize::<f32>();
    assert_eq!(file.floats::<f32>("w").unwrap(), whole);
    let bytes = StoredTensor::of(&whole).into_bytes();
    for (from, count) in [(0, bytes.len()), (5, 4 << 17), (70_001, (4 << 17) + 3)] {
        let mut part = vec![0; count];
        file.read_bytes(0, from, &mut part).unwrap();
        assert!(part == bytes[from..from + count], "{from} {count}");
    }
}

/// The layout of the format, byte by byte.
#[test]
fn a_file_is_laid_out_as_the_format_says() {
    let folder = Folder::made("gguf-layout");
    let path = folder.0.join("layout.gguf");
    let mut said = model();
    said.push(key("general.alignment", 64_u32));
    let tensors = vec![
        GgufTensorInfo::new("first", DType::F32, [2, 3]),
        GgufTensorInfo::new("second", DType::I8, [1]),
    ];
    let mut writer = GgufWriter::create(&path, said, tensors).unwrap();
    writer.append("second", &[9]).unwrap();
    let first = Array2::from_shape_fn((2, 3), |(i, j)| (3 * i + j) as f32);
    writer.write_floats("first", &first).unwrap();
    writer.finish().unwrap();

    let mut right = b"GGUF\x03\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
    let text = |text: &str, bytes: &mut Vec<u8>| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    text("general.architecture", &mut right);
    right.extend([8, 0, 0, 0]);
    text("llama", &mut right);
    text("general.alignment", &mut right);
    right.extend([4, 0, 0, 0, 64, 0, 0, 0]);
    text("first", &mut right);
    // Two axes, the innermost first; type 0; offset 0.
    right.extend(b"\x02\0\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    text("second", &mut right);
    right.extend(b"\x01\0\0\0\x01\0\0\0\0\0\0\0\x18\0\0\0\x40\0\0\0\0\0\0\0");
    right.resize(right.len().next_multiple_of(64), 0);
    for value in 0..6_u8 {
        right.extend(f32::from(value).to_le_bytes());
    }
    right.resize(right.len().next_multiple_of(64), 0);
    right.push(9);
    right.resize(right.len().next_multiple_of(64), 0);
    assert_eq!(fs::read(&path).unwrap(), right);
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(file.floats::<f32>("first").unwrap(), first.into_dyn());
    assert_eq!(file.metadata().len(), 2);
}

/// Every alignment that the format allows; the end of the file is aligned too, as llama.cpp asks.
#[test]
fn tensors_begin_where_the_alignment_says() {
    let folder = Folder::made("gguf-alignment");
    for alignment in [8_usize, 16, 32, 1 << 12, 1 << 20] {
        let path = folder.0.join("aligned.gguf");
        let mut said = model();
        said.push(key("general.alignment", alignment as u32));
        let names = ["a", "b", "c"];
        let tensors = names.map(|name| GgufTensorInfo::new(name, BlockFormat::Q8_0, [32]));
        let mut writer = GgufWriter::create(&path, said, tensors.to_vec()).unwrap();
        for (name, value) in names.iter().zip([1.0_f32, 2.0, 3.0]) {
            writer
                .write_floats(name, &Array1::from_elem(32, value))
                .unwrap();
        }
        writer.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        let each = 34_usize.next_multiple_of(alignment);
        let start = bytes.len() - 3 * each;
        assert_eq!(start % alignment, 0);
        for tensor in bytes[start..].chunks(each) {
            assert_eq!(tensor[2..34], [127; 32]);
            assert!(tensor[34..].iter().all(|&byte| byte == 0));
        }
        let file = GgufFile::from_bytes(bytes).unwrap();
        for (name, value) in names.iter().zip([1.0_f32, 2.0, 3.0]) {
            let restored = file.floats::<f32>(name).unwrap();
            assert!(restored.iter().all(|&v| (v - value).abs() < 1e-3), "{name}");
        }
    }
}

/// A model is copied, tensors of types that are not decoded too, without a tensor in memory.
#[test]
fn a_file_is_copied_byte_by_byte() {
    let folder = Folder::made("gguf-copy");
    let (path, copy) = (folder.0.join("one.gguf"), folder.0.join("other.gguf"));
    let mut said = every_value();
    said.push(key("general.quantization_version", 7_u32));
    let tensors = vec![
        GgufTensorInfo::new("coded", GgufType::Other(23), [3, 512]),
        GgufTensorInfo::new("plain", DType::I16, [5]),
        GgufTensorInfo::new("blocks", BlockFormat::Mxfp4, [2, 64]),
    ];
    let mut writer = GgufWriter::create(&path, said, tensors).unwrap();
    writer.append("coded", &[77; 3 * 2 * 136]).unwrap();
    writer.append("plain", &[1; 10]).unwrap();
    writer.write_floats("blocks", &weights(&[2, 64])).unwrap();
    writer.finish().unwrap();

    let file = GgufFile::open(&path).unwrap();
    let metadata = file.metadata().to_vec();
    let mut writer = GgufWriter::create(&copy, metadata, file.tensors().to_vec()).unwrap();
    for (number, info) in file.tensors().iter().enumerate() {
        let len = info.bytes().unwrap();
        for from in (0..len).step_by(100) {
            let mut part = vec![0; 100.min(len - from)];
            file.read_stored(number, from, &mut part).unwrap();
            writer.append(&info.name, &part).unwrap();
        }
    }
    writer.finish().unwrap();
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&path).unwrap());
}

#[cfg(feature = "mmap")]
#[test]
fn a_mapped_file_is_the_same() {
    let folder = Folder::made("gguf-map");
    let path = folder.0.join("mapped.gguf");
    for (name, values) in write_every_type(&path) {
        #[expect(unsafe_code, reason = "what is tested")]
        // SAFETY: the folder is this test's own, and nothing writes there now.
        let file = unsafe { GgufFile::map(&path) }.unwrap();
        assert_eq!(file.floats::<f32>(&name).unwrap(), values);
    }
}

/// The reader of PyPI's `gguf` opens what we wrote, decodes it and finds the same bits:
/// `RAREFY_PYTHON=peers/bin/python cargo test --features gguf --test files gguf`.
#[test]
fn the_reader_in_python_reads_the_same() {
    let folder = Folder::made("gguf-python");
    let path = folder.0.join("every.gguf");
    let mut dump = Vec::new();
    for (name, values) in write_every_type(&path) {
        let bytes = StoredTensor::of(&values).into_bytes();
        fs::write(folder.0.join(format!("{name}.f32")), bytes).unwrap();
        dump.push(name);
    }
    let values = folder.0.join("values.gguf");
    GgufWriter::create(&values, every_value(), Vec::new())
        .and_then(GgufWriter::finish)
        .unwrap();
    let Ok(python) = std::env::var("RAREFY_PYTHON") else {
        println!("not run: RAREFY_PYTHON names no Python that has gguf");
        return;
    };
    let script = format!("{}/tests/golden/read_gguf.py", env!("CARGO_MANIFEST_DIR"));
    let run = Command::new(python).arg(script).arg(&folder.0).output();
    let run = run.unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}{}", String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success());
    assert!(said.contains(&format!("{} tensors equal", dump.len())));
}
