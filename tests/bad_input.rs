//! Bad input gets a typed error that says what was given, and changes nothing. One test a question of
//! the edge-case table in docs/numerics.md.

#![allow(
    clippy::unwrap_used,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, and an assertion's values say enough"
)]

use ndarray::{Array0, Array1, Array2, ArrayD, IxDyn, arr0, array};
use rarefy::distill::{
    self, CrossEntropy, Distiller, KlDivergence, Loss, Output, Reduction, Student, Target, Teacher,
    WeightedSum,
};
use rarefy::report::{Drift, Report};
use rarefy::{Error, Mask, Result, prune, quantize};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn nan_weights_are_errors_that_name_the_first_index() {
    let mut weights = array![[1.0, 2.0], [NAN, NAN]];
    assert_eq!(
        text(prune::l1_unstructured(&mut weights, 0.5)),
        "weight [1, 0] is NaN"
    );
    assert_eq!(weights.row(0), array![1.0, 2.0]);
    assert_eq!(text(quantize::linear(&weights, 8)), "weight [1, 0] is NaN");
    let mut report = Report::new();
    let error = text(report.add("w", &weights, &weights, 0));
    assert_eq!(error, "tensor \"w\": original weight [1, 0] is NaN");
    assert_eq!(report, Report::new());
}

#[test]
fn infinite_weights_are_the_largest_to_prune_and_an_error_to_quantize() {
    let mut weights = array![3.0, -INF, 1.0, INF];
    prune::l1_unstructured(&mut weights, 0.5).unwrap();
    assert_eq!(weights, array![0.0, -INF, 0.0, INF]);
    assert_eq!(
        text(quantize::linear(&weights, 8)),
        "weight [1] is -inf, must be finite"
    );
    let error = text(Report::new().add("w", &array![1.0], &array![INF], 4));
    assert_eq!(
        error,
        "tensor \"w\": restored weight [0] is inf, must be finite"
    );
}

#[test]
fn amounts_outside_their_range_say_so() {
    let mut weights = array![1.0, 2.0];
    for (amount, says) in [
        (1.3, "1.3"),
        (-0.1, "-0.1"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        let error = text(prune::l1_unstructured(&mut weights, amount));
        assert_eq!(error, format!("amount must lie in 0..=1, got {says}"));
    }
    let error = text(prune::l1_unstructured(&mut weights, 3_usize));
    assert_eq!(
        error,
        "count must lie in 0..=2, the number of weights, got 3"
    );
    assert_eq!(weights, array![1.0, 2.0]);
}

#[test]
fn shapes_that_do_not_match_are_both_named() {
    let a = Array2::<f32>::zeros((32, 10));
    let b = Array2::<f32>::zeros((32, 12));
    let error = text(distill::kl_divergence(&b, &a, 1.0));
    assert_eq!(
        error,
        "shapes differ: teacher logits [32, 10], student logits [32, 12]"
    );
    let error = text(
        Mask::keep_all((3, 2))
            .unwrap()
            .apply(&mut Array2::<f32>::zeros((2, 3))),
    );
    assert_eq!(error, "shapes differ: mask [3, 2], array [2, 3]");
    let q = quantize::linear(&a, 8).unwrap();
    let error = text(q.dequantize_into(&mut b.clone()));
    assert_eq!(
        error,
        "shapes differ: quantized tensor [32, 10], array [32, 12]"
    );
    let error = text(Report::new().add("w", &a, &b, 0));
    assert_eq!(
        error,
        "tensor \"w\": shapes differ: original [32, 10], restored [32, 12]"
    );
    assert!(matches!(
        Drift::between(&a, &b),
        Err(Error::ShapeMismatch { .. })
    ));
}

#[test]
fn temperatures_must_be_positive_and_finite() {
    let logits = array![[1.0_f32, 2.0]];
    // The last two have no inverse in f32.
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
        let error = text(distill::kl_divergence(&logits, &logits, temperature));
        let says = format!("temperature must be positive and finite, got {temperature}");
        assert_eq!(error, says);
    }
}

