//! AWQ checkpoints mean what auto-round and compressed-tensors make of them.

use crate::peer_files::{cases, stored, tensors, with};
use rarefy::formats::{AwqCheckpoint, AwqConfig};
use rarefy::infer::{GroupedLinear, Layer};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorSource, TensorSourceExt};
use serde_json::json;

#[test]
fn dense_tensors_and_codes_mean_what_the_peers_compute() {
    for case in cases("awq.json") {
        let (name, parts) = (&case["name"], tensors(&case));
        let config = AwqConfig::from_json(&case["config"]).unwrap();
        let checkpoint = AwqCheckpoint::new(&parts, config).unwrap();
        assert_eq!(checkpoint.modules(), ["m"]);
        assert_eq!(checkpoint.infos().len(), 1);
        let dense = checkpoint.tensor("m.weight").unwrap();
        assert_eq!(dense, stored(&case["weights"]), "{name}");

        let tensor = checkpoint.quantized("m").unwrap();
        let values = tensor.dequantize::<f32>();
        assert_eq!(
            StoredTensor::of_floats(&values, DType::F16).unwrap(),
            dense,
            "{name}"
        );
        let layer = GroupedLinear::from_tensor(&tensor, None).unwrap();
        assert_eq!((layer.outputs(), layer.bits()), (40, 4));
        for from in [0, 1, 33, 500] {
            let mut part = vec![0; 77];
            checkpoint.read_bytes(0, from, &mut part).unwrap();
            assert_eq!(part, dense.bytes()[from..from + 77], "{name}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = &cases("awq.json")[0];
    let parts = tensors(case);
    let config = AwqConfig::new(Some(32));
    let error = |name: &str, part: Option<StoredTensor>, config: AwqConfig| {
        let damaged = with(&parts, name, part);
        AwqCheckpoint::new(&damaged, config)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let zeros = |dtype, shape: &[usize]| {
        let info = TensorInfo::new("", dtype, shape);
        Some(StoredTensor::new(dtype, shape.to_vec(), vec![0; info.bytes().unwrap()]).unwrap())
    };
    assert_eq!(
        error("m.qzeros", None, config),
        "there is no tensor \"m.qzeros\""
    );
    assert_eq!(
        error("m.scales", None, config),
        "there is no tensor \"m.scales\""
    );
    assert_eq!(
        error("m.qweight", zeros(DType::F32, &[64, 5]), config),
        "tensor \"m.qweight\": elements are of type F32, needed is I32"
    );
    assert_eq!(
        error("m.qzeros", zeros(DType::I32, &[2, 4]), config),
        "tensor \"m.qzeros\": shape is [2, 4], needed is [2, 5]"
    );
    assert_eq!(
        error("m.scales", zeros(DType::F16, &[2, 5]), config),
        "tensor \"m.scales\": shape is [2, 5], needed is [2, 40]"
    );
    assert_eq!(
        error("m.qweight", zeros(DType::I32, &[63, 5]), config),
        "tensor \"m\": AWQ cannot hold 63 inputs in groups of 32: an even number of inputs that fill their groups"
    );
    assert!(error("", None, AwqConfig::new(Some(48))).contains("64 inputs in groups of 48"));
    assert!(error("m.qweight", zeros(DType::I32, &[0, 1 << 40]), config).contains("two lengths"));
    let scales = StoredTensor::of(&ndarray::Array2::from_elem((2, 40), -1.0_f32));
    let negative = with(&parts, "m.scales", Some(scales));
    let checkpoint = AwqCheckpoint::new(&negative, config).unwrap();
    assert!(
        checkpoint
            .quantized("m")
            .unwrap_err()
            .to_string()
            .starts_with("tensor \"m\": scale")
    );
    assert!(checkpoint.floats::<f32>("m.weight").is_ok());
}

#[test]
fn configurations_are_read_and_refused() {
    let old = json!({ "zero_point": false, "q_group_size": -1, "w_bit": 4, "version": "GEMM" });
    let read = AwqConfig::from_json(&old).unwrap();
    assert_eq!((read.group_size, read.zero_point), (None, false));
    let error = |json| AwqConfig::from_json(&json).unwrap_err().to_string();
    assert_eq!(error(json!({ "w_bit": 3 })), "w_bit is 3, must be 4");
    assert_eq!(error(json!({})), "bits is missing, must be 4");
    assert_eq!(
        error(json!({ "bits": 4, "version": "gemv" })),
        "version is \"gemv\", must be \"gemm\""
    );
    assert_eq!(
        error(json!({ "bits": 4 })),
        "group_size is missing, must be -1 or from 1 on"
    );
    assert_eq!(
        error(json!({ "quant_method": "gptq" })),
        "quant_method is \"gptq\", must be \"awq\""
    );
}
