//! What a layout of compressed-tensors cannot hold, configs that say something else, and parts that are missing, of
//! another kind, or lie: each is an error that says so, and costs no more memory than what is there.

use ndarray::{Array1, Array2, Axis, array};
use rarefy::formats::{
    CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights, Decompressed,
};
use rarefy::quantize::{BlockShape, Granularity, Minifloat, Parameters, QuantizedTensor, Scheme};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorMap, TensorSource, TensorSourceExt};
use rarefy::{Error, Mask, Result};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

use CompressedLayout::{Dense, FloatQuantized, IntQuantized, NaiveQuantized, PackQuantized};

const ROWS: Granularity = Granularity::PerChannel(Axis(0));

fn groups(size: usize) -> Granularity {
    Granularity::PerGroup {
        axis: Axis(1),
        size,
    }
}

fn text<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    outcome.unwrap_err().to_string()
}

/// Three rows of eight codes: 0 everywhere, or as a zero point is.
fn tensor(scheme: Scheme, granularity: Granularity) -> QuantizedTensor {
    let count = granularity.scales(&[3, 8]).unwrap();
    let parameters = Parameters::new(scheme, granularity, vec![0.5; count]);
    QuantizedTensor::from_codes(&Array2::zeros((3, 8)), parameters).unwrap()
}

fn weights(scheme: Scheme, granularity: Granularity) -> CompressedWeights {
    CompressedWeights::new(scheme, granularity).unwrap()
}

fn symmetric(bits: u32) -> Scheme {
    Scheme::symmetric(bits).unwrap()
}

#[test]
fn what_no_layout_holds_is_refused() {
    let new = |scheme: Result<Scheme>, granularity| {
        text(CompressedWeights::new(scheme.unwrap(), granularity))
    };
    let integers = "integers of 1 to 8 bits or E4M3";
    for (scheme, what, must) in [
        (Scheme::symmetric(16), "codes of 16 bits", integers),
        (Scheme::codebook(4), "a codebook", integers),
        (Ok(Scheme::binary()), "signs alone", integers),
        (Ok(Scheme::float(Minifloat::E5M2)), "E5M2", integers),
        (Ok(Scheme::float(Minifloat::E2M1)), "E2M1", integers),
        (
            Scheme::float_zero_point(4),
            "zero points that are floats",
            "zero points that are codes",
        ),
    ] {
        let right = format!("compressed-tensors cannot hold {what}: {must}");
        assert_eq!(new(scheme, ROWS), right);
    }
    let block = |lengths: &[usize]| Granularity::PerBlock(BlockShape::new(lengths).unwrap());
    let down = Granularity::PerGroup {
        axis: Axis(0),
        size: 4,
    };
    for (granularity, what) in [
        (Granularity::PerChannel(Axis(1)), "scales along axis 1"),
        (down, "groups of 4 along axis 0"),
        (groups(0), "groups of 0 along axis 1"),
        (block(&[4]), "blocks of 1 lengths"),
        (block(&[4, 4, 4]), "blocks of 3 lengths"),
    ] {
        let error = new(Scheme::symmetric(4), granularity);
        let right = format!(
            "compressed-tensors cannot hold {what}: one scale, or scales per output, in groups along the inputs or in blocks of two lengths"
        );
        assert_eq!(error, right);
    }
}

