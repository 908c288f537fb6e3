//! GPTQ checkpoints mean what auto-round's readers compute, as dense tensors, as codes and as layers.

use crate::peer_files::{cases, stored, tensors};
use half::{bf16, f16};
use ndarray::{Array2, Axis};
use rarefy::formats::{GptqCheckpoint, GptqConfig, GptqFormat, GptqWeights};
use rarefy::infer::{Activations, GroupedLinear, Layer, Reordered};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorMap, TensorSource, TensorSourceExt};
use serde_json::{Value, json};

fn config(case: &Value) -> GptqConfig {
    GptqConfig::from_json(&json!({ "quantization_config": case["config"] })).unwrap()
}

/// Code `number` of a row of words, bit by bit.
fn code(words: &[u32], number: usize, bits: usize) -> u32 {
    let bit = |at: usize| words[at / 32] >> (at % 32) & 1;
    (0..bits)
        .map(|place| bit(number * bits + place) << place)
        .sum()
}

/// What the parts mean, straight from the definition of the format, in the type of the scales: outputs × inputs.
fn slow(parts: &TensorMap, config: &GptqConfig) -> Vec<u8> {
    let words = |name: &str| {
        let words = parts.elements::<i32>(name).unwrap();
        words
            .mapv(i32::cast_unsigned)
            .into_dimensionality()
            .unwrap()
    };
    let (qweight, qzeros): (Array2<u32>, Array2<u32>) = (words("m.qweight"), words("m.qzeros"));
    let scales = parts.floats::<f32>("m.scales").unwrap();
    let g_idx = parts.elements::<i32>("m.g_idx").unwrap();
    let bits = config.bits as usize;
    let less = u32::from(config.checkpoint_format == GptqFormat::V1);
    let mut bytes = Vec::new();
    for (output, column) in qweight.columns().into_iter().enumerate() {
        for (input, &group) in g_idx.iter().enumerate() {
            let group = usize::try_from(group).unwrap();
            let q = code(&column.to_vec(), input, bits);
            let zero = code(&qzeros.row(group).to_vec(), output, bits) + less;
            let value = scales[[group, output]] * (q as f32 - zero as f32);
            bytes.extend(match parts.info("m.scales").unwrap().dtype {
                DType::F16 => f16::from_f32(value).to_le_bytes(),
                _ => bf16::from_f32(value).to_le_bytes(),
            });
        }
    }
    bytes
}

#[test]
fn dense_tensors_and_codes_mean_what_the_peer_computes() {
    let mut ordered = 0;
    for case in cases("gptq.json") {
        let (name, parts, config) = (&case["name"], tensors(&case), config(&case));
        let checkpoint = GptqCheckpoint::new(&parts, config).unwrap();
        assert_eq!(checkpoint.modules(), ["m"]);
        let dense = checkpoint.tensor("m.weight").unwrap();
        assert_eq!(dense.bytes(), slow(&parts, &config), "{name}");

        let peer = stored(&case["weights"]);
        let every = usize::try_from(case["every"].as_u64().unwrap()).unwrap();
        let row = dense.shape()[1] * 2;
        let rows = dense.bytes().chunks(row).step_by(every);
        assert_eq!(peer.dtype(), dense.dtype(), "{name}");
        assert_eq!(rows.collect::<Vec<_>>().concat(), peer.bytes(), "{name}");

        let quantized = checkpoint.quantized("m");
        if case["beyond"] == true {
            let error = quantized.unwrap_err().to_string();
            let most = (1 << config.bits) - 1;
            let why = format!("must lie in 0..={most}, got {}", most + 1);
            assert!(error.starts_with("tensor \"m\": zero point [0]"), "{error}");
            assert!(error.ends_with(&why), "{error}");
            continue;
        }
        let weights = quantized.unwrap();
        // Scales have 11 bits and steps 9, so f32 holds the products, and the file's type rounds once.
        let values = weights.dequantize::<f32>().unwrap();
        assert_eq!(values.mapv(f64::from), weights.dequantize::<f64>().unwrap());
        let rounded = StoredTensor::of_floats(&values, dense.dtype()).unwrap();
        assert_eq!(rounded, dense, "{name}");
        assert_eq!(
            weights.order().is_some(),
            case["config"]["desc_act"] == true
        );
        ordered += usize::from(weights.order().is_some());
    }
    assert_eq!(ordered, 7);
}

