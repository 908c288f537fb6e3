//! Changes safetensors files where they mean something: shapes with as many bytes as they then need, types, names, numbers of
//! a config that stands among the texts. What reads quantized checkpoints would else see little but the first error.

use crate::mutate::NUMBERS;
use ndarray_rand::rand::Rng;
use rand_chacha::ChaCha8Rng;
use rarefy::tensors::{DType, TensorInfo};
use serde_json::{Map, Value, json};

/// The name of the text that holds a config.
pub(crate) const CONFIG: &str = "config";

struct Tensor {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// The file with one to three changes, if it is one.
pub(crate) fn edit(bytes: &[u8], random: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    let (mut tensors, mut texts) = parts(bytes)?;
    for _ in 0..random.random_range(1..4) {
        change(&mut tensors, &mut texts, random);
    }
    let mut header = Map::new();
    let mut data = Vec::new();
    for tensor in tensors {
        let start = data.len();
        data.extend(tensor.bytes);
        let entry = json!({
            "dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [start, data.len()],
        });
        header.insert(tensor.name, entry);
    }
    header.insert("__metadata__".to_owned(), texts.into());
    let text = Value::from(header).to_string().into_bytes();
    Some([&(text.len() as u64).to_le_bytes(), &*text, &*data].concat())
}

fn parts(bytes: &[u8]) -> Option<(Vec<Tensor>, Map<String, Value>)> {
    let start = 8 + u64::from_le_bytes(*bytes.first_chunk()?) as usize;
    let mut header: Map<String, Value> = serde_json::from_slice(bytes.get(8..start)?).ok()?;
    let texts = header.remove("__metadata__")?.as_object()?.clone();
    let mut tensors = Vec::new();
    for (name, entry) in header {
        let place = |at: usize| Some(start + entry["data_offsets"][at].as_u64()? as usize);
        let shape = entry["shape"]
            .as_array()?
            .iter()
            .map(|n| Some(n.as_u64()? as usize));
        tensors.push(Tensor {
            name,
            dtype: DType::named(entry["dtype"].as_str()?)?,
            shape: shape.collect::<Option<_>>()?,
            bytes: bytes.get(place(0)?..place(1)?)?.to_vec(),
        });
    }
    Some((tensors, texts))
}

fn change(tensors: &mut Vec<Tensor>, texts: &mut Map<String, Value>, random: &mut ChaCha8Rng) {
    if random.random_bool(0.4)
        && let Some(Value::String(config)) = texts.get_mut(CONFIG)
        && let Ok(mut value) = serde_json::from_str(config)
    {
        setting(&mut value, random);
        *config = value.to_string();
        return;
    }
    if tensors.is_empty() {
        return;
    }
    let count = tensors.len();
    let (number, other) = (random.random_range(0..count), random.random_range(0..count));
    let other_name = tensors[other].name.clone();
    let tensor = &mut tensors[number];
    let axis = random.random_range(0..tensor.shape.len().max(1));
    match random.random_range(0..10) {
        // A length, and as many bytes as it then takes.
        0 | 1 => {
            if let Some(length) = tensor.shape.get_mut(axis) {
                *length = match random.random_range(0..6) {
                    0 => length.saturating_add(1),
                    1 => length.saturating_sub(1),
                    2 => length.saturating_mul(2),
                    3 => *length / 2,
                    _ => NUMBERS[random.random_range(0..NUMBERS.len())] as usize,
                };
            }
        }
        2 => tensor.shape.reverse(),
        3 => tensor.shape.insert(axis, 1),
        4 => {
            tensor.shape.pop();
        }
        5 => tensor.dtype = DType::ALL[random.random_range(0..DType::ALL.len())],
        6 => {
            let end = |name: &str| name.rfind('.').map_or(0, |dot| dot + 1);
            let new = format!(
                "{}{}",
                &tensor.name[..end(&tensor.name)],
                &other_name[end(&other_name)..]
            );
            if tensors.iter().all(|tensor| tensor.name != new) {
                tensors[number].name = new;
            }
            return;
        }
        7 => {
            tensors.remove(number);
            return;
        }
        // What numbers are.
        8 => {
            let fill = [0, 0xFF, 0x80, 0x7F, 0x7C, 1][random.random_range(0..6)];
            tensor.bytes.fill(fill);
        }
        _ => {
            for _ in 0..4 {
                let place = random.random_range(0..tensor.bytes.len().max(1));
                if let Some(byte) = tensor.bytes.get_mut(place) {
                    *byte = random.random();
                }
            }
        }
    }
    let info = TensorInfo::new("", tensor.dtype, &*tensor.shape);
    if let Ok(bytes) = info.bytes()
        && bytes <= 1 << 17
    {
        tensor.bytes.resize(bytes, 1);
    }
}

/// One setting somewhere in a config.
fn setting(value: &mut Value, random: &mut ChaCha8Rng) {
    let words = [
        "4",
        "",
        "int",
        "float",
        "group",
        "channel",
        "tensor",
        "dense",
        "pack-quantized",
        "gptq",
        "\u{1F980}",
    ];
    match value {
        Value::Object(map) if !map.is_empty() && random.random_bool(0.95) => {
            let number = random.random_range(0..map.len());
            if random.random_bool(0.08) {
                let key = map.keys().nth(number).cloned().unwrap_or_default();
                map.remove(&key);
            } else if let Some(inner) = map.values_mut().nth(number) {
                setting(inner, random);
            }
        }
        Value::Array(list) if !list.is_empty() && random.random_bool(0.8) => {
            let number = random.random_range(0..list.len());
            setting(&mut list[number], random);
        }
        _ => {
            *value = match random.random_range(0..8) {
                0 => Value::Null,
                1 => true.into(),
                2 => false.into(),
                3 => words[random.random_range(0..words.len())].into(),
                4 => json!([]),
                5 => json!(-1),
                6 => json!(random.random_range(1..70)),
                _ => json!(NUMBERS[random.random_range(0..NUMBERS.len())]),
            }
        }
    }
}
