//! Parts that are missing, of another kind, or lie.

use super::{groups, modules, opened, text, weights};
use rarefy::Result;
use rarefy::formats::CompressedLayout::PackQuantized;
use rarefy::quantize::{Granularity, Scheme};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorSource, TensorSourceExt};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn parts_that_are_missing_or_of_another_kind_are_refused() {
    let mut cases = 0;
    for (layout, weights, parts) in modules() {
        let (read, model) = opened(layout, weights, parts.clone());
        assert!(read.is_ok() && model.is_ok());
        for number in 0..parts.len() {
            let (name, part) = &parts[number];
            let mut without = parts.clone();
            without.remove(number);
            let (read, model) = opened(layout, weights, without);
            assert_eq!(text(read), format!("there is no tensor {name:?}"));
            // A float beside no scale is a byte that nobody knows; without codes, nothing is left to decode.
            assert_eq!(
                model.is_ok(),
                name == "m.weight_scale" && layout != PackQuantized && weights.is_symmetric(),
                "{layout} {name}"
            );

            // One more of each length, one axis more, none.
            let shape = part.shape().to_vec();
            let whole = weights.granularity() == Granularity::PerTensor;
            for axis in 0..=shape.len() + 1 {
                let mut wrong = shape.clone();
                match wrong.get_mut(axis) {
                    Some(length) => *length += 1,
                    None if axis == shape.len() => wrong.push(1),
                    None => wrong = vec![0],
                }
                let info = TensorInfo::new("", part.dtype(), wrong.clone());
                let bytes = vec![0; info.bytes().unwrap()];
                let mut changed = parts.clone();
                changed[number].1 = StoredTensor::new(part.dtype(), wrong, bytes).unwrap();
                let (read, model) = opened(layout, weights, changed);
                // Codes of a byte are of any shape that the scales are for.
                if name == "m.weight" && (axis == 1 || axis == 0 && whole) {
                    assert!(read.is_ok() && model.is_ok());
                    continue;
                }
                let (read, model) = (text(read), text(model));
                assert!(
                    read.contains("shape is") || read.contains("axes"),
                    "{name}: {read}"
                );
                // Bytes do not tell by which of its names a layout is called.
                let read = read
                    .replace("int-q", "naive-q")
                    .replace("float-q", "naive-q");
                assert_eq!(read, model);
                cases += 1;
            }
            let others = [
                DType::U8,
                DType::I16,
                DType::F32,
                DType::F64,
                DType::F8E5M2,
                DType::Bool,
            ];
            for dtype in others {
                let info = TensorInfo::new("", dtype, shape.clone());
                let bytes = vec![0; info.bytes().unwrap()];
                let mut changed = parts.clone();
                changed[number].1 = StoredTensor::new(dtype, shape.clone(), bytes).unwrap();
                let (read, model) = opened(layout, weights, changed);
                let read = text(read);
                // A scale may be an f32, but not 0.
                if name == "m.weight_scale" && dtype == DType::F32 {
                    let right = "tensor \"m.weight_scale\": scale 0 ";
                    assert!(read.starts_with(right), "{read}");
                    continue;
                }
                let right = format!("tensor {name:?}: elements are of type {dtype}, needed is ");
                assert!(read.starts_with(&right), "{read}");
                // Floats beside a scale are weights that are no codes yet.
                if name == "m.weight" && dtype.is_float() {
                    assert!(model.is_ok());
                } else {
                    assert_eq!(text(model), read);
                }
                cases += 1;
            }
        }
    }
    assert!(cases > 100, "{cases}");
}

/// A source that only says what it has, and counts what is read of it: zeros, but for one tensor.
#[derive(Debug)]
struct Claims {
    infos: Vec<TensorInfo>,
    shape: Vec<u8>,
    read: AtomicUsize,
}

impl TensorSource for Claims {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        self.read.fetch_add(bytes.len(), Ordering::Relaxed);
        if self.infos[tensor].name == "m.weight_shape" {
            bytes.copy_from_slice(&self.shape[from..from + bytes.len()]);
        }
        Ok(())
    }
}

#[test]
fn lying_lengths_are_refused_before_anything_large_is_made() {
    let huge = 1 << 40;
    let asymmetric = weights(Scheme::affine(4).unwrap(), groups(8));
    let long = i64::MAX;
    for (shape, packed, why) in [
        ([4, 8], vec![4, 2], "shape is [4, 2], needed is [4, 1]"),
        ([4, 16], vec![4, 1], "shape is [4, 1], needed is [4, 2]"),
        ([5, 8], vec![4, 1], "shape is [4, 1], needed is [5, 1]"),
        ([4, 8], vec![huge, 1], "needed is [4, 1]"),
        ([1 << 40, 8], vec![4, 1], "needed is [1099511627776, 1]"),
        ([4, 1 << 40], vec![4, 1], "needed is [4, 137438953472]"),
        (
            [4, -8],
            vec![4, 1],
            "cannot hold the length -8: lengths that are not negative",
        ),
        (
            [long, long],
            vec![4, 1],
            "more elements than can be counted",
        ),
        ([long, 0], vec![4, 1], "needed is [9223372036854775807, 0]"),
        ([1 << 40, 8], vec![huge, 1], "needed is [1099511627776, 1]"),
    ] {
        let source = Claims {
            infos: vec![
                TensorInfo::new("m.weight_packed", DType::I32, packed),
                TensorInfo::new("m.weight_scale", DType::F16, [4, 1]),
                TensorInfo::new("m.weight_zero_point", DType::I32, [1, 1]),
                TensorInfo::new("m.weight_shape", DType::I64, [2]),
            ],
            shape: shape
                .iter()
                .flat_map(|&length: &i64| length.to_le_bytes())
                .collect(),
            read: AtomicUsize::new(0),
        };
        let error = text(PackQuantized.read(&source, "m", asymmetric));
        assert!(error.contains(why), "{shape:?}: {error}");
        assert_eq!(source.read.load(Ordering::Relaxed), 16, "{shape:?}");
    }
    // Nothing at all, in very many rows.
    let source = Claims {
        infos: vec![
            TensorInfo::new("m.weight_packed", DType::I32, [huge, 0]),
            TensorInfo::new("m.weight_scale", DType::F16, [huge, 0]),
            TensorInfo::new("m.weight_zero_point", DType::I32, [huge / 8, 0]),
            TensorInfo::new("m.weight_shape", DType::I64, [2]),
        ],
        shape: [huge as u64, 0]
            .iter()
            .flat_map(|length| length.to_le_bytes())
            .collect(),
        read: AtomicUsize::new(0),
    };
    let q = PackQuantized.read(&source, "m", asymmetric).unwrap();
    assert_eq!((q.shape(), q.len()), (&[huge, 0][..], 0));
}

