//! Teachers made of teachers, and what they do with bad input, through the public API alone.

use ndarray::{Array1, Array2, Array3, ArrayRef2, array};
use rarefy::distill::sequence::{Lengths, ctc_targets};
use rarefy::distill::{
    Averaging, CrossEntropy, Distiller, Ema, Ensemble, KlDivergence, Output, StoredLogits, Student,
    Target, Teacher, WeightedSum, teacher_fn,
};
use rarefy::{Error, Float, Result};
use std::sync::Arc;

/// A batch that borrows, and knows where its rows come from.
struct Batch<'a> {
    rows: &'a ArrayRef2<f64>,
    positions: Vec<usize>,
}

impl AsRef<[usize]> for Batch<'_> {
    fn as_ref(&self) -> &[usize] {
        &self.positions
    }
}

/// Says what it sees, times a factor, and what it thought meanwhile.
struct Times(f64);

impl Teacher<f64, Batch<'_>> for Times {
    fn teach(&self, input: &Batch<'_>) -> Result<Output<f64>> {
        let logits = input.rows * self.0;
        Ok(Output::from(logits).with_feature("thought", array![self.0]))
    }
}

/// Has nothing to say.
struct Silent;

#[derive(Debug, thiserror::Error)]
#[error("no voice")]
struct NoVoice;

impl Teacher<f64, Batch<'_>> for Silent {
    fn teach(&self, _: &Batch<'_>) -> Result<Output<f64>> {
        Err(Error::external(NoVoice))
    }
}

type Boxed = Box<dyn for<'a> Teacher<f64, Batch<'a>>>;

fn softmax(logits: &Array2<f64>) -> Array2<f64> {
    let mut p = logits.mapv(f64::exp);
    for mut row in p.rows_mut() {
        let total = row.sum();
        row /= total;
    }
    p
}

fn assert_close(ours: &Array2<f64>, right: &Array2<f64>) {
    assert_eq!(ours.dim(), right.dim());
    for (ours, right) in ours.iter().zip(right) {
        let near = (ours - right).abs() <= 1e-14 * (1.0 + right.abs());
        assert!(near, "{ours} for {right}");
    }
}

