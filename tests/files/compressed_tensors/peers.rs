//! Whole models, written for compressed-tensors and transformers, which read them where a Python is named that has them.

use crate::folder::Folder;
use ndarray::{Array1, Array2, ArrayD, Axis};
use rarefy::formats::{
    Checkpoint, CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights,
    Decompressed, SafetensorsWriter,
};
use rarefy::prelude::*;
use rarefy::quantize::{
    BlockShape, Float8, Granularity, Linear, Minifloat, Parameters, QuantizedTensor, Scheme,
};
use rarefy::tensors::{DType, StoredTensor, TensorSource, TensorSourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const HIDDEN: usize = 64;
const INNER: usize = 96;
const WORDS: usize = 40;
const GROUPS: Granularity = Granularity::PerGroup {
    axis: Axis(1),
    size: 32,
};
const ROWS: Granularity = Granularity::PerChannel(Axis(0));

/// A way to write a linear layer.
#[derive(Clone, Copy, Debug)]
struct Way {
    layout: CompressedLayout,
    scheme: Scheme,
    granularity: Granularity,
}

/// A model: its name, the type of floats, and what becomes of linear layers, by the end of their names.
struct Model {
    name: &'static str,
    dtype: DType,
    ways: Vec<(&'static str, Way)>,
    /// Whether the config names modules one by one, and no class and no pattern.
    named: bool,
}

fn way(layout: &str, scheme: Scheme, granularity: Granularity) -> Way {
    Way {
        layout: CompressedLayout::named(layout).unwrap(),
        scheme,
        granularity,
    }
}

fn models() -> Vec<Model> {
    let whole = |name, dtype, way| Model {
        name,
        dtype,
        ways: vec![("", way)],
        named: false,
    };
    let (pack, int, naive) = ("pack-quantized", "int-quantized", "naive-quantized");
    let symmetric = |bits| Scheme::symmetric(bits).unwrap();
    let float = Scheme::float(Minifloat::E4M3);
    let block = Granularity::PerBlock(BlockShape::new(&[16, 32]).unwrap());
    let affine = Scheme::affine(4).unwrap();
    let mut models = vec![
        whole(
            "pack-4-group-bf16",
            DType::Bf16,
            way(pack, symmetric(4), GROUPS),
        ),
        whole(
            "pack-4-channel-f16",
            DType::F16,
            way(pack, symmetric(4), ROWS),
        ),
        whole(
            "pack-8-group-f32",
            DType::F32,
            way(pack, symmetric(8), GROUPS),
        ),
        whole(
            "pack-8-channel-bf16",
            DType::Bf16,
            way(pack, symmetric(8), ROWS),
        ),
        whole(
            "pack-3-group-bf16",
            DType::Bf16,
            way(pack, symmetric(3), GROUPS),
        ),
        whole(
            "pack-4-tensor-f32",
            DType::F32,
            way(pack, symmetric(4), Granularity::PerTensor),
        ),
        whole(
            "pack-4-group-asymmetric-bf16",
            DType::Bf16,
            way(pack, affine, GROUPS),
        ),
        whole(
            "pack-4-channel-asymmetric-f32",
            DType::F32,
            way(pack, affine, ROWS),
        ),
        whole(
            "int-8-channel-bf16",
            DType::Bf16,
            way(int, symmetric(8), ROWS),
        ),
        whole(
            "int-8-tensor-f32",
            DType::F32,
            way(int, symmetric(8), Granularity::PerTensor),
        ),
        whole(
            "naive-8-channel-f16",
            DType::F16,
            way(naive, symmetric(8), ROWS),
        ),
        whole(
            "float-channel-bf16",
            DType::Bf16,
            way("float-quantized", float, ROWS),
        ),
        whole(
            "float-tensor-f32",
            DType::F32,
            way("float-quantized", float, Granularity::PerTensor),
        ),
        whole(
            "float-block-bf16",
            DType::Bf16,
            way("float-quantized", float, block),
        ),
        whole(
            "naive-float-channel-f32",
            DType::F32,
            way(naive, float, ROWS),
        ),
    ];
    let mixed = |name, named| Model {
        name,
        dtype: DType::Bf16,
        ways: vec![
            ("down_proj", way(pack, symmetric(8), ROWS)),
            ("o_proj", way("float-quantized", float, ROWS)),
            ("v_proj", way(int, symmetric(8), ROWS)),
            ("", way(pack, symmetric(4), GROUPS)),
        ],
        named,
    };
    models.extend([mixed("mixed-bf16", false), mixed("mixed-named-bf16", true)]);
    let mut named = whole(
        "pack-4-group-named-bf16",
        DType::Bf16,
        way(pack, symmetric(4), GROUPS),
    );
    named.named = true;
    models.push(named);
    models
}

/// Numbers like weights, always the same for the same name.
fn numbers(name: &str, count: usize) -> Vec<f32> {
    let mut state = name.bytes().fold(7_u64, |state, byte| {
        state.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte)
    });
    let mut next = || {
        state = state
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count)
        .map(|_| (next() + next() + next()) * 0.2)
        .collect()
}

/// All tensors of a Llama of two layers; linear layers that are quantized first of their pair.
fn tensors() -> Vec<(String, Vec<usize>, bool)> {
    let mut all = vec![
        (
            "model.embed_tokens.weight".to_owned(),
            vec![WORDS, HIDDEN],
            false,
        ),
        ("model.norm.weight".to_owned(), vec![HIDDEN], false),
        ("lm_head.weight".to_owned(), vec![WORDS, HIDDEN], false),
    ];
    for layer in 0..2 {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            all.push((name(norm), vec![HIDDEN], false));
        }
        for (linear, rows, columns) in [
            ("self_attn.q_proj", HIDDEN, HIDDEN),
            ("self_attn.k_proj", HIDDEN / 2, HIDDEN),
            ("self_attn.v_proj", HIDDEN / 2, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN),
            ("mlp.gate_proj", INNER, HIDDEN),
            ("mlp.up_proj", INNER, HIDDEN),
            ("mlp.down_proj", HIDDEN, INNER),
        ] {
            all.push((name(linear), vec![rows, columns], true));
        }
    }
    all
}

