//! Teachers corrected by labels: PyTorch's values (tests/golden/minifinetuning.py), what corrected rows
//! must be, and bad input.

use ndarray::{Array2, ArrayRef2, array};
use rarefy::distill::{
    AlphaDivergence, JensenShannon, KlDivergence, LabelCorrection, LeadingLabel, Loss, Output,
    ReverseKlDivergence, SkewedKl, SkewedReverseKl, Target, TeacherForm, TotalVariation,
};
use rarefy::{Error, Float};
use serde_json::Value;

const CASES: &str = include_str!("../golden/minifinetuning.json");

fn wide<F: Float>(x: F) -> f64 {
    x.to_f64().unwrap()
}

/// Single numbers of a case are bits of `F`.
fn check_golden<F: Float>(case: &Value, of_bits: fn(u64) -> F) {
    let integer = |value: &Value| value.as_u64().unwrap();
    let list = |key: &str| case[key].as_array().unwrap();
    let [rows, classes] = [0, 1].map(|axis| integer(&case["shape"][axis]) as usize);
    let array = |key: &str| {
        let numbers = list(key).iter().map(|number| of_bits(integer(number)));
        Array2::from_shape_vec((rows, classes), numbers.collect()).unwrap()
    };
    let labels = list("labels").iter().map(|label| integer(label) as usize);
    let labels: Vec<usize> = labels.collect();
    let number = |key: &str| case[key].as_f64().unwrap();
    let leading = match case["raise"].as_bool().unwrap() {
        true => LeadingLabel::Raise,
        false => LeadingLabel::Keep,
    };
    let correction = LabelCorrection::new()
        .threshold(number("threshold"))
        .leading_label(leading);
    let t = number("temperature");

    // As far as the 1e-7 in Model Optimizer's denominators goes, and what f32 rounds there.
    let close = |ours: F, right: F, factor: f64| {
        let error = (wide(ours) - wide(right)).abs();
        let most = factor * 1e-6;
        assert!(error <= most, "{ours} for {right}: {case}");
    };
    let targets = correction.targets(&array("teacher"), &labels, t).unwrap();
    for (&ours, &right) in targets.iter().zip(&array("targets")) {
        close(ours, right, 1.0);
    }
    let (student, teacher) = (
        Output::from(array("student")),
        Output::from(array("teacher")),
    );
    let loss = KlDivergence::new(t).label_correction(correction);
    let ours = loss.evaluate(&student, Target::from(&teacher).labels(&labels));
    let ours = ours.unwrap();
    let value = of_bits(integer(&case["value"]));
    close(ours.value, value, 20.0 * t * t);
    for (&ours, &right) in ours.grad.logits.iter().zip(&array("grad")) {
        close(ours, right, t);
    }
}

#[test]
fn targets_values_and_gradients_are_those_of_model_optimizer() {
    let all: Value = serde_json::from_str(CASES).unwrap();
    for case in all["cases"].as_array().unwrap() {
        match case["dtype"].as_str().unwrap() {
            "float32" => check_golden::<f32>(case, |bits| f32::from_bits(bits as u32)),
            _ => check_golden::<f64>(case, f64::from_bits),
        }
    }
}