#[test]
fn teachers_of_any_type_and_a_borrowed_batch_make_an_ensemble() {
    let rows = array![[0.5, -1.0, 2.0], [0.0, 0.25, -0.5]];
    let batch = Batch {
        rows: &rows,
        positions: vec![1, 0],
    };
    let stored = array![[3.0, 0.0, 1.0], [0.0, 1.0, 1.5]];
    let boxes: [Boxed; 3] = [
        Box::new(Times(2.0)),
        Box::new(StoredLogits::from(stored)),
        Box::new(Ensemble::new().with("inner", 7.0, Times(-1.0))),
    ];
    let said = [
        &rows * 2.0,
        array![[0.0, 1.0, 1.5], [3.0, 0.0, 1.0]],
        -&rows,
    ];
    let mut ensemble = Ensemble::<Boxed>::new();
    for ((name, weight), teacher) in [("a", 2.0), ("b", 1.0), ("c", 5.0)].into_iter().zip(boxes) {
        ensemble = ensemble.with(name, weight, teacher);
    }
    let by_hand = softmax(&said[0]) * 0.25 + softmax(&said[1]) * 0.125 + softmax(&said[2]) * 0.625;
    let output = ensemble.teach(&batch).unwrap();
    assert_close(&output.logits.mapv(f64::exp), &by_hand);
    assert!(output.features.is_empty());

    // With a temperature it is the softened predictions that are averaged.
    let cool = |z: &Array2<f64>| softmax(&(z / 4.0));
    let by_hand = cool(&said[0]) * 0.25 + cool(&said[1]) * 0.125 + cool(&said[2]) * 0.625;
    let ensemble = ensemble.temperature(4.0);
    let output = ensemble.teach(&batch).unwrap();
    assert_close(&(output.logits / 4.0).mapv(f64::exp), &by_hand);

    let ensemble = ensemble.averaging(Averaging::Logits).features_from("a");
    let output = ensemble.teach(&batch).unwrap();
    let by_hand = &said[0] * 0.25 + &said[1] * 0.125 + &said[2] * 0.625;
    // The inner ensemble says logarithms of probabilities: the same up to a constant in each row.
    assert_close(&softmax(&output.logits), &softmax(&by_hand));
    assert_eq!(output.features["thought"], array![2.0].into_dyn());
    assert!(ensemble.members().eq([("a", 2.0), ("b", 1.0), ("c", 5.0)]));
    assert!(format!("{ensemble:?}").contains(r#""b": 1.0"#));
}

#[test]
fn one_member_says_what_it_says_alone() {
    let member = array![[1.0_f64, -2.0, 0.5], [f64::NEG_INFINITY, 0.0, 3.0]];
    let ensemble = Ensemble::new().with("only", 0.1, StoredLogits::from(member.clone()));
    let said = ensemble.teach(&[0, 1]).unwrap();
    // As logits the same up to a constant in each row, so the divergence is nothing but rounding.
    let loss = KlDivergence::new(1.0);
    let values = loss
        .per_row(&said, Target::from(&Output::from(member.clone())))
        .unwrap();
    assert!(values.iter().all(|value| value.abs() < 1e-15), "{values}");
    let ensemble = ensemble.averaging(Averaging::Logits);
    assert_eq!(ensemble.teach(&[0, 1]).unwrap().logits, member);
}

#[test]
fn masks_are_those_of_all_members_or_of_any() {
    let none = f64::NEG_INFINITY;
    let members = [
        array![[0.0, none, none, 1.0]],
        array![[none, 2.0, none, 1.0]],
    ];
    let mut ensemble = Ensemble::new();
    for member in &members {
        ensemble = ensemble.with("one of two", 1.0, StoredLogits::from(member.clone()));
    }
    let masked = |ensemble: &Ensemble<StoredLogits<f64>>| {
        let said = ensemble.teach(&[0]).unwrap().logits;
        assert!(said.iter().all(|z| !z.is_nan()));
        said.mapv(|z| z == none).into_raw_vec_and_offset().0
    };
    assert_eq!(masked(&ensemble), [false, false, true, false]);
    let ensemble = ensemble.averaging(Averaging::Logits);
    assert_eq!(masked(&ensemble), [true, true, true, false]);
    let ensemble = ensemble.with(
        "other",
        1.0,
        StoredLogits::from(array![[0.0, 0.0, 0.0, none]]),
    );
    assert_eq!(
        ensemble.teach(&[0]).unwrap_err().to_string(),
        "every logit of ensemble row 0 is -inf, at least one must be finite"
    );
}

#[test]
fn failures_of_an_ensemble_name_the_teacher() {
    let rows = array![[0.0, 1.0], [2.0, 3.0]];
    let batch = Batch {
        rows: &rows,
        positions: vec![0, 1],
    };
    let with = |name: &str, weight, teacher: Boxed| {
        Ensemble::<Boxed>::new()
            .with("good", 1.0, Box::new(Times(1.0)))
            .with(name, weight, teacher)
    };
    let stored = |logits| Box::new(StoredLogits::from(logits)) as Boxed;
    let says = |ensemble: &Ensemble<Boxed>| ensemble.teach(&batch).unwrap_err().to_string();

    let error = with("quiet", 1.0, Box::new(Silent))
        .teach(&batch)
        .unwrap_err();
    assert_eq!(error.to_string(), r#"teacher "quiet": no voice"#);
    assert!(error.downcast_ref::<NoVoice>().is_some());
    let nan = stored(array![[0.0, 0.0], [0.0, f64::NAN]]);
    let right = r#"teacher "ill": teacher logit [1, 1] is NaN"#;
    assert_eq!(says(&with("ill", 1.0, nan)), right);
    let infinite = stored(array![[f64::INFINITY, 0.0], [0.0, 0.0]]);
    let right = r#"teacher "ill": teacher logit [0, 0] is inf, must be finite"#;
    assert_eq!(says(&with("ill", 1.0, infinite)), right);
    let masked = stored(Array2::from_elem((2, 2), f64::NEG_INFINITY));
    let right =
        r#"teacher "ill": every logit of teacher row 0 is -inf, at least one must be finite"#;
    assert_eq!(says(&with("ill", 1.0, masked)), right);
    let narrow = stored(Array2::zeros((2, 3)));
    let right = r#"teacher "ill": shapes differ: logits [2, 3], logits of the first [2, 2]"#;
    assert_eq!(says(&with("ill", 1.0, narrow)), right);
    let short = stored(Array2::zeros((1, 2)));
    let right = r#"teacher "ill": example of row 1 must lie in 0..1, got 1"#;
    assert_eq!(says(&with("ill", 1.0, short)), right);

    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-330] {
        let error = with("b", weight, Box::new(Times(1.0))).teach(&batch);
        assert!(
            matches!(
                error,
                Err(Error::NumberOutOfRange {
                    what: "weight of a teacher",
                    ..
                })
            ),
            "{weight}"
        );
    }
    // Large weights do not overflow; one that is lost beside another is refused.
    let large = Ensemble::new()
        .with("a", f64::MAX, Times(1.0))
        .with("b", f64::MAX, Times(1.0));
    let large = large.averaging(Averaging::Logits).teach(&batch).unwrap();
    assert_eq!(large.logits, rows);
    let lost = Ensemble::new()
        .with("a", 1e-300, Times(1.0))
        .with("b", 1e300, Times(1.0));
    assert!(lost.teach(&batch).is_err());

    assert_eq!(says(&Ensemble::new()), "0 teachers given, 1 needed");
    let other = with("b", 1.0, Box::new(Times(1.0)));
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
        let error = Ensemble::new()
            .with("a", 1.0, Times(1.0))
            .temperature(temperature);
        let error = error.teach(&batch).unwrap_err();
        assert!(
            matches!(error, Error::TemperatureOutOfRange { .. }),
            "{error}"
        );
    }
    let hot = Ensemble::new().with("a", 1.0, StoredLogits::from(Array2::<f32>::zeros((1, 99))));
    let error = hot.temperature(1e38).teach(&[0]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MaskedRow {
                side: "ensemble",
                ..
            }
        ),
        "{error}"
    );
    let unknown = other.features_from("c");
    assert_eq!(says(&unknown), r#"no teacher is named "c""#);
    let nobody = Ensemble::new().with("a", 1.0, StoredLogits::<f32>::from(Array2::zeros((1, 2))));
    let nothing: [usize; 0] = [];
    assert!(matches!(
        nobody.teach(&nothing),
        Err(Error::NoLogits { .. })
    ));
}

/// The same bits in pools of 1, 2, 3 and 16 threads.
fn same_in_every_pool<T: PartialEq + Send>(work: impl Fn() -> T + Sync) {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(&work)
    };
    let first = in_pool(1);
    for threads in [2, 3, 16] {
        assert!(in_pool(threads) == first, "{threads} threads");
    }
}

