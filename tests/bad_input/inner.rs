//! Losses over features: bad input gets a typed error that says what was given, and what has no
//! direction or no distance has a value and no NaN.

use ndarray::{Array1, Array2, Array3, Array4, ArrayD, Dimension, array};
use rarefy::Result;
use rarefy::distill::{
    AttentionKl, AttentionMse, AttentionTransfer, CongruenceKernel, CorrelationCongruence, Dist,
    Fsp, HiddenCosine, HiddenMse, Loss, LossValue, MiniLm, Mmd, MmdKernel, Output, PatientHidden,
    Pkt, Reduction, RelationKl, RelationalAngle, RelationalDistance, SimilarityPreserving, Target,
};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn with<D: Dimension>(feature: ndarray::Array<f64, D>) -> Output<f64> {
    Output::from(Array2::zeros((2, 3))).with_feature("h", feature)
}

fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

fn compare(
    loss: &dyn Loss<f64>,
    student: &Output<f64>,
    teacher: &Output<f64>,
) -> Result<LossValue<f64>> {
    let both = loss.evaluate(student, Target::from(teacher));
    let value = loss.value(student, Target::from(teacher));
    assert_eq!(both.is_ok(), value.is_ok());
    both
}

/// All losses that compare one feature "h" of shape [batch, ..].
fn over_batches() -> Vec<Box<dyn Loss<f64>>> {
    vec![
        Box::new(RelationalDistance::new("h", "h")),
        Box::new(RelationalAngle::new("h", "h")),
        Box::new(SimilarityPreserving::new("h", "h")),
        Box::new(Pkt::new("h", "h")),
        Box::new(CorrelationCongruence::new("h", "h")),
        Box::new(HiddenMse::new("h", "h")),
        Box::new(HiddenCosine::new("h", "h")),
        Box::new(PatientHidden::new("h", "h")),
        Box::new(AttentionTransfer::new("h", "h")),
        Box::new(AttentionTransfer::new("h", "h").power(1.0)),
        Box::new(Mmd::new("h", "h")),
        Box::new(Fsp::gram("h", "h")),
    ]
}

#[test]
fn a_missing_feature_is_named_with_its_side() {
    let (there, empty) = (
        with(array![[1.0], [2.0]]),
        Output::from(Array2::zeros((2, 3))),
    );
    for loss in over_batches() {
        assert_eq!(
            text(compare(&*loss, &empty, &there)),
            "the student output has no feature \"h\""
        );
        assert_eq!(
            text(compare(&*loss, &there, &empty)),
            "the teacher output has no feature \"h\""
        );
        let error = text(loss.evaluate(&there, Target::new()));
        assert!(
            error.ends_with("needs a target with teacher output"),
            "{error}"
        );
    }
}

