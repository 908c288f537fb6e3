//! Streaming and universal logit distillation against the real PyTorch: see
//! `tests/golden/streaming.py`.

use crate::reference::{numbers, of_kind, size};
use approx::assert_abs_diff_eq;
use ndarray::{Array1, Array2};
use rarefy::distill::{
    Loss, Output, OutputLayer, SortedProbability, StreamingBatch, StreamingDistillation, Target,
};
use serde_json::Value;

fn cases(kind: &str) -> Vec<Value> {
    let cases = of_kind("streaming.json", kind);
    assert_eq!(cases.len(), 3);
    cases
}

fn floats(case: &Value, name: &str) -> Array1<f64> {
    Array1::from(numbers(&case[name]))
}

fn assert_close<'a>(
    ours: impl IntoIterator<Item = &'a f64>,
    right: impl IntoIterator<Item = &'a f64>,
) {
    let (ours, right): (Vec<_>, Vec<_>) = (ours.into_iter().collect(), right.into_iter().collect());
    assert_eq!(ours.len(), right.len());
    for (ours, right) in ours.into_iter().zip(right) {
        assert_abs_diff_eq!(ours, right, epsilon = 1e-13);
    }
}

fn matrix(case: &Value, name: &str, shape: (usize, usize)) -> Array2<f64> {
    floats(case, name).into_shape_with_order(shape).unwrap()
}

#[test]
fn streaming_distillation_agrees_with_autograd() {
    for case in cases("streaming") {
        let [tokens, classes, width, teacher_width] =
            ["tokens", "classes", "width", "teacher_width"].map(|name| size(&case[name]));
        let hidden = matrix(&case, "hidden", (tokens, width));
        let projection = matrix(&case, "projection", (classes, width));
        let bias = floats(&case, "bias");
        let taught = matrix(&case, "taught", (tokens, teacher_width));
        let teacher_projection = matrix(&case, "teacher_projection", (classes, teacher_width));
        let labels: Vec<usize> = serde_json::from_value(case["labels"].clone()).unwrap();
        let batch = StreamingBatch::new(OutputLayer::new(&hidden, &projection).bias(&bias))
            .teacher(OutputLayer::new(&taught, &teacher_projection))
            .labels(&labels);
        let [temperature, soft, hard] =
            ["temperature", "soft", "hard"].map(|name| case[name].as_f64().unwrap());
        let loss = StreamingDistillation::new(temperature)
            .term_weights(soft, hard)
            .evaluate(batch)
            .unwrap();
        assert_close([&loss.value], &floats(&case, "value"));
        let grad = loss.grad;
        let right = matrix(&case, "hidden_grad", (tokens, width));
        assert_close(&grad.hidden, &right);
        let right = matrix(&case, "projection_grad", (classes, width));
        assert_close(&grad.projection, &right);
        let right = floats(&case, "bias_grad");
        assert_close(&grad.bias.unwrap(), &right);
    }
}

#[test]
fn universal_logit_distillation_agrees_with_autograd() {
    for case in cases("sorted") {
        let [rows, classes, teacher_classes] =
            ["rows", "classes", "teacher_classes"].map(|name| size(&case[name]));
        let student = Output::from(matrix(&case, "student", (rows, classes)));
        let teacher = Output::from(matrix(&case, "teacher", (rows, teacher_classes)));
        let loss = SortedProbability::new(case["temperature"].as_f64().unwrap())
            .evaluate(&student, Target::from(&teacher))
            .unwrap();
        assert_close([&loss.value], &floats(&case, "value"));
        let right = matrix(&case, "grad", (rows, classes));
        assert_close(&loss.grad.logits, &right);
    }
}
