//! Compares pruning with what `torch.nn.utils.prune` and other libraries give: files in `tests/golden`, made by
//! `prune_torch.py` and `prune_peers.py` there.

use crate::reference::{FromBits, array, of_kind, size, sizes};
use ndarray::{Array1, ArrayD, Axis, IxDyn};
use rarefy::prelude::*;
use rarefy::prune::{
    self, Aggregate, Amount, Blocks, GivenScores, Global, GlobalStructured, Lamp, Layer, Magnitude,
    Normaliser, Profile, RelativeMagnitude, Structured, Unstructured, Wanda, allocation,
};
use rarefy::{Float, Mask};
use serde_json::Value;

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn flags(value: &Value) -> Vec<bool> {
    list(value).iter().map(|flag| flag == 1).collect()
}

fn kept(mask: &Mask) -> Vec<bool> {
    mask.iter().collect()
}

/// Plain numbers, divided.
fn plain(values: &Value, shape: &Value, by: f64) -> ArrayD<f64> {
    let values = list(values)
        .iter()
        .map(|value| value.as_f64().unwrap() / by);
    ArrayD::from_shape_vec(IxDyn(&sizes(shape)), values.collect()).unwrap()
}

fn amount(value: &Value) -> Amount {
    match value.as_u64() {
        Some(_) => Amount::Count(size(value)),
        None => Amount::Fraction(value.as_f64().unwrap()),
    }
}

fn each(file: &str, kind: &str, single: fn(&Value), double: fn(&Value)) {
    for case in of_kind(file, kind) {
        match case["dtype"].as_str() {
            Some("float32") => single(&case),
            _ => double(&case),
        }
    }
}

#[test]
fn ln_structured_is_torchs() {
    fn check<F: FromBits>(case: &Value) {
        let mut weights: ArrayD<F> = array(&case["weights"], &case["shape"]);
        let n: f64 = case["n"].as_str().unwrap().parse().unwrap();
        let axis = Axis(size(&case["dim"]));
        let mask = prune::ln_structured(&mut weights, amount(&case["amount"]), n, axis).unwrap();
        assert_eq!(kept(&mask), flags(&case["mask"]), "{case}");
    }
    each(
        "prune_torch.json",
        "ln_structured",
        check::<f32>,
        check::<f64>,
    );
}

#[test]
fn importance_scores_are_torchs() {
    fn check<F: FromBits>(case: &Value) {
        let weights: ArrayD<F> = array(&case["weights"], &case["shape"]);
        let scores: ArrayD<F> = array(&case["scores"], &case["shape"]);
        let (given, amount) = (GivenScores::new(&scores), amount(&case["amount"]));
        let mask = if case["kind"] == "scores" {
            Unstructured::new(given, amount).mask(&weights)
        } else {
            let pruner = Structured::new(given, amount, Axis(1));
            pruner.aggregate(Aggregate::Norm(2.0)).mask(&weights)
        };
        assert_eq!(kept(&mask.unwrap()), flags(&case["mask"]), "{case}");
    }
    each("prune_torch.json", "scores", check::<f32>, check::<f64>);
    each(
        "prune_torch.json",
        "structured_scores",
        check::<f32>,
        check::<f64>,
    );
}

#[test]
fn global_unstructured_is_torchs() {
    fn check<F: FromBits>(case: &Value) {
        let weights = list(&case["weights"]).iter().zip(list(&case["shapes"]));
        let weights: Vec<ArrayD<F>> = weights.map(|(w, shape)| array(w, shape)).collect();
        let layers: Vec<Layer<'_, F>> = weights.iter().map(|w| Layer::new("w", w)).collect();
        let masks = prune::global_unstructured(&layers, amount(&case["amount"])).unwrap();
        for (mask, right) in masks.iter().zip(list(&case["masks"])) {
            assert_eq!(kept(mask), flags(right), "{case}");
        }
    }
    each("prune_torch.json", "global", check::<f32>, check::<f64>);
}

#[test]
fn random_pruning_counts_as_torch_does() {
    for case in list(&of_kind("prune_torch.json", "random")[0]["counts"]) {
        let weights = ArrayD::<f32>::ones(sizes(&case["shape"]));
        for seed in 0..5 {
            let amount = amount(&case["amount"]);
            let mask = prune::random_unstructured(&mut weights.clone(), amount, seed).unwrap();
            assert_eq!(mask.dropped(), size(&case["dropped"]), "{case}");
            for slices in list(&case["slices"]) {
                let axis = Axis(size(&slices[0]));
                let mask = prune::random_structured(&mut weights.clone(), amount, axis, seed);
                assert_eq!(mask.unwrap().dropped(), size(&slices[1]), "{case}");
            }
        }
    }
}