#[test]
fn what_was_read_is_written_as_it_was() {
    for case in cases("gptq.json") {
        let (name, parts, config) = (&case["name"], tensors(&case), config(&case));
        if case["beyond"] == true {
            continue;
        }
        let weights = GptqWeights::read(&parts, "m", &config).unwrap();
        let written = weights.encode("m");
        if config.checkpoint_format == GptqFormat::V2 {
            // Where no zero point is 0, v1 can say the same.
            assert_eq!(
                written.is_ok(),
                !weights.tensor().zero_points().contains(&0),
                "{name}"
            );
            continue;
        }
        if parts.info("m.scales").unwrap().dtype == DType::Bf16 {
            // F16 does not reach so low.
            let error = written.unwrap_err().to_string();
            assert!(
                error.contains("scales that are numbers of F16"),
                "{name}: {error}"
            );
            continue;
        }
        let written = TensorMap::new(written.unwrap()).unwrap();
        assert_eq!(written.len(), 4);
        for (part, tensor) in written.iter() {
            assert_eq!(Some(tensor), parts.get(part), "{name}: {part}");
        }
        let mut said = GptqConfig::of(&weights).unwrap();
        // One group is all inputs, whatever it is called.
        if config
            .group_size
            .is_some_and(|size| size < weights.tensor().shape()[1])
        {
            assert_eq!(said.group_size, config.group_size, "{name}");
        }
        said.group_size = config.group_size;
        assert_eq!(said, config, "{name}");
    }
}

#[test]
fn any_part_is_read_as_of_the_whole() {
    let case = &cases("gptq.json")[0];
    let bias = StoredTensor::of_floats(&ndarray::arr1(&[0.5_f32; 32]), DType::F16).unwrap();
    let parts = crate::peer_files::with(&tensors(case), "m.bias", Some(bias.clone()));
    let checkpoint = GptqCheckpoint::new(parts, config(case)).unwrap();
    let names: Vec<&str> = checkpoint.infos().iter().map(|info| &*info.name).collect();
    assert_eq!(names, ["m.weight", "m.bias"]);
    assert_eq!(checkpoint.tensor("m.bias").unwrap(), bias);
    let info = checkpoint.info("m.weight").unwrap();
    assert_eq!(info, &TensorInfo::new("m.weight", DType::F16, [32, 64]));

    let whole = checkpoint.tensor("m.weight").unwrap();
    for (from, count) in [
        (0, 1),
        (1, 1),
        (1, 2),
        (127, 3),
        (129, 500),
        (4095, 1),
        (4096, 0),
        (17, 4079),
    ] {
        let mut part = vec![0; count];
        checkpoint.read_bytes(0, from, &mut part).unwrap();
        assert_eq!(part, whole.bytes()[from..from + count], "{from} {count}");
    }
    let error = checkpoint.read_bytes(0, 4095, &mut [0; 2]).unwrap_err();
    assert_eq!(error.to_string(), "bytes 4095 to 4097 of a tensor of 4096");
    assert!(checkpoint.read_bytes(2, 0, &mut []).is_err());
}

#[test]
fn modules_are_read_by_many_threads_at_once() {
    let case = &cases("gptq.json")[0];
    let parts = tensors(case);
    let named = |module: usize| {
        let parts = parts
            .iter()
            .map(move |(name, part)| (name.replacen('m', &format!("m{module}"), 1), part.clone()));
        parts.collect::<Vec<_>>()
    };
    let many = TensorMap::new((0..3).flat_map(named)).unwrap();
    let checkpoint = GptqCheckpoint::new(many, config(case)).unwrap();
    assert_eq!(checkpoint.modules(), ["m0", "m1", "m2"]);
    let right = GptqCheckpoint::new(&parts, config(case))
        .unwrap()
        .tensor("m.weight")
        .unwrap();
    std::thread::scope(|scope| {
        for start in 0..3 {
            let (checkpoint, right) = (&checkpoint, &right);
            scope.spawn(move || {
                for place in 0..12 {
                    let (module, from) = ((start + place) % 3, place * 300);
                    let mut part = vec![0; 300];
                    checkpoint.read_bytes(module, from, &mut part).unwrap();
                    assert_eq!(part, right.bytes()[from..from + 300]);
                }
            });
        }
    });
}

/// y = x · Wᵀ, and how far a layer of 16 bits may be from it: half a step of each input, times its weight, and the
/// rounding of sums.
fn product(x: &Array2<f32>, weights: &Array2<f32>, codes: f32) -> (Array2<f64>, Array2<f64>) {
    let (x, w) = (x.mapv(f64::from), weights.mapv(f64::from));
    let largest = x.map_axis(Axis(1), |row| {
        row.iter().fold(0.0_f64, |most, x| most.max(x.abs()))
    });
    let sums = w.map_axis(Axis(1), |row| row.iter().map(|w| w.abs()).sum::<f64>());
    let step = 0.5 / f64::from(codes) + 1e-6 * x.ncols() as f64;
    let bound = Array2::from_shape_fn((x.nrows(), w.nrows()), |(row, output)| {
        largest[row] * sums[output] * step
    });
    (x.dot(&w.t()), bound)
}

