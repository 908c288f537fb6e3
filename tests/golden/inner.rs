//! Compares losses over features with formulas in PyTorch and their autograd: tests/golden/inner.py.

use crate::reference::{cases, numbers, sizes};
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rarefy::Float;
use rarefy::distill::{
    AttentionKl, AttentionMeasure, AttentionMse, AttentionTransfer, CongruenceKernel,
    CorrelationCongruence, Dist, Fsp, HiddenCosine, HiddenMse, Loss, MiniLm, MiniLmRelations, Mmd,
    MmdKernel, Output, PatientHidden, Pkt, RelationKl, RelationalAngle, RelationalDistance,
    SimilarityPreserving, Target,
};
use serde_json::Value;

fn loss<F: Float>(case: &Value) -> Box<dyn Loss<F>> {
    let congruence = |kernel| Box::new(CorrelationCongruence::new("h", "h").kernel(kernel));
    let cubic = MmdKernel::Polynomial {
        degree: 3,
        offset: 0.5,
    };
    let qkv = ["q", "k", "v"];
    match case["loss"].as_str().unwrap() {
        "hidden mse" => Box::new(HiddenMse::new("h", "h")),
        "hidden mse, projected" => {
            Box::new(HiddenMse::new("h", "h").projection("proj").bias("bias"))
        }
        "hidden cosine" => Box::new(HiddenCosine::new("h", "h")),
        "hidden cosine, projected" => {
            Box::new(HiddenCosine::new("h", "h").projection("proj").bias("bias"))
        }
        "attention mse" => Box::new(
            AttentionMse::new("a", "a")
                .key_mask("mask")
                .query_mask("mask"),
        ),
        "attention kl" => Box::new(
            AttentionKl::new("a", "a")
                .key_mask("mask")
                .query_mask("mask"),
        ),
        "attention cross-entropy" => Box::new(
            AttentionKl::new("a", "a")
                .key_mask("mask")
                .query_mask("mask")
                .measure(AttentionMeasure::CrossEntropy),
        ),
        "relation kl" => Box::new(RelationKl::new(["q", "k"], ["q", "k"])),
        "minilm" => Box::new(MiniLm::new(qkv, qkv)),
        "minilm v2" => Box::new(MiniLm::new(qkv, qkv).relations(MiniLmRelations::Selves)),
        "attention transfer, p = 2" => Box::new(AttentionTransfer::new("h", "h")),
        "attention transfer, p = 3" => Box::new(AttentionTransfer::new("h", "h").power(3.0)),
        "fsp" => Box::new(Fsp::new(["a", "b"], ["a", "b"])),
        "gram" => Box::new(Fsp::gram("h", "h")),
        "mmd, linear" => Box::new(Mmd::new("h", "h").kernel(MmdKernel::Linear)),
        "mmd, square" => Box::new(Mmd::new("h", "h")),
        "mmd, cubic" => Box::new(Mmd::new("h", "h").kernel(cubic)),
        "patient hidden" => Box::new(PatientHidden::new("h", "h")),
        "relational distance" => Box::new(RelationalDistance::new("h", "h")),
        "relational angle" => Box::new(RelationalAngle::new("h", "h")),
        "similarity preserving" => Box::new(SimilarityPreserving::new("h", "h")),
        "pkt" => Box::new(Pkt::new("h", "h")),
        "correlation congruence, bilinear" => congruence(CongruenceKernel::Bilinear),
        "correlation congruence, taylor" => Box::new(CorrelationCongruence::new("h", "h")),
        "correlation congruence, gaussian" => congruence(CongruenceKernel::Gaussian { gamma: 0.7 }),
        "dist" => Box::new(
            Dist::new(case["temperature"].as_f64().unwrap())
                .inter(0.5)
                .intra(2.0),
        ),
        other => panic!("no loss {other:?}"),
    }
}

fn array<F: Float>(part: &Value) -> ArrayD<F> {
    let values = numbers::<f64>(&part["bits"]).into_iter().map(F::cast);
    ArrayD::from_shape_vec(IxDyn(&sizes(&part["shape"])), values.collect()).unwrap()
}

fn output<F: Float>(parts: &Value) -> Output<F> {
    let mut output = Output::from(Array2::zeros((1, 1)));
    for (name, part) in parts.as_object().unwrap() {
        if name == "logits" {
            output.logits = array(part).into_dimensionality().unwrap();
        } else {
            output = output.with_feature(name.as_str(), array(part));
        }
    }
    output
}

fn check<F: Float>(case: &Value, tolerance: f64) {
    let (student, teacher) = (output::<F>(&case["student"]), output(&case["teacher"]));
    let weights = case["weights"]
        .as_array()
        .map(|_| numbers::<f64>(&case["weights"]));
    let weights: Option<Array1<F>> =
        weights.map(|weights| weights.into_iter().map(F::cast).collect());
    let mut target = Target::from(&teacher);
    if let Some(weights) = &weights {
        target = target.weights(weights);
    }
    let found = loss::<F>(case).evaluate(&student, target).unwrap();
    let name = &case["loss"];
    let right = f64::from_bits(case["value"].as_u64().unwrap());
    let value = found.value.to_f64().unwrap();
    let error = (value - right).abs();
    assert!(
        error <= tolerance * right.abs().max(0.1),
        "{name}: {value}, torch {right}"
    );
    for (part, right) in case["grads"].as_object().unwrap() {
        let right = numbers::<f64>(right);
        let ours: Vec<f64> = if part == "logits" {
            found
                .grad
                .logits
                .iter()
                .map(|g| g.to_f64().unwrap())
                .collect()
        } else {
            let grad = &found.grad.features[part];
            grad.iter().map(|g| g.to_f64().unwrap()).collect()
        };
        assert_eq!(ours.len(), right.len(), "{name}, {part}");
        let largest = right.iter().fold(1e-2, |most: f64, g| most.max(g.abs()));
        for (index, (ours, right)) in ours.iter().zip(&right).enumerate() {
            let error = (ours - right).abs();
            assert!(
                error <= tolerance * largest,
                "{name}, gradient of {part} at {index}: {ours}, torch {right}"
            );
        }
    }
}

#[test]
fn losses_over_features_are_torchs() {
    let cases = cases("inner.json");
    assert!(cases.len() > 40);
    for case in &cases {
        check::<f64>(case, 1e-12);
        check::<f32>(case, 1e-6);
    }
}
