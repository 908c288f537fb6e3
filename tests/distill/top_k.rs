//! Top-k targets: what their losses are in terms of the full divergence, and every bad input.

use ndarray::{Array1, Array2, Axis, array};
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rarefy::distill::{
    Distiller, Loss, Output, Reduction, Student, TailBucketDivergence, Target, TemperatureFactor,
    TopKDivergence, TopKTarget,
};
use rarefy::{Error, Result};

const NONE: f64 = f64::NEG_INFINITY;

fn logits(rows: usize, classes: usize, seed: u64) -> Array2<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, classes), || random.random_range(-4.0..4.0))
}

fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

fn log_softmax(z: &Array2<f64>) -> Array2<f64> {
    let mut logs = z.clone();
    for mut row in logs.rows_mut() {
        let total = row.mapv(f64::exp).sum().ln();
        row -= total;
    }
    logs
}

#[test]
fn within_k_classes_it_is_the_full_divergence_of_what_is_conditional_on_them() {
    let (student, teacher) = (logits(4, 30, 1), logits(4, 30, 2));
    for k in [1, 2, 7, 30] {
        let target = TopKTarget::from_logits(&teacher, k).unwrap();
        for temperature in [0.5, 1.0, 4.0] {
            let loss = TopKDivergence::new(temperature);
            let ours = loss.evaluate_sparse(&student, &target, None).unwrap();
            // The same classes, gathered from the logits of both.
            let pick = |z: &Array2<f64>| {
                Array2::from_shape_fn((4, k), |at| z[[at.0, target.indices()[at] as usize]])
            };
            let right =
                rarefy::distill::kl_divergence(&pick(&student), &pick(&teacher), temperature);
            let right = right.unwrap();
            assert!(
                (ours.value - right.value).abs() < 1e-12,
                "{k} {temperature}"
            );
            let error = (&ours.grad - &right.grad).mapv(f64::abs).sum();
            assert!(error < 1e-12, "{error} {k} {temperature}");
        }
    }
}

#[test]
fn the_sparse_gradient_is_the_dense_one_where_that_is_not_zero() {
    let student = logits(5, 20, 3);
    let target = TopKTarget::from_logits(&logits(5, 20, 4), 6).unwrap();
    let weights = array![1.0, 0.0, 2.0, 0.5, 3.0];
    let loss = TopKDivergence::new(2.0).reduction(Reduction::MeanOverWeights);
    let sparse = loss
        .evaluate_sparse(&student, &target, Some(&weights))
        .unwrap();
    let student = Output::from(student);
    let asked = Target::new().top_k(&target).weights(&weights);
    let dense = loss.evaluate(&student, asked).unwrap();
    assert_eq!(sparse.value, dense.value);
    let mut scattered = Array2::zeros((5, 20));
    for (at, &class) in target.indices().indexed_iter() {
        scattered[[at.0, class as usize]] = sparse.grad[at];
    }
    assert_eq!(scattered, dense.grad.logits);
}

#[test]
fn a_bucket_forgets_and_never_adds() {
    let (student, teacher) = (logits(6, 25, 5), logits(6, 25, 6));
    let full = rarefy::distill::kl_divergence(&student, &teacher, 1.0).unwrap();
    let output = Output::from(student);
    let mut before = 0.0;
    for k in [1, 2, 5, 12, 24, 25] {
        let target = TopKTarget::from_logits(&teacher, k).unwrap();
        let loss = TailBucketDivergence::new();
        let loss = loss
            .evaluate(&output, Target::new().top_k(&target))
            .unwrap();
        assert!(loss.value <= full.value + 1e-12, "{k}");
        assert!(loss.value >= before - 1e-12, "finer is more, {k}");
        before = loss.value;
        if k >= 24 {
            // A bucket of one class, or of none, forgets nothing.
            assert!((loss.value - full.value).abs() < 1e-10);
            let error = (&loss.grad.logits - &full.grad).mapv(f64::abs).sum();
            assert!(error < 1e-10, "{error}");
        }
    }
    // Nor does one whose classes are in the same proportion on both sides.
    let mut same = log_softmax(&teacher);
    let target = TopKTarget::from_logits(&teacher, 3).unwrap();
    for (at, &class) in target.indices().indexed_iter() {
        same[[at.0, class as usize]] += 0.5;
    }
    let full = rarefy::distill::kl_divergence(&same, &teacher, 1.0).unwrap();
    let bucket = TailBucketDivergence::new();
    let bucket = bucket.value(&Output::from(same), Target::new().top_k(&target));
    assert!((bucket.unwrap() - full.value).abs() < 1e-12);
}

