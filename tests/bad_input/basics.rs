//! Weights, masks, schemes, logits and targets.

use approx::assert_abs_diff_eq;
use ndarray::{Array0, Array1, Array2, ArrayD, IxDyn, arr0, array};
use rarefy::distill::{
    self, AlphaDivergence, CrossEntropy, DecoupledKl, JensenShannon, KlDivergence, Loss, LossValue,
    Output, Reduction, ReverseKlDivergence, SkewedKl, SkewedReverseKl, Target, TeacherForm,
    TotalVariation, WeightedSum,
};
use rarefy::prelude::*;
use rarefy::report::{Drift, Report};
use rarefy::{Error, Mask, Result, prune, quantize};

pub(crate) const INF: f32 = f32::INFINITY;
pub(crate) const NAN: f32 = f32::NAN;

pub(crate) fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
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
fn temperatures_have_a_range() {
    let logits = array![[1.0_f32, 2.0]];
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e39] {
        let error = text(distill::kl_divergence(&logits, &logits, temperature));
        let says = format!("temperature must lie in 1e-37..=1e37, got {temperature}");
        assert_eq!(error, says);
    }
    let logits = logits.mapv(f64::from);
    for temperature in [1e-163, 1e155] {
        let error = text(distill::kl_divergence(&logits, &logits, temperature));
        let says = format!("temperature must lie in 1e-150..=1e150, got {temperature}");
        assert_eq!(error, says);
    }
    let output = Output::from(logits);
    let temperatures = array![0.0];
    let target = Target::from(&output).temperatures(&temperatures);
    let error = text(KlDivergence::new(1.0).evaluate(&output, target));
    assert_eq!(error, "temperature must lie in 1e-150..=1e150, got 0");
    let temperatures = array![1.0, 1.0];
    let target = Target::from(&output).temperatures(&temperatures);
    let error = text(KlDivergence::new(1.0).evaluate(&output, target));
    assert_eq!(error, "2 temperatures given, 1 needed");
}

#[test]
fn logits_whose_difference_overflows_are_no_masked_classes() {
    // The difference of the second row is beyond f32; the value is not, and its gradient is tame.
    let student = array![[0.0_f32, 1.0], [1.5e38, -1.5e38]];
    let teacher = array![[1.0_f32, 0.0], [-1.0e38, 1.0e38]];
    let loss = distill::kl_divergence(&student, &teacher, 1.0).unwrap();
    assert!((loss.value / 1.5e38 - 1.0).abs() < 1e-5, "{}", loss.value);
    assert_eq!(loss.grad.row(1), array![0.5, -0.5]);
    let huge = distill::cross_entropy(&array![[1.7e308, -1.7e308]], &[1]).unwrap();
    assert_eq!((huge.value, huge.grad), (INF.into(), array![[1.0, -1.0]]));
}

#[test]
fn weights_that_vanish_or_overflow_are_errors_and_never_nan() {
    let output = Output::from(array![[0.0, 1.0], [NAN.into(), 0.0]]);
    let weights = array![1.0, 5e-324];
    let target = Target::new().labels(&[0, 0]).weights(&weights);
    let error = text(CrossEntropy::new().evaluate(&output, target));
    assert!(error.contains("neither overflow nor underflow"), "{error}");
    let good = Output::from(array![[0.0, 1.0]]);
    let target = Target::new().labels(&[0]);
    let divided = CrossEntropy::new().reduction(Reduction::DividedBy(5e-324));
    let error = text(divided.evaluate(&good, target));
    assert!(error.contains("neither overflow nor underflow"), "{error}");
    let good = Output::from(array![[0.0_f32, 1.0]]);
    for weight in [1e50, 1e-50] {
        let sum = WeightedSum::new().with("hard", weight, CrossEntropy::new());
        let error = text(sum.evaluate(&good, Target::new().labels(&[0])));
        assert!(error.contains("weight of a term"), "{error}");
    }
    let masked = Output::from(array![[0.0_f32, -INF]]);
    let sum = WeightedSum::new()
        .with("more", 1.0, CrossEntropy::new())
        .with("less", -1.0, CrossEntropy::new());
    let error = text(sum.value(&masked, Target::new().labels(&[1])));
    assert!(error.contains("opposite signs"), "{error}");
}

#[test]
fn teacher_probabilities_are_checked() {
    let student = Output::from(array![[0.0_f32, 1.0]]);
    let loss = KlDivergence::new(1.0).teacher_form(TeacherForm::Probabilities);
    for bad in [-0.5, NAN, INF] {
        let teacher = Output::from(array![[0.5, bad]]);
        let error = text(loss.evaluate(&student, Target::from(&teacher)));
        let says = format!("teacher probability [0, 1] must be finite and not negative, got {bad}");
        assert_eq!(error, says);
    }
    let nothing = Output::from(array![[0.0_f32, 0.0]]);
    let error = text(loss.evaluate(&student, Target::from(&nothing)));
    assert!(error.contains("teacher row 0"), "{error}");
}

