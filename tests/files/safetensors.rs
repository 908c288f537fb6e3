//! Checkpoints of safetensors: what goes in comes out, of one file and of many; what is wrong is an error that says so and
//! leaves what was there.

use crate::folder::Folder;
use half::{bf16, f16};
use ndarray::{Array1, Array2, IxDyn, array};
use rarefy::formats::{SafetensorsFile, SafetensorsWriter};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorMap, TensorSource, TensorSourceExt};
use rarefy::{Error, FileError};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub(crate) fn bytes_of(info: &TensorInfo) -> Vec<u8> {
    let seed = info.name.len();
    (0..info.bytes().unwrap())
        .map(|place| (place * 31 + seed) as u8)
        .collect()
}

pub(crate) fn write(path: &Path, infos: &[TensorInfo]) {
    let mut writer = SafetensorsWriter::create(path, infos.to_vec(), BTreeMap::new()).unwrap();
    for info in infos {
        writer.append(&info.name, &bytes_of(info)).unwrap();
    }
    writer.finish().unwrap();
}

pub(crate) fn file(folder: &Folder, name: &str) -> std::path::PathBuf {
    folder.0.join(name)
}

#[test]
fn tensors_of_every_type_come_back() {
    let folder = Folder::made("safetensors-types");
    let path = folder.file();
    let mut infos: Vec<TensorInfo> = DType::ALL
        .iter()
        .flat_map(|&dtype| {
            let name = |rank| format!("{dtype}.{rank}");
            let shapes: [&[usize]; 5] = [&[8], &[3, 8], &[2, 1, 4, 2], &[0, 8], &[]];
            let whole = move |shape: &&[usize]| dtype.bits() >= 8 || !shape.is_empty();
            let shapes = shapes.into_iter().filter(whole);
            shapes
                .map(move |shape| TensorInfo::new(name(shape.len()), dtype, shape))
                .collect::<Vec<_>>()
        })
        .collect();
    // Names of rank 2 are there twice: those without elements get their own.
    for info in infos.iter_mut().filter(|info| info.shape.contains(&0)) {
        info.name.push_str(".empty");
    }
    write(&path, &infos);
    let read = SafetensorsFile::open(&path).unwrap();
    assert_eq!(read.infos().len(), infos.len());
    for info in &infos {
        assert_eq!(read.info(&info.name).unwrap(), info);
        let tensor = read.tensor(&info.name).unwrap();
        assert_eq!(
            (tensor.dtype(), tensor.shape(), tensor.bytes()),
            (info.dtype, &*info.shape, &*bytes_of(info))
        );
    }
    // The widest first, so that all are aligned.
    let bits: Vec<usize> = read.infos().iter().map(|info| info.dtype.bits()).collect();
    assert!(bits.is_sorted_by(|a, b| a >= b));
    assert!(matches!(
        read.tensor("other"),
        Err(Error::File(FileError::NoTensor { .. }))
    ));
    assert_eq!(
        fs::read_dir(&folder.0).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn texts_are_kept_and_pt_is_said() {
    let folder = Folder::made("safetensors-texts");
    let path = folder.file();
    let texts = BTreeMap::from([("ünï \"\\\n".to_owned(), "\u{0}\u{1F980}".to_owned())]);
    SafetensorsWriter::create(&path, Vec::new(), texts.clone())
        .unwrap()
        .finish()
        .unwrap();
    let read = SafetensorsFile::open(&path).unwrap();
    let mut right = texts;
    right.insert("format".to_owned(), "pt".to_owned());
    assert_eq!(read.metadata(), &right);
    assert!(read.infos().is_empty());
    assert_eq!(read.path(), path);
    right.insert("format".to_owned(), "np".to_owned());
    SafetensorsWriter::create(&path, Vec::new(), right.clone())
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(SafetensorsFile::open(&path).unwrap().metadata(), &right);
}

#[test]
fn any_part_of_a_tensor_is_read() {
    let folder = Folder::made("safetensors-parts");
    let path = folder.file();
    let infos = [
        TensorInfo::new("a", DType::U8, [7]),
        TensorInfo::new("b", DType::I32, [50, 2]),
    ];
    write(&path, &infos);
    let from_disk = SafetensorsFile::open(&path).unwrap();
    let in_memory = SafetensorsFile::from_bytes(fs::read(&path).unwrap()).unwrap();
    for read in [&from_disk, &in_memory] {
        for info in &infos {
            let (number, all) = (read.number(&info.name).unwrap(), bytes_of(info));
            for from in 0..=all.len() {
                for count in [0, 1, 3, all.len() - from] {
                    let mut part = vec![0; count];
                    let result = read.read_bytes(number, from, &mut part);
                    if from + count <= all.len() {
                        result.unwrap();
                        assert_eq!(part, all[from..from + count]);
                    } else {
                        let message = result.unwrap_err().to_string();
                        assert_eq!(
                            message,
                            format!(
                                "bytes {from} to {} of a tensor of {}",
                                from + count,
                                all.len()
                            )
                        );
                    }
                }
            }
        }
        for (number, from) in [(2, 0), (usize::MAX, 0), (0, usize::MAX)] {
            let beyond = read.read_bytes(number, from, &mut [0; 2]);
            assert!(matches!(
                beyond,
                Err(Error::File(FileError::NoSuchBytes { .. }))
            ));
        }
    }
}

#[test]
fn floats_are_what_half_says() {
    let folder = Folder::made("safetensors-floats");
    let path = folder.file();
    let halves: Vec<u16> = (0..=u16::MAX).collect();
    let bytes: Vec<u8> = halves.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let doubles = array![
        0.1,
        -1e300,
        f64::MIN_POSITIVE,
        f64::NAN,
        f64::INFINITY,
        -0.0
    ];
    let infos = vec![
        TensorInfo::new("f16", DType::F16, [256, 256]),
        TensorInfo::new("bf16", DType::Bf16, [1 << 16]),
        TensorInfo::new("f64", DType::F64, [6]),
        TensorInfo::new("i8", DType::I8, [2]),
    ];
    let mut writer = SafetensorsWriter::create(&path, infos, BTreeMap::new()).unwrap();
    // In pieces, and one tensor between the pieces of another.
    writer.append("f16", &bytes[..1001]).unwrap();
    writer.append("bf16", &bytes).unwrap();
    writer.append("f16", &bytes[1001..]).unwrap();
    writer.write("f64", &StoredTensor::of(&doubles)).unwrap();
    writer
        .write("i8", &StoredTensor::of(&array![-1_i8, 1]))
        .unwrap();
    writer.finish().unwrap();
    let file = SafetensorsFile::open(&path).unwrap();
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let by_f16 = |bits: u16| f16::from_bits(bits).to_f64();
    let by_bf16 = |bits: u16| bf16::from_bits(bits).to_f64();
    for (name, right) in [("f16", &by_f16 as &dyn Fn(u16) -> f64), ("bf16", &by_bf16)] {
        let single = file.floats::<f32>(name).unwrap();
        let double = file.floats::<f64>(name).unwrap();
        for ((&bits, &single), &double) in halves.iter().zip(&single).zip(&double) {
            assert!(
                same(f64::from(single), right(bits)) && same(double, right(bits)),
                "{name} {bits:#x}"
            );
        }
        // And back: the bits that they were; those of NaN are not kept.
        let dtype = file.info(name).unwrap().dtype;
        let back = StoredTensor::of_floats(&double, dtype).unwrap();
        for ((new, old), value) in back.bytes().chunks(2).zip(bytes.chunks(2)).zip(&double) {
            assert!(new == old || value.is_nan(), "{name}");
        }
    }
    assert_eq!(
        file.floats::<f64>("f64")
            .unwrap()
            .iter()
            .map(|x| x.to_bits())
            .collect::<Vec<_>>(),
        doubles.mapv(f64::to_bits).to_vec()
    );
    let error = file.floats::<f32>("f64").unwrap_err().to_string();
    assert_eq!(error, "tensor \"f64\": element [1] is too large for F32");
    let error = file.floats::<f32>("i8").unwrap_err().to_string();
    assert_eq!(
        error,
        "tensor \"i8\": elements are of type I8, needed is F16, BF16, F32 or F64"
    );
    assert_eq!(file.elements::<i8>("i8").unwrap(), array![-1, 1].into_dyn());
    let error = file.elements::<u8>("i8").unwrap_err().to_string();
    assert_eq!(
        error,
        "tensor \"i8\": elements are of type I8, needed is U8"
    );
    // Blocks of any length are the whole.
    for most in [1, 77, 1 << 20] {
        let mut all = Vec::new();
        let mut take = |from: usize, block: &[f32]| {
            assert_eq!(from, all.len());
            all.extend_from_slice(block);
            Ok(())
        };
        file.float_blocks("f16", most, &mut take).unwrap();
        assert_eq!(all.len(), 1 << 16);
    }
    assert!(
        file.float_blocks("f16", 0, &mut |_, _: &[f32]| Ok(()))
            .is_err()
    );
    assert!(file.floats_into("bf16", &mut [0.0_f32; 3]).is_err());
}

#[test]
fn rounding_is_once_and_to_even() {
    let values = array![1.0 + 1.0 / 512.0, 1.0 + 3.0 / 512.0, 65519.0, 1e-8, -0.0];
    let stored = StoredTensor::of_floats(&values, DType::F16).unwrap();
    let right: Vec<u8> = values
        .iter()
        .flat_map(|&x| f16::from_f64(x).to_le_bytes())
        .collect();
    assert_eq!(stored.bytes(), right);
    let error = StoredTensor::of_floats(&array![[1.0, 65520.0]], DType::F16)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "element [0, 1] is too large for F16");
    let error = StoredTensor::of_floats(&array![1e39], DType::Bf16)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "element [0] is too large for BF16");
    assert!(StoredTensor::of_floats(&array![1.0], DType::I8).is_err());
    // Rounded to f32 before, or without a look at their last bits, these would be ties.
    let above = 2.0_f64.powi(-40);
    for (dtype, step) in [
        (DType::Bf16, 2.0_f64.powi(-7)),
        (DType::F16, 2.0_f64.powi(-10)),
    ] {
        let values = array![
            1.0 + step / 2.0 + above,
            -1.0 - 1.5 * step + above,
            1.0 + 1.5 * step - above
        ];
        let once = StoredTensor::of_floats(&values, dtype).unwrap();
        let right = array![1.0 + step, -1.0 - step, 1.0 + step];
        assert_eq!(once.floats::<f64>().unwrap(), right.into_dyn(), "{dtype}");
    }
}