#[test]
fn where_student_and_teacher_agree_there_is_nothing_to_learn() {
    let teacher = logits(4, 40, 7);
    let target = TopKTarget::from_logits(&teacher, 5).unwrap();
    let student = Output::from(teacher);
    let losses: [Box<dyn Loss<f64>>; 2] = [
        Box::new(TopKDivergence::new(2.0)),
        Box::new(TailBucketDivergence::new()),
    ];
    for loss in losses {
        let loss = loss
            .evaluate(&student, Target::new().top_k(&target))
            .unwrap();
        assert!(loss.value.abs() < 1e-13, "{}", loss.value);
        assert!(loss.grad.logits.iter().all(|g| g.abs() < 1e-13));
    }
}

#[test]
fn a_tail_far_below_keeps_its_digits() {
    // The student's tail is e⁻¹⁰⁰⁰, which no subtraction from 1 could see.
    let target = TopKTarget::new(3, array![[0]], array![[0.5_f64.ln()]]).unwrap();
    let student = Output::from(array![[0.0, -1000.0, -1000.0]]);
    let loss = TailBucketDivergence::new();
    let loss = loss
        .evaluate(&student, Target::new().top_k(&target))
        .unwrap();
    let right = 0.5 * (1000.0 - 2.0_f64.ln()) - 2.0_f64.ln();
    assert!((loss.value - right).abs() < 1e-10, "{}", loss.value);
    assert_eq!(loss.grad.logits, array![[0.5, -0.25, -0.25]]);
}

#[test]
fn log_probabilities_that_sum_to_more_than_one_are_divided_by_their_sum() {
    let logs = array![[0.502_f64.ln(), 0.503_f64.ln()]];
    let target = TopKTarget::new(4, array![[0, 3]], logs).unwrap();
    let student = Output::from(array![[1.0, 0.0, 0.0, 1.0]]);
    let loss = TailBucketDivergence::new();
    let loss = loss
        .evaluate(&student, Target::new().top_k(&target))
        .unwrap();
    let sum: f64 = 0.502 + 0.503;
    let ln_q = 1.0 - (2.0 * 1.0_f64.exp() + 2.0).ln();
    let term = |p: f64| p * (p.ln() - ln_q);
    assert!((loss.value - term(0.502 / sum) - term(0.503 / sum)).abs() < 1e-12);
    assert!(loss.grad.logits.sum().abs() < 1e-12);
}

#[test]
fn masked_classes_are_defined() {
    let half = 0.5_f64.ln();
    let target = TopKTarget::new(4, array![[0, 2, 3]], array![[half, half, NONE]]).unwrap();
    let asked = Target::new().top_k(&target);
    let within: Box<dyn Loss<f64>> = Box::new(TopKDivergence::new(1.0));
    let bucket: Box<dyn Loss<f64>> = Box::new(TailBucketDivergence::new());
    for loss in [&within, &bucket] {
        // What the teacher masks adds nothing, masked by the student or not.
        for z in [0.0, NONE] {
            let student = Output::from(array![[0.0, NONE, 0.0, z]]);
            let loss = loss.evaluate(&student, asked).unwrap();
            assert!(loss.value.is_finite() && loss.grad.logits.iter().all(|g| g.is_finite()));
        }
        // What it does not mask, and the student does, is infinite.
        let student = Output::from(array![[0.0, 0.0, NONE, 0.0]]);
        assert_eq!(loss.value(&student, asked).unwrap(), f64::INFINITY);
        let says = "the loss of row 0 is infinite: class 2 is possible for the other side \
                    and has a student logit of -inf";
        assert_eq!(text(loss.evaluate(&student, asked)), says);
        let mut grad = Output::from(Array2::from_elem((1, 4), 7.0));
        assert_eq!(text(loss.accumulate(&student, asked, 1.0, &mut grad)), says);
        assert_eq!(grad.logits, Array2::from_elem((1, 4), 7.0));
    }
    // A student that masks all others, where the teacher has a tail.
    let target = TopKTarget::new(4, array![[0, 2]], array![[half, 0.25_f64.ln()]]).unwrap();
    let asked = Target::new().top_k(&target);
    let student = Output::from(array![[0.0, NONE, 0.0, NONE]]);
    assert_eq!(bucket.value(&student, asked).unwrap(), f64::INFINITY);
    assert!(text(bucket.evaluate(&student, asked)).contains("class 1 is possible"));
    assert!(within.evaluate(&student, asked).is_ok());
}