#[test]
fn widths_outside_two_to_eight_are_refused() {
    for bits in [0, 1, 9, 16, u32::MAX] {
        let error = text(quantize::linear(&array![1.0_f32], bits));
        assert_eq!(error, format!("bits must lie in 2..=8, got {bits}"));
    }
}

#[test]
fn empty_arrays_have_a_stated_outcome() {
    let mut nothing = Array1::<f32>::zeros(0);
    assert_eq!(prune::l1_unstructured(&mut nothing, 0.5).unwrap().len(), 0);
    assert!(matches!(
        prune::l1_unstructured(&mut nothing, 1_usize),
        Err(Error::CountOutOfRange { count: 1, len: 0 })
    ));
    let q = quantize::linear(&nothing, 8).unwrap();
    assert_eq!(
        (q.len(), q.scales(), q.bits_per_weight()),
        (0, &[1.0][..], 0.0)
    );
    assert_eq!(q.dequantize::<f32>().len(), 0);
    for shape in [(0, 3), (3, 0), (0, 0)] {
        let logits = Array2::<f32>::zeros(shape);
        let labels = vec![0; shape.0];
        let says = format!(
            "logits have shape {:?}, at least one row and one class are needed",
            [shape.0, shape.1]
        );
        assert_eq!(text(distill::kl_divergence(&logits, &logits, 1.0)), says);
        assert_eq!(text(distill::cross_entropy(&logits, &labels)), says);
        assert_eq!(text(Drift::between(&logits, &logits)), says);
    }
    let mut report = Report::new();
    report.add("nothing", &nothing, &nothing, 0).unwrap();
    assert_eq!(report.total().bits_per_weight(), 0.0);
    assert_eq!(report.total().cosine(), 1.0);
}

#[test]
fn rank_zero_works() {
    let mut scalar: Array0<f32> = arr0(-2.5);
    let mask = prune::l1_unstructured(&mut scalar, 0.4).unwrap();
    assert_eq!((mask.len(), mask.kept(), scalar[()]), (1, 1, -2.5));
    let q = quantize::linear(&scalar, 8).unwrap();
    assert!((q.dequantize::<f32>()[IxDyn(&[])] + 2.5).abs() < 1e-6);
    prune::l1_unstructured(&mut scalar, 1_usize).unwrap();
    assert_eq!(scalar[()], 0.0);
    let mut report = Report::new();
    report.add_quantized("scalar", &scalar, &q).unwrap();
}

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
    let says = "the loss of row 0 is infinite: class 1 is possible for the target and has a \
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
        "the weights of all 2 rows are zero, so there is no mean over them"
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
        "weight of a term must be finite, got NaN"
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

#[test]
fn shapes_that_cannot_be_counted_are_errors() {
    for shape in [
        vec![usize::MAX, 2],
        vec![usize::MAX],
        vec![usize::MAX, 2, 0],
    ] {
        assert!(matches!(
            Mask::keep_all(IxDyn(&shape)),
            Err(Error::ShapeOverflow { .. })
        ));
        assert!(matches!(
            Mask::drop_all(IxDyn(&shape)),
            Err(Error::ShapeOverflow { .. })
        ));
        assert!(matches!(
            Mask::from_parts(shape, vec![]),
            Err(Error::ShapeOverflow { .. })
        ));
    }
    assert!(matches!(
        Mask::from_fn((usize::MAX, 2), |_| true),
        Err(Error::ShapeOverflow { .. })
    ));
}

#[test]
fn sums_that_overflow_are_errors() {
    let huge: ArrayD<f64> = array![1e200, -1e200].into_dyn();
    let error = text(Report::new().add("huge", &huge, &huge, 16));
    assert!(error.contains("too large to sum their squares"), "{error}");
}
