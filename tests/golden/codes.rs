//! Compares codebooks and floats of 8 bits with what `bitsandbytes`, `torchao` and PyTorch give:
//! `tests/golden/codes.json`, made by `codes.py` there.

use crate::reference::{bytes, floats, golden};
use ndarray::{Array2, Axis};
use rarefy::quantize::{BlockShape, Codebook, Float8, Granularity, QuantizedTensor, QuantizerExt};
use serde_json::Value;

fn matrix(case: &Value, columns: usize) -> Array2<f32> {
    let values = floats(&case["values"]);
    Array2::from_shape_vec((values.len() / columns, columns), values).unwrap()
}

fn codes(case: &Value) -> Vec<i32> {
    bytes(&case["codes"]).into_iter().map(i32::from).collect()
}

/// Scales of theirs that are 0 are our least one.
fn same_scales(q: &QuantizedTensor, case: &Value) {
    let right = floats(&case["scales"]);
    assert_eq!(q.scales().len(), right.len());
    for (&ours, right) in q.scales().iter().zip(right) {
        assert_eq!(ours, right.max(f32::MIN_POSITIVE));
    }
}

#[test]
fn four_bits_are_those_of_bitsandbytes() {
    for case in golden("codes.json")["four_bits"].as_array().unwrap() {
        let codebook = match case["name"].as_str().unwrap() {
            "nf4" => Codebook::nf4(),
            _ => Codebook::fp4(),
        };
        assert_eq!(codebook.entries(), floats(&case["table"]));
        let q = codebook.by_inverse().quantize(&matrix(case, 128)).unwrap();
        same_scales(&q, case);
        // Two codes of theirs are 0 in FP4, so values are compared as well.
        let entries = q.parameters().codebook().to_vec();
        for (place, (ours, right)) in q.codes().iter().zip(codes(case)).enumerate() {
            let [ours, right] = [*ours, right].map(|code| entries[usize::try_from(code).unwrap()]);
            assert_eq!(ours, right, "{place} of {}", case["name"]);
        }
        let back = floats(&case["back"]);
        assert!(
            q.dequantize::<f32>()
                .iter()
                .zip(back)
                .all(|(ours, right)| *ours == right)
        );
    }
}

#[test]
fn eight_bits_are_those_of_bitsandbytes_or_nearer() {
    let case = &golden("codes.json")["eight_bits"];
    let codebook = Codebook::new(floats(&case["table"])).per_group(Axis(1), 256);
    let weights = matrix(case, 256);
    let q = codebook.by_inverse().quantize(&weights).unwrap();
    same_scales(&q, case);
    let theirs = Array2::from_shape_vec(weights.dim(), codes(case)).unwrap();
    let theirs = QuantizedTensor::from_codes(&theirs, q.parameters().clone()).unwrap();
    let (ours, right) = (q.dequantize::<f64>(), theirs.dequantize::<f64>());
    let mut differing = 0;
    for ((&x, ours), right) in weights.iter().zip(&ours).zip(&right) {
        // Their CPU kernel does not always find the nearest entry.
        differing += i32::from(ours != right);
        let x = f64::from(x);
        assert!((ours - x).abs() <= (right - x).abs());
    }
    assert_eq!(differing, 3, "of 2048");
}

#[test]
fn nf4_codes_are_those_of_torchao() {
    let case = &golden("codes.json")["torchao_nf4"];
    let codebook = Codebook::new(floats(&case["table"])).per_group(Axis(1), 64);
    let q = codebook.quantize(&matrix(case, 128)).unwrap();
    for (place, (&ours, right)) in q.codes().iter().zip(codes(case)).enumerate() {
        assert_eq!(ours, right, "{place}");
    }
}

#[test]
fn floats_are_those_of_torchao_and_of_casts() {
    let golden = &golden("codes.json")["floats"];
    let values = matrix(golden, 96);
    for case in golden["cases"].as_array().unwrap() {
        let float = match case["format"].as_str().unwrap() {
            "float8_e4m3fn" => Float8::e4m3(),
            _ => Float8::e5m2(),
        };
        let block: Vec<usize> = serde_json::from_value(case["block"].clone()).unwrap();
        let block = Granularity::PerBlock(BlockShape::new(&block).unwrap());
        let q = float.granularity(block).quantize(&values).unwrap();
        assert_eq!(q.scales(), floats(&case["scales"]));
        assert_eq!(
            q.packed(),
            bytes(&case["codes"]),
            "{} {}",
            case["format"],
            case["block"]
        );
    }
}