fn quantized(name: &str, shape: &[usize], way: Way, dtype: DType) -> QuantizedTensor {
    let values = numbers(name, shape.iter().product());
    let weight = Array2::from_shape_vec((shape[0], shape[1]), values).unwrap();
    // Scales first as their type has them, then codes for these.
    let rounded = |parameters: &Parameters| {
        let scales = Array1::from(parameters.scales().to_vec());
        let scales: ArrayD<f32> = StoredTensor::of_floats(&scales, dtype)
            .unwrap()
            .floats()
            .unwrap();
        let scales = scales.into_raw_vec_and_offset().0;
        let new = Parameters::new(way.scheme, way.granularity, scales);
        if way.scheme.has_zero_points() {
            new.with_zero_points(parameters.zero_points().to_vec())
        } else {
            new
        }
    };
    if way.scheme.minifloat().is_some() {
        let method = Float8::e4m3().granularity(way.granularity);
        let found = method.quantize(&weight).unwrap();
        return method
            .quantize_with(&weight, &rounded(found.parameters()))
            .unwrap();
    }
    let mut method = Linear::new(way.scheme.bits()).granularity(way.granularity);
    if way.scheme.has_zero_points() {
        method = method.affine();
    }
    let found = method.quantize(&weight).unwrap();
    method
        .quantize_with(&weight, &rounded(found.parameters()))
        .unwrap()
}

fn config(model: &Model) -> Value {
    let llama = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": HIDDEN / 4,
        "vocab_size": WORDS,
        "max_position_embeddings": 64,
        "tie_word_embeddings": false,
        "dtype": match model.dtype {
            DType::F16 => "float16",
            DType::Bf16 => "bfloat16",
            _ => "float32",
        },
    });
    let module = |name: &str| name.strip_suffix(".weight").unwrap().to_owned();
    let groups = model.ways.iter().map(|&(end, way)| {
        let targets = match end {
            _ if model.named => {
                let ours = |name: &str| {
                    model
                        .ways
                        .iter()
                        .find(|(end, _)| name.ends_with(end))
                        .unwrap()
                        .0
                        == end
                };
                let linear = tensors().into_iter().filter(|(_, _, linear)| *linear);
                linear
                    .map(|(name, _, _)| module(&name))
                    .filter(|name| ours(name))
                    .collect()
            }
            "" => vec!["Linear".to_owned()],
            end => vec![format!("re:.*{end}$")],
        };
        let weights = CompressedWeights::new(way.scheme, way.granularity).unwrap();
        CompressedGroup::new(targets, way.layout, weights).unwrap()
    });
    CompressedConfig::new(groups, ["lm_head"])
        .write_into(llama)
        .unwrap()
}