#[test]
fn logits_that_are_no_logits_are_named() {
    let target = TopKTarget::from_logits(&array![[0.0, 2.0, 1.0], [2.0, 0.0, 1.0]], 2).unwrap();
    let asked = Target::new().top_k(&target);
    let (within, bucket) = (TopKDivergence::new(1.0), TailBucketDivergence::new());
    let with = |class: usize, z: f64| {
        let mut student = Output::from(Array2::zeros((2, 3)));
        student.logits[[1, class]] = z;
        student
    };
    assert_eq!(
        text(within.evaluate(&with(2, f64::NAN), asked)),
        "student logit [1, 2] is NaN"
    );
    assert!(
        within.evaluate(&with(1, f64::NAN), asked).is_ok(),
        "not one of the k"
    );
    for class in 0..3 {
        let says = format!("student logit [1, {class}] is NaN");
        assert_eq!(text(bucket.evaluate(&with(class, f64::NAN), asked)), says);
        assert_eq!(
            text(Loss::value(&bucket, &with(class, f64::NAN), asked)),
            says
        );
    }
    let says = "student logit [1, 0] is inf, must be finite";
    assert_eq!(text(within.value(&with(0, f64::INFINITY), asked)), says);
    assert_eq!(text(bucket.value(&with(0, f64::INFINITY), asked)), says);
    let masked = Output::from(array![[0.0, 0.0, 0.0], [NONE, NONE, NONE]]);
    let says = "every logit of student row 1 is -inf, at least one must be finite";
    assert_eq!(text(bucket.value(&masked, asked)), says);
    let masked = Output::from(array![[0.0, 0.0, 0.0], [NONE, 0.0, NONE]]);
    let says = "every logit of student top-k row 1 is -inf, at least one must be finite";
    assert_eq!(text(within.value(&masked, asked)), says);
}

#[test]
fn settings_and_shapes_are_checked() {
    let target = TopKTarget::from_logits(&logits(2, 5, 1), 2).unwrap();
    let asked = Target::new().top_k(&target);
    let right = Output::from(logits(2, 5, 2));
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = TopKDivergence::new(temperature).value(&right, asked);
        assert!(matches!(error, Err(Error::TemperatureOutOfRange { .. })));
    }
    let losses: [Box<dyn Loss<f64>>; 2] = [
        Box::new(TopKDivergence::new(1.0)),
        Box::new(TailBucketDivergence::new()),
    ];
    for loss in losses {
        let says = "shapes differ: top-k target [2, 5], student logits [2, 4]";
        assert_eq!(
            text(loss.value(&Output::from(logits(2, 4, 1)), asked)),
            says
        );
        assert!(
            text(loss.value(&right, Target::new())).ends_with("needs a target with top-k classes")
        );
        let weights = array![0.0, 0.0];
        assert_eq!(loss.value(&right, asked.weights(&weights)).unwrap(), 0.0);
        let error = loss.value(&right, asked.weights(&Array1::from_elem(2, -1.0)));
        assert!(matches!(
            error,
            Err(Error::RowWeightOutOfRange { row: 0, .. })
        ));
    }
    let empty = TopKTarget::<f64>::new(5, Array2::zeros((0, 2)), Array2::zeros((0, 2))).unwrap();
    let none = Output::from(Array2::zeros((0, 5)));
    for loss in [
        &TailBucketDivergence::new() as &dyn Loss<f64>,
        &TopKDivergence::new(1.0),
    ] {
        let error = loss.value(&none, Target::new().top_k(&empty));
        assert!(matches!(error, Err(Error::NoLogits { .. })), "{error:?}");
    }
}