fn noise<F: Float>(rows: usize, classes: usize, seed: u64, spread: f64) -> Array2<F> {
    let mut state = seed * 2 + 1;
    Array2::from_shape_simple_fn((rows, classes), || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        F::cast(((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * spread)
    })
}

fn first_largest<F: Float>(row: &[F]) -> usize {
    let most = row.iter().fold(row[0], |most, &p| most.max(p));
    row.iter().position(|&p| p == most).unwrap()
}

fn check_laws<F: Float>(tolerance: f64) {
    for (rows, classes, spread) in [(1, 1, 4.0), (1, 2, 4.0), (40, 5, 8.0), (30, 33, 30.0)] {
        let teacher = noise::<F>(rows, classes, 3, spread);
        let labels: Vec<usize> = (0..rows).map(|row| row * 7 % classes).collect();
        let share = LabelCorrection::new().threshold(0.0);
        let plain = share.leading_label(LeadingLabel::Keep).ignore_index(0);
        let plain = plain.targets(&teacher, &vec![0; rows], 1.5).unwrap();
        for threshold in [0.0, 0.2, 0.5, 0.999, 1.0] {
            for leading in [LeadingLabel::Raise, LeadingLabel::Keep] {
                let correction = LabelCorrection::new()
                    .threshold(threshold)
                    .leading_label(leading);
                let targets = correction.targets(&teacher, &labels, 1.5).unwrap();
                for (row, &label) in labels.iter().enumerate() {
                    let p: Vec<F> = targets.row(row).to_vec();
                    let before: Vec<F> = plain.row(row).to_vec();
                    let at = format!("{p:?} from {before:?}, label {label}, {correction:?}");
                    let sum: f64 = p.iter().map(|&p| wide(p)).sum();
                    assert!((sum - 1.0).abs() <= tolerance, "{sum} {at}");
                    assert!(p.iter().all(|&p| p >= F::zero()), "{at}");
                    let led = first_largest(&before) == label;
                    let others = (0..classes).filter(|&class| class != label);
                    let best = others.map(|class| wide(p[class])).fold(0.0, f64::max);
                    let lead = wide(p[label]) - best;
                    match (led, leading) {
                        (false, _) => assert!((lead - threshold).abs() <= tolerance, "{at}"),
                        (true, LeadingLabel::Raise) => {
                            let right = (wide(before[label]) + threshold).min(1.0);
                            assert!((wide(p[label]) - right).abs() <= tolerance, "{at}");
                            assert!(lead >= threshold - tolerance, "{at}");
                        }
                        _ => assert_eq!(p, before, "{at}"),
                    }
                    if threshold == 1.0 && (!led || leading == LeadingLabel::Raise) {
                        assert!(
                            wide(p[label]) >= 1.0 - tolerance && best <= tolerance,
                            "{at}"
                        );
                    }
                    // The others keep their proportions.
                    let total: f64 = (0..classes)
                        .filter(|&class| class != label)
                        .map(|class| wide(before[class]))
                        .sum();
                    for class in (0..classes).filter(|&class| class != label) {
                        let right = wide(before[class]) / total * (1.0 - wide(p[label]));
                        assert!((wide(p[class]) - right).abs() <= 4.0 * tolerance, "{at}");
                    }
                }
                // The same in place, and in any layout.
                let mut probabilities = plain.clone();
                correction.correct(&mut probabilities, &labels).unwrap();
                assert_eq!(probabilities, targets);
                let turned = teacher.t().as_standard_layout().into_owned();
                let turned = correction.targets(&turned.t(), &labels, 1.5).unwrap();
                assert_eq!(turned, targets);
            }
        }
    }
}

#[test]
fn corrected_rows_are_distributions_in_which_the_label_leads() {
    check_laws::<f64>(1e-14);
    check_laws::<f32>(1e-6);
}

fn all<F: Float>(
    t: f64,
    form: TeacherForm,
    correction: Option<LabelCorrection>,
) -> Vec<Box<dyn Loss<F>>> {
    macro_rules! boxes {
        ($($loss:expr),*) => {
            vec![$({
                let loss = $loss.teacher_form(form);
                match correction {
                    None => Box::new(loss) as Box<dyn Loss<F>>,
                    Some(correction) => Box::new(loss.label_correction(correction)),
                }
            }),*]
        };
    }
    boxes![
        KlDivergence::new(t),
        ReverseKlDivergence::new(t),
        JensenShannon::new(t),
        SkewedKl::new(t),
        SkewedReverseKl::new(t),
        TotalVariation::new(t),
        AlphaDivergence::new(t)
    ]
}

/// As a setting and as targets made before it is the same to the bit, for every divergence.
#[test]
fn the_setting_is_the_divergence_from_the_targets() {
    let (rows, classes) = (60, 1500);
    let student = Output::from(noise::<f32>(rows, classes, 1, 8.0));
    let teacher = Output::from(noise::<f32>(rows, classes, 2, 8.0));
    let labels: Vec<usize> = (0..rows).map(|row| row * 31 % classes).collect();
    let correction = LabelCorrection::new();
    for t in [1.0, 3.0, 50.0] {
        let targets = correction.targets(&teacher.logits, &labels, t).unwrap();
        let targets = Output::from(targets);
        let direct = all::<f32>(t, TeacherForm::Logits, Some(correction));
        let given = all::<f32>(t, TeacherForm::Probabilities, None);
        for (direct, given) in direct.iter().zip(given) {
            let right = given.evaluate(&student, Target::from(&targets)).unwrap();
            let target = Target::from(&teacher).labels(&labels);
            for threads in [1, 2, 3, 16] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let ours = pool.build().unwrap().install(|| {
                    let again = correction.targets(&teacher.logits, &labels, t).unwrap();
                    assert_eq!(again, targets.logits);
                    direct.evaluate(&student, target).unwrap()
                });
                assert_eq!(ours, right, "{direct:?}, {threads} threads");
            }
            let mut sum = student.zeros_like();
            let value = direct.accumulate(&student, target, 1.0, &mut sum).unwrap();
            assert_eq!((value, sum), (right.value, right.grad), "{direct:?}");
        }
    }
}