#[test]
fn profiles_cut_where_their_libraries_do() {
    for (kind, profile) in [
        ("llm_compressor", Profile::LlmCompressor),
        ("tf_mot", Profile::TfMot),
        ("nncf", Profile::Nncf),
        ("wanda", Profile::Wanda),
        ("sparse_gpt", Profile::SparseGpt),
    ] {
        for case in of_kind("prune_peers.json", kind) {
            let weights = plain(&case["quarters"], &case["shape"], 4.0);
            let share = case["share"].as_f64().unwrap();
            let pruner = Unstructured::new(Magnitude, share).profile(profile);
            assert_eq!(
                kept(&pruner.mask(&weights).unwrap()),
                flags(&case["mask"]),
                "{case}"
            );
            let single = weights.mapv(<f32 as Float>::cast);
            assert_eq!(
                kept(&pruner.mask(&single).unwrap()),
                flags(&case["mask"]),
                "{case}"
            );
        }
    }
    for case in of_kind("prune_peers.json", "wanda_norms") {
        let weights = plain(&case["quarters"], &case["shape"], 4.0);
        let norms = list(&case["norms"])
            .iter()
            .map(|norm| norm.as_f64().unwrap() / 4.0);
        let score = Wanda::new(&Array1::from_iter(norms), Axis(1));
        let share = case["share"].as_f64().unwrap();
        let pruner = Unstructured::new(score, share).profile(Profile::Wanda);
        assert_eq!(
            kept(&pruner.mask(&weights).unwrap()),
            flags(&case["mask"]),
            "{case}"
        );
    }
}

#[test]
fn blocks_are_llm_compressors() {
    for case in of_kind("prune_peers.json", "blocks") {
        let weights = plain(&case["quarters"], &case["shape"], 4.0);
        let block = sizes(&case["block"]);
        let pruner = Blocks::new(
            Magnitude,
            case["share"].as_f64().unwrap(),
            (block[0], block[1]),
        )
        .aggregate(Aggregate::Sum)
        .rules(Profile::LlmCompressor.rules());
        assert_eq!(
            kept(&pruner.mask(&weights).unwrap()),
            flags(&case["mask"]),
            "{case}"
        );
    }
}

fn tensors(case: &Value) -> Vec<ArrayD<f64>> {
    let weights = list(&case["weights"]).iter().zip(list(&case["shapes"]));
    weights.map(|(w, shape)| plain(w, shape, 1.0)).collect()
}

fn scored<'a>(
    weights: &'a [ArrayD<f64>],
    importance: &'a dyn Importance<f64>,
) -> Vec<Layer<'a, f64>> {
    let layer = |w: &'a ArrayD<f64>| Layer::new("w", w).importance(importance);
    weights.iter().map(layer).collect()
}

#[test]
fn scores_across_layers_are_nncfs_and_lamps() {
    for case in of_kind("prune_peers.json", "nncf_global") {
        let weights = tensors(&case);
        let layers = scored(&weights, &RelativeMagnitude);
        let global = Global::new(case["share"].as_f64().unwrap()).rules(Profile::Nncf.rules());
        let masks = global.masks(&layers).unwrap().masks;
        for (mask, right) in masks.iter().zip(list(&case["masks"])) {
            assert_eq!(kept(mask), flags(right), "{case}");
        }
    }
    for case in of_kind("prune_peers.json", "lamp") {
        let weights = tensors(&case);
        let share = case["share"].as_f64().unwrap();
        let layers = scored(&weights, &Lamp);
        let masks = prune::global_unstructured(&layers, share).unwrap();
        for (mask, right) in masks.iter().zip(list(&case["masks"])) {
            assert_eq!(kept(mask), flags(right), "{case}");
        }
        let counts = masks.iter().map(|mask| Amount::Count(mask.dropped()));
        assert_eq!(
            allocation::lamp(&layers, share).unwrap(),
            counts.collect::<Vec<_>>()
        );
    }
}

#[test]
fn normalisers_are_torch_prunings() {
    for case in of_kind("prune_peers.json", "normaliser") {
        let normaliser = match case["normaliser"].as_str().unwrap() {
            "Unchanged" => Normaliser::Unchanged,
            "Mean" => Normaliser::Mean,
            "Max" => Normaliser::Max,
            "Sum" => Normaliser::Sum,
            "Standardise" => Normaliser::Standardise,
            "Gaussian" => Normaliser::Gaussian,
            "Lamp" => Normaliser::Lamp,
            other => panic!("no normaliser is called {other}"),
        };
        let weights = tensors(&case);
        let layers: Vec<_> = weights.iter().map(|w| Layer::new("w", w)).collect();
        let global = GlobalStructured::new(size(&case["count"])).normaliser(normaliser);
        let masks = global.masks(&layers).unwrap().masks;
        for (mask, rows) in masks.iter().zip(list(&case["rows"])) {
            let mask = mask.to_array();
            let ours: Vec<bool> = mask
                .outer_iter()
                .map(|row| row.iter().all(|&k| k))
                .collect();
            assert_eq!(ours, flags(rows), "{case}");
        }
    }
}

#[test]
fn allocations_are_rigls_and_owls() {
    let check = |ours: Vec<Amount>, case: &Value| {
        for (ours, right) in ours.into_iter().zip(list(&case["shares"])) {
            let Amount::Fraction(share) = ours else {
                panic!("{ours:?} is no share");
            };
            assert!((share - right.as_f64().unwrap()).abs() < 1e-12, "{case}");
        }
    };
    for case in of_kind("prune_peers.json", "erk") {
        let shapes: Vec<Vec<usize>> = list(&case["shapes"]).iter().map(sizes).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let share = case["share"].as_f64().unwrap();
        check(allocation::erk(&shapes, share).unwrap(), &case);
    }
    for case in of_kind("prune_peers.json", "owl") {
        let outliers: Vec<f64> = list(&case["outliers"])
            .iter()
            .map(|x| x.as_f64().unwrap())
            .collect();
        let (share, lambda) = (
            case["share"].as_f64().unwrap(),
            case["lambda"].as_f64().unwrap(),
        );
        check(allocation::owl(&outliers, share, lambda).unwrap(), &case);
    }
}
