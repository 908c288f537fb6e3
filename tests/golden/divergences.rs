//! Divergences against values and gradients that PyTorch computed (divergences.py here).

use crate::reference::{FromBits, cases, numbers, size, sizes};
use ndarray::Array2;
use rarefy::Float;
use rarefy::distill::{
    AlphaDivergence, CrossEntropy, DecoupledKl, JensenShannon, KlDivergence, LogitMse, Loss,
    Output, ReverseKlDivergence, SigmoidKl, SkewedKl, SkewedReverseKl, Standardised, Target,
    TotalVariation,
};
use serde_json::Value;

fn loss<F: Float>(name: &str, t: f64) -> Box<dyn Loss<F>> {
    match name {
        "reverse" => Box::new(ReverseKlDivergence::new(t)),
        "jensen_shannon 0.5" => Box::new(JensenShannon::new(t)),
        "jensen_shannon 0.1" => Box::new(JensenShannon::new(t).beta(0.1)),
        "skewed 0.1" => Box::new(SkewedKl::new(t)),
        "skewed_reverse 0.3" => Box::new(SkewedReverseKl::new(t).lambda(0.3)),
        "alpha 0.5" => Box::new(AlphaDivergence::new(t)),
        "alpha 0.9" => Box::new(AlphaDivergence::new(t).alpha(0.9)),
        "total_variation" => Box::new(TotalVariation::new(t)),
        "decoupled" => Box::new(DecoupledKl::new(t)),
        "sigmoid" => Box::new(SigmoidKl::new(t)),
        "standardised" => Box::new(Standardised::new(KlDivergence::new(t))),
        "logit_mse" => Box::new(LogitMse::new()),
        "smoothed 0.1" => Box::new(CrossEntropy::new().label_smoothing(0.1)),
        "ignored 2" => Box::new(CrossEntropy::new().ignore_index(2)),
        "ignored and smoothed" => {
            Box::new(CrossEntropy::new().ignore_index(2).label_smoothing(0.3))
        }
        _ => panic!("no loss for {name}"),
    }
}

fn check<F: FromBits>(case: &Value, tolerance: f64) {
    let shape = (size(&case["shape"][0]), size(&case["shape"][1]));
    let array = |key: &str| Array2::from_shape_vec(shape, numbers::<F>(&case[key])).unwrap();
    let labels = sizes(&case["labels"]);
    let (student, teacher) = (
        Output::from(array("student")),
        Output::from(array("teacher")),
    );
    let loss = loss::<F>(
        case["loss"].as_str().unwrap(),
        case["temperature"].as_f64().unwrap(),
    );
    let target = Target::from(&teacher).labels(&labels);
    let ours = loss.evaluate(&student, target).unwrap();
    let wide = |x: F| x.to_f64().unwrap();
    let right = wide(F::from_bits_of(case["value"].as_u64().unwrap()));
    let error = (wide(ours.value) - right).abs();
    assert!(
        error <= tolerance * right.abs().max(1.0),
        "{} for {right}: {case}",
        ours.value
    );
    for (&g, &right) in ours.grad.logits.iter().zip(&array("grad")) {
        let error = (wide(g) - wide(right)).abs();
        assert!(
            error <= tolerance * wide(right).abs().max(1.0),
            "{g} for {right}: {case}"
        );
    }
}

#[test]
fn divergences_are_torchs() {
    for case in &cases("divergences.json") {
        match case["dtype"].as_str().unwrap() {
            "float32" => check::<f32>(case, 1e-6),
            _ => check::<f64>(case, 1e-12),
        }
    }
}
