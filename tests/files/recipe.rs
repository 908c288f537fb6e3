//! Recipes: what becomes of each tensor, in files and parts of any size, and what goes wrong by name.

use crate::folder::Folder;
use ndarray::{Array1, Array2, ArrayD, Axis, Ix2};
use rarefy::Float;
use rarefy::formats::{
    Checkpoint, CompressedLayout, Decompressed, GgufFile, GgufValue, KeptWeights, open_model,
};
use rarefy::prune::{Global, Layer, Magnitude, PrunerExt, SemiStructured, Unstructured};
use rarefy::quantize::{BlockFormat, BlockTensor, Linear, QuantizerExt};
use rarefy::recipe::{
    GgufOutput, Job, Output, Pruning, Quantization, Range, Recipe, Rule, Shard, Sharing,
};
use rarefy::tensors::{DType, StoredTensor, TensorMap, TensorSource, TensorSourceExt};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

/// Numbers without a pattern, many of them equal, some zero.
fn matrix(seed: usize, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let x = (i * 7919 + j * 104_729 + seed * 31) % 1009;
        (x as f32 - 504.0) / 64.0
    })
}

fn model() -> TensorMap {
    let mut model = TensorMap::default();
    let mut add = |name: &str, weights: &Array2<f32>, dtype| {
        model
            .insert(name, StoredTensor::of_floats(weights, dtype).unwrap())
            .unwrap();
    };
    add("embeddings.weight", &matrix(1, 40, 64), DType::F32);
    add("layers.0.q.weight", &matrix(2, 64, 64), DType::F32);
    add("layers.0.k.weight", &matrix(3, 32, 64), DType::Bf16);
    add("layers.1.q.weight", &matrix(4, 64, 128), DType::F16);
    add("layers.1.k.weight", &matrix(5, 8, 64), DType::F64);
    // Bits that no arithmetic would keep.
    let odd = Array1::from_vec(vec![f32::from_bits(0x7FC0_1234), f32::NEG_INFINITY, -0.0]);
    model
        .insert("layers.0.q.bias", StoredTensor::of(&odd))
        .unwrap();
    let counts = Array1::from_vec(vec![1_i64, -2]);
    model
        .insert("layers.0.steps", StoredTensor::of(&counts))
        .unwrap();
    model
}

fn go_on(_: rarefy::recipe::Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn run(recipe: &Recipe, folder: &Path) -> (rarefy::recipe::Done, Checkpoint) {
    let model = model();
    let done = Job::new(&model, recipe)
        .unwrap()
        .run(folder, go_on)
        .unwrap();
    (done, Checkpoint::open(folder).unwrap())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "tests make a rule for each call"
)]
fn layers(rule: Rule) -> Recipe {
    Recipe::new(vec![Rule {
        names: vec!["layers.*.weight".into()],
        ..rule
    }])
}

const DECIDED: [&str; 4] = [
    "layers.0.q.weight",
    "layers.0.k.weight",
    "layers.1.q.weight",
    "layers.1.k.weight",
];

fn int8() -> Quantization {
    Quantization::Linear {
        bits: 8,
        affine: false,
        sharing: Sharing::Channel,
        range: Range::MinMax,
        scales: Some(DType::F32),
    }
}

#[test]
fn what_no_rule_changes_keeps_its_bits() {
    let folder = Folder::new("recipe-same");
    let recipe = layers(Rule::default().prune(Pruning::Magnitude(0.5)));
    let (done, written) = run(&recipe, folder.path());
    for name in ["embeddings.weight", "layers.0.q.bias", "layers.0.steps"] {
        assert_eq!(
            written.tensor(name).unwrap(),
            *model().get(name).unwrap(),
            "{name}"
        );
    }
    assert_eq!(written.infos().len(), model().len());
    assert_eq!(done.report.tensors().len(), 4);
    assert_eq!(done.bytes_before, done.bytes_after);
    assert!(done.unused_rules.is_empty());
}

