//! Reads the files of reference values.

use ndarray::{ArrayD, IxDyn};
use rarefy::Float;
use serde_json::Value;

/// A file of this folder.
pub(crate) fn parsed(file: &str) -> Value {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The same, and says who made it.
pub(crate) fn golden(file: &str) -> Value {
    let json = parsed(file);
    println!("made by {}", json["made_by"]);
    json
}

/// The cases of a file that has one list of them.
pub(crate) fn cases(file: &str) -> Vec<Value> {
    let mut json = parsed(file);
    let cases: Vec<Value> = serde_json::from_value(json["cases"].take()).unwrap();
    println!("{} cases made by {}", cases.len(), json["made_by"]);
    cases
}

pub(crate) fn of_kind(file: &str, kind: &str) -> Vec<Value> {
    let mut cases = cases(file);
    cases.retain(|case| case["kind"] == kind);
    assert!(!cases.is_empty(), "{kind} is in {file}");
    cases
}

pub(crate) fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

pub(crate) fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(size).collect()
}

/// Floats come as the integers that their bits are.
pub(crate) trait FromBits: Float {
    fn from_bits_of(bits: u64) -> Self;
}

impl FromBits for f32 {
    fn from_bits_of(bits: u64) -> Self {
        Self::from_bits(u32::try_from(bits).unwrap())
    }
}

impl FromBits for f64 {
    fn from_bits_of(bits: u64) -> Self {
        Self::from_bits(bits)
    }
}

pub(crate) fn numbers<F: FromBits>(bits: &Value) -> Vec<F> {
    let bits = bits.as_array().unwrap().iter();
    bits.map(|bits| F::from_bits_of(bits.as_u64().unwrap()))
        .collect()
}

pub(crate) fn array<F: FromBits>(bits: &Value, shape: &Value) -> ArrayD<F> {
    ArrayD::from_shape_vec(IxDyn(&sizes(shape)), numbers(bits)).unwrap()
}

/// Bytes that come as hexadecimal digits.
pub(crate) fn bytes(hexadecimal: &Value) -> Vec<u8> {
    let text = hexadecimal.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Numbers of 32 bits that come as hexadecimal digits, the lowest byte first.
pub(crate) fn floats(hexadecimal: &Value) -> Vec<f32> {
    let bytes = bytes(hexadecimal);
    let floats = bytes.as_chunks::<4>().0.iter();
    floats.map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