#[test]
fn what_a_layout_does_not_hold_is_refused() {
    let affine = Scheme::affine(4).unwrap();
    let float = Scheme::float(Minifloat::E4M3);
    let block = Granularity::PerBlock(BlockShape::new(&[2, 4]).unwrap());
    let whole = Granularity::PerTensor;
    let zeros = "pack-quantized cannot hold zero points of a whole tensor or of blocks: zero points per channel or in groups";
    for (layout, scheme, granularity, right) in [
        (Dense, symmetric(4), ROWS, "dense cannot hold codes: floats"),
        (
            PackQuantized,
            float,
            ROWS,
            "pack-quantized cannot hold floats of 8 bits: integers",
        ),
        (PackQuantized, affine, whole, zeros),
        (PackQuantized, affine, block, zeros),
        (
            IntQuantized,
            float,
            ROWS,
            "int-quantized cannot hold floats of 8 bits: integers",
        ),
        (
            FloatQuantized,
            affine,
            ROWS,
            "float-quantized cannot hold integers: floats of 8 bits",
        ),
    ] {
        let weights = weights(scheme, granularity);
        assert_eq!(text(layout.infos("m", &[3, 8], weights, DType::F16)), right);
        assert_eq!(
            text(CompressedGroup::new(["Linear"], layout, weights)),
            right
        );
        let q = tensor(scheme, granularity);
        assert_eq!(text(layout.encode("m", &q, weights, DType::F16)), right);
        let none = TensorMap::default();
        assert_eq!(text(layout.read(&none, "m", weights)), right);
    }

    let infos = |shape: &[usize], granularity, dtype| {
        text(PackQuantized.infos("m", shape, weights(symmetric(4), granularity), dtype))
    };
    assert_eq!(
        infos(&[3, 8, 2], ROWS, DType::F16),
        "pack-quantized cannot hold a weight of 3 axes: weights of two axes"
    );
    assert_eq!(
        infos(&[3, 8], groups(3), DType::F16),
        "pack-quantized cannot hold groups of 3 along 8 inputs: groups that divide the inputs"
    );
    assert_eq!(
        infos(&[3, 8], ROWS, DType::F64),
        "pack-quantized cannot hold scales of type F64: F32, F16 or BF16"
    );
    assert!(matches!(
        PackQuantized.infos(
            "m",
            &[usize::MAX, 8],
            weights(symmetric(4), ROWS),
            DType::F16
        ),
        Err(Error::ShapeOverflow { .. })
    ));
}

#[test]
fn a_tensor_is_what_was_planned() {
    let encode = |q: &QuantizedTensor, weights| PackQuantized.encode("m", q, weights, DType::F16);
    let q = tensor(symmetric(4), ROWS);
    assert_eq!(
        text(encode(&q, weights(symmetric(5), ROWS))),
        "pack-quantized cannot hold integers of 4 bits: codes of the bits and the kind that were planned"
    );
    assert_eq!(
        text(encode(&q, weights(symmetric(4), groups(4)))),
        "pack-quantized cannot hold scales PerChannel(Axis(0)): the granularity that was planned"
    );

    // Zero points that all are the middle need not be stored, others must.
    let unsigned = Scheme::unsigned(4).unwrap();
    let zeros = |zeros: Vec<i32>| {
        let parameters = Parameters::new(unsigned, ROWS, vec![0.5; 3]).with_zero_points(zeros);
        QuantizedTensor::from_codes(&Array2::from_elem((3, 8), 9), parameters).unwrap()
    };
    let middle = zeros(vec![8; 3]);
    assert!(CompressedWeights::of(&middle).unwrap().is_symmetric());
    let stored = encode(&middle, CompressedWeights::of(&middle).unwrap()).unwrap();
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[0].1.bytes(), [0x99; 12]);
    let other = zeros(vec![8, 8, 7]);
    let planned = weights(unsigned, ROWS).symmetric();
    assert!(!CompressedWeights::of(&other).unwrap().is_symmetric());
    assert_eq!(
        text(encode(&other, planned)),
        "pack-quantized cannot hold the zero point 7 of scale 2 in symmetric weights: the middle code as every zero point"
    );
    // Weights that were planned with zero points get the middle ones where they have none.
    let stored = encode(&q, weights(Scheme::affine(4).unwrap(), ROWS)).unwrap();
    assert_eq!(stored[2].0, "m.weight_zero_point");
    assert_eq!(stored[2].1.bytes(), [0x88, 8, 0, 0]);

    // A mask that no code stands for.
    let mask = Mask::from_array(&Array2::from_shape_fn((3, 8), |(i, _)| i > 0));
    let kept = zeros(vec![8; 3]).masked(&mask).unwrap();
    assert!(kept.mask().is_some());
    assert_eq!(
        text(encode(&kept, CompressedWeights::of(&kept).unwrap())),
        "pack-quantized cannot hold a mask beside the codes: codes of which one means 0 exactly"
    );
}