#[test]
fn pruning_is_that_of_the_verb() {
    for pruning in [
        Pruning::Magnitude(0.3),
        Pruning::SemiStructured { keep: 2, of: 4 },
    ] {
        let folder = Folder::new("recipe-prune");
        let (_, written) = run(&layers(Rule::default().prune(pruning)), folder.path());
        for name in DECIDED {
            let mut right: ArrayD<f32> = model().floats(name).unwrap();
            match pruning {
                Pruning::Magnitude(share) => Unstructured::new(Magnitude, share).prune(&mut *right),
                _ => SemiStructured::new(Magnitude, 2, 4, Axis(1)).prune(&mut *right),
            }
            .unwrap();
            assert_eq!(
                written.floats::<f32>(name).unwrap(),
                right,
                "{name} {pruning:?}"
            );
        }
    }
}

#[test]
fn global_pruning_is_that_of_all_tensors_in_memory() {
    for share in [0.0, 0.1, 0.5, 0.777, 1.0] {
        for wide in [true, false] {
            let model = model();
            let names = if wide { &DECIDED[..] } else { &DECIDED[..3] };
            let mut rule = Rule::default().prune(Pruning::Global(share));
            rule.names = names.iter().map(|&name| name.to_owned()).collect();
            let arrays: Vec<ArrayD<f64>> = names
                .iter()
                .map(|name| model.floats(name).unwrap())
                .collect();
            let layers: Vec<_> = names
                .iter()
                .zip(&arrays)
                .map(|(name, array)| Layer::new(name, array))
                .collect();
            let right = Global::new(share).masks(&layers).unwrap();
            for output in [Output::Dense, Output::Kept] {
                let folder = Folder::new("recipe-global");
                let recipe = Recipe::new(vec![rule.clone()]).output(output.clone());
                let done = Job::new(&model, &recipe)
                    .unwrap()
                    .run(folder.path(), go_on)
                    .unwrap();
                assert_eq!(done.report.tensors().len(), names.len());
                let written = Checkpoint::open(folder.path()).unwrap();
                for ((name, array), mask) in names.iter().zip(&arrays).zip(&right.masks) {
                    let mut pruned = array.clone();
                    mask.apply(&mut pruned).unwrap();
                    let back = if output == Output::Kept {
                        let kept = KeptWeights::read(&written, name).unwrap();
                        assert_eq!(kept.mask(), mask, "{name} at {share}");
                        kept.weights::<f64>().unwrap()
                    } else {
                        written.floats::<f64>(name).unwrap()
                    };
                    assert_eq!(back, pruned, "{name} at {share}");
                }
            }
        }
    }
}

/// What codes of eight bits mean, in this type.
fn coded<F: Float>(name: &str, dtype: DType) -> StoredTensor {
    let weights: ArrayD<F> = model().floats(name).unwrap();
    let codes = Linear::new(8)
        .per_channel(Axis(0))
        .quantize(&weights)
        .unwrap();
    StoredTensor::of_floats(&codes.dequantize::<F>(), dtype).unwrap()
}

#[test]
fn dense_output_is_what_codes_mean() {
    let folder = Folder::new("recipe-dense");
    let (done, written) = run(&layers(Rule::default().quantize(int8())), folder.path());
    for name in DECIDED {
        let dtype = model().get(name).unwrap().dtype();
        let right = if dtype == DType::F64 {
            coded::<f64>(name, dtype)
        } else {
            coded::<f32>(name, dtype)
        };
        assert_eq!(written.tensor(name).unwrap(), right, "{name}");
        let row = done
            .report
            .tensors()
            .iter()
            .find(|row| row.name() == name)
            .unwrap();
        assert!(
            row.sqnr_db() > 40.0 && row.cosine() > 0.9999,
            "{name} {}",
            row.sqnr_db()
        );
    }
    let folder = Folder::new("recipe-blocks");
    let rule = Rule::default().quantize(Quantization::Blocks(BlockFormat::Q8_0));
    let (_, written) = run(&layers(rule), folder.path());
    let weights: ArrayD<f32> = model().floats(DECIDED[0]).unwrap();
    let right = BlockTensor::encode(&weights, BlockFormat::Q8_0)
        .unwrap()
        .dequantize::<f32>();
    assert_eq!(written.floats::<f32>(DECIDED[0]).unwrap(), right);
}

