//! Compares pruning and losses with what the real PyTorch gave: `prune.json` and `distill.json`, made by `generate.py`.

use crate::reference::{FromBits, array, cases, sizes};
use ndarray::{Array2, ArrayD};
use rarefy::Float;
use rarefy::distill::{
    CrossEntropy, KlDivergence, Loss, Output, Reduction, Target, TemperatureFactor,
};
use rarefy::prune::{self, Amount};
use serde_json::Value;

fn integers(value: &Value) -> Vec<u64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_u64().unwrap())
        .collect()
}

#[test]
fn pruning_counts_as_torch_does() {
    let cases = cases("prune.json");
    let counts = cases[0]["counts"].as_array().unwrap();
    assert!(counts.len() > 300);
    for case in counts {
        let len = usize::try_from(case[1].as_u64().unwrap()).unwrap();
        let amount = Amount::Fraction(case[0].as_f64().unwrap());
        assert_eq!(
            amount.count(len).unwrap() as u64,
            case[2].as_u64().unwrap(),
            "{case}"
        );
    }
}

#[test]
fn pruning_masks_as_torch_does() {
    fn check<F: FromBits>(case: &Value) {
        let mut weights: ArrayD<F> = array(&case["weights"], &case["shape"]);
        let before = weights.clone();
        let amount = match case["count"].as_bool() {
            Some(true) => Amount::Count(usize::try_from(case["amount"].as_u64().unwrap()).unwrap()),
            _ => Amount::Fraction(case["amount"].as_f64().unwrap()),
        };
        let mask = prune::l1_unstructured(&mut weights, amount).unwrap();
        let kept: Vec<u64> = mask.iter().map(u64::from).collect();
        assert_eq!(kept, integers(&case["mask"]), "{case}");
        for ((after, before), kept) in weights.iter().zip(&before).zip(mask.iter()) {
            assert_eq!(*after, if kept { *before } else { F::zero() });
        }
    }
    for case in &cases("prune.json")[1..] {
        match case["dtype"].as_str() {
            Some("float32") => check::<f32>(case),
            _ => check::<f64>(case),
        }
    }
}

/// How far we may be from torch, relative to the largest number at hand: both round in F, torch more
/// often than we do. A loss of 0.0126 in f32 is a difference of log-probabilities that are rounded
/// near 1, so torch's is off by 7e-8 there (ours by 4e-9): hence the least size of 0.1 below.
fn tolerance<F: Float>() -> f64 {
    if size_of::<F>() == 4 { 3e-6 } else { 1e-13 }
}

fn assert_close<F: Float>(ours: impl IntoIterator<Item = F>, theirs: &[F], what: &str) {
    let wide = |x: F| x.to_f64().unwrap();
    let largest = theirs.iter().map(|&x| wide(x).abs()).fold(0.0, f64::max);
    let bound = tolerance::<F>() * largest.max(0.1);
    for (index, (ours, &theirs)) in ours.into_iter().zip(theirs).enumerate() {
        let error = (wide(ours) - wide(theirs)).abs();
        assert!(error <= bound, "{what} at {index}: {ours}, torch {theirs}");
    }
}

#[test]
fn losses_are_torchs() {
    fn output<F: FromBits>(case: &Value, key: &str) -> Output<F> {
        Output::from(
            array(&case[key], &case["shape"])
                .into_dimensionality()
                .unwrap(),
        )
    }

    fn number<F: FromBits>(value: &Value) -> F {
        F::from_bits_of(value.as_u64().unwrap())
    }

    fn compare<F: FromBits>(
        case: &Value,
        student: &Output<F>,
        target: Target<'_, F>,
        loss: impl Fn(Reduction) -> Box<dyn Loss<F>>,
        reductions: &[(&str, Reduction)],
    ) {
        for (number_of_reduction, (name, reduction)) in reductions.iter().enumerate() {
            let ours = loss(*reduction).evaluate(student, target).unwrap();
            assert_close([ours.value], &[number(&case[*name])], name);
            assert_eq!(loss(*reduction).value(student, target).unwrap(), ours.value);
            if number_of_reduction == 0 {
                let theirs: Array2<F> = array(&case["grad"], &case["shape"])
                    .into_dimensionality()
                    .unwrap();
                assert_close(ours.grad.logits, theirs.as_slice().unwrap(), "gradient");
            }
        }
    }

    fn check<F: FromBits>(case: &Value) {
        let student: Output<F> = output(case, "student");
        if case["loss"] == "kl" {
            let teacher: Output<F> = output(case, "teacher");
            let temperature = case["temperature"].as_f64().unwrap();
            let loss = |reduction| -> Box<dyn Loss<F>> {
                let loss =
                    KlDivergence::new(temperature).temperature_factor(TemperatureFactor::One);
                Box::new(loss.reduction(reduction))
            };
            let reductions = [
                ("batchmean", Reduction::MeanOverRows),
                ("mean", Reduction::MeanOverElements),
                ("sum", Reduction::Sum),
            ];
            compare(case, &student, Target::from(&teacher), loss, &reductions);
        } else {
            let labels = sizes(&case["labels"]);
            let target = Target::new().labels(&labels);
            let loss = |reduction| -> Box<dyn Loss<F>> {
                Box::new(CrossEntropy::new().reduction(reduction))
            };
            let reductions = [("mean", Reduction::MeanOverRows), ("sum", Reduction::Sum)];
            compare(case, &student, target, loss, &reductions);
        }
    }

    for case in &cases("distill.json") {
        match case["dtype"].as_str() {
            Some("float32") => check::<f32>(case),
            _ => check::<f64>(case),
        }
    }
}