#[test]
fn scales_are_never_rounded() {
    let encode = |scales: Vec<f32>, dtype| {
        let parameters = Parameters::new(symmetric(4), ROWS, scales);
        let q = QuantizedTensor::from_codes(&Array2::zeros((3, 8)), parameters).unwrap();
        PackQuantized.encode("m", &q, weights(symmetric(4), ROWS), dtype)
    };
    let fine = 1.0 + f32::EPSILON;
    assert!(encode(vec![0.5, 0.25, fine], DType::F32).is_ok());
    for dtype in [DType::F16, DType::Bf16] {
        assert!(encode(vec![0.5, 0.25, 1.5], dtype).is_ok());
        assert_eq!(
            text(encode(vec![0.5, fine, 1.5], dtype)),
            format!(
                "pack-quantized cannot hold scale 1, 1.0000001e0, as {dtype}: scales that their type has exactly: round them before quantizing"
            )
        );
    }
    // Beyond the largest number, and below the least.
    assert!(
        text(encode(vec![0.5, 0.5, 65536.0], DType::F16)).contains("scale 2, 6.5536e4, as F16")
    );
    assert!(text(encode(vec![1e-9, 0.5, 0.5], DType::F16)).contains("scale 0, 1e-9, as F16"));
}

fn config(settings: &Value) -> Result<CompressedConfig> {
    CompressedConfig::from_json(&json!({ "quantization_config": settings }))
}

fn settings() -> Value {
    json!({
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {
                    "num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 8,
                    "dynamic": false, "actorder": null, "observer": "mse", "block_structure": null,
                },
                "input_activations": null,
                "output_activations": null,
            },
        },
    })
}