fn write(model: &Model, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let config = serde_json::to_vec_pretty(&config(model)).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
    let mut infos = Vec::new();
    let mut stored: Vec<(String, StoredTensor)> = Vec::new();
    for (name, shape, linear) in tensors() {
        let module = name.strip_suffix(".weight").unwrap();
        if linear {
            let (_, way) = *model
                .ways
                .iter()
                .find(|(end, _)| module.ends_with(end))
                .unwrap();
            let weights = CompressedWeights::new(way.scheme, way.granularity).unwrap();
            infos.extend(
                way.layout
                    .infos(module, &shape, weights, model.dtype)
                    .unwrap(),
            );
            let q = quantized(&name, &shape, way, model.dtype);
            stored.extend(way.layout.encode(module, &q, weights, model.dtype).unwrap());
        } else {
            let values = numbers(&name, shape.iter().product());
            let values = ArrayD::from_shape_vec(shape.clone(), values).unwrap();
            // Norms are around 1.
            let values = if shape.len() == 1 {
                values + 1.0
            } else {
                values
            };
            infos.push(rarefy::tensors::TensorInfo::new(&*name, model.dtype, shape));
            stored.push((name, StoredTensor::of_floats(&values, model.dtype).unwrap()));
        }
    }
    let path = folder.join("model.safetensors");
    let mut writer = SafetensorsWriter::create(path, infos, BTreeMap::new()).unwrap();
    for (name, tensor) in stored {
        writer.write(&name, &tensor).unwrap();
    }
    writer.finish().unwrap();
}

/// What we decode, as a file.
fn dump(folder: &Path) {
    let config = CompressedConfig::open(folder.join("config.json")).unwrap();
    let checkpoint = Checkpoint::open(folder.join("model.safetensors")).unwrap();
    let model = Decompressed::new(checkpoint, config).unwrap();
    let path = folder.join("dense.safetensors");
    let infos = model.infos().to_vec();
    let mut writer = SafetensorsWriter::create(path, infos.clone(), BTreeMap::new()).unwrap();
    for info in infos {
        writer
            .write(&info.name, &model.tensor(&info.name).unwrap())
            .unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn whole_models_are_read_by_peers() {
    let folder = Folder::made("compressed-peers");
    for model in models() {
        let at = folder.0.join(model.name);
        write(&model, &at);
        let read = Decompressed::open(&at).unwrap();
        assert_eq!(read.infos().len(), tensors().len(), "{}", model.name);
        for (name, shape, linear) in tensors() {
            let info = read.info(&name).unwrap();
            assert_eq!((info.dtype, &info.shape), (model.dtype, &shape), "{name}");
            let (_, way) = *model
                .ways
                .iter()
                .find(|(end, _)| name.contains(end))
                .unwrap();
            if linear {
                let right = quantized(&name, &shape, way, model.dtype);
                let q = read.quantized(&name).unwrap().unwrap();
                assert_eq!(
                    (q.codes(), q.scales()),
                    (right.codes(), right.scales()),
                    "{name}"
                );
            }
        }
        drop(read);
        dump(&at);
    }
    let Some(python) = std::env::var_os("RAREFY_PEERS_PYTHON") else {
        println!(
            "not run: RAREFY_PEERS_PYTHON names no Python with compressed-tensors and transformers"
        );
        return;
    };
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/read_compressed_tensors.py"
    );
    let folders = models().into_iter().map(|model| folder.0.join(model.name));
    let run = Command::new(python)
        .arg("-P")
        .arg(script)
        .args(folders)
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&run.stdout));
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
}