#[cfg(feature = "mmap")]
#[test]
#[expect(unsafe_code, reason = "nobody changes the file while it is mapped")]
fn mapped_files_are_the_same() {
    let folder = Folder::made("safetensors-mapped");
    let path = folder.file();
    let infos = [
        TensorInfo::new("a", DType::F16, [7, 9]),
        TensorInfo::new("b", DType::U8, [0]),
    ];
    write(&path, &infos);
    let read = SafetensorsFile::open(&path).unwrap();
    // SAFETY: the folder is this test's own.
    let mapped = unsafe { SafetensorsFile::map(&path) }.unwrap();
    // SAFETY: as above.
    let model = unsafe { rarefy::formats::Checkpoint::map(&folder.0) }.unwrap();
    for source in [&mapped as &dyn TensorSource, &model] {
        assert_eq!(source.infos(), read.infos());
        for info in &infos {
            assert_eq!(
                source.tensor(&info.name).unwrap(),
                read.tensor(&info.name).unwrap()
            );
        }
        assert!(source.read_bytes(0, 120, &mut [0; 7]).is_err());
    }
    fs::write(&path, b"").unwrap();
    // SAFETY: as above.
    assert!(unsafe { SafetensorsFile::map(&path) }.is_err());
}

#[cfg(unix)]
#[test]
fn a_replaced_file_keeps_its_mode_and_a_new_one_has_the_usual() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::made("safetensors-mode");
    let path = folder.file();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let infos = [TensorInfo::new("a", DType::F32, [2])];
    write(&path, &infos);
    let usual = file(&folder, "usual");
    fs::write(&usual, b"").unwrap();
    assert_eq!(mode(&path), mode(&usual));
    for kept in [0o640, 0o600, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
        write(&path, &infos);
        assert_eq!(mode(&path), kept);
    }
}