#[test]
fn probabilities_and_their_logarithms_are_corrected_as_well() {
    let student = Output::from(array![[0.3_f64, 0.0, -1.0]]);
    let p = array![[0.5, 0.3, 0.2]];
    let (labels, correction) = ([1], Some(LabelCorrection::new()));
    let value = |form: TeacherForm, teacher: Array2<f64>| {
        let teacher = Output::from(teacher);
        let target = Target::from(&teacher).labels(&labels);
        all::<f64>(1.0, form, correction)[0]
            .value(&student, target)
            .unwrap()
    };
    let right = value(TeacherForm::Probabilities, p.clone());
    for form in [TeacherForm::Logits, TeacherForm::LogProbabilities] {
        assert!(
            (value(form, p.mapv(f64::ln)) - right).abs() < 1e-14,
            "{form:?}"
        );
    }
}

#[test]
fn a_row_that_is_ignored_is_the_teachers_to_the_bit() {
    let student = Output::from(noise::<f32>(4, 9, 1, 8.0));
    let teacher = Output::from(noise::<f32>(4, 9, 2, 8.0));
    let correction = LabelCorrection::new().ignore_index(usize::MAX);
    let labels = [usize::MAX; 4];
    let target = Target::from(&teacher).labels(&labels);
    for t in [1.0, 40.0] {
        let with = all::<f32>(t, TeacherForm::Logits, Some(correction));
        for (with, without) in with.iter().zip(all::<f32>(t, TeacherForm::Logits, None)) {
            let ours = with.evaluate(&student, target).unwrap();
            assert_eq!(ours, without.evaluate(&student, target).unwrap());
        }
    }
    let mixed = correction.targets(&teacher.logits, &[0, usize::MAX, 1, 2], 2.0);
    let plain = correction.targets(&teacher.logits, &labels, 2.0).unwrap();
    assert_eq!(mixed.unwrap().row(1), plain.row(1));
}

