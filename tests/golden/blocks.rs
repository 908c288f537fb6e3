//! Compares block formats with what `gguf`, PyTorch and candle give: `tests/golden/blocks.json`, made by
//! `blocks.py` there.

use crate::reference::{bytes, floats, golden};
use ndarray::{Array2, ArrayD, IxDyn};
use rarefy::quantize::{BlockFormat, BlockTensor, Minifloat};

fn format(name: &str) -> BlockFormat {
    let mut all = BlockFormat::ALL.iter();
    *all.find(|format| format!("{format:?}") == name).unwrap()
}

#[test]
fn bytes_and_values_are_those_of_the_references() {
    let golden = golden("blocks.json");
    let (mut encoded, mut decoded) = (0, 0);
    for case in golden["cases"].as_array().unwrap() {
        let name = case["format"].as_str().unwrap();
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let right = bytes(&case["bytes"]);
        if case["encodes"] == true {
            let columns = shape[shape.len() - 1].to_string();
            let values = floats(&golden["values"][columns]);
            let values = ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap();
            let ours = BlockTensor::encode(&values, format(name)).unwrap();
            let block = format(name).block_bytes();
            for (place, (ours, right)) in ours
                .bytes()
                .chunks(block)
                .zip(right.chunks(block))
                .enumerate()
            {
                assert_eq!(ours, right, "{name}, block {place}");
            }
            assert_eq!(ours.bytes().len(), right.len(), "{name}");
            encoded += 1;
        }
        let tensor = BlockTensor::from_bytes(format(name), shape, right).unwrap();
        let restored = tensor.dequantize::<f32>();
        for (place, (ours, right)) in restored.iter().zip(floats(&case["decoded"])).enumerate() {
            // Some references give a zero no sign.
            assert!(
                *ours == right,
                "{name}, value {place}: {ours:e}, not {right:e}"
            );
        }
        assert_eq!(tensor.dequantize::<f64>(), restored.mapv(f64::from));
        decoded += 1;
    }
    assert_eq!((encoded, decoded), (11, 19));
}

#[test]
fn every_code_of_8_bits_means_what_pytorch_says() {
    let golden = golden("blocks.json");
    for (name, float) in [("E4M3", Minifloat::E4M3), ("E5M2", Minifloat::E5M2)] {
        let table = floats(&golden["floats"][name]);
        assert_eq!(table.len(), 256);
        for (code, right) in (0..=255).zip(table) {
            let ours = float.decode(code);
            let same = ours.to_bits() == right.to_bits() || (ours.is_nan() && right.is_nan());
            assert!(same, "{name} {code:#x}: {ours}, not {right}");
            if !right.is_nan() && right.is_finite() {
                assert_eq!(float.encode(right), Some(code), "{name}");
            }
        }
    }
}

/// Powers of two come through blocks of MXFP8 whose only code is 1.
#[test]
fn every_power_of_two_means_what_pytorch_says() {
    let table = floats(&golden("blocks.json")["floats"]["E8M0"]);
    for (code, right) in (0..255_u8).zip(&table) {
        let mut bytes = vec![0x38; 33];
        bytes[0] = code;
        let tensor = BlockTensor::from_bytes(BlockFormat::Mxfp8E4M3, vec![32], bytes).unwrap();
        assert_eq!(tensor.dequantize::<f32>()[[0]].to_bits(), right.to_bits());
    }
    assert!(table[255].is_nan());
}

/// The code of each half in ascending order, told as runs.
#[test]
fn every_half_is_cast_as_pytorch_casts_it() {
    let golden = golden("blocks.json");
    let half = |bits: u16| {
        let (exponent, fraction) = (bits >> 10, f64::from(bits & 0x3FF) / 1024.0);
        match exponent {
            0 => fraction * 2_f64.powi(-14),
            _ => (1.0 + fraction) * 2_f64.powi(i32::from(exponent) - 15),
        }
    };
    for (name, float) in [("E4M3", Minifloat::E4M3), ("E5M2", Minifloat::E5M2)] {
        let mut bits = 0;
        for run in golden["casts"][name].as_array().unwrap() {
            let code = u8::try_from(run[0].as_u64().unwrap()).unwrap();
            for _ in 0..run[1].as_u64().unwrap() {
                assert_eq!(
                    float.encode(half(bits)),
                    Some(code),
                    "{name}, half {bits:#x}"
                );
                assert_eq!(float.encode(half(bits) as f32), Some(code));
                assert_eq!(float.encode(-half(bits)), Some(code | 0x80));
                bits += 1;
            }
        }
        assert_eq!(bits, 0x7C00);
    }
}

/// `made()` of the script.
fn made() -> Array2<f32> {
    Array2::from_shape_fn((32, 512), |(i, j)| {
        let count = (i * 512 + j + 1) as u64;
        let mut z = count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let sum: i64 = (0..4).map(|part| (z >> (16 * part) & 0xFFFF) as i64).sum();
        ((sum - 131_070) * (1 + i as i64 % 5)) as f32 / 1_048_576.0
    })
}

#[test]
fn the_search_leaves_less_error_than_candles() {
    let candle = golden("blocks.json")["candle_rms"].take();
    let values = made();
    for (ours, name) in [
        ("Q2K", "Q2K"),
        ("Q3K", "Q3K"),
        ("Q4K", "Q4K"),
        ("Q5K", "Q5K"),
        ("Q6K", "Q6K"),
    ] {
        let tensor = BlockTensor::encode(&values, format(ours)).unwrap();
        let restored = tensor.dequantize::<f64>();
        let squares: f64 = restored
            .iter()
            .zip(&values)
            .map(|(restored, &value)| (restored - f64::from(value)).powi(2))
            .sum();
        let rms = (squares / values.len() as f64).sqrt();
        let theirs = candle[name].as_f64().unwrap();
        println!(
            "{name}: {rms:.3e}, candle {theirs:.3e}, {:.3}",
            rms / theirs
        );
        assert!(rms < 0.985 * theirs, "{name}: {rms:e}, candle {theirs:e}");
    }
}
