//! Compares with what the real PyTorch gave: `tests/golden/top_k.json`, made by the script beside it.

use crate::reference::{cases, numbers, size, sizes};
use ndarray::{Array2, s};
use rarefy::Float;
use rarefy::distill::{Loss, Output, TailBucketDivergence, Target, TopKDivergence, TopKTarget};

fn check<F: Float>(tolerance: f64) {
    for case in &cases("top_k.json") {
        let shape = (size(&case["shape"][0]), size(&case["shape"][1]));
        let k = size(&case["k"]);
        let array = |name: &str| {
            let values = numbers::<f64>(&case[name]).into_iter().map(F::cast);
            Array2::from_shape_vec(shape, values.collect()).unwrap()
        };
        let student = Output::from(array("student"));
        let target = TopKTarget::from_logits(&array("teacher"), k).unwrap();
        let indices = sizes(&case["indices"]);
        let ours = target.indices().iter().map(|&index| index as usize);
        assert_eq!(ours.collect::<Vec<_>>(), indices);
        let close = |ours: F, right: f64| {
            let error = (ours.to_f64().unwrap() - right).abs();
            assert!(error <= tolerance * (1.0 + right.abs()), "{ours} {right}");
        };
        for (&ours, right) in target
            .log_probabilities()
            .iter()
            .zip(numbers::<f64>(&case["logs"]))
        {
            close(ours, right);
        }
        for golden in case["losses"].as_array().unwrap() {
            let loss: Box<dyn Loss<F>> = match golden["temperature"].as_f64() {
                Some(temperature) => Box::new(TopKDivergence::new(temperature)),
                None => Box::new(TailBucketDivergence::new()),
            };
            let loss = loss
                .evaluate(&student, Target::new().top_k(&target))
                .unwrap();
            close(loss.value, numbers::<f64>(&golden["value"])[0]);
            let right = numbers::<f64>(&golden["grad"]);
            let columns = right.len() / shape.0;
            let ours = loss.grad.logits.slice(s![.., ..columns]).to_owned();
            ours.iter()
                .zip(right)
                .for_each(|(&ours, right)| close(ours, right));
        }
    }
}

#[test]
fn f32_agrees_with_torch() {
    check::<f32>(2e-6);
}

#[test]
fn f64_agrees_with_torch() {
    check::<f64>(1e-12);
}