#[test]
fn numbers_that_cannot_be_compared_are_named() {
    let good = with(array![[1.0, 2.0], [3.0, 4.0]]);
    for (bad, says) in [
        (NAN, "tensor \"h\": student feature [1, 0] is NaN"),
        (
            INF,
            "tensor \"h\": student feature [1, 0] is inf, must be finite",
        ),
        (
            -INF,
            "tensor \"h\": student feature [1, 0] is -inf, must be finite",
        ),
        (
            1e71,
            "numbers of \"h\" are too large for a loss and its gradient; scale the features down",
        ),
    ] {
        for loss in over_batches() {
            let bad = with(array![[1.0, 2.0], [bad, 4.0]]);
            assert_eq!(text(compare(&*loss, &bad, &good)), says);
            let theirs = text(compare(&*loss, &good, &bad));
            assert_eq!(theirs, says.replace("student", "teacher"));
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_said() {
    let flat = with(Array1::<f64>::zeros(4));
    let empty = with(Array2::<f64>::zeros((2, 0)));
    let (two, three) = (
        with(Array2::<f64>::ones((2, 3))),
        with(Array2::<f64>::ones((3, 3))),
    );
    for loss in over_batches() {
        let error = text(compare(&*loss, &flat, &two));
        assert!(error.contains("student feature \"h\" must have"), "{error}");
        let error = text(compare(&*loss, &two, &empty));
        assert!(
            error.ends_with("none empty, its shape is [2, 0]"),
            "{error}"
        );
        let error = text(compare(&*loss, &two, &three));
        let says = "tensor \"h\": shapes differ: student feature [2, 3], teacher feature [3, 3]";
        assert_eq!(error, says);
    }
    let relation = RelationKl::new(["h", "g"], ["h", "h"]);
    let student = with(Array3::ones((1, 4, 2))).with_feature("g", Array3::ones((1, 4, 3)));
    let error = text(compare(&relation, &student, &with(Array3::ones((1, 4, 2)))));
    assert!(
        error.contains("[1, 4, 2], student feature [1, 4, 3]"),
        "{error}"
    );
    let longer = with(Array4::ones((2, 2, 2, 2)));
    let error = text(compare(&PatientHidden::new("h", "h"), &longer, &longer));
    assert!(
        error.contains("[batch, width] or [batch, time, width]"),
        "{error}"
    );
    let minilm = MiniLm::new(["h"; 3], ["h"; 3]);
    let other = with(Array3::ones((1, 5, 2)));
    assert!(compare(&minilm, &with(Array3::ones((1, 4, 2))), &other).is_err());
}

#[test]
fn a_projection_must_fit_both_sides() {
    let teacher = with(Array2::<f64>::ones((2, 5)));
    let loss = HiddenMse::new("h", "h").projection("proj").bias("bias");
    let student = |proj: (usize, usize), bias: usize| {
        with(Array2::ones((2, 3)))
            .with_feature("proj", Array2::ones(proj))
            .with_feature("bias", Array1::ones(bias))
    };
    assert!(compare(&loss, &student((3, 5), 5), &teacher).is_ok());
    assert_eq!(
        text(compare(&loss, &student((4, 5), 5), &teacher)),
        "student feature \"proj\" must have shape [student width, teacher width], \
         its shape is [4, 5]"
    );
    assert!(text(compare(&loss, &student((3, 4), 4), &teacher)).contains("shapes differ"));
    assert_eq!(
        text(compare(&loss, &student((3, 5), 4), &teacher)),
        "student feature \"bias\" must have shape [teacher width], its shape is [4]"
    );
    let lacking = with(Array2::ones((2, 3)));
    assert_eq!(
        text(compare(&loss, &lacking, &teacher)),
        "the student output has no feature \"proj\""
    );
}

#[test]
fn masks_hold_zeros_and_ones_and_hide_anything() {
    let scores = array![[[1.0, NAN, 3.0], [0.0, INF, -INF]]];
    let student = with(scores);
    let teacher = |mask: Array2<f64>| {
        with(array![[[2.0, 7.0, 1.0], [0.5, NAN, NAN]]]).with_feature("mask", mask)
    };
    let (keys, queries) = (array![[1.0, 0.0, 1.0]], array![[1.0, 0.0]]);
    let teacher_and = |queries: Array2<f64>| teacher(keys.clone()).with_feature("queries", queries);
    let losses: [Box<dyn Loss<f64>>; 2] = [
        Box::new(
            AttentionMse::new("h", "h")
                .key_mask("mask")
                .query_mask("queries"),
        ),
        Box::new(
            AttentionKl::new("h", "h")
                .key_mask("mask")
                .query_mask("queries"),
        ),
    ];
    for loss in losses {
        let found = compare(&*loss, &student, &teacher_and(queries.clone())).unwrap();
        let grad = &found.grad.features["h"];
        assert!(found.value > 0.0 && grad.iter().all(|g| g.is_finite()));
        assert_eq!(grad[[0, 0, 1]], 0.0);
        let error = text(compare(&*loss, &student, &teacher_and(array![[1.0, 0.5]])));
        assert_eq!(
            error,
            "tensor \"queries\": a value of a mask must be 0 or 1, got 0.5"
        );
        let error = text(compare(&*loss, &student, &teacher_and(array![[1.0]])));
        assert!(error.contains("[length of axis 0, positions]"), "{error}");
        let error = text(compare(&*loss, &student, &teacher_and(array![[0.0, 0.0]])));
        assert!(error.ends_with("so there is no mean over them"), "{error}");
        let error = text(compare(&*loss, &student, &teacher_and(array![[1.0, 1.0]])));
        assert_eq!(
            error,
            "tensor \"h\": student feature [0, 1, 2] is -inf, must be finite"
        );
        let error = text(compare(&*loss, &student, &teacher(keys.clone())));
        assert_eq!(error, "the student output has no feature \"queries\"");
    }
    // −∞ is masked where it is said to be.
    let loss = AttentionKl::new("h", "h").masked_at_or_below(-INF);
    let student = with(array![[[1.0, 5.0, -INF]]]);
    let teacher = with(array![[[1.0, -INF, 9.0]]]);
    let found = compare(&loss, &student, &teacher).unwrap();
    assert_eq!(found.value, 0.0);
    assert_eq!(
        found.grad.features["h"],
        ArrayD::<f64>::zeros(vec![1, 1, 3])
    );
    let loss = AttentionMse::new("h", "h").masked_at_or_below(NAN);
    let error = text(compare(&loss, &student, &teacher));
    assert_eq!(
        error,
        "threshold of masked scores must be a number, got NaN"
    );
}

#[test]
fn masked_positions_have_no_part_in_relations() {
    let loss = MiniLm::new(["h"; 3], ["h"; 3]);
    let short = array![[[1.0, 2.0], [0.5, -1.0]]];
    let teacher_short = array![[[0.3, 2.0], [1.5, -1.0]]];
    let long = array![[[1.0, 2.0], [NAN, 9.0], [0.5, -1.0]]];
    let teacher_long = array![[[0.3, 2.0], [INF, 1.0], [1.5, -1.0]]];
    let teacher = with(teacher_long).with_feature("mask", array![[1.0, 0.0, 1.0]]);
    let right = compare(&loss, &with(short), &with(teacher_short)).unwrap();
    let found = compare(&loss.mask("mask"), &with(long), &teacher).unwrap();
    assert_eq!(found.value, right.value);
    let (ours, theirs) = (&found.grad.features["h"], &right.grad.features["h"]);
    for (long, short) in [(0, 0), (2, 1)] {
        for column in 0..2 {
            assert_eq!(ours[[0, long, column]], theirs[[0, short, column]]);
        }
    }
    assert_eq!((ours[[0, 1, 0]], ours[[0, 1, 1]]), (0.0, 0.0));
}

#[test]
fn zeros_and_points_that_coincide_have_a_value_and_no_nan() {
    let outputs = [
        with(Array2::<f64>::zeros((3, 2))),
        with(Array2::<f64>::ones((3, 2))),
        with(array![[0.0, 0.0], [1.0, 2.0], [1.0, 2.0]]),
        with(array![[0.0, 0.0], [1.0, 2.0], [-1.0, -2.0]]),
        with(array![[1e-200, 0.0], [1e-300, 2e-200], [0.0, 0.0]]),
        with(array![[1e69, 0.0], [-1e69, 2.0], [1e-69, 1.0]]),
    ];
    for loss in over_batches() {
        for student in &outputs {
            for teacher in &outputs {
                let found = compare(&*loss, student, teacher).unwrap();
                assert!(found.value.is_finite() && found.value >= 0.0, "{loss:?}");
                let grad = &found.grad.features["h"];
                assert!(grad.iter().all(|g| g.is_finite()), "{loss:?}: {grad}");
            }
            let same = compare(&*loss, student, student).unwrap();
            assert_eq!(same.value, 0.0, "{loss:?}");
        }
    }
    // One example has no relation to any other, and two have no angle.
    for loss in &over_batches()[..2] {
        let found = compare(&**loss, &with(array![[1.0]]), &with(array![[5.0]])).unwrap();
        assert_eq!(found.value, 0.0);
        assert_eq!(found.grad.features["h"], array![[0.0]].into_dyn());
    }
    let angle = RelationalAngle::new("h", "h");
    let found = compare(
        &angle,
        &with(array![[1.0], [2.0]]),
        &with(array![[5.0], [9.0]]),
    );
    assert_eq!(found.unwrap().value, 0.0);
}

#[test]
fn settings_out_of_range_say_so() {
    let output = with(array![[1.0, 2.0], [3.0, 4.0]]);
    let says = |loss: &dyn Loss<f64>| text(compare(loss, &output, &output));
    for power in [0.5, NAN, INF] {
        let error = says(&AttentionTransfer::new("h", "h").power(power));
        assert_eq!(
            error,
            format!("power must be at least 1 and finite, got {power}")
        );
    }
    let kernel =
        |degree, offset| Mmd::new("h", "h").kernel(MmdKernel::Polynomial { degree, offset });
    assert_eq!(
        says(&kernel(0, 0.0)),
        "degree of the kernel must be at least 1, got 0"
    );
    assert_eq!(
        says(&kernel(2, NAN)),
        "offset of the kernel must be finite, got NaN"
    );
    let kernel = CongruenceKernel::Gaussian { gamma: -1.0 };
    let error = says(&CorrelationCongruence::new("h", "h").kernel(kernel));
    assert_eq!(
        error,
        "gamma of the kernel must be positive and finite, got -1"
    );
    let error = says(&Pkt::new("h", "h").epsilon(0.0));
    assert_eq!(error, "epsilon must be positive and finite, got 0");
    let error = says(&HiddenMse::new("h", "h").reduction(Reduction::DividedBy(0.0)));
    assert_eq!(
        error,
        "what the loss is divided by must be positive and finite, got 0"
    );
    assert_eq!(
        says(&Dist::new(0.0)),
        "temperature must lie in 1e-150..=1e150, got 0"
    );
    assert_eq!(
        says(&Dist::new(1.0).inter(NAN)),
        "weight inter must be finite, got NaN"
    );
}

#[test]
fn weights_belong_to_leading_axes() {
    let student = with(Array3::<f64>::ones((2, 3, 4)));
    let teacher = with(Array3::<f64>::zeros((2, 3, 4)));
    let loss = HiddenMse::new("h", "h").reduction(Reduction::MeanOverWeights);
    let evaluate =
        |weights: &Array1<f64>| loss.evaluate(&student, Target::from(&teacher).weights(weights));
    assert_eq!(evaluate(&array![1.0, 0.5]).unwrap().value, 4.0);
    let by_position = array![0.0, 0.0, 0.0, 0.0, 2.0, 0.0];
    let grad = evaluate(&by_position).unwrap().grad;
    assert_eq!(grad.features["h"][[1, 1, 0]], 2.0);
    assert_eq!(grad.features["h"][[1, 2, 0]], 0.0);
    assert_eq!(
        text(evaluate(&Array1::ones(3))),
        "3 row weights given, 2 needed"
    );
    assert_eq!(
        text(evaluate(&array![1.0, -1.0])),
        "weight of row 1 must be finite and not negative, got -1"
    );
    assert_eq!(
        text(evaluate(&Array1::zeros(2))),
        "none of 6 rows counts, so there is no mean over them"
    );
}

#[test]
fn dist_masks_classes_and_names_rows() {
    let loss = Dist::new(1.0);
    let student = Output::from(array![[1.0, -INF, 2.0], [0.0, 1.0, 0.0]]);
    let teacher = Output::from(array![[1.0, 1.0, -INF], [0.0, 0.0, 0.0]]);
    let found = compare(&loss, &student, &teacher).unwrap();
    assert!(found.value.is_finite() && found.grad.logits.iter().all(|g| g.is_finite()));
    assert_eq!(found.grad.logits[[0, 1]], 0.0);
    let masked = Output::from(array![[1.0, 0.0, 2.0], [-INF, -INF, -INF]]);
    assert_eq!(
        text(compare(&loss, &student, &masked)),
        "every logit of teacher row 1 is -inf, at least one must be finite"
    );
    let infinite = Output::from(array![[1.0, 0.0, INF], [0.0, 0.0, 0.0]]);
    assert_eq!(
        text(compare(&loss, &infinite, &teacher)),
        "student logit [0, 2] is inf, must be finite"
    );
    let none = Output::from(Array2::zeros((0, 3)));
    assert!(text(compare(&loss, &none, &none)).starts_with("logits have shape [0, 3]"));
    for shape in [(3, 1), (1, 4)] {
        let zeros = Output::from(Array2::zeros(shape));
        assert_eq!(compare(&loss, &zeros, &zeros).unwrap().value, 0.0);
    }
}