#[test]
fn configs_that_say_something_else_are_refused() {
    let right = config(&settings()).unwrap();
    assert_eq!(
        right.groups()[0].weights(),
        Some(weights(symmetric(4), groups(8)))
    );
    assert_eq!(
        (right.ignore(), right.groups()[0].targets()),
        (&["lm_head".to_owned()][..], &["Linear".to_owned()][..])
    );

    let layouts =
        "dense, pack-quantized, int-quantized, naive-quantized, float-quantized or mixed-precision";
    let of_group = "dense, pack-quantized, int-quantized, naive-quantized or float-quantized";
    let weights = "config_groups.group_0.weights";
    for (place, value, must) in [
        ("/quant_method", json!("gptq"), "compressed-tensors"),
        ("/quant_method", json!(null), "a text"),
        ("/format", json!("marlin-24"), layouts),
        ("/format", json!("nvfp4-pack-quantized"), layouts),
        ("/format", json!(7), "a text"),
        ("/ignore", json!("lm_head"), "a list of texts"),
        ("/config_groups", json!([]), "an object"),
        ("/config_groups/group_0", json!(["Linear"]), "an object"),
        (
            "/config_groups/group_0/targets",
            json!([1]),
            "a list of texts",
        ),
        ("/config_groups/group_0/weights", json!(4), "an object"),
        (
            "/config_groups/group_0/weights/num_bits",
            json!(9),
            "1 to 8",
        ),
        (
            "/config_groups/group_0/weights/num_bits",
            json!(0),
            "1 to 8",
        ),
        (
            "/config_groups/group_0/weights/num_bits",
            json!(-4),
            "a whole number, not negative",
        ),
        (
            "/config_groups/group_0/weights/num_bits",
            json!(4.5),
            "a whole number, not negative",
        ),
        (
            "/config_groups/group_0/weights/type",
            json!("uint"),
            "int or float",
        ),
        (
            "/config_groups/group_0/weights/symmetric",
            json!("yes"),
            "true or false",
        ),
        (
            "/config_groups/group_0/weights/strategy",
            json!("tensor_group"),
            "tensor, channel, group or block",
        ),
        (
            "/config_groups/group_0/weights/strategy",
            json!("block"),
            "a list of whole numbers",
        ),
        (
            "/config_groups/group_0/weights/group_size",
            json!(0),
            "at least 1",
        ),
        (
            "/config_groups/group_0/weights/group_size",
            json!(null),
            "a whole number, not negative",
        ),
        (
            "/config_groups/group_0/weights/dynamic",
            json!(true),
            "false for weights",
        ),
    ] {
        let mut wrong = settings();
        *wrong.pointer_mut(place).unwrap() = value.clone();
        let key = match (place.rsplit('/').next(), must) {
            (_, "a list of whole numbers") => format!("{weights}.block_structure"),
            _ => place[1..].replace('/', "."),
        };
        let given = if must == "a list of whole numbers" {
            "null".to_owned()
        } else {
            value.to_string()
        };
        let right = format!("quantization_config.{key} is {given}, must be {must}");
        assert_eq!(text(config(&wrong)), right, "{place}");
    }
    for (key, value, right) in [
        (
            "transform_config",
            json!({ "config_groups": { "u": {} } }),
            "transform_config is {\"config_groups\":{\"u\":{}}}, must be empty: weights that were transformed are not read",
        ),
        (
            "sparsity_config",
            json!({ "format": "sparse-24-bitmask" }),
            "sparsity_config.format is \"sparse-24-bitmask\", must be dense: sparse layouts are not read",
        ),
    ] {
        let mut wrong = settings();
        wrong[key] = value;
        assert_eq!(text(config(&wrong)), format!("quantization_config.{right}"));
        wrong[key] = json!({});
        assert!(config(&wrong).is_ok());
    }
    let mut mixed = settings();
    mixed["format"] = json!("mixed-precision");
    assert_eq!(config(&mixed).unwrap().groups()[0].layout(), PackQuantized);
    mixed["config_groups"]["group_0"]["format"] = json!("mxfp4-pack-quantized");
    assert_eq!(
        text(config(&mixed)),
        format!(
            "quantization_config.config_groups.group_0.format is \"mxfp4-pack-quantized\", must be {of_group}"
        )
    );
    assert_eq!(
        text(CompressedConfig::from_json(&json!({}))),
        "quantization_config is missing, must be an object"
    );
    assert_eq!(
        text(right.write_into(json!([1]))),
        "config is [1], must be an object"
    );
}

/// All places of a value.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    if let Some(object) = value.as_object() {
        for (key, inside) in object {
            places(inside, &format!("{at}/{key}"), all);
        }
    }
}

#[test]
fn no_config_is_a_panic() {
    let mut all = Vec::new();
    places(&settings(), "", &mut all);
    let long = "x".repeat(100_000);
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(long),
        json!([]),
        json!([[]]),
        json!({}),
        json!([u64::MAX, u64::MAX]),
        json!("block"),
        json!("tensor"),
        json!("channel"),
        json!("float"),
    ];
    for place in &all {
        for value in &odd {
            let mut wrong = settings();
            *wrong.pointer_mut(place).unwrap() = value.clone();
            if let Err(error) = config(&wrong) {
                assert!(error.to_string().len() < 600, "{error}");
            }
        }
    }
    assert!(all.len() > 15, "{all:?}");
}

/// A module of each kind, its parts, and its config.
fn modules() -> Vec<(
    CompressedLayout,
    CompressedWeights,
    Vec<(String, StoredTensor)>,
)> {
    let affine = Scheme::affine(4).unwrap();
    let float = Scheme::float(Minifloat::E4M3);
    [
        (PackQuantized, affine, groups(4)),
        (PackQuantized, symmetric(4), ROWS),
        (IntQuantized, affine, ROWS),
        (NaiveQuantized, symmetric(8), Granularity::PerTensor),
        (FloatQuantized, float, ROWS),
    ]
    .into_iter()
    .map(|(layout, scheme, granularity)| {
        let weights = weights(scheme, granularity);
        let q = tensor(scheme, granularity);
        (
            layout,
            weights,
            layout.encode("m", &q, weights, DType::F16).unwrap(),
        )
    })
    .collect()
}