#[test]
fn codes_of_compressed_tensors_come_back() {
    let model = model();
    let linear = |bits, affine, sharing, range| Quantization::Linear {
        bits,
        affine,
        sharing,
        range,
        scales: None,
    };
    let four = linear(4, true, Sharing::Group(32), Range::ErrorSearch);
    let eight = linear(8, false, Sharing::Channel, Range::MinMax);
    let float8 = Quantization::Float8 {
        sharing: Sharing::Channel,
        scales: None,
    };
    for (layout, how) in [
        (CompressedLayout::PackQuantized, four),
        (CompressedLayout::PackQuantized, eight),
        (CompressedLayout::IntQuantized, eight),
        (CompressedLayout::FloatQuantized, float8),
    ] {
        let folder = Folder::new("recipe-compressed");
        let recipe =
            layers(Rule::default().quantize(how)).output(Output::CompressedTensors(layout));
        let config = serde_json::json!({ "model_type": "llama" });
        let job = Job::new(&model, &recipe).unwrap().config(config);
        let done = job.run(folder.path(), go_on).unwrap();
        assert!(done.bytes_after < done.bytes_before * 2 / 3);
        let text = fs::read_to_string(folder.path().join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["model_type"], "llama");
        let said = &config["quantization_config"];
        assert_eq!(said["format"], layout.name());
        assert_eq!(said["ignore"], serde_json::json!(["embeddings"]));
        let targets = &said["config_groups"]["group_0"]["targets"];
        assert_eq!(*targets, serde_json::json!(["Linear"]));
        let back = Decompressed::open(folder.path()).unwrap();
        for name in DECIDED {
            let original: ArrayD<f64> = model.floats(name).unwrap();
            let restored: ArrayD<f64> = back.floats(name).unwrap();
            let errors = original.iter().zip(&restored).map(|(a, b)| (a - b).abs());
            let largest = errors.fold(0.0, f64::max);
            let row = done
                .report
                .tensors()
                .iter()
                .find(|row| row.name() == name)
                .unwrap();
            // Read back in the type of the scales, of which the report knows nothing.
            let said = row.largest_error();
            assert!(
                (largest - said).abs() < 0.04 && largest < 1.2,
                "{name} {largest} {said}"
            );
        }
    }
}

#[test]
fn a_gguf_file_has_blocks_and_keys() {
    let folder = Folder::new("recipe-gguf");
    let blocks = Quantization::Blocks(BlockFormat::Q8_0);
    let text = r#"{"architecture": "bert", "metadata": {"bert.block_count": 6, "bert.eps": 0.5, "general.name": "x", "y": true, "z": -3}}"#;
    let said: GgufOutput = serde_json::from_str(text).unwrap();
    let recipe = layers(Rule::default().quantize(blocks)).output(Output::Gguf(said));
    let model = model();
    let done = Job::new(&model, &recipe)
        .unwrap()
        .run(folder.path(), go_on)
        .unwrap();
    let file = GgufFile::open(folder.path().join("model.gguf")).unwrap();
    for name in DECIDED {
        let weights: ArrayD<f64> = model.floats(name).unwrap();
        let right = BlockTensor::encode(&weights, BlockFormat::Q8_0).unwrap();
        assert_eq!(file.block_tensor(name).unwrap(), right, "{name}");
    }
    assert_eq!(
        file.tensor("layers.0.steps").unwrap(),
        *model.get("layers.0.steps").unwrap()
    );
    assert_eq!(file.value("bert.block_count"), Some(&GgufValue::U32(6)));
    assert_eq!(file.value("z"), Some(&GgufValue::I64(-3)));
    assert!(done.bytes_after < done.bytes_before);
    let back = open_model(folder.path().join("model.gguf")).unwrap();
    assert_eq!(back.infos().len(), model.len());
}

#[test]
fn words_of_gptq_come_back() {
    let folder = Folder::new("recipe-gptq");
    let how = Quantization::Linear {
        bits: 4,
        affine: false,
        sharing: Sharing::Group(32),
        range: Range::MinMax,
        scales: None,
    };
    let mut rule = Rule::default().quantize(how);
    rule.names = vec!["layers.?.q.weight".into(), "layers.0.k.weight".into()];
    let recipe = Recipe::new(vec![rule]).output(Output::Gptq);
    let model = model();
    let done = Job::new(&model, &recipe)
        .unwrap()
        .run(folder.path(), go_on)
        .unwrap();
    assert_eq!(done.report.tensors().len(), 3);
    // Opened by what the configuration says, and equal to what was meant, in halves.
    let back = open_model(folder.path()).unwrap();
    for name in &DECIDED[..3] {
        let weights: ArrayD<f32> = model.floats(name).unwrap();
        let linear = Linear::new(4).per_group(Axis(1), 32);
        let exact = linear.quantize(&weights).unwrap();
        let halves = rarefy::formats::GptqWeights::half_scales(exact.parameters()).unwrap();
        let codes = linear.quantize_with(&weights, &halves).unwrap();
        let right = StoredTensor::of_floats(&codes.dequantize::<f32>(), DType::F16).unwrap();
        assert_eq!(back.tensor(name).unwrap(), right, "{name}");
    }
    assert_eq!(
        back.tensor("layers.1.k.weight").unwrap(),
        *model.get("layers.1.k.weight").unwrap()
    );
    // Eight outputs fill no word.
    let recipe = layers(Rule::default().quantize(how)).output(Output::Gptq);
    let error = Job::new(&model, &recipe).unwrap_err().to_string();
    assert!(
        error.contains("layers.1.k.weight") && error.contains("multiples of 32"),
        "{error}"
    );
}