#[test]
fn layers_of_checkpoints_compute_their_products() {
    for case in cases("gptq.json") {
        if case["beyond"] == true {
            continue;
        }
        let weights = GptqWeights::read(&tensors(&case), "m", &config(&case)).unwrap();
        let dense = weights.dequantize::<f32>().unwrap();
        let inputs = dense.ncols();
        let x = Array2::from_shape_fn((3, inputs), |(i, j)| {
            ((i * 31 + j * 17) % 23) as f32 / 7.0 - 1.5
        });
        let sorted = match weights.order() {
            None => x.clone(),
            Some(order) => x.select(Axis(1), order),
        };
        for (activations, codes) in [(Activations::Int8, 127.0), (Activations::Int16, 32767.0)] {
            let layer = GroupedLinear::from_tensor(weights.tensor(), None).unwrap();
            let layer = layer.activations(activations);
            let of_sorted = layer.forward(&sorted).unwrap();
            let order = weights
                .order()
                .map_or_else(|| (0..inputs).collect(), <[usize]>::to_vec);
            let y = Reordered::new(layer, order).unwrap().forward(&x).unwrap();
            assert_eq!(y, of_sorted, "{}", case["name"]);
            let (right, bound) = product(&x, &dense, codes);
            for ((y, right), bound) in y.iter().zip(&right).zip(&bound) {
                assert!(
                    (f64::from(*y) - right).abs() <= *bound,
                    "{}: {y} {right} {bound}",
                    case["name"]
                );
            }
        }
    }
}

#[test]
fn configurations_are_read_and_refused() {
    let right = json!({ "quant_method": "gptq", "bits": 3, "group_size": -1, "desc_act": true, "sym": false,
        "checkpoint_format": "gptq_v2", "damp_percent": 0.01 });
    let read = GptqConfig::from_json(&right).unwrap();
    assert_eq!(
        (read.bits, read.group_size, read.desc_act, read.sym),
        (3, None, true, false)
    );
    assert_eq!(read.checkpoint_format, GptqFormat::V2);
    assert_eq!(GptqConfig::from_json(&read.to_json()).unwrap(), read);
    let written = read.to_json();
    assert_eq!(written["group_size"], -1);
    assert_eq!(
        written["meta"]["quantizer"][0],
        concat!("rarefy:", env!("CARGO_PKG_VERSION"))
    );
    let old = json!({ "bits": 8, "group_size": 64 });
    assert_eq!(
        GptqConfig::from_json(&old).unwrap(),
        GptqConfig::new(8, Some(64))
    );

    let with = |key: &str, value: Value| {
        let mut json = right.clone();
        json[key] = value;
        GptqConfig::from_json(&json).unwrap_err().to_string()
    };
    assert_eq!(with("bits", json!(5)), "bits is 5, must be 2, 3, 4 or 8");
    assert_eq!(
        with("bits", Value::Null),
        "bits is null, must be 2, 3, 4 or 8"
    );
    assert_eq!(
        with("group_size", json!(0)),
        "group_size is 0, must be -1 or from 1 on"
    );
    assert_eq!(
        with("group_size", json!(1.5)),
        "group_size is 1.5, must be -1 or from 1 on"
    );
    assert_eq!(
        with("desc_act", json!("no")),
        "desc_act is \"no\", must be true or false"
    );
    assert_eq!(with("sym", json!(1)), "sym is 1, must be true or false");
    assert_eq!(
        with("quant_method", json!("awq")),
        "quant_method is \"awq\", must be \"gptq\""
    );
    assert_eq!(
        with("checkpoint_format", json!("marlin")),
        "checkpoint_format is \"marlin\", must be \"gptq\" or \"gptq_v2\""
    );
    let error = |json: Value| GptqConfig::from_json(&json).unwrap_err().to_string();
    assert_eq!(
        error(json!({ "quantization_config": { "bits": 4 } })),
        "quantization_config.group_size is missing, must be -1 or from 1 on"
    );
    assert_eq!(
        error(json!([4])),
        "the configuration is [4], must be an object"
    );
    let long = error(json!({ "bits": "4".repeat(1000) }));
    assert!(long.len() < 200, "{long}");
}