#[test]
fn a_file_of_the_python_library_is_read() {
    let file = SafetensorsFile::open(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/python.safetensors"
    ))
    .unwrap();
    assert_eq!(file.metadata()["format"], "pt");
    assert_eq!(file.metadata()["who"], "Grüße \u{1F980}");
    let types = "BOOL U8 I8 I16 U16 I32 U32 I64 U64 F16 BF16 F32 F64 F8_E4M3 F8_E5M2";
    let shapes: [&[usize]; 6] = [&[5, 3], &[7], &[2, 3, 2], &[1], &[], &[0, 4]];
    assert_eq!(file.infos().len(), 15);
    for (number, name) in types.split(' ').enumerate() {
        let begins = format!("{number}.");
        let info = file
            .infos()
            .iter()
            .find(|info| info.name.starts_with(&begins))
            .unwrap();
        assert_eq!(
            (info.dtype.name(), &*info.shape),
            (name, shapes[number % 6])
        );
        let offset = if name.starts_with(['U', 'B']) && name != "BF16" {
            0
        } else {
            8
        };
        let right: Vec<f64> = (0..info.elements().unwrap())
            .map(|i| ((3 * i + number) % 17) as f64 - f64::from(offset))
            .collect();
        let tensor = file.tensor(&info.name).unwrap();
        let read: Vec<f64> = match info.dtype {
            dtype if dtype.is_float() => tensor.floats().unwrap().into_iter().collect(),
            DType::U8 => tensor
                .elements::<u8>()
                .unwrap()
                .iter()
                .map(|&x| x.into())
                .collect(),
            DType::I8 => tensor
                .elements::<i8>()
                .unwrap()
                .iter()
                .map(|&x| x.into())
                .collect(),
            DType::U16 => tensor
                .elements::<u16>()
                .unwrap()
                .iter()
                .map(|&x| x.into())
                .collect(),
            DType::I16 => tensor
                .elements::<i16>()
                .unwrap()
                .iter()
                .map(|&x| x.into())
                .collect(),
            DType::U32 => tensor
                .elements::<u32>()
                .unwrap()
                .iter()
                .map(|&x| x.into())
                .collect(),
            DType::I32 => tensor
                .elements::<i32>()
                .unwrap()
                .iter()
                .map(|&x| x.into())
                .collect(),
            DType::U64 => tensor
                .elements::<u64>()
                .unwrap()
                .iter()
                .map(|&x| x as f64)
                .collect(),
            DType::I64 => tensor
                .elements::<i64>()
                .unwrap()
                .iter()
                .map(|&x| x as f64)
                .collect(),
            DType::Bool => {
                let flags: Vec<u8> = right.iter().map(|&x| u8::from(x % 2.0 == 1.0)).collect();
                assert_eq!(tensor.bytes(), flags);
                continue;
            }
            // Small integers, by what the bits of these floats mean.
            DType::F8E4M3 => tensor.bytes().iter().map(|&byte| small(byte, 3)).collect(),
            DType::F8E5M2 => tensor.bytes().iter().map(|&byte| small(byte, 2)).collect(),
            other => panic!("{other}"),
        };
        if name == "F8_E5M2" {
            // Two bits behind the point do not hold all of them.
            assert!(
                read.iter()
                    .zip(&right)
                    .all(|(a, b)| (a - b).abs() <= 0.125 * b.abs()),
                "{read:?}"
            );
        } else {
            assert_eq!(read, right, "{name}");
        }
    }
}