#[test]
fn values_that_are_none_are_refused() {
    let changed = |module: usize, part: usize, bytes: Vec<u8>| {
        let (layout, weights, mut parts) = modules().swap_remove(module);
        let (dtype, shape) = (parts[part].1.dtype(), parts[part].1.shape().to_vec());
        parts[part].1 = StoredTensor::new(dtype, shape, bytes).unwrap();
        let (read, model) = opened(layout, weights, parts);
        let read = text(read);
        let error = text(model.unwrap().tensor("m.weight"));
        assert_eq!(read, error);
        read
    };
    // f16: the second scale 0, −1, infinite, NaN.
    for bits in [0_u16, 0xBC00, 0x7C00, 0x7E00] {
        let scales: Vec<u8> = [0x3C00, bits, 0x3C00]
            .iter()
            .flat_map(|bits: &u16| bits.to_le_bytes())
            .collect();
        let error = changed(1, 1, scales);
        assert!(
            error.contains("m.weight_scale") && error.contains("scale 1 "),
            "{error}"
        );
    }
    // A code of four bits in a byte, and a zero point.
    let mut codes = vec![0; 24];
    codes[13] = 8;
    let error = changed(2, 0, codes);
    assert_eq!(
        error,
        "tensor \"m.weight\": code [1, 5] must lie in -8..=7, got 8"
    );
    let error = changed(2, 2, vec![0, 0xF0, 0]);
    assert!(
        error.contains("m.weight_zero_point")
            && error.contains("zero point [1] must lie in -8..=7, got -16"),
        "{error}"
    );
    // NaN.
    let mut codes = vec![0; 24];
    codes[23] = 0x7F;
    let error = changed(4, 0, codes);
    assert!(
        error.contains("m.weight") && error.contains("[2, 7] is NaN"),
        "{error}"
    );
}

#[test]
fn values_that_their_type_does_not_hold_are_refused() {
    // 2^15 · 7 in f16, in the last row; as codes they are read all the same.
    let (layout, weights, mut parts) = modules().swap_remove(1);
    let scales = [0x3C00_u16, 0x3C00, 0x7800].map(u16::to_le_bytes);
    parts[1].1 = StoredTensor::new(DType::F16, vec![3, 1], scales.concat()).unwrap();
    let mut codes = parts[0].1.bytes().to_vec();
    codes[10] = 0x8F;
    parts[0].1 = StoredTensor::new(DType::I32, vec![3, 1], codes).unwrap();
    let (read, model) = opened(layout, weights, parts);
    assert!(read.is_ok());
    let model = model.unwrap();
    let right = "tensor \"m.weight_packed\": element [2, 4] is too large for F16";
    assert_eq!(text(model.tensor("m.weight")), right);
    // Of some rows too, and rows before it are there.
    let mut bytes = [0; 16];
    assert_eq!(text(model.read_bytes(0, 32, &mut bytes)), right);
    model.read_bytes(0, 16, &mut bytes).unwrap();
}

#[test]
fn whatever_bytes_are_nothing_panics() {
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) as usize % below
    };
    let mut fine = 0;
    for (layout, weights, parts) in modules() {
        for _ in 0..300 {
            let mut changed = parts.clone();
            for _ in 0..=next(3) {
                let part = next(changed.len());
                let (dtype, shape) = (changed[part].1.dtype(), changed[part].1.shape().to_vec());
                let mut bytes = changed[part].1.bytes().to_vec();
                let place = next(bytes.len());
                bytes[place] ^= 1 << next(8);
                changed[part].1 = StoredTensor::new(dtype, shape, bytes).unwrap();
            }
            let (read, model) = opened(layout, weights, changed);
            // Either way of reading says the same, but for values that 16 bits do not hold.
            let dense = model.and_then(|model| model.tensor("m.weight"));
            match (read, dense) {
                (Ok(read), Ok(dense)) => {
                    fine += 1;
                    assert_eq!(read.shape(), dense.shape());
                }
                (Err(left), Err(right)) => {
                    let left = left.to_string().replace("int-q", "naive-q");
                    assert_eq!(left.replace("float-q", "naive-q"), right.to_string());
                }
                (Ok(_), Err(error)) => assert!(error.to_string().contains("too large"), "{error}"),
                (Err(error), Ok(_)) => panic!("{error}"),
            }
        }
    }
    assert!((100..1500).contains(&fine), "{fine}");
}
