//! The header of a GGUF file as bytes.

use super::layout::{MAGIC, VERSION};
use super::{GgufArray, GgufTensorInfo, GgufValue};

/// A header, filled up so that tensors begin behind it at a multiple of `alignment`.
///
/// Of each tensor `tensors` gives the number of its type, and where it begins.
pub(super) fn header<'a>(
    metadata: &[(String, GgufValue)],
    tensors: impl ExactSizeIterator<Item = (&'a GgufTensorInfo, u32, u64)>,
    alignment: usize,
) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    count(tensors.len(), &mut bytes);
    count(metadata.len(), &mut bytes);
    for (key, said) in metadata {
        text(key, &mut bytes);
        bytes.extend_from_slice(&said.type_number().to_le_bytes());
        value(said, &mut bytes);
    }
    for (info, type_number, offset) in tensors {
        text(&info.name, &mut bytes);
        let axes = u32::try_from(info.shape.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&axes.to_le_bytes());
        // The file has the innermost axis first.
        for &length in info.shape.iter().rev() {
            count(length, &mut bytes);
        }
        bytes.extend_from_slice(&type_number.to_le_bytes());
        bytes.extend_from_slice(&offset.to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(alignment), 0);
    bytes
}

fn count(count: usize, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(count as u64).to_le_bytes());
}

fn text(text: &str, bytes: &mut Vec<u8>) {
    count(text.len(), bytes);
    bytes.extend_from_slice(text.as_bytes());
}

fn value(value: &GgufValue, bytes: &mut Vec<u8>) {
    match value {
        GgufValue::U8(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::I8(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::U16(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::I16(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::U32(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::I32(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::F32(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::U64(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::I64(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::F64(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        GgufValue::Bool(value) => bytes.push((*value).into()),
        GgufValue::String(value) => text(value, bytes),
        GgufValue::Array(values) => array(values, bytes),
    }
}

fn array(values: &GgufArray, bytes: &mut Vec<u8>) {
    macro_rules! numbers {
        ($values:expr) => {
            bytes.extend($values.iter().flat_map(|value| value.to_le_bytes()))
        };
    }

    bytes.extend_from_slice(&values.type_number().to_le_bytes());
    count(values.len(), bytes);
    match values {
        GgufArray::U8(values) => numbers!(values),
        GgufArray::I8(values) => numbers!(values),
        GgufArray::U16(values) => numbers!(values),
        GgufArray::I16(values) => numbers!(values),
        GgufArray::U32(values) => numbers!(values),
        GgufArray::I32(values) => numbers!(values),
        GgufArray::F32(values) => numbers!(values),
        GgufArray::U64(values) => numbers!(values),
        GgufArray::I64(values) => numbers!(values),
        GgufArray::F64(values) => numbers!(values),
        GgufArray::Bool(values) => bytes.extend(values.iter().map(|&value| u8::from(value))),
        GgufArray::Strings(texts) => texts.iter().for_each(|value| text(value, bytes)),
        GgufArray::Arrays(arrays) => arrays.iter().for_each(|values| array(values, bytes)),
    }
}