#[test]
fn a_masked_label_is_given_its_lead() {
    let teacher = array![[f64::NEG_INFINITY, 0.0, 0.0]];
    let targets = LabelCorrection::new().targets(&teacher, &[0], 1.0).unwrap();
    assert!((targets[[0, 0]] - targets[[0, 1]] - 0.2).abs() < 1e-15);
    // A student that masks it has an infinite loss, and no gradient.
    let (student, teacher) = (Output::from(teacher.clone()), Output::from(teacher));
    let target = Target::from(&teacher).labels(&[0]);
    let loss = KlDivergence::new(1.0).label_correction(LabelCorrection::new());
    assert_eq!(loss.value(&student, target).unwrap(), f64::INFINITY);
    let error = loss.evaluate(&student, target).unwrap_err();
    assert!(
        matches!(
            error,
            Error::InfiniteLoss {
                row: 0,
                class: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn bad_input_is_an_error_and_changes_nothing() {
    let good = array![[0.5_f64, 0.5], [0.25, 0.75]];
    let text = |correction: LabelCorrection, p: &ArrayRef2<f64>, labels: &[usize]| {
        let mut p = p.to_owned();
        let before = p.mapv(f64::to_bits);
        let error = correction.correct(&mut p, labels).unwrap_err();
        assert_eq!(p.mapv(f64::to_bits), before);
        error.to_string()
    };
    let plain = LabelCorrection::new();
    for (threshold, given) in [(-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
        let right = format!("threshold of a label correction must be in 0..=1, got {given}");
        assert_eq!(text(plain.threshold(threshold), &good, &[0, 1]), right);
        let loss = KlDivergence::new(1.0).label_correction(plain.threshold(threshold));
        let teacher = Output::from(good.clone());
        let error = loss.value(&teacher, Target::from(&teacher).labels(&[0, 1]));
        assert_eq!(error.unwrap_err().to_string(), right);
    }
    let right = "label of row 1 must lie in 0..2, got 2";
    assert_eq!(text(plain, &good, &[0, 2]), right);
    assert_eq!(text(plain, &good, &[0]), "1 labels given, 2 needed");
    let right = "logits have shape [0, 2], at least one row and one class are needed";
    assert_eq!(text(plain, &Array2::zeros((0, 2)), &[]), right);
    for bad in [-0.5, f64::NAN, f64::INFINITY] {
        let right =
            format!("teacher probability [1, 0] must be finite and not negative, got {bad}");
        assert_eq!(text(plain, &array![[0.5, 0.5], [bad, 0.5]], &[0, 1]), right);
    }
    let error = text(plain, &array![[0.5, 0.5], [0.0, 0.0]], &[0, 1]);
    assert!(error.starts_with("every logit of teacher row 1"), "{error}");

    let logits = array![[0.0_f64, 1.0], [f64::NAN, 1.0]];
    let error = |teacher: &ArrayRef2<f64>, t: f64| {
        plain.targets(teacher, &[0, 0], t).unwrap_err().to_string()
    };
    assert_eq!(error(&logits, 1.0), "teacher logit [1, 0] is NaN");
    assert!(error(&good, 0.0).starts_with("temperature must lie in"));
    let mut small = Array2::zeros((2, 1));
    let mismatch = plain.targets_into(&good, &[0, 0], 1.0, &mut small);
    assert!(matches!(mismatch, Err(Error::ShapeMismatch { .. })));

    // In a loss: no labels, a NaN, and one in a row that is not read.
    let student = Output::from(good);
    let teacher = Output::from(logits);
    let loss = KlDivergence::new(1.0).label_correction(plain);
    let target = Target::from(&teacher);
    let error = loss.value(&student, target).unwrap_err();
    assert_eq!(
        error.to_string(),
        "label correction needs a target with labels"
    );
    let target = target.labels(&[0, 1]);
    let mut grad = Output::from(Array2::from_elem((2, 2), 7.0));
    let error = loss
        .accumulate(&student, target, 1.0, &mut grad)
        .unwrap_err();
    assert_eq!(error.to_string(), "teacher logit [1, 0] is NaN");
    assert_eq!(grad.logits, Array2::from_elem((2, 2), 7.0));
    loss.evaluate(&student, target.mask(&[true, false]))
        .unwrap();
}
