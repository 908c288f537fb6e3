//! Edge cases of losses and logits across vocabularies.

use ndarray::{Array2, array};
use rarefy::Error;
use rarefy::distill::{self, Loss, Output, Reduction, SortedProbability, Target, Vocabulary};

const NONE: f64 = f64::NEG_INFINITY;

fn text(loss: SortedProbability, student: &Array2<f64>, teacher: &Array2<f64>) -> String {
    let (student, teacher) = (Output::from(student.clone()), Output::from(teacher.clone()));
    let error = loss.evaluate(&student, Target::from(&teacher)).unwrap_err();
    let alone = loss.value(&student, Target::from(&teacher)).unwrap_err();
    assert_eq!(error.to_string(), alone.to_string());
    error.to_string()
}

#[test]
fn sorted_probabilities_name_what_is_wrong() {
    let loss = SortedProbability::new(1.0);
    let good = array![[0.0, 1.0], [2.0, 3.0]];
    let longer = array![[0.0, 1.0, 2.0], [2.0, f64::NAN, 3.0]];
    assert_eq!(text(loss, &longer, &good), "student logit [1, 1] is NaN");
    assert_eq!(text(loss, &good, &longer), "teacher logit [1, 1] is NaN");
    let infinite = array![[0.0], [f64::INFINITY]];
    assert_eq!(
        text(loss, &good, &infinite),
        "teacher logit [1, 0] is inf, must be finite"
    );
    let masked = array![[0.0], [NONE]];
    assert_eq!(
        text(loss, &masked, &good),
        "every logit of student row 1 is -inf, at least one must be finite"
    );
    assert_eq!(
        text(loss, &good, &masked),
        "every logit of teacher row 1 is -inf, at least one must be finite"
    );
    assert_eq!(
        text(loss, &good, &array![[0.0, 1.0]]),
        "shapes differ: teacher logits [1, 2], student logits [2, 2]"
    );
    let none = Array2::zeros((2, 0));
    let says = "logits have shape [2, 0], at least one row and one class are needed";
    assert_eq!(text(loss, &none, &good), says);
    assert_eq!(text(loss, &good, &none), says);
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
        let says = text(SortedProbability::new(temperature), &good, &good);
        assert!(says.starts_with("temperature must lie in"), "{says}");
    }
    let nothing = loss.reduction(Reduction::DividedBy(0.0));
    assert!(text(nothing, &good, &good).starts_with("what the loss is divided by"));
}

#[test]
fn one_class_each_has_no_distance() {
    let loss = SortedProbability::new(2.0);
    let teacher = Output::from(array![[-7.0_f32]]);
    let value = loss.evaluate(&Output::from(array![[3.0]]), Target::from(&teacher));
    let value = value.unwrap();
    assert_eq!((value.value, value.grad.logits), (0.0, array![[0.0]]));
    // The largest distance there is: everything on one class against nothing there.
    let many = Array2::<f64>::zeros((1, 1000));
    let one = array![[0.0]];
    let (many, one) = (Output::from(many), Output::from(one));
    let far = loss.per_row(&many, Target::from(&one)).unwrap()[0];
    assert!((far - 2.0 * 0.999).abs() < 1e-12, "{far}");
    assert_eq!(loss.per_row(&one, Target::from(&many)).unwrap()[0], far);
}

#[test]
fn rows_that_a_vocabulary_empties_are_errors_of_the_loss() {
    let teacher = array![[NONE, NONE, 1.0], [0.0, 1.0, 2.0]];
    let short = Vocabulary::truncate(2).apply(&teacher).unwrap();
    let student = array![[0.0, 0.0], [0.0, 0.0]];
    let error = distill::kl_divergence(&student, &short, 1.0).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MaskedRow {
                side: "teacher",
                row: 0
            }
        ),
        "{error}"
    );
    let empty = Vocabulary::pad(3)
        .apply(&Array2::<f32>::zeros((2, 0)))
        .unwrap();
    assert!(empty.iter().all(|&z| z == f32::NEG_INFINITY));
    assert_eq!(
        Vocabulary::pad(3)
            .apply(&Array2::<f32>::zeros((0, 2)))
            .unwrap()
            .dim(),
        (0, 3)
    );
}

#[test]
fn a_padded_class_has_no_mass() {
    let teacher = array![[1.0, 2.0]];
    let padded = Vocabulary::pad(3).apply(&teacher).unwrap();
    let student = array![[1.0, 2.0, 0.0]];
    let loss = distill::kl_divergence(&student, &padded, 1.0).unwrap();
    assert!(loss.grad[[0, 2]] > 0.0, "mass there is pushed away");
    let masked = array![[1.0, 2.0, NONE]];
    assert_eq!(
        distill::kl_divergence(&masked, &padded, 1.0).unwrap().value,
        0.0
    );
}