#[test]
fn targets_that_are_none_are_refused() {
    let (indices, logs) = (array![[0, 1], [2, 0]], array![[-1.0, -2.0], [-1.0, -2.0]]);
    let new = |indices: &Array2<u32>, logs: &Array2<f64>, classes| {
        text(TopKTarget::new(classes, indices.clone(), logs.clone()))
    };
    assert_eq!(
        new(&indices, &logs, 2),
        "class in row 1 of a top-k target must lie in 0..2, got 2"
    );
    let says = "k must be at least 1 and at most the number of classes, got 2";
    assert_eq!(new(&indices, &logs, 1), says);
    let says = "classes in row 1 of a top-k target must differ, class 2 is there twice";
    assert_eq!(new(&array![[0, 1], [2, 2]], &logs, 3), says);
    let with = |log| array![[-1.0, -2.0], [-1.0, log]];
    assert_eq!(
        new(&indices, &with(f64::NAN), 3),
        "log-probability [1, 1] is NaN"
    );
    let says = "log-probability of class 0 in row 1 must be at most 0, got 0.5";
    assert_eq!(new(&indices, &with(0.5), 3), says);
    let says = "every logit of teacher top-k row 0 is -inf, at least one must be finite";
    assert_eq!(new(&indices, &array![[NONE, NONE], [-1.0, -1.0]], 3), says);
    let error = new(&indices, &array![[-1.0, -1.0], [0.0, -1.0]], 3);
    assert!(
        error.starts_with("probabilities of row 1 must sum to at most 1, got 1.36"),
        "{error}"
    );
    assert!(new(&array![[0, 1]], &logs, 3).starts_with("shapes differ: indices [1, 2]"));

    let from = |logits: Array2<f64>, k| text(TopKTarget::from_logits(&logits, k));
    assert!(from(Array2::zeros((0, 3)), 1).starts_with("logits have shape [0, 3]"));
    assert_eq!(from(Array2::zeros((1, 3)), 0), says_k(0));
    assert_eq!(from(Array2::zeros((1, 3)), 4), says_k(4));
    assert_eq!(
        from(array![[0.0, f64::NAN]], 1),
        "teacher logit [0, 1] is NaN"
    );
    let says = "every logit of teacher row 1 is -inf, at least one must be finite";
    assert_eq!(from(array![[0.0, 0.0], [NONE, NONE]], 1), says);
}

fn says_k(k: usize) -> String {
    format!("k must be at least 1 and at most the number of classes, got {k}")
}

#[test]
fn memory_order_and_f32_do_not_matter() {
    let teacher = logits(4, 9, 8);
    let right = TopKTarget::from_logits(&teacher, 3).unwrap();
    let columns = teacher
        .t()
        .as_standard_layout()
        .into_owned()
        .reversed_axes();
    assert_eq!(TopKTarget::from_logits(&columns, 3).unwrap(), right);
    let turned = |a: &Array2<u32>| a.t().as_standard_layout().into_owned().reversed_axes();
    let logs = right
        .log_probabilities()
        .t()
        .as_standard_layout()
        .into_owned();
    let again = TopKTarget::new(9, turned(right.indices()), logs.reversed_axes()).unwrap();
    assert_eq!(again, right);
    assert!(again.indices().is_standard_layout());
    let wide = logits(300, 500, 9).mapv(<f32 as rarefy::Float>::cast);
    let whole = TopKTarget::from_logits(&wide, 20).unwrap();
    let part = TopKTarget::from_logits(&wide.select(Axis(0), &[299]), 20).unwrap();
    assert_eq!(whole.indices().row(299), part.indices().row(0));
    assert_eq!(
        whole.log_probabilities().row(299),
        part.log_probabilities().row(0)
    );
}

/// One logit a class, plain gradient descent.
struct Bias(Array2<f64>);

impl Student<f64, ()> for Bias {
    fn forward(&mut self, (): &()) -> Result<Output<f64>> {
        Ok(Output::from(self.0.clone()))
    }

    fn backward(&mut self, grad: &Output<f64>) -> Result<()> {
        self.0.scaled_add(-1.0, &grad.logits);
        Ok(())
    }
}

#[test]
fn a_student_learns_the_k_and_from_a_bucket_the_rest_as_well() {
    let teacher = logits(1, 12, 11);
    let target = TopKTarget::from_logits(&teacher, 4).unwrap();
    let asked = Target::new().top_k(&target);
    let p = log_softmax(&teacher).mapv(f64::exp);
    let inside = |p: &Array2<f64>| -> f64 {
        target
            .indices()
            .iter()
            .map(|&class| p[[0, class as usize]])
            .sum()
    };
    let mut learned = [0.0; 2];
    for (bucket, learned) in [false, true].into_iter().zip(&mut learned) {
        let mut student = Bias(logits(1, 12, 12));
        for _ in 0..3000 {
            let loss: Box<dyn Loss<f64>> = match bucket {
                true => Box::new(TailBucketDivergence::new()),
                false => {
                    let loss = TopKDivergence::new(2.0);
                    Box::new(loss.temperature_factor(TemperatureFactor::Squared))
                }
            };
            Distiller::new(loss)
                .learn(&mut student, &(), asked)
                .unwrap();
        }
        let q = log_softmax(&student.0).mapv(f64::exp);
        // Within the k the student has the teacher's proportions either way.
        for &class in target.indices() {
            let at = [0, class as usize];
            assert!((q[at] / inside(&q) - p[at] / inside(&p)).abs() < 1e-6);
        }
        *learned = (inside(&q) - inside(&p)).abs();
    }
    assert!(learned[1] < 1e-6 && learned[0] > 1e-3, "{learned:?}");
}
