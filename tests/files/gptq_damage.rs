//! Checkpoints that are not what they say are errors, and no memory is taken for what they claim.

use crate::peer_files::{cases, tensors, with};
use ndarray::{Array1, Array2};
use rarefy::Result;
use rarefy::formats::{GptqCheckpoint, GptqConfig, GptqWeights};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorMap, TensorSource, TensorSourceExt};

/// Four bits, groups of 32, 64 inputs, 32 outputs.
fn right() -> (TensorMap, GptqConfig) {
    let cases = cases("gptq.json");
    let case = cases.iter().find(|case| {
        let config = &case["config"];
        config["bits"] == 4 && config["group_size"] == 32
    });
    let case = case.unwrap();
    (
        tensors(case),
        GptqConfig::from_json(&case["config"]).unwrap(),
    )
}

fn zeros(dtype: DType, shape: &[usize]) -> StoredTensor {
    let info = TensorInfo::new("", dtype, shape);
    StoredTensor::new(dtype, shape.to_vec(), vec![0; info.bytes().unwrap()]).unwrap()
}

fn errors(parts: &TensorMap, config: GptqConfig) -> String {
    let opened = GptqCheckpoint::new(parts, config)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    let read = GptqWeights::read(parts, "m", &config)
        .unwrap_err()
        .to_string();
    assert_eq!(opened, read);
    opened
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let (parts, config) = right();
    assert!(GptqWeights::read(&parts, "m", &config).is_ok());
    let missing = |name: &str| errors(&with(&parts, name, None), config);
    assert_eq!(missing("m.qzeros"), "there is no tensor \"m.qzeros\"");
    assert_eq!(missing("m.scales"), "there is no tensor \"m.scales\"");
    let error = GptqWeights::read(&parts, "n", &config)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "there is no tensor \"n.qweight\"");

    let other = |name: &str, dtype, shape: &[usize]| {
        errors(&with(&parts, name, Some(zeros(dtype, shape))), config)
    };
    assert_eq!(
        other("m.qweight", DType::I64, &[8, 32]),
        "tensor \"m.qweight\": elements are of type I64, needed is I32"
    );
    assert_eq!(
        other("m.qzeros", DType::I32, &[2, 5]),
        "tensor \"m.qzeros\": shape is [2, 5], needed is [2, 4]"
    );
    assert_eq!(
        other("m.scales", DType::F64, &[2, 32]),
        "tensor \"m.scales\": elements are of type F64, needed is F16, BF16 or F32"
    );
    assert_eq!(
        other("m.scales", DType::F16, &[3, 32]),
        "tensor \"m.scales\": shape is [3, 32], needed is [2, 32]"
    );
    assert_eq!(
        other("m.g_idx", DType::I32, &[65]),
        "tensor \"m.g_idx\": shape is [65], needed is [64]"
    );
    assert_eq!(
        other("m.qweight", DType::I32, &[8]),
        "tensor \"m.qweight\": a matrix of words cannot hold the shape [8]: two lengths of at least 1"
    );
    // No bytes, and lengths that a loop would count for ages.
    assert!(other("m.qweight", DType::I32, &[0, 1 << 40]).contains("two lengths of at least 1"));
    assert!(other("m.qweight", DType::I32, &[1 << 40, 0]).contains("two lengths of at least 1"));

    let three = GptqConfig::new(3, Some(32));
    let error = GptqCheckpoint::new(&parts, three)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "tensor \"m.qzeros\": shape is [2, 4], needed is [3, 3]"
    );
    let twice = with(&parts, "m.weight", Some(zeros(DType::F16, &[1])));
    let error = GptqCheckpoint::new(&twice, config)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "two tensors are named \"m.weight\"");
}

#[test]
fn groups_that_lie_are_refused() {
    let (parts, config) = right();
    let ordered = |numbers: Array1<i32>| with(&parts, "m.g_idx", Some(StoredTensor::of(&numbers)));
    for number in [-1, 2, i32::MIN, i32::MAX] {
        let mut numbers = Array1::from_shape_fn(64, |input| i32::from(input >= 32));
        numbers[7] = number;
        let lying = ordered(numbers);
        let right = format!(
            "tensor \"m.g_idx\": group of an input must be the number of one that has scales, got {number}"
        );
        let error = GptqWeights::read(&lying, "m", &config)
            .unwrap_err()
            .to_string();
        assert_eq!(error, right);
        // Opening reads no elements; reading them says it.
        let checkpoint = GptqCheckpoint::new(&lying, config).unwrap();
        let error = checkpoint.tensor("m.weight").unwrap_err().to_string();
        assert_eq!(error, format!("tensor \"m.weight\": {right}"));
    }
    // All inputs in one group: no tensor of ours has that, and dense it is what it says.
    let uneven = ordered(Array1::zeros(64));
    let error = GptqWeights::read(&uneven, "m", &config)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "tensor \"m\": a quantized tensor cannot hold group 0 of 64 inputs: groups as long as the configuration says; as a \
         dense tensor it can be read"
    );
    let dense = GptqCheckpoint::new(&uneven, config)
        .unwrap()
        .floats::<f32>("m.weight")
        .unwrap();
    let first = GptqCheckpoint::new(&parts, config)
        .unwrap()
        .floats::<f32>("m.weight")
        .unwrap();
    assert_eq!(dense[[5, 31]], first[[5, 31]]);
    assert_ne!(dense, first);
    // Without it, groups are neighbours.
    let without = GptqCheckpoint::new(with(&parts, "m.g_idx", None), config).unwrap();
    assert_eq!(without.floats::<f32>("m.weight").unwrap(), first);
}

#[test]
fn scales_that_are_none_are_refused_as_codes_and_read_as_they_are() {
    let (parts, config) = right();
    for scale in [0.0, -0.5, f32::NAN, f32::INFINITY] {
        let mut scales = Array2::from_elem((2, 32), 0.5_f32);
        scales[[1, 3]] = scale;
        let scales = StoredTensor::of(&scales);
        let odd = with(&parts, "m.scales", Some(scales));
        let error = GptqWeights::read(&odd, "m", &config)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("tensor \"m\": scale"), "{error}");
        let dense = GptqCheckpoint::new(&odd, config).unwrap();
        assert_eq!(dense.info("m.weight").unwrap().dtype, DType::F32);
        let dense = dense.floats::<f32>("m.weight").unwrap();
        let ordinary = dense[[3, 0]];
        assert!((ordinary * 2.0).fract() == 0.0 && ordinary.abs() <= 8.0);
        assert!(dense.iter().all(|value| value.is_finite()) == scale.is_finite());
    }
}

/// Says that tensors are huge and has no byte of them.
#[derive(Debug)]
struct Claims(Vec<TensorInfo>);

impl TensorSource for Claims {
    fn infos(&self) -> &[TensorInfo] {
        &self.0
    }

    fn read_bytes(&self, _: usize, _: usize, _: &mut [u8]) -> Result<()> {
        panic!("nothing may be read")
    }
}

#[test]
fn huge_shapes_are_refused_before_memory_is_taken() {
    for (rows, columns) in [
        (1 << 62, 1),
        (1 << 40, 1 << 40),
        (1 << 57, 64),
        (1, usize::MAX),
    ] {
        let claims = Claims(vec![TensorInfo::new(
            "m.qweight",
            DType::I32,
            [rows, columns],
        )]);
        assert!(GptqCheckpoint::new(&claims, GptqConfig::new(2, None)).is_err());
        assert!(GptqWeights::read(&claims, "m", &GptqConfig::new(8, Some(1))).is_err());
    }
}