fn opened(
    layout: CompressedLayout,
    weights: CompressedWeights,
    parts: Vec<(String, StoredTensor)>,
) -> (Result<QuantizedTensor>, Result<Decompressed<TensorMap>>) {
    let source = TensorMap::new(parts).unwrap();
    let group = CompressedGroup::new(["Linear"], layout, weights).unwrap();
    let config = CompressedConfig::new([group], [] as [&str; 0]);
    (
        layout.read(&source, "m", weights),
        Decompressed::new(source, config),
    )
}

#[test]
fn parts_that_are_missing_or_of_another_kind_are_refused() {
    let mut cases = 0;
    for (layout, weights, parts) in modules() {
        let (read, model) = opened(layout, weights, parts.clone());
        assert!(read.is_ok() && model.is_ok());
        for number in 0..parts.len() {
            let (name, part) = &parts[number];
            let mut without = parts.clone();
            without.remove(number);
            let (read, model) = opened(layout, weights, without);
            assert_eq!(text(read), format!("there is no tensor {name:?}"));
            // A float beside no scale is a byte that nobody knows; without codes, nothing is left to decode.
            assert_eq!(
                model.is_ok(),
                name == "m.weight_scale" && layout != PackQuantized && weights.is_symmetric(),
                "{layout} {name}"
            );

            // One more of each length, one axis more, none.
            let shape = part.shape().to_vec();
            let whole = weights.granularity() == Granularity::PerTensor;
            for axis in 0..=shape.len() + 1 {
                let mut wrong = shape.clone();
                match wrong.get_mut(axis) {
                    Some(length) => *length += 1,
                    None if axis == shape.len() => wrong.push(1),
                    None => wrong = vec![0],
                }
                let info = TensorInfo::new("", part.dtype(), wrong.clone());
                let bytes = vec![0; info.bytes().unwrap()];
                let mut changed = parts.clone();
                changed[number].1 = StoredTensor::new(part.dtype(), wrong, bytes).unwrap();
                let (read, model) = opened(layout, weights, changed);
                // Codes of a byte are of any shape that the scales are for.
                if name == "m.weight" && (axis == 1 || axis == 0 && whole) {
                    assert!(read.is_ok() && model.is_ok());
                    continue;
                }
                let (read, model) = (text(read), text(model));
                assert!(
                    read.contains("shape is") || read.contains("axes"),
                    "{name}: {read}"
                );
                // Bytes do not tell by which of its names a layout is called.
                let read = read
                    .replace("int-q", "naive-q")
                    .replace("float-q", "naive-q");
                assert_eq!(read, model);
                cases += 1;
            }
            let others = [
                DType::U8,
                DType::I16,
                DType::F32,
                DType::F64,
                DType::F8E5M2,
                DType::Bool,
            ];
            for dtype in others {
                let info = TensorInfo::new("", dtype, shape.clone());
                let bytes = vec![0; info.bytes().unwrap()];
                let mut changed = parts.clone();
                changed[number].1 = StoredTensor::new(dtype, shape.clone(), bytes).unwrap();
                let (read, model) = opened(layout, weights, changed);
                let read = text(read);
                // A scale may be an f32, but not 0.
                if name == "m.weight_scale" && dtype == DType::F32 {
                    let right = "tensor \"m.weight_scale\": scale 0 ";
                    assert!(read.starts_with(right), "{read}");
                    continue;
                }
                let right = format!("tensor {name:?}: elements are of type {dtype}, needed is ");
                assert!(read.starts_with(&right), "{read}");
                // Floats beside a scale are weights that are no codes yet.
                if name == "m.weight" && dtype.is_float() {
                    assert!(model.is_ok());
                } else {
                    assert_eq!(text(model), read);
                }
                cases += 1;
            }
        }
    }
    assert!(cases > 100, "{cases}");
}

