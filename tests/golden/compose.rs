//! Compares with what the real PyTorch gave: `tests/golden/compose.json`, made by `compose.py` there.

use crate::reference::{numbers, of_kind, sizes};
use ndarray::{Array2, Array3, ArrayD, IxDyn};
use rarefy::distill::sequence::{Lengths, NextTokens, ctc_targets};
use rarefy::distill::{
    Averaging, CrossEntropy, Ema, Ensemble, KlDivergence, Loss, Output, StoredLogits, Target,
    Teacher,
};
use serde_json::Value;

fn each_case(kind: &str, check: impl Fn(&Value)) {
    let cases = of_kind("compose.json", kind);
    assert!(cases.len() >= 3);
    cases.iter().for_each(check);
}

fn array(bits: &Value, shape: &[usize]) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(shape), numbers(bits)).unwrap()
}

fn logits(bits: &Value, shape: &[usize]) -> Array2<f64> {
    array(bits, shape).into_dimensionality().unwrap()
}

fn close<'a>(
    ours: impl IntoIterator<Item = &'a f64>,
    right: impl IntoIterator<Item = &'a f64>,
    at: &Value,
) {
    for (ours, right) in ours.into_iter().zip(right) {
        let near = (ours - right).abs() <= 1e-13 * (1.0 + right.abs());
        assert!(ours == right || near, "{ours} for {right}: {at:.300}");
    }
}

#[test]
fn ensembles_are_those_of_torch() {
    each_case("ensemble", |case| {
        let shape = sizes(&case["shape"]);
        let positions: Vec<usize> = (0..shape[0]).collect();
        let mut ensemble = Ensemble::new().temperature(case["temperature"].as_f64().unwrap());
        let members = case["members"].as_array().unwrap();
        for (bits, weight) in members.iter().zip(case["weights"].as_array().unwrap()) {
            let member = StoredLogits::from(logits(bits, &shape));
            ensemble = ensemble.with("member", weight.as_f64().unwrap(), member);
        }
        let said = ensemble.teach(&positions).unwrap().logits;
        close(&said, &logits(&case["probabilities"], &shape), case);
        let ensemble = ensemble.averaging(Averaging::Logits);
        let said = ensemble.teach(&positions).unwrap().logits;
        close(&said, &logits(&case["logits"], &shape), case);
    });
}

#[test]
fn averages_of_weights_are_those_of_torch() {
    each_case("ema", |case| {
        let shape = sizes(&case["shape"]);
        let mut ema = Ema::new();
        for update in case["updates"].as_array().unwrap() {
            let decay = case["decay"].as_f64().unwrap();
            ema.update("weight", &array(update, &shape), decay).unwrap();
        }
        let average = ema.average::<f64>("weight").unwrap();
        close(&average, &array(&case["average"], &shape), case);
    });
}

#[test]
fn losses_over_padded_sequences_are_those_of_torch() {
    each_case("sequence", |case| {
        let shape = sizes(&case["shape"]);
        let (batch, time, classes) = (shape[0], shape[1], shape[2]);
        let rows = [batch * time, classes];
        let student = Output::from(logits(&case["student"], &rows));
        let teacher = Output::from(logits(&case["teacher"], &rows));
        let lengths = Lengths::new(sizes(&case["lengths"]), time).unwrap();
        let check = |loss: &dyn Loss<f64>, target: Target<'_, f64>, names: [&str; 2]| {
            let loss = loss.evaluate(&student, target).unwrap();
            close([&loss.value], &array(&case[names[0]], &[1]), case);
            close(&loss.grad.logits, &logits(&case[names[1]], &rows), case);
        };

        let tokens = Array2::from_shape_vec((batch, time), sizes(&case["tokens"])).unwrap();
        let next = NextTokens::new(&tokens, &lengths).unwrap();
        let weights = next.lengths.token_weights();
        let target = Target::new().labels(&next.labels).weights(&weights);
        let hard = CrossEntropy::new().reduction(next.lengths.over_tokens());
        check(&hard, target, ["hard", "hard_grad"]);

        let soft = KlDivergence::new(2.0);
        let (tokens, sequences) = (lengths.token_weights(), lengths.sequence_weights());
        let target = Target::from(&teacher);
        let over_tokens = soft.reduction(lengths.over_tokens());
        check(
            &over_tokens,
            target.weights(&tokens),
            ["over_tokens", "tokens_grad"],
        );
        let over_sequences = soft.reduction(lengths.over_sequences());
        let names = ["over_sequences", "sequences_grad"];
        check(&over_sequences, target.weights(&sequences), names);
    });
}

#[test]
fn ctc_targets_are_those_of_torch() {
    each_case("ctc", |case| {
        let shape = sizes(&case["shape"]);
        let scores: Array3<f64> = array(&case["scores"], &shape)
            .into_dimensionality()
            .unwrap();
        let lengths = Lengths::new(sizes(&case["lengths"]), shape[1]).unwrap();
        let blank = usize::try_from(case["blank"].as_u64().unwrap()).unwrap();
        let right: Vec<Vec<usize>> = serde_json::from_value(case["targets"].clone()).unwrap();
        assert_eq!(ctc_targets(&scores, &lengths, blank).unwrap(), right);
    });
}