#[test]
fn masks_and_shares_are_checked() {
    let logits = Output::from(array![[0.0_f32, 1.0], [1.0, 0.0]]);
    let target = Target::from(&logits).mask(&[true]);
    let error = text(KlDivergence::new(1.0).evaluate(&logits, target));
    assert_eq!(error, "1 mask flags given, 2 needed");
    let none = Target::from(&logits).mask(&[false, false]);
    let error = text(KlDivergence::new(1.0).evaluate(&logits, none));
    assert_eq!(
        error,
        "none of 2 rows counts, so there is no mean over them"
    );
    let sum = KlDivergence::new(1.0).reduction(Reduction::Sum);
    assert_eq!(sum.value(&logits, none).unwrap(), 0.0);
    for bad in [-0.1, 1.1, f64::NAN] {
        let says = format!("must be in 0..=1, got {bad}");
        let target = Target::from(&logits).labels(&[0, 1]);
        for error in [
            text(JensenShannon::new(1.0).beta(bad).evaluate(&logits, target)),
            text(SkewedKl::new(1.0).lambda(bad).evaluate(&logits, target)),
            text(
                AlphaDivergence::new(1.0)
                    .alpha(bad)
                    .evaluate(&logits, target),
            ),
            text(
                CrossEntropy::new()
                    .label_smoothing(bad)
                    .evaluate(&logits, target),
            ),
        ] {
            assert!(error.ends_with(&says), "{error}");
        }
    }
    let error = text(
        DecoupledKl::new(1.0)
            .weights(-1.0, 1.0)
            .evaluate(&logits, Target::from(&logits).labels(&[0, 1])),
    );
    assert!(
        error.contains("must be finite and not negative, got -1"),
        "{error}"
    );
}

#[test]
fn a_class_that_the_teacher_masks_is_infinite_in_reverse() {
    let all = Output::from(array![[0.0_f32, 1.0, 2.0]]);
    let some = Output::from(array![[0.0_f32, -INF, 2.0]]);
    let error = text(ReverseKlDivergence::new(1.0).evaluate(&all, Target::from(&some)));
    assert_eq!(
        error,
        "the loss of row 0 is infinite: class 1 is possible for the other side and has a \
         teacher logit of -inf"
    );
    let value = ReverseKlDivergence::new(1.0).value(&all, Target::from(&some));
    assert_eq!(value.unwrap(), INF);
    let back = ReverseKlDivergence::new(1.0).evaluate(&some, Target::from(&all));
    assert!(back.unwrap().value.is_finite());
    // A mixture has something everywhere.
    for loss in [
        Box::new(JensenShannon::new(1.0)) as Box<dyn Loss<f32>>,
        Box::new(SkewedKl::new(1.0)),
        Box::new(SkewedReverseKl::new(1.0)),
        Box::new(TotalVariation::new(1.0)),
        Box::new(AlphaDivergence::new(1.0)),
    ] {
        for (s, t) in [(&all, &some), (&some, &all), (&some, &some)] {
            let LossValue { value, grad } = loss.evaluate(s, Target::from(t)).unwrap();
            assert!(
                value.is_finite() && grad.logits.iter().all(|g| g.is_finite()),
                "{loss:?}"
            );
        }
    }
}

#[test]
fn empty_arrays_with_absurd_shapes_are_errors() {
    let nothing = Array2::<f32>::zeros((isize::MAX as usize, 0));
    let error = quantize::Linear::new(8)
        .per_channel(ndarray::Axis(0))
        .quantize(&nothing);
    assert!(matches!(error, Err(Error::ShapeOverflow { .. })));
}

#[test]
fn widths_that_no_scheme_has_are_refused() {
    for bits in [0, 1, 9, 15, 17, u32::MAX] {
        let error = text(quantize::linear(&array![1.0_f32], bits));
        assert_eq!(
            error,
            format!("bits must lie in 2..=8 or be 16, got {bits}")
        );
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
    assert_abs_diff_eq!(q.dequantize::<f32>()[IxDyn(&[])], -2.5, epsilon = 1e-6);
    prune::l1_unstructured(&mut scalar, 1_usize).unwrap();
    assert_eq!(scalar[()], 0.0);
    let mut report = Report::new();
    report.add_quantized("scalar", &scalar, &q).unwrap();
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
    assert!(
        error.contains("too large or too small to sum their squares"),
        "{error}"
    );
}
