//! Logits, labels, weights of rows and parts of targets.

use crate::basics::{INF, NAN, text};
use ndarray::{Array2, array};
use rarefy::Result;
use rarefy::distill::{
    self, CrossEntropy, Distiller, KlDivergence, Loss, Output, Reduction, Student, Target, Teacher,
    WeightedSum,
};

#[test]
fn one_class_has_no_loss_and_no_gradient() {
    let loss = distill::kl_divergence(&array![[3.0_f32]], &array![[-7.0]], 2.0).unwrap();
    assert_eq!((loss.value, loss.grad), (0.0, array![[0.0]]));
    let loss = distill::cross_entropy(&array![[3.0_f64]], &[0]).unwrap();
    assert_eq!((loss.value, loss.grad), (0.0, array![[0.0]]));
}

#[test]
fn logits_that_are_no_logits_name_side_row_and_class() {
    let good = array![[1.0_f32, 2.0], [3.0, 4.0]];
    for (bad, says) in [(NAN, "is NaN"), (INF, "is inf, must be finite")] {
        let mut logits = good.clone();
        logits[[1, 0]] = bad;
        let student = text(distill::kl_divergence(&logits, &good, 1.0));
        assert_eq!(student, format!("student logit [1, 0] {says}"));
        let teacher = text(distill::kl_divergence(&good, &logits, 1.0));
        assert_eq!(teacher, format!("teacher logit [1, 0] {says}"));
        let hard = text(distill::cross_entropy(&logits, &[0, 0]));
        assert_eq!(hard, format!("student logit [1, 0] {says}"));
    }
}

#[test]
fn masked_classes_are_defined_and_masked_rows_are_errors() {
    let all = array![[0.0_f32, 1.0, 2.0]];
    let some = array![[0.0_f32, -INF, 2.0]];
    let none = array![[-INF, -INF, -INF]];
    let finite = distill::kl_divergence(&all, &some, 1.0).unwrap();
    assert!(finite.value.is_finite() && finite.grad[[0, 1]] > 0.0);
    assert_eq!(
        distill::kl_divergence(&some, &some, 1.0).unwrap().value,
        0.0
    );
    let infinite = text(distill::kl_divergence(&some, &all, 1.0));
    let says = "the loss of row 0 is infinite: class 1 is possible for the other side and has a \
                student logit of -inf";
    assert_eq!(infinite, says);
    let value = KlDivergence::new(1.0).value(
        &Output::from(some.clone()),
        Target::from(&Output::from(all.clone())),
    );
    assert_eq!(value.unwrap(), INF);
    assert_eq!(text(distill::cross_entropy(&some, &[1])), says);
    let value = CrossEntropy::new().value(&Output::from(some), Target::new().labels(&[1]));
    assert_eq!(value.unwrap(), INF);
    let error = text(distill::kl_divergence(&none, &all, 1.0));
    assert_eq!(
        error,
        "every logit of student row 0 is -inf, at least one must be finite"
    );
    let error = text(distill::kl_divergence(&all, &none, 1.0));
    assert_eq!(
        error,
        "every logit of teacher row 0 is -inf, at least one must be finite"
    );
}

#[test]
fn labels_and_row_weights_are_checked() {
    let logits = Output::from(Array2::<f32>::zeros((3, 4)));
    let hard = CrossEntropy::new();
    let error = text(hard.evaluate(&logits, Target::new().labels(&[0, 4, 9])));
    assert_eq!(error, "label of row 1 must lie in 0..4, got 4");
    let error = text(hard.evaluate(&logits, Target::new().labels(&[0, 1])));
    assert_eq!(error, "2 labels given, 3 needed");
    let target = Target::new().labels(&[0, 1, 2]);
    let error = text(hard.evaluate(&logits, target.weights(&array![1.0, 1.0])));
    assert_eq!(error, "2 row weights given, 3 needed");
    for (bad, says) in [(-1.0, "-1"), (NAN, "NaN"), (INF, "inf")] {
        let error = text(hard.evaluate(&logits, target.weights(&array![1.0, 1.0, bad])));
        assert_eq!(
            error,
            format!("weight of row 2 must be finite and not negative, got {says}")
        );
    }
}

#[test]
fn a_mean_over_nothing_is_an_error_and_a_sum_is_zero() {
    let logits = Output::from(array![[NAN, 1.0], [2.0, NAN]]);
    let weights = array![0.0, 0.0];
    let target = Target::new().labels(&[0, 1]).weights(&weights);
    let over_weights = CrossEntropy::new().reduction(Reduction::MeanOverWeights);
    let error = text(over_weights.evaluate(&logits, target));
    assert_eq!(
        error,
        "none of 2 rows counts, so there is no mean over them"
    );
    let sum = CrossEntropy::new()
        .reduction(Reduction::Sum)
        .evaluate(&logits, target)
        .unwrap();
    assert_eq!((sum.value, sum.grad.logits), (0.0, Array2::zeros((2, 2))));
    for bad in [0.0, -3.0, f64::NAN] {
        let divided = CrossEntropy::new().reduction(Reduction::DividedBy(bad));
        let error = text(divided.evaluate(&logits, target));
        let says = format!("what the loss is divided by must be positive and finite, got {bad}");
        assert_eq!(error, says);
    }
    let mix = WeightedSum::new().with("odd", f64::NAN, CrossEntropy::new());
    assert_eq!(
        text(mix.evaluate(&logits, target)),
        "weight of a term must be finite, and 0 or large enough to be a number, got NaN"
    );
}

#[test]
fn missing_parts_of_a_target_are_named() {
    let student = Output::from(array![[0.0_f32, 1.0]]);
    let error = text(KlDivergence::new(1.0).evaluate(&student, Target::new()));
    assert_eq!(error, "kl divergence needs a target with teacher output");
    let error = text(CrossEntropy::new().evaluate(&student, Target::from(&student)));
    assert_eq!(error, "cross-entropy needs a target with labels");
}

/// Counts how often it learned.
struct Counting(usize);

impl Student<f32, ()> for Counting {
    fn forward(&mut self, (): &()) -> Result<Output<f32>> {
        Ok(Output::from(array![[0.0, NAN]]))
    }

    fn backward(&mut self, _: &Output<f32>) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
}

impl Teacher<f32, ()> for Counting {
    fn teach(&self, (): &()) -> Result<Output<f32>> {
        Ok(Output::from(array![[0.0, 1.0]]))
    }
}

#[test]
fn a_student_does_not_learn_from_an_error() {
    let mut student = Counting(0);
    let distiller = Distiller::new(KlDivergence::new(1.0));
    let error = text(distiller.step(&Counting(0), &mut student, &(), Target::new()));
    assert_eq!(
        (error.as_str(), student.0),
        ("student logit [0, 1] is NaN", 0)
    );
}