#[test]
fn a_model_of_unknown_codes_is_not_taken_for_floats() {
    let folder = Folder::new("recipe-unknown");
    let model = model();
    let recipe = Recipe::new(Vec::new());
    Job::new(&model, &recipe)
        .unwrap()
        .run(folder.path(), go_on)
        .unwrap();
    let said = |method: &str| {
        let config = format!(r#"{{"quantization_config": {{{method}}}}}"#);
        fs::write(folder.path().join("config.json"), config).unwrap();
    };
    said(r#""load_in_4bit": true"#);
    let error = open_model(folder.path()).unwrap_err().to_string();
    assert!(error.contains("quant_method is missing"), "{error}");
    said(r#""quant_method": "quip""#);
    let error = open_model(folder.path()).unwrap_err().to_string();
    assert!(error.contains("quant_method is \"quip\""), "{error}");
}

#[test]
fn parts_make_the_bytes_of_the_whole() {
    let recipes = [
        layers(Rule::default().prune(Pruning::Global(0.5))).output(Output::Kept),
        layers(Rule::default().quantize(int8())),
    ];
    for mut recipe in recipes {
        recipe.file_bytes = 9000;
        let model = model();
        let whole = Folder::new("recipe-whole");
        let done = Job::new(&model, &recipe)
            .unwrap()
            .run(whole.path(), go_on)
            .unwrap();
        assert!(done.files.len() > 3, "{:?}", done.files);
        let parts = Folder::new("recipe-parts");
        for index in [2, 3, 1] {
            let job = Job::new(&model, &recipe)
                .unwrap()
                .shard(Shard::new(index, 3).unwrap());
            job.run(parts.path(), go_on).unwrap();
            // Again: a part may be repeated.
            job.run(parts.path(), go_on).unwrap();
            assert!(!parts.path().join("model.safetensors.index.json").exists());
        }
        let joined = Job::new(&model, &recipe)
            .unwrap()
            .join(parts.path(), go_on)
            .unwrap();
        assert_eq!(joined.report, done.report);
        assert_eq!(
            (joined.bytes_before, joined.bytes_after),
            (done.bytes_before, done.bytes_after)
        );
        let list = |folder: &Path| {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
            let mut files: Vec<_> = entries
                .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()))
                .collect();
            files.sort();
            files
        };
        assert_eq!(list(whole.path()), list(parts.path()));
    }
}

#[test]
fn a_part_of_another_job_is_not_joined() {
    let mut recipe = layers(Rule::default().quantize(int8()));
    recipe.file_bytes = 9000;
    let model = model();
    let folder = Folder::new("recipe-other");
    for index in 1..=2 {
        let job = Job::new(&model, &recipe)
            .unwrap()
            .shard(Shard::new(index, 2).unwrap());
        job.run(folder.path(), go_on).unwrap();
    }
    let other = layers(Rule::default().prune(Pruning::Magnitude(0.5)));
    let other = Recipe {
        file_bytes: 9000,
        ..other
    };
    let error = Job::new(&model, &other)
        .unwrap()
        .join(folder.path(), go_on)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is of another job: its recipe is another"),
        "{error}"
    );
    let many = Job::new(&model, &recipe)
        .unwrap()
        .shard(Shard::new(1, 99).unwrap());
    let error = many.run(folder.path(), go_on).unwrap_err().to_string();
    assert!(error.contains("too few for 99 parts"), "{error}");
    let is_second = |path: &std::path::PathBuf| path.to_string_lossy().contains("model-00002");
    let mut files = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    fs::remove_file(files.find(is_second).unwrap()).unwrap();
    assert!(
        Job::new(&model, &recipe)
            .unwrap()
            .join(folder.path(), go_on)
            .is_err()
    );
}

