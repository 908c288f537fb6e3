//! Tensors that other libraries packed, and what they say they mean: files of tests/golden.

use rarefy::tensors::{DType, StoredTensor, TensorMap};
use serde_json::Value;

pub(crate) fn cases(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    println!("made by {}", json["made_by"]);
    serde_json::from_value(json["cases"].take()).unwrap()
}

pub(crate) fn stored(json: &Value) -> StoredTensor {
    let text = json["bytes"].as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    let bytes = (0..text.len()).step_by(2).map(byte).collect();
    let dtype = DType::named(json["dtype"].as_str().unwrap()).unwrap();
    let shape = serde_json::from_value(json["shape"].clone()).unwrap();
    StoredTensor::new(dtype, shape, bytes).unwrap()
}

pub(crate) fn tensors(case: &Value) -> TensorMap {
    let parts = case["tensors"].as_object().unwrap().iter();
    TensorMap::new(parts.map(|(name, part)| (name.clone(), stored(part)))).unwrap()
}

/// The same tensors, one of them another or gone.
pub(crate) fn with(tensors: &TensorMap, name: &str, part: Option<StoredTensor>) -> TensorMap {
    let others = tensors.iter().filter(|(other, _)| *other != name);
    let others = others.map(|(name, part)| (name.to_owned(), part.clone()));
    TensorMap::new(others.chain(part.map(|part| (name.to_owned(), part)))).unwrap()
}