/// A source that only says what it has, and counts what is read of it: zeros, but for one tensor.
#[derive(Debug)]
struct Claims {
    infos: Vec<TensorInfo>,
    shape: Vec<u8>,
    read: AtomicUsize,
}

impl TensorSource for Claims {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        self.read.fetch_add(bytes.len(), Ordering::Relaxed);
        if self.infos[tensor].name == "m.weight_shape" {
            bytes.copy_from_slice(&self.shape[from..from + bytes.len()]);
        }
        Ok(())
    }
}

#[test]
fn lying_lengths_are_refused_before_anything_large_is_made() {
    let huge = 1 << 40;
    let asymmetric = weights(Scheme::affine(4).unwrap(), groups(8));
    let long = i64::MAX;
    for (shape, packed, why) in [
        ([4, 8], vec![4, 2], "shape is [4, 2], needed is [4, 1]"),
        ([4, 16], vec![4, 1], "shape is [4, 1], needed is [4, 2]"),
        ([5, 8], vec![4, 1], "shape is [4, 1], needed is [5, 1]"),
        ([4, 8], vec![huge, 1], "needed is [4, 1]"),
        ([1 << 40, 8], vec![4, 1], "needed is [1099511627776, 1]"),
        ([4, 1 << 40], vec![4, 1], "needed is [4, 137438953472]"),
        (
            [4, -8],
            vec![4, 1],
            "cannot hold the length -8: lengths that are not negative",
        ),
        (
            [long, long],
            vec![4, 1],
            "more elements than can be counted",
        ),
        ([long, 0], vec![4, 1], "needed is [9223372036854775807, 0]"),
        ([1 << 40, 8], vec![huge, 1], "needed is [1099511627776, 1]"),
    ] {
        let source = Claims {
            infos: vec![
                TensorInfo::new("m.weight_packed", DType::I32, packed),
                TensorInfo::new("m.weight_scale", DType::F16, [4, 1]),
                TensorInfo::new("m.weight_zero_point", DType::I32, [1, 1]),
                TensorInfo::new("m.weight_shape", DType::I64, [2]),
            ],
            shape: shape
                .iter()
                .flat_map(|&length: &i64| length.to_le_bytes())
                .collect(),
            read: AtomicUsize::new(0),
        };
        let error = text(PackQuantized.read(&source, "m", asymmetric));
        assert!(error.contains(why), "{shape:?}: {error}");
        assert_eq!(source.read.load(Ordering::Relaxed), 16, "{shape:?}");
    }
    // Nothing at all, in very many rows.
    let source = Claims {
        infos: vec![
            TensorInfo::new("m.weight_packed", DType::I32, [huge, 0]),
            TensorInfo::new("m.weight_scale", DType::F16, [huge, 0]),
            TensorInfo::new("m.weight_zero_point", DType::I32, [huge / 8, 0]),
            TensorInfo::new("m.weight_shape", DType::I64, [2]),
        ],
        shape: [huge as u64, 0]
            .iter()
            .flat_map(|length| length.to_le_bytes())
            .collect(),
        read: AtomicUsize::new(0),
    };
    let q = PackQuantized.read(&source, "m", asymmetric).unwrap();
    assert_eq!((q.shape(), q.len()), (&[huge, 0][..], 0));
}