fn noise<F: Float>(rows: usize, classes: usize, seed: usize) -> Array2<F> {
    Array2::from_shape_fn((rows, classes), |(row, class)| {
        let stirred = (row * classes + class + 7919 * seed).wrapping_mul(0x9E37_79B9) >> 8;
        F::cast((stirred % 4099) as f64 / 256.0 - 8.0)
    })
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn check<F: Float>() {
        let (rows, classes) = (300, 1001);
        let positions: Vec<usize> = (0..rows).collect();
        let mut ensemble = Ensemble::new();
        for seed in 0..3 {
            let member = StoredLogits::from(noise::<F>(rows, classes, seed));
            ensemble = ensemble.with("member", 1.0 + seed as f64, member);
        }
        same_in_every_pool(|| ensemble.teach(&positions).unwrap());
        let ensemble = ensemble.averaging(Averaging::Logits);
        same_in_every_pool(|| ensemble.teach(&positions).unwrap());
        let scores = noise::<F>(rows, classes, 9);
        let scores = scores.into_shape_with_order((3, 100, classes)).unwrap();
        let lengths = Lengths::new([100, 3, 77], 100).unwrap();
        same_in_every_pool(|| ctc_targets(&scores, &lengths, 0).unwrap());
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn memory_order_does_not_matter() {
    let member = noise::<f64>(9, 13, 1);
    let fortran = member.t().as_standard_layout().into_owned().reversed_axes();
    let with = |member: &Array2<f64>| {
        let member = member.clone();
        let shared = Arc::new(teacher_fn(move |_: &()| Ok(Output::from(member.clone()))));
        let shared: Arc<dyn Teacher<f64, ()> + Send + Sync> = shared;
        let ensemble = Ensemble::new()
            .with("a", 1.0, Arc::clone(&shared))
            .with("b", 2.0, shared);
        ensemble.teach(&()).unwrap()
    };
    assert_eq!(with(&fortran), with(&member));
}

#[test]
fn terms_are_reported_in_the_circle_of_training() {
    let rows = noise::<f64>(6, 3, 2) / 8.0;
    let batch = Batch {
        rows: &rows,
        positions: vec![],
    };
    let labels = [0, 1, 2, 0, 1, 2];
    let sum = WeightedSum::new()
        .with("soft", 0.75, KlDivergence::new(2.0))
        .with_rest("hard", CrossEntropy::new())
        .unwrap();
    let distiller = Distiller::new(sum);
    let mut students = [0, 1].map(|_| Linear {
        weights: Array2::zeros((3, 3)),
        input: Array2::zeros((0, 0)),
    });
    let target = Target::new().labels(&labels);
    for _ in 0..5 {
        let [plain, told] = &mut students;
        let value = distiller.step(&Times(1.5), plain, &batch, target).unwrap();
        let said = distiller
            .step_terms(&Times(1.5), told, &batch, target)
            .unwrap();
        assert_eq!(said.loss.value, value);
        let names: Vec<&str> = said.terms.iter().map(|term| term.name.as_str()).collect();
        assert_eq!(names, ["soft", "hard"]);
        let sum: f64 = said
            .terms
            .iter()
            .map(|term| term.weight * term.value.unwrap())
            .sum();
        assert!((sum - value).abs() < 1e-15);
    }
    assert_eq!(students[0].weights, students[1].weights);
    let output = Times(1.5).teach(&batch).unwrap();
    let twice = distiller.step_terms(&Times(1.5), &mut students[0], &batch, Target::from(&output));
    assert!(matches!(twice, Err(Error::TeacherGivenTwice)));
}

/// One weight a class for each number of the input.
#[derive(Clone)]
struct Linear {
    weights: Array2<f64>,
    input: Array2<f64>,
}

impl Student<f64, Batch<'_>> for Linear {
    fn forward(&mut self, input: &Batch<'_>) -> Result<Output<f64>> {
        self.input = input.rows.to_owned();
        Ok(Output::from(input.rows.dot(&self.weights)))
    }

    fn backward(&mut self, grad: &Output<f64>) -> Result<()> {
        let step = self.input.t().dot(&grad.logits);
        self.weights.scaled_add(-0.3, &step);
        Ok(())
    }
}

#[test]
fn a_student_learns_from_stored_logits_what_it_learns_from_the_teacher() {
    let data = noise::<f64>(12, 3, 5) / 8.0;
    let weights = noise::<f64>(3, 4, 6) / 4.0;
    let live = teacher_fn(move |batch: &Batch<'_>| Ok(Output::from(batch.rows.dot(&weights))));
    let batch = |positions: &[usize]| {
        let rows = data.select(ndarray::Axis(0), positions);
        (rows, positions.to_vec())
    };
    let all: Vec<usize> = (0..12).collect();
    let (rows, positions) = batch(&all);
    let whole = Batch {
        rows: &rows,
        positions,
    };
    let stored = StoredLogits::record(&live, [&whole]).unwrap();
    assert_eq!(stored.len(), 12);
    let distiller = Distiller::new(KlDivergence::new(2.0));
    let mut students = [0, 1].map(|_| Linear {
        weights: Array2::zeros((3, 4)),
        input: Array2::zeros((0, 0)),
    });
    for positions in [[3, 1, 4, 11], [5, 9, 2, 6], [0, 7, 8, 10]]
        .iter()
        .cycle()
        .take(30)
    {
        let (rows, positions) = batch(positions);
        let batch = Batch {
            rows: &rows,
            positions,
        };
        let [online, offline] = &mut students;
        let a = distiller
            .step(&live, online, &batch, Target::new())
            .unwrap();
        let b = distiller
            .step(&stored, offline, &batch, Target::new())
            .unwrap();
        assert_eq!(a, b);
    }
    assert_eq!(students[0].weights, students[1].weights);
}

#[test]
fn a_mean_teacher_follows_its_student() {
    let rows = noise::<f64>(6, 3, 2) / 8.0;
    let batch = Batch {
        rows: &rows,
        positions: vec![],
    };
    let elder = Times(1.5);
    let mut student = Linear {
        weights: Array2::zeros((3, 3)),
        input: Array2::zeros((0, 0)),
    };
    let mut past = Ema::new();
    let distiller = Distiller::new(KlDivergence::new(1.0));
    for _ in 0..60 {
        past.update("weights", &student.weights, 0.8).unwrap();
        distiller
            .step(&elder, &mut student, &batch, Target::new())
            .unwrap();
    }
    let mut mean = student.clone();
    past.write("weights", &mut mean.weights).unwrap();
    let (said, student_says) = (
        mean.forward(&batch).unwrap(),
        student.forward(&batch).unwrap(),
    );
    let behind = KlDivergence::new(1.0)
        .per_row(&said, Target::from(&student_says))
        .unwrap();
    let start = Output::from(Array2::zeros((6, 3)));
    let far = KlDivergence::new(1.0)
        .per_row(&start, Target::from(&student_says))
        .unwrap();
    assert!(
        behind.sum() > 0.0 && behind.sum() < 0.05 * far.sum(),
        "{behind} {far}"
    );
}

#[test]
fn lengths_of_another_batch_are_refused() {
    let scores = Array3::<f32>::zeros((2, 5, 3));
    for (lengths, time) in [(vec![1, 1, 1], 5), (vec![1, 1], 4)] {
        let lengths = Lengths::new(lengths, time).unwrap();
        let error = ctc_targets(&scores, &lengths, 0).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }
    assert_eq!(
        Lengths::new([2], 2).unwrap().token_weights::<f32>(),
        Array1::<f32>::ones(2)
    );
}
