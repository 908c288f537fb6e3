//! Checkpoints of bitsandbytes mean what it gives on a CPU.

use crate::peer_files::{cases, stored, tensors, with};
use ndarray::{Array1, IxDyn};
use rarefy::formats::BitsAndBytesCheckpoint;
use rarefy::quantize::Granularity;
use rarefy::tensors::{DType, StoredTensor, TensorMap, TensorSource, TensorSourceExt};
use serde_json::{Value, json};

#[test]
fn dense_tensors_and_codes_mean_what_the_peer_computes() {
    let mut flat = 0;
    for case in cases("bitsandbytes.json") {
        let (name, parts) = (&case["name"], tensors(&case));
        let checkpoint = BitsAndBytesCheckpoint::new(&parts).unwrap();
        assert_eq!(checkpoint.quantized_names(), ["m.weight"]);
        assert_eq!(checkpoint.infos().len(), 1);
        let dense = checkpoint.tensor("m.weight").unwrap();
        assert_eq!(json!(dense.shape()), case["shape"], "{name}");
        let peer = stored(&case["weights"]);
        assert_eq!(peer.dtype(), dense.dtype(), "{name}");
        let every = usize::try_from(case["every"].as_u64().unwrap()).unwrap();
        let size = dense.dtype().bits() / 8;
        let elements = dense.bytes().chunks(size).step_by(every);
        assert_eq!(
            elements.collect::<Vec<_>>().concat(),
            peer.bytes(),
            "{name}"
        );

        let quantized = checkpoint.quantized("m.weight");
        if case["shape"][0] == 130 {
            // Sizes of blocks differ so much that small ones were quantized to less than nothing.
            let error = quantized.unwrap_err().to_string();
            assert!(
                error.starts_with("tensor \"m.weight\": scale 0 must be"),
                "{error}"
            );
            continue;
        }
        let tensor = quantized.unwrap();
        let blocks = tensor.scales().len();
        assert_eq!(tensor.len(), dense.len());
        flat += usize::from(tensor.shape() != dense.shape());
        assert!(matches!(tensor.granularity(), Granularity::PerGroup { .. }));
        let values = tensor
            .dequantize::<f32>()
            .into_shape_with_order(IxDyn(dense.shape()))
            .unwrap();
        let rounded = StoredTensor::of_floats(&values, dense.dtype()).unwrap();
        // Numbers, not bits: where absmax is 0 their zeros may have a sign.
        assert_eq!(
            rounded.floats::<f32>().unwrap(),
            dense.floats::<f32>().unwrap(),
            "{name}"
        );
        println!("{name}: {blocks} blocks");

        for from in [0, 1, 7, 130, 255] {
            let mut part = vec![0; 61];
            checkpoint.read_bytes(0, from, &mut part).unwrap();
            assert_eq!(part, dense.bytes()[from..from + 61], "{name}");
        }
    }
    assert_eq!(flat, 4);
}

/// Six rows of 128 in NF4, absmax quantized.
fn right() -> TensorMap {
    let cases = cases("bitsandbytes.json");
    let is_nested = |case: &&Value| case["name"].as_str().unwrap().ends_with("True");
    tensors(cases.iter().find(is_nested).unwrap())
}

fn error(parts: &TensorMap) -> String {
    BitsAndBytesCheckpoint::new(parts)
        .map(|_| ())
        .unwrap_err()
        .to_string()
}

const STATE: &str = "m.weight.quant_state.bitsandbytes__nf4";

fn state(parts: &TensorMap) -> Value {
    serde_json::from_slice(parts.get(STATE).unwrap().bytes()).unwrap()
}

fn text(text: &str) -> Option<StoredTensor> {
    Some(StoredTensor::of(&Array1::from_vec(
        text.as_bytes().to_vec(),
    )))
}