#[test]
fn values_that_are_none_are_refused() {
    let changed = |module: usize, part: usize, bytes: Vec<u8>| {
        let (layout, weights, mut parts) = modules().swap_remove(module);
        let (dtype, shape) = (parts[part].1.dtype(), parts[part].1.shape().to_vec());
        parts[part].1 = StoredTensor::new(dtype, shape, bytes).unwrap();
        let (read, model) = opened(layout, weights, parts);
        let read = text(read);
        let error = text(model.unwrap().tensor("m.weight"));
        assert_eq!(read, error);
        read
    };
    // f16: the second scale 0, −1, infinite, NaN.
    for bits in [0_u16, 0xBC00, 0x7C00, 0x7E00] {
        let scales: Vec<u8> = [0x3C00, bits, 0x3C00]
            .iter()
            .flat_map(|bits: &u16| bits.to_le_bytes())
            .collect();
        let error = changed(1, 1, scales);
        assert!(
            error.contains("m.weight_scale") && error.contains("scale 1 "),
            "{error}"
        );
    }
    // A code of four bits in a byte, and a zero point.
    let mut codes = vec![0; 24];
    codes[13] = 8;
    let error = changed(2, 0, codes);
    assert_eq!(
        error,
        "tensor \"m.weight\": code [1, 5] must lie in -8..=7, got 8"
    );
    let error = changed(2, 2, vec![0, 0xF0, 0]);
    assert!(
        error.contains("m.weight_zero_point")
            && error.contains("zero point [1] must lie in -8..=7, got -16"),
        "{error}"
    );
    // NaN.
    let mut codes = vec![0; 24];
    codes[23] = 0x7F;
    let error = changed(4, 0, codes);
    assert!(
        error.contains("m.weight") && error.contains("[2, 7] is NaN"),
        "{error}"
    );
}

#[test]
fn what_else_a_module_has_is_kept_or_refused() {
    let (layout, weights, parts) = modules().swap_remove(1);
    let floats = StoredTensor::of_floats(&array![1.0_f32, 2.0, 3.0], DType::F16).unwrap();
    let with = |name: &str, tensor: &StoredTensor| {
        let mut all = parts.clone();
        all.push((name.to_owned(), tensor.clone()));
        opened(layout, weights, all).1
    };
    for name in ["m.bias", "m.input_scale", "n.weight", "weight", "m.weights"] {
        let model = with(name, &floats).unwrap();
        assert_eq!(model.tensor(name).unwrap(), floats);
        assert!(model.quantized(name).unwrap().is_none());
        assert_eq!(model.infos().len(), 2);
    }
    assert!(matches!(
        with("m.weight", &floats),
        Err(Error::NameRepeated { .. })
    ));
    for name in ["m.weight_g_idx", "m.weight_global_scale"] {
        let error = text(with(name, &floats));
        assert!(
            error.contains("codes, scales, zero points and a shape"),
            "{error}"
        );
    }
    let error = text(with("m.weight_zero_point", &floats));
    assert!(
        error.contains("zero points only where weights are not symmetric"),
        "{error}"
    );
    assert_eq!(
        text(with("n.weight_scale", &floats)),
        "there is no tensor \"n.weight\""
    );
    assert_eq!(
        text(with("n.weight_shape", &floats)),
        "there is no tensor \"n.weight_packed\""
    );
    let model = with("m.bias", &floats).unwrap();
    assert_eq!(
        text(model.quantized("n.weight")),
        "there is no tensor \"n.weight\""
    );
    assert!(model.read_bytes(0, 40, &mut [0; 9]).is_err());
    assert!(model.read_bytes(0, usize::MAX, &mut [0; 9]).is_err());
    assert!(model.read_bytes(2, 0, &mut [0; 1]).is_err());

    // Weights that were rounded and are floats still: as they are.
    let weight = StoredTensor::of_floats(&Array2::<f32>::ones((3, 1)), DType::F16).unwrap();
    let names = ["n.weight", "n.weight_scale", "n.weight_zero_point"];
    let source = TensorMap::new(names.map(|name| (name.to_owned(), weight.clone()))).unwrap();
    let model = Decompressed::new(source, config(&settings()).unwrap()).unwrap();
    assert_eq!(model.infos().len(), 3);
}

