//! Reference values that are stored as hexadecimal digits, and who made them.

use serde_json::Value;

/// A file of tests/golden.
pub(crate) fn golden(file: &str) -> Value {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    println!("made by {}", json["made_by"]);
    json
}

pub(crate) fn bytes(hexadecimal: &Value) -> Vec<u8> {
    let text = hexadecimal.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Numbers of 32 bits, the lowest byte first.
pub(crate) fn floats(hexadecimal: &Value) -> Vec<f32> {
    let bytes = bytes(hexadecimal);
    let floats = bytes.as_chunks::<4>().0.iter();
    floats.map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