#[test]
fn states_that_are_not_understood_are_refused() {
    let parts = right();
    let set = |key: &str, value: Value| {
        let mut state = state(&parts);
        state[key] = value;
        error(&with(&parts, STATE, text(&state.to_string())))
    };
    for (key, value, right) in [
        (
            "quant_type",
            json!("fp4"),
            "quant_type is \"fp4\", must be the type in the name of its tensor",
        ),
        (
            "dtype",
            json!("int8"),
            "dtype is \"int8\", must be \"float32\", \"float16\" or \"bfloat16\"",
        ),
        ("blocksize", json!(0), "blocksize is 0, must be from 1 on"),
        (
            "shape",
            json!([6, 0]),
            "shape is [6,0], must be lengths of at least 1",
        ),
        (
            "shape",
            json!([]),
            "shape is [], must be lengths of at least 1",
        ),
        (
            "shape",
            json!([6, -128]),
            "shape is [6,-128], must be lengths of at least 1",
        ),
        (
            "shape",
            Value::Null,
            "shape is null, must be lengths of at least 1",
        ),
        (
            "nested_offset",
            Value::Null,
            "nested_offset is null, must be a number",
        ),
        (
            "nested_blocksize",
            json!("many"),
            "nested_blocksize is \"many\", must be from 1 on",
        ),
        (
            "nested_dtype",
            json!("float16"),
            "nested_dtype is \"float16\", must be \"float32\"",
        ),
        (
            "shape",
            json!([6, 130]),
            "384 bytes of codes given, 390 needed",
        ),
    ] {
        assert_eq!(set(key, value), format!("tensor \"m.weight\": {right}"));
    }
    assert!(set("shape", json!([1_u64 << 62, 1_u64 << 62])).contains("elements"));
    assert!(set("shape", json!([1_u64 << 60])).contains("shape [1152921504606846976]"));
    assert!(set("blocksize", json!(i64::MAX)).contains("shape is [12], needed is [1]"));

    let not_json = error(&with(&parts, STATE, text("{")));
    assert!(
        not_json.contains("a quant_state of bitsandbytes cannot hold EOF"),
        "{not_json}"
    );
    let long = error(&with(&parts, STATE, text(&" ".repeat(1 << 17))));
    assert!(
        long.contains("131072 bytes: a JSON of at most 1 KiB"),
        "{long}"
    );
    let other = StoredTensor::of(&Array1::<i32>::zeros(4));
    assert!(error(&with(&parts, STATE, Some(other))).contains("type I32, needed is U8"));
    assert!(
        error(&with(&parts, STATE, text("3")))
            .contains("the configuration is 3, must be an object")
    );
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let parts = right();
    for part in ["absmax", "quant_map", "nested_quant_map"] {
        let name = format!("m.weight.{part}");
        let missing = error(&with(&parts, &name, None));
        assert_eq!(
            missing,
            format!("tensor \"m.weight\": there is no tensor \"{name}\"")
        );
        let wide = StoredTensor::of(&Array1::<f64>::zeros(12));
        assert!(
            error(&with(&parts, &name, Some(wide))).contains("elements are of type F64, needed is")
        );
    }
    let missing = error(&with(&parts, "m.weight", None));
    assert_eq!(
        missing,
        "tensor \"m.weight\": there is no tensor \"m.weight\""
    );
    // Without the outer scales, absmax would have to be floats.
    let inner = error(&with(&parts, "m.weight.nested_absmax", None));
    assert!(
        inner.contains("\"m.weight.absmax\": elements are of type U8, needed is F32"),
        "{inner}"
    );
    let short = StoredTensor::of(&Array1::<u8>::zeros(11));
    let short = error(&with(&parts, "m.weight.absmax", Some(short)));
    assert!(
        short.ends_with("\"m.weight.absmax\": shape is [11], needed is [12]"),
        "{short}"
    );
    let twice = with(&parts, "m.weight.quant_state.bitsandbytes__fp4", text("{}"));
    assert!(BitsAndBytesCheckpoint::new(&twice).is_err());

    let checkpoint = BitsAndBytesCheckpoint::new(&parts).unwrap();
    let error = checkpoint.quantized("m.bias").unwrap_err().to_string();
    assert_eq!(error, "there is no tensor \"m.bias\"");
    let error = checkpoint
        .read_bytes(0, 3071, &mut [0; 2])
        .unwrap_err()
        .to_string();
    assert_eq!(error, "bytes 3071 to 3073 of a tensor of 3072");
}

#[test]
fn scales_that_are_none_are_refused_as_codes_and_read_as_they_are() {
    let cases = cases("bitsandbytes.json");
    let parts = tensors(&cases[0]);
    let absmax = parts.elements::<f32>("m.weight.absmax").unwrap();
    // The first row is zeros: bitsandbytes stores 0 for it.
    assert_eq!(absmax[[0]], 0.0);
    let tensor = BitsAndBytesCheckpoint::new(&parts)
        .unwrap()
        .quantized("m.weight")
        .unwrap();
    assert_eq!(tensor.scales()[0], f32::MIN_POSITIVE);
    assert!(
        tensor
            .dequantize::<f32>()
            .iter()
            .take(128)
            .all(|value| value.to_bits() == 0)
    );
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        let mut absmax = absmax.clone();
        absmax[[5]] = bad;
        let odd = with(&parts, "m.weight.absmax", Some(StoredTensor::of(&absmax)));
        let checkpoint = BitsAndBytesCheckpoint::new(&odd).unwrap();
        let error = checkpoint.quantized("m.weight").unwrap_err().to_string();
        assert!(error.starts_with("tensor \"m.weight\": scale"), "{error}");
        assert_eq!(checkpoint.tensor("m.weight").unwrap().dtype(), DType::F32);
    }
    let mut map = parts.elements::<f32>("m.weight.quant_map").unwrap();
    map[[4]] = f32::NAN;
    let odd = with(&parts, "m.weight.quant_map", Some(StoredTensor::of(&map)));
    let error = BitsAndBytesCheckpoint::new(&odd)
        .unwrap()
        .quantized("m.weight")
        .unwrap_err();
    assert!(error.to_string().contains("entry of a codebook"), "{error}");
}
