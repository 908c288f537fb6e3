//! The state of a model that PyTorch pruned, read as the model.

use ndarray::{Array1, array};
use rarefy::formats::{SafetensorsFile, TorchPruning};
use rarefy::tensors::{DType, StoredTensor, TensorMap, TensorSource, TensorSourceExt};
use serde_json::Value;

fn golden(name: &str) -> String {
    format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_pruned_model_is_what_pytorch_computes_with() {
    let state = SafetensorsFile::open(golden("torch_pruning.safetensors")).unwrap();
    let model = TorchPruning::new(&state).unwrap();
    let text = std::fs::read_to_string(golden("torch_pruning.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let cases = json["cases"].as_array().unwrap();
    let mut names: Vec<&str> = model.pruned().collect();
    names.sort_unstable();
    assert_eq!(
        names,
        cases
            .iter()
            .map(|case| case["name"].as_str().unwrap())
            .collect::<Vec<_>>()
    );
    assert_eq!(names.len(), 6);
    let mut negative = 0;
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let tensor = model.tensor(name).unwrap();
        let size = tensor.dtype().bits() / 8;
        let bits = case["bits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bits| bits.as_u64().unwrap());
        let right: Vec<u8> = bits
            .flat_map(|bits| bits.to_le_bytes()[..size].to_vec())
            .collect();
        assert_eq!(tensor.bytes(), right, "{name}");
        assert_eq!(model.info(name).unwrap().shape, tensor.shape());
        // The mask, and what it was taken of.
        let mask = model.mask(name).unwrap();
        let flags = state.floats::<f64>(&format!("{name}_mask")).unwrap();
        assert_eq!(mask.to_array(), flags.mapv(|flag| flag == 1.0));
        let original = model.original::<f64>(name).unwrap();
        assert_eq!(
            original,
            state.floats::<f64>(&format!("{name}_orig")).unwrap()
        );
        let effective = model.floats::<f64>(name).unwrap();
        for ((kept, &x), &product) in mask.iter().zip(&original).zip(&effective) {
            assert_eq!(
                product.to_bits(),
                (if kept { x } else { x * 0.0 }).to_bits()
            );
            negative += usize::from(!kept && x.is_sign_negative());
        }
        // Any part is a part of the whole.
        let (number, len) = (model.position(name).unwrap(), right.len());
        for from in 0..len {
            for count in [1, 3, len - from] {
                let mut part = vec![0; count.min(len - from)];
                model.read_bytes(number, from, &mut part).unwrap();
                assert_eq!(part, right[from..from + part.len()], "{name} {from}");
            }
        }
    }
    assert!(negative > 20, "{negative} zeros have a sign");
    // What is not pruned passes.
    for name in ["0.bias", "5.weight", "2.bias"] {
        assert_eq!(model.tensor(name).unwrap(), state.tensor(name).unwrap());
        let error = model.mask(name).unwrap_err().to_string();
        assert_eq!(error, format!("there is no tensor \"{name}_mask\""));
    }
    assert_eq!(model.infos().len(), state.infos().len() - 6);
    assert!(model.tensor("1.weight_orig").is_err() && model.position("1.weight_mask").is_none());
    assert!(model.read_bytes(99, 0, &mut []).is_err());
    assert_eq!(model.source().infos(), state.infos());
}

#[test]
fn what_is_not_finite_becomes_nan_as_in_a_product() {
    let values = array![
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        -2.0,
        f32::MAX,
        -1e-45
    ];
    for dtype in [DType::F16, DType::Bf16, DType::F32, DType::F64] {
        let narrow = values.mapv(|x| if x == f32::MAX { 1.0 } else { x });
        let state = TensorMap::new([
            (
                "w_orig".to_owned(),
                StoredTensor::of_floats(&narrow, dtype).unwrap(),
            ),
            (
                "w_mask".to_owned(),
                StoredTensor::of(&Array1::<u8>::zeros(6)),
            ),
        ]);
        let products = TorchPruning::new(state.unwrap())
            .unwrap()
            .floats::<f64>("w")
            .unwrap();
        let right = narrow.mapv(|x| f64::from(x) * 0.0);
        for (product, right) in products.iter().zip(&right) {
            assert!(
                product.is_nan() && right.is_nan() || product.to_bits() == right.to_bits(),
                "{dtype}: {product}"
            );
        }
    }
}

#[test]
fn masks_of_every_type_are_read_and_others_are_errors() {
    let weights = Array1::from_iter((0..1500).map(|n| 1.0 + n as f32));
    let kept = weights.mapv(|x| x % 3.0 != 1.0);
    let flags = kept.mapv(|kept| if kept { 1.0_f64 } else { 0.0 });
    let state = |mask: StoredTensor| {
        TensorMap::new([
            ("w_mask".to_owned(), mask),
            ("w_orig".to_owned(), StoredTensor::of(&weights)),
        ])
        .unwrap()
    };
    let mut masks = vec![
        StoredTensor::of(&kept),
        StoredTensor::of(&kept.mapv(u8::from)),
    ];
    for dtype in [DType::F16, DType::Bf16, DType::F32, DType::F64] {
        masks.push(StoredTensor::of_floats(&flags, dtype).unwrap());
    }
    for mask in masks {
        let model = TorchPruning::new(state(mask)).unwrap();
        assert_eq!(model.mask("w").unwrap().to_array(), kept.clone().into_dyn());
        let right = &weights * &flags.mapv(|flag| flag as f32);
        assert_eq!(model.floats::<f32>("w").unwrap(), right.into_dyn());
    }
    // Neither 0 nor 1, at the end of a part and behind it.
    for place in [0, 511, 512, 1499] {
        for wrong in [0.5, -1.0, -0.0, f32::NAN, 2.0] {
            let mut flags = flags.mapv(|flag| flag as f32);
            flags[place] = wrong;
            let model = TorchPruning::new(state(StoredTensor::of(&flags))).unwrap();
            let right =
                format!("tensor \"w_mask\": element [{place}] of a mask is neither 0 nor 1");
            assert_eq!(model.mask("w").unwrap_err().to_string(), right);
            assert_eq!(model.tensor("w").unwrap_err().to_string(), right);
        }
    }
    let error = |mask| TorchPruning::new(state(mask)).unwrap_err().to_string();
    assert_eq!(
        error(StoredTensor::of(&array![1.0_f32])),
        "tensor \"w_mask\": shape is [1], needed is [1500]"
    );
    assert!(error(StoredTensor::of(&kept.mapv(i32::from))).contains("elements are of type I32"));
    let mut map = state(StoredTensor::of(&kept));
    map.insert("w", StoredTensor::of(&array![1.0_f32])).unwrap();
    let error = TorchPruning::new(map).unwrap_err().to_string();
    assert_eq!(error, "two tensors are named \"w\"");
    let integers = TensorMap::new([
        ("w_orig".to_owned(), StoredTensor::of(&array![1_i32])),
        ("w_mask".to_owned(), StoredTensor::of(&array![1.0_f32])),
    ]);
    assert!(
        TorchPruning::new(integers.unwrap())
            .unwrap_err()
            .to_string()
            .contains("\"w_orig\": elements are of type I32")
    );
    // One without the other is a tensor like any other.
    let single = TensorMap::new([
        ("a_orig".to_owned(), StoredTensor::of(&array![1.0_f32])),
        ("b_mask".to_owned(), StoredTensor::of(&array![2.0_f32])),
    ]);
    let model = TorchPruning::new(single.unwrap()).unwrap();
    assert_eq!(model.pruned().count(), 0);
    assert_eq!(
        model.floats::<f32>("b_mask").unwrap(),
        array![2.0].into_dyn()
    );
}