/// A float of eight bits with this many behind the point.
fn small(byte: u8, bits: u32) -> f64 {
    let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
    let bias = (1 << (6 - bits)) - 1;
    let (exponent, rest) = (
        i32::from((byte & 0x7F) >> bits),
        f64::from(byte & ((1 << bits) - 1)),
    );
    let fraction = rest / f64::from(1 << bits);
    if exponent == 0 {
        sign * fraction * 2.0_f64.powi(1 - bias)
    } else {
        sign * (1.0 + fraction) * 2.0_f64.powi(exponent - bias)
    }
}

#[test]
fn tensors_in_memory_are_a_source() {
    let mut map = TensorMap::new([(
        "a".to_owned(),
        StoredTensor::of(&array![[1_u16, 2], [3, 4]]),
    )])
    .unwrap();
    map.insert(
        "b",
        StoredTensor::of_floats(&Array1::<f32>::zeros(3), DType::Bf16).unwrap(),
    )
    .unwrap();
    let error = map
        .insert("a", StoredTensor::of(&array![1_u8]))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "two tensors are named \"a\"");
    assert_eq!(
        (map.len(), map.is_empty(), map.position("b")),
        (2, false, Some(1))
    );
    let mut part = [0; 3];
    map.read_bytes(0, 5, &mut part).unwrap();
    assert_eq!(part, [0, 4, 0]);
    for (tensor, from) in [(0, 6), (0, usize::MAX), (2, 0)] {
        assert!(map.read_bytes(tensor, from, &mut part).is_err());
    }
    assert!(StoredTensor::new(DType::F32, vec![2], vec![0; 7]).is_err());
    assert!(StoredTensor::new(DType::F32, vec![usize::MAX, 3], vec![]).is_err());
    // Any memory order is written row by row.
    let turned = Array2::from_shape_fn((2, 3), |(i, j)| (i * 3 + j) as u8);
    let right = StoredTensor::of(&turned.t().as_standard_layout().to_owned());
    assert_eq!(StoredTensor::of(&turned.t()), right);
    let halves = StoredTensor::of_floats(&turned.mapv(f64::from).t(), DType::F16).unwrap();
    assert_eq!(
        halves.floats::<f32>().unwrap(),
        right.elements::<u8>().unwrap().mapv(f32::from)
    );
    assert_eq!(right.shape(), [3, 2]);
    assert_eq!(right.elements::<u8>().unwrap()[IxDyn(&[2, 1])], 5);
}