#[test]
fn tensors_tell_which_group_a_module_is_in() {
    let group = |target: &str, scheme, granularity| {
        CompressedGroup::new([target], PackQuantized, weights(scheme, granularity)).unwrap()
    };
    let none = [] as [&str; 0];
    let (four, five) = (symmetric(4), symmetric(5));
    let source = || TensorMap::new(modules().swap_remove(1).2).unwrap();
    let quantized = |groups: Vec<CompressedGroup>| {
        let model = Decompressed::new(source(), CompressedConfig::new(groups, none))?;
        Ok::<_, Error>(model.quantized("m.weight")?.unwrap().scheme().bits())
    };
    // Eight codes of four bits are a word; of five, two.
    let both = || vec![group("re:.*", five, ROWS), group("Linear", four, ROWS)];
    assert_eq!(quantized(both()).unwrap(), 4);
    // A group of all eight is a row.
    let rows = vec![group("re:.*", four, groups(8)), group("Linear", four, ROWS)];
    assert_eq!(quantized(rows).unwrap(), 4);
    // Of three they are a word as well, so that only a name tells.
    let three = symmetric(3);
    let either = vec![group("Linear", three, ROWS), group("re:.*", four, ROWS)];
    assert_eq!(
        text(quantized(either)),
        "quantization_config.config_groups is several groups that the tensors of m fit, must be groups that tensors tell apart, or that name the module"
    );
    let named = vec![group("Linear", three, ROWS), group("m", four, ROWS)];
    assert_eq!(quantized(named).unwrap(), 4);
    assert_eq!(
        text(quantized(Vec::new())),
        "quantization_config.config_groups is no group for the quantized weight of m, must be groups with weights"
    );
    let error = text(quantized(vec![group("Linear", five, ROWS)]));
    assert!(
        error.contains("shape is [3, 1], needed is [3, 2]"),
        "{error}"
    );
}

#[test]
fn many_rows_are_decoded_in_parts() {
    // More values than are decoded at a time, in blocks of rows and with zero points that lie across words.
    let shape = (4100, 48);
    let block = Granularity::PerBlock(BlockShape::new(&[7, 20]).unwrap());
    for (layout, scheme, granularity) in [
        (PackQuantized, Scheme::affine(3).unwrap(), groups(16)),
        (NaiveQuantized, Scheme::affine(8).unwrap(), block),
        (PackQuantized, symmetric(4), Granularity::PerTensor),
    ] {
        let codes = Array2::from_shape_fn(shape, |(i, j)| ((i * 31 + j * 7) % 7) as i32 - 3);
        let count = granularity.scales(&[shape.0, shape.1]).unwrap();
        let scales = (0..count)
            .map(|place| (place % 200 + 1) as f32 / 256.0)
            .collect();
        let mut parameters = Parameters::new(scheme, granularity, scales);
        if scheme.has_zero_points() {
            let zeros = (0..count).map(|place| (place % 5) as i32 - 2).collect();
            parameters = parameters.with_zero_points(zeros);
        }
        let q = QuantizedTensor::from_codes(&codes, parameters).unwrap();
        let weights = CompressedWeights::of(&q).unwrap();
        let stored = layout.encode("m", &q, weights, DType::Bf16).unwrap();
        let (read, model) = opened(layout, weights, stored);
        let model = model.unwrap();
        assert_eq!(read.unwrap().codes(), q.codes());
        let right = StoredTensor::of_floats(&q.dequantize::<f32>(), DType::Bf16).unwrap();
        assert_eq!(model.tensor("m.weight").unwrap(), right);
        let mut values = Array1::<f32>::zeros(shape.0 * shape.1);
        let mut take = |from: usize, block: &[f32]| {
            for (to, value) in values.iter_mut().skip(from).zip(block) {
                *to = *value;
            }
            Ok(())
        };
        model.float_blocks("m.weight", 10_007, &mut take).unwrap();
        assert!(values.iter().eq(&right.floats::<f32>().unwrap()));
    }
}