#[test]
fn the_watch_sees_all_and_stops_anywhere() {
    let recipe = layers(Rule::default().prune(Pruning::Global(0.5)));
    let model = model();
    let folder = Folder::new("recipe-watch");
    let mut calls = Vec::new();
    let job = Job::new(&model, &recipe).unwrap();
    job.run(folder.path(), |progress| {
        calls.push((progress.name.to_owned(), progress.done, progress.total));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(
        calls
            .windows(2)
            .all(|pair| pair[0].1 <= pair[1].1 && pair[0].2 == pair[1].2)
    );
    let (_, done, total) = calls.last().unwrap();
    assert_eq!(done, total);
    for stop in 0..calls.len() {
        let folder = Folder::new("recipe-stop");
        let mut count = 0;
        let error = job
            .run(folder.path(), |_| {
                count += 1;
                if count > stop {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap_err();
        assert!(
            error.to_string().contains("stopped by the caller"),
            "{error}"
        );
        assert!(Checkpoint::open(folder.path()).is_err());
        let left = fs::read_dir(folder.path()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "stopped at {stop}");
    }
}

#[test]
fn what_goes_wrong_has_the_tensors_name() {
    let mut model = model();
    let mut bad = matrix(9, 4, 8);
    bad[[1, 3]] = f32::NAN;
    model
        .insert(
            "layers.9.q.weight",
            StoredTensor::of_floats(&bad, DType::F32).unwrap(),
        )
        .unwrap();
    let folder = Folder::new("recipe-nan");
    for rule in [
        Rule::default().quantize(int8()),
        Rule::default().prune(Pruning::Magnitude(0.5)),
        Rule::default().prune(Pruning::Global(0.5)),
    ] {
        let recipe = layers(rule);
        let error = Job::new(&model, &recipe)
            .unwrap()
            .run(folder.path(), go_on)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("layers.9.q.weight") && error.contains("weight [1, 3] is NaN"),
            "{error}"
        );
    }
    // Left alone, NaN is nobody's business.
    let recipe = Recipe::new(vec![Rule::leave(["*"])]);
    Job::new(&model, &recipe)
        .unwrap()
        .run(folder.path(), go_on)
        .unwrap();
    let back = Checkpoint::open(folder.path())
        .unwrap()
        .tensor("layers.9.q.weight")
        .unwrap();
    assert_eq!(back, *model.get("layers.9.q.weight").unwrap());

    let said = |recipe: &Recipe| Job::new(&model, recipe).unwrap_err().to_string();
    let bits = Quantization::Linear {
        bits: 99,
        affine: false,
        sharing: Sharing::Tensor,
        range: Range::MinMax,
        scales: None,
    };
    let error = said(
        &layers(Rule::default().quantize(bits))
            .output(Output::CompressedTensors(CompressedLayout::PackQuantized)),
    );
    assert!(
        error.contains("layers.0.q.weight") && error.contains("99"),
        "{error}"
    );
    let error = said(&layers(Rule::default().quantize(int8())).output(Output::Kept));
    assert!(error.contains("kept cannot hold codes"), "{error}");
    let blocks = Quantization::Blocks(BlockFormat::Q4K);
    let error = said(&layers(
        Rule::default()
            .quantize(blocks)
            .prune(Pruning::Magnitude(0.5)),
    ));
    assert!(
        error.contains("pruned weights in blocks that move zeros"),
        "{error}"
    );
    let share = layers(Rule::default().prune(Pruning::Magnitude(1.5))).output(Output::Kept);
    assert!(said(&share).contains("amount must lie in 0..=1"));
}

#[test]
fn a_folder_of_another_checkpoint_is_refused() {
    let folder = Folder::made("recipe-exists");
    fs::write(folder.path().join("model-00001-of-00002.safetensors"), b"x").unwrap();
    let recipe = Recipe::new(Vec::new());
    let model = model();
    let error = Job::new(&model, &recipe)
        .unwrap()
        .run(folder.path(), go_on)
        .unwrap_err()
        .to_string();
    assert!(error.contains("exists already"), "{error}");
}

#[test]
fn recipes_are_json() {
    let text = r#"{
        "rules": [
            {"names": ["embeddings.*"]},
            {"names": ["*.q.weight"], "prune": {"semi_structured": {"keep": 2, "of": 4}}},
            {"names": ["*.weight"], "prune": {"global": 0.5},
             "quantize": {"linear": {"bits": 4, "sharing": {"group": 32}, "affine": true, "range": "error_search", "scales": "BF16"}}},
            {"names": ["nothing"], "quantize": {"float8": {"sharing": "channel"}}}
        ],
        "output": {"compressed-tensors": "pack-quantized"}
    }"#;
    let recipe: Recipe = serde_json::from_str(text).unwrap();
    assert_eq!(recipe.file_bytes, 5_000_000_000);
    let again: Recipe = serde_json::from_str(&serde_json::to_string(&recipe).unwrap()).unwrap();
    assert_eq!(again, recipe);
    let infos = model();
    assert_eq!(recipe.unused(infos.infos()), [3]);
    let rule = |name: &str| recipe.rule_for(infos.info(name).unwrap());
    assert_eq!(rule("embeddings.weight"), Some(0));
    assert_eq!(rule("layers.0.q.weight"), Some(1));
    assert_eq!(rule("layers.0.k.weight"), Some(2));
    assert_eq!(rule("layers.0.q.bias"), None);
    for wrong in [
        r#"{"rules": [{"name": ["x"]}]}"#,
        r#"{"rules": [{"names": ["x"], "quantize": {"linear": {"bits": 4, "shared": "tensor"}}}]}"#,
        r#"{"rules": [], "output": "zip"}"#,
        r#"{"rules": [], "outptu": "dense"}"#,
        r#"{"rules": [{"names": ["x"], "prune": {"magnitude": "half"}}]}"#,
    ] {
        assert!(serde_json::from_str::<Recipe>(wrong).is_err(), "{wrong}");
    }
    assert_eq!(
        matrix(1, 2, 2).into_dimensionality::<Ix2>().unwrap().dim(),
        (2, 2)
    );
}

#[test]
fn a_last_group_that_is_short_is_kept_right() {
    let weights = Array2::from_shape_fn((4, 6), |(i, j)| (i * 6 + j) as f32 + 1.0);
    let stored = StoredTensor::of_floats(&weights, DType::F32).unwrap();
    let model = TensorMap::new([("layers.w".to_owned(), stored)]).unwrap();
    let pruned = |keep, of| {
        let mut rule = Rule::default().prune(Pruning::SemiStructured { keep, of });
        rule.names = vec!["*".into()];
        Recipe::new(vec![rule]).output(Output::Kept)
    };
    for (keep, of) in [(2, 4), (1, 4), (0, 3), (5, 5), (3, 7)] {
        let folder = Folder::new("recipe-short");
        Job::new(&model, &pruned(keep, of))
            .unwrap()
            .run(folder.path(), go_on)
            .unwrap();
        let kept =
            KeptWeights::read(&Checkpoint::open(folder.path()).unwrap(), "layers.w").unwrap();
        let right = SemiStructured::new(Magnitude, keep, of, Axis(1))
            .mask(&weights)
            .unwrap();
        assert_eq!(*kept.mask(), right, "{keep} of {of}");
    }
    for (keep, of) in [(1 << 63, 1), (1, 0), (5, 4)] {
        assert!(
            Job::new(&model, &pruned(keep, of)).is_err(),
            "{keep} of {of}"
        );
    }
}

#[test]
fn rows_of_zeros_have_scales_of_any_type() {
    let mut weights = matrix(3, 32, 64);
    weights.row_mut(7).fill(0.0);
    weights.row_mut(9).mapv_inplace(|x| x * 1e-9);
    for (dtype, output) in [
        (
            DType::F16,
            Output::CompressedTensors(CompressedLayout::PackQuantized),
        ),
        (
            DType::Bf16,
            Output::CompressedTensors(CompressedLayout::IntQuantized),
        ),
        (DType::F32, Output::Gptq),
        (DType::F16, Output::Dense),
    ] {
        let stored = StoredTensor::of_floats(&weights, dtype).unwrap();
        let model = TensorMap::new([("a.weight".to_owned(), stored)]).unwrap();
        let how = Quantization::Linear {
            bits: 8,
            affine: false,
            sharing: Sharing::Channel,
            range: Range::MinMax,
            scales: None,
        };
        let mut rule = Rule::default().quantize(how);
        rule.names = vec!["*".into()];
        let recipe = Recipe::new(vec![rule]).output(output);
        let folder = Folder::new("recipe-zeros");
        let done = Job::new(&model, &recipe)
            .unwrap()
            .run(folder.path(), go_on)
            .unwrap();
        assert!(done.report.total().sqnr_db() > 35.0);
        let back: ArrayD<f32> = open_model(folder.path())
            .unwrap()
            .floats("a.weight")
            .unwrap();
        assert!(back.index_axis(Axis(0), 7).iter().all(|&x| x == 0.0));
    }
}

#[test]
fn one_part_is_joined_too_and_parts_that_lie_are_not() {
    let text = r#"{"architecture": "bert"}"#;
    let said: GgufOutput = serde_json::from_str(text).unwrap();
    let blocks = Quantization::Blocks(BlockFormat::Q8_0);
    let model = model();
    let one = Shard::new(1, 1).unwrap();
    for recipe in [
        layers(Rule::default().quantize(blocks)).output(Output::Gguf(said)),
        layers(Rule::default().prune(Pruning::Magnitude(0.5))),
    ] {
        let folder = Folder::new("recipe-one");
        let job = Job::new(&model, &recipe).unwrap();
        job.run(folder.path(), go_on).unwrap();
        let whole = Folder::new("recipe-one-part");
        Job::new(&model, &recipe)
            .unwrap()
            .shard(one)
            .run(whole.path(), go_on)
            .unwrap();
        let part = whole.path().join("part-00001-of-00001.json");
        let right = fs::read_to_string(&part).unwrap();
        for (from, to) in [
            ("layers.0.q.weight", "layers.0.x.weight"),
            (
                "\"bytes_before\": 16384",
                "\"bytes_before\": 18446744073709551615",
            ),
            ("\"len\": 4096", "\"len\": 4095"),
            ("\"zeros\": ", "\"zeros\": 99999"),
            ("\"tensors\": [", "\"tensors\": [[],"),
        ] {
            assert!(right.contains(from), "{from} in {right}");
            fs::write(&part, right.replace(from, to)).unwrap();
            assert!(job.join(whole.path(), go_on).is_err(), "{to}");
        }
        fs::write(&part, &right).unwrap();
        let mut calls = 0;
        let stopped = job.join(whole.path(), |_| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert!(stopped.is_err() && calls == 1);
        job.join(whole.path(), go_on).unwrap();
        assert!(!part.exists());
    }
}

#[test]
fn a_model_is_never_overwritten_and_configurations_are_those_of_the_codes() {
    let folder = Folder::new("recipe-in");
    let model = model();
    let old = serde_json::json!({ "a": 1, "quantization_config": { "quant_method": "awq" } });
    let leave = Recipe::new(Vec::new());
    Job::new(&model, &leave)
        .unwrap()
        .config(old)
        .run(folder.path(), go_on)
        .unwrap();
    let text = fs::read_to_string(folder.path().join("config.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        serde_json::json!({ "a": 1 })
    );
    // Into itself, and over another of as many files.
    let source = Checkpoint::open(folder.path()).unwrap();
    let recipe = layers(Rule::default().quantize(int8())).output(Output::Gptq);
    let job = Job::new(&source, &leave).unwrap();
    for job in [&job, &job.clone().shard(Shard::new(1, 1).unwrap())] {
        let error = job.run(folder.path(), go_on).unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
    }
    drop(recipe);
    let mut rule = Rule::default().quantize(int8());
    rule.names = vec!["layers.0.?.weight".into()];
    for output in [
        Output::CompressedTensors(CompressedLayout::PackQuantized),
        Output::Gptq,
    ] {
        let recipe = Recipe::new(vec![rule.clone()]).output(output.clone());
        let job = Job::new(&model, &recipe);
        // Scales of F32 are not GPTQ's.
        let Ok(job) = job else {
            assert_eq!(output, Output::Gptq);
            continue;
        };
        let folder = Folder::new("recipe-config");
        let error = job
            .config(serde_json::json!([]))
            .run(folder.path(), go_on)
            .unwrap_err();
        assert!(error.to_string().contains("object"), "{error}");
    }
}
