//! Laws of losses.

use crate::inputs::{generator, logits, same_in_every_pool};
use ndarray::{Array1, Array2, Axis};
use ndarray_rand::rand::Rng;
use rarefy::distill::{
    AlphaDivergence, CrossEntropy, DecoupledKl, JensenShannon, KlDivergence, LabelCorrection,
    LogitMse, Loss, Output, Reduction, ReverseKlDivergence, ScheduledSum, SigmoidKl, SkewedKl,
    SkewedReverseKl, SortedProbability, Standardised, TailBucketDivergence, Target,
    TemperatureFactor, TopKDivergence, TopKTarget, TotalVariation, WeightedSum,
};
use rarefy::{Error, Float};

/// A loss and whether it is zero where student and teacher agree.
pub(crate) type Entry<F> = (&'static str, Box<dyn Loss<F>>, bool);

pub(crate) fn all<F: Float>() -> Vec<Entry<F>> {
    let one = TemperatureFactor::One;
    vec![
        ("kl", Box::new(KlDivergence::new(1.0)), true),
        ("kl at 3", Box::new(KlDivergence::new(3.0)), true),
        (
            "kl at 0.5, no T²",
            Box::new(KlDivergence::new(0.5).temperature_factor(one)),
            true,
        ),
        (
            "kl sum",
            Box::new(KlDivergence::new(2.0).reduction(Reduction::Sum)),
            true,
        ),
        (
            "kl elements",
            Box::new(KlDivergence::new(2.0).reduction(Reduction::MeanOverElements)),
            true,
        ),
        (
            "kl weights",
            Box::new(KlDivergence::new(2.0).reduction(Reduction::MeanOverWeights)),
            true,
        ),
        (
            "kl by 7",
            Box::new(KlDivergence::new(2.0).reduction(Reduction::DividedBy(7.0))),
            true,
        ),
        (
            "kl, corrected",
            Box::new(KlDivergence::new(2.0).label_correction(LabelCorrection::new())),
            false,
        ),
        (
            "jsd, corrected",
            Box::new(
                JensenShannon::new(1.0).label_correction(LabelCorrection::new().threshold(0.5)),
            ),
            false,
        ),
        ("reverse", Box::new(ReverseKlDivergence::new(1.0)), true),
        (
            "reverse at 3",
            Box::new(ReverseKlDivergence::new(3.0)),
            true,
        ),
        ("jsd", Box::new(JensenShannon::new(1.0)), true),
        ("jsd 0.1", Box::new(JensenShannon::new(2.0).beta(0.1)), true),
        ("jsd 1", Box::new(JensenShannon::new(2.0).beta(1.0)), true),
        ("skewed", Box::new(SkewedKl::new(1.0)), true),
        ("skewed 1", Box::new(SkewedKl::new(1.0).lambda(1.0)), true),
        (
            "skewed reverse",
            Box::new(SkewedReverseKl::new(2.0).lambda(0.4)),
            true,
        ),
        ("total variation", Box::new(TotalVariation::new(1.0)), true),
        ("alpha", Box::new(AlphaDivergence::new(1.0)), true),
        (
            "alpha 0.9",
            Box::new(AlphaDivergence::new(2.0).alpha(0.9)),
            true,
        ),
        ("decoupled", Box::new(DecoupledKl::new(4.0)), false),
        ("sigmoid", Box::new(SigmoidKl::new(2.0)), true),
        ("logit mse", Box::new(LogitMse::new()), true),
        (
            "standardised",
            Box::new(Standardised::new(KlDivergence::new(2.0))),
            true,
        ),
        ("kl at 50", Box::new(KlDivergence::new(50.0)), true),
        (
            "sorted probability",
            Box::new(SortedProbability::new(1.0)),
            true,
        ),
        (
            "sorted probability at 3, elements",
            Box::new(SortedProbability::new(3.0).reduction(Reduction::MeanOverElements)),
            true,
        ),
        ("cross-entropy", Box::new(CrossEntropy::new()), false),
        (
            "smoothed",
            Box::new(CrossEntropy::new().label_smoothing(0.1)),
            false,
        ),
        (
            "cross-entropy sum",
            Box::new(CrossEntropy::new().reduction(Reduction::Sum)),
            false,
        ),
        ("top-k", Box::new(TopKDivergence::new(1.0)), false),
        (
            "top-k at 3, weights",
            Box::new(TopKDivergence::new(3.0).reduction(Reduction::MeanOverWeights)),
            false,
        ),
        (
            "top-k at 0.5, no T²",
            Box::new(TopKDivergence::new(0.5).temperature_factor(one)),
            false,
        ),
        ("tail bucket", Box::new(TailBucketDivergence::new()), false),
        (
            "tail bucket elements",
            Box::new(TailBucketDivergence::new().reduction(Reduction::MeanOverElements)),
            false,
        ),
        (
            "mix",
            Box::new(
                WeightedSum::new()
                    .with("soft", 0.7, KlDivergence::new(2.0))
                    .with("hard", 0.3, CrossEntropy::new()),
            ),
            false,
        ),
        (
            "scheduled mix at step 3",
            Box::new(
                ScheduledSum::new()
                    .with_changing(
                        "soft",
                        |step: u64| 0.2 * step as f64,
                        |step| KlDivergence::new(step as f64),
                    )
                    .with_rest("hard", CrossEntropy::new())
                    .at(3)
                    .unwrap(),
            ),
            false,
        ),
    ]
}

/// Whether only differences of logits count.
fn over_softmax(name: &str) -> bool {
    !["sigmoid", "logit mse"].contains(&name)
}

pub(crate) struct Batch<F> {
    pub(crate) student: Output<F>,
    pub(crate) teacher: Output<F>,
    pub(crate) labels: Vec<usize>,
    pub(crate) top_k: TopKTarget<F>,
    pub(crate) weights: Array1<F>,
}

fn likeliest<F: Float>(teacher: &Array2<F>) -> TopKTarget<F> {
    let classes = teacher.ncols();
    TopKTarget::from_logits(teacher, (classes / 20).max(3).min(classes)).unwrap()
}

impl<F: Float> Batch<F> {
    pub(crate) fn new(rows: usize, classes: usize, spread: f64) -> Self {
        let mut random = generator((rows * 1000 + classes) as u64);
        let teacher = logits(rows, classes, 2, spread);
        Self {
            student: Output::from(logits(rows, classes, 1, spread)),
            top_k: likeliest(&teacher),
            teacher: Output::from(teacher),
            labels: (0..rows).map(|_| random.random_range(0..classes)).collect(),
            weights: Array1::from_shape_simple_fn(rows, || F::cast(random.random_range(0.0..2.0))),
        }
    }

    pub(crate) fn target(&self) -> Target<'_, F> {
        Target::from(&self.teacher)
            .labels(&self.labels)
            .top_k(&self.top_k)
            .weights(&self.weights)
    }

    pub(crate) fn value(&self, loss: &dyn Loss<F>) -> F {
        loss.value(&self.student, self.target()).unwrap()
    }
}

const SHAPES: [(usize, usize); 4] = [(1, 1), (1, 4), (6, 5), (3, 40)];

#[test]
fn gradients_agree_with_central_differences() {
    for (name, loss, _) in all::<f64>() {
        for (rows, classes) in SHAPES {
            let mut batch = Batch::<f64>::new(rows, classes, 6.0);
            let grad = loss
                .evaluate(&batch.student, batch.target())
                .unwrap()
                .grad
                .logits;
            let largest = grad.iter().fold(1e-9, |most: f64, g| most.max(g.abs()));
            for row in 0..rows {
                for class in 0..classes {
                    let step = 1e-4;
                    let at = batch.student.logits[[row, class]];
                    let mut moved = |by: f64| {
                        batch.student.logits[[row, class]] = at + by;
                        batch.value(&*loss)
                    };
                    // Four points, so that the error of the difference is step⁴ and not step².
                    let near = moved(step) - moved(-step);
                    let far = moved(2.0 * step) - moved(-2.0 * step);
                    let difference = (8.0 * near - far) / (12.0 * step);
                    batch.student.logits[[row, class]] = at;
                    let error = (difference - grad[[row, class]]).abs();
                    assert!(
                        error <= 1e-6 * largest.max(1e-3),
                        "{name} {rows}×{classes}: {error:e}"
                    );
                }
            }
        }
    }
}

fn check<F: Float>(tolerance: f64) {
    let close = |a: F, b: F| {
        let (a, b) = (a.to_f64().unwrap(), b.to_f64().unwrap());
        (a - b).abs() <= tolerance * (1.0 + a.abs())
    };
    for (name, loss, zero_at_equality) in all::<F>() {
        for (rows, classes) in SHAPES {
            let at = format!("{name} {rows}×{classes}");
            let batch = Batch::<F>::new(rows, classes, 6.0);
            let evaluated = loss.evaluate(&batch.student, batch.target()).unwrap();
            let value = evaluated.value;
            let gradient = &evaluated.grad.logits;
            assert!(value >= F::zero(), "never negative, {at}");
            assert_eq!(
                batch.value(&*loss),
                value,
                "with and without gradient, {at}"
            );
            for row in gradient.rows() {
                assert!(
                    !over_softmax(name) || close(row.sum(), F::zero()),
                    "a row's gradient sums to 0, {at}"
                );
            }

            // Adding a constant to the logits of a row, on either side, changes nothing.
            let mut moved = Batch {
                student: batch.student.clone(),
                ..Batch::new(rows, classes, 6.0)
            };
            moved.student.logits.mapv_inplace(|z| z + F::cast(3.5));
            moved.teacher.logits.mapv_inplace(|z| z - F::cast(1.25));
            let invariant = over_softmax(name);
            assert!(
                !invariant || close(moved.value(&*loss), value),
                "shift, {at}"
            );

            // The order of the rows changes nothing but the order of the gradient's rows.
            let order: Vec<usize> = (0..rows).rev().collect();
            let teacher = batch.teacher.logits.select(Axis(0), &order);
            let permuted = Batch {
                student: Output::from(batch.student.logits.select(Axis(0), &order)),
                top_k: likeliest(&teacher),
                teacher: Output::from(teacher),
                labels: order.iter().map(|&row| batch.labels[row]).collect(),
                weights: batch.weights.select(Axis(0), &order),
            };
            let other = loss.evaluate(&permuted.student, permuted.target()).unwrap();
            assert!(close(other.value, value), "order, {at}");
            assert_eq!(
                other.grad.logits,
                gradient.select(Axis(0), &order),
                "order, {at}"
            );

            // Adding to a gradient is adding the gradient.
            let mut sum = Output::from(Array2::from_elem((rows, classes), F::cast(0.5)));
            let scale = F::cast(-2.0);
            let again = loss
                .accumulate(&batch.student, batch.target(), scale, &mut sum)
                .unwrap();
            assert_eq!(again, value, "accumulate, {at}");
            for (&sum, &g) in sum.logits.iter().zip(gradient) {
                assert!(close(sum, F::cast(0.5) + scale * g), "accumulate, {at}");
            }
            let mut nothing = sum.clone();
            let zero = F::zero();
            let again = loss
                .accumulate(&batch.student, batch.target(), zero, &mut nothing)
                .unwrap();
            assert_eq!((again, nothing), (value, sum), "scale 0, {at}");

            // Memory order does not matter.
            let fortran = |a: &Array2<F>| a.t().as_standard_layout().into_owned().reversed_axes();
            let (s, t) = (
                fortran(&batch.student.logits),
                fortran(&batch.teacher.logits),
            );
            let teacher = Output::from(t);
            let target = batch.target().teacher(&teacher);
            assert_eq!(
                loss.evaluate(&Output::from(s), target).unwrap(),
                evaluated,
                "layout, {at}"
            );

            if zero_at_equality {
                let target = Target::from(&batch.student).weights(&batch.weights);
                let target = target.labels(&batch.labels);
                let same = loss.evaluate(&batch.student, target).unwrap();
                assert_eq!(same.value, F::zero(), "{at}");
                let still = |&g: &F| g.to_f64().unwrap().abs() <= tolerance * 0.1;
                assert!(
                    same.grad.logits.iter().all(still),
                    "{at}: {:?}",
                    same.grad.logits
                );
            }
        }
        // Logits of ten thousand are no reason for a NaN.
        let batch = Batch::<F>::new(4, 9, 2e4);
        let evaluated = loss.evaluate(&batch.student, batch.target()).unwrap();
        assert!(evaluated.value.is_finite(), "{name}");
        assert!(
            evaluated.grad.logits.iter().all(|g| g.is_finite()),
            "{name}"
        );
    }
}

#[test]
fn f32_losses_obey() {
    check::<f32>(2e-5);
}

#[test]
fn f64_losses_obey() {
    check::<f64>(1e-12);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let batch = Batch::<f32>::new(300, 1001, 12.0);
    for (_, loss, _) in all::<f32>() {
        same_in_every_pool(|| loss.evaluate(&batch.student, batch.target()).unwrap());
    }
}

#[test]
fn a_row_of_weight_zero_is_not_read() {
    for (name, loss, _) in all::<f64>() {
        let mut batch = Batch::<f64>::new(5, 3, 4.0);
        batch.weights[3] = 0.0;
        let before = loss.evaluate(&batch.student, batch.target()).unwrap();
        batch.student.logits.row_mut(3).fill(f64::NAN);
        batch.teacher.logits.row_mut(3).fill(f64::NEG_INFINITY);
        let after = loss.evaluate(&batch.student, batch.target()).unwrap();
        assert_eq!(after, before, "{name}");
        assert!(after.grad.logits.row(3).iter().all(|&g| g == 0.0), "{name}");
    }
}

#[test]
fn features_come_back_as_zeros() {
    for (_, loss, _) in all::<f64>() {
        let mut batch = Batch::<f64>::new(2, 3, 4.0);
        batch.student = batch.student.with_feature("hidden", Array1::<f64>::ones(4));
        let grad = loss.evaluate(&batch.student, batch.target()).unwrap().grad;
        assert_eq!(grad.features["hidden"], Array1::<f64>::zeros(4).into_dyn());
    }
}

#[test]
fn weights_of_one_are_no_weights() {
    for (name, loss, _) in all::<f32>() {
        let batch = Batch::<f32>::new(7, 5, 4.0);
        let ones = Array1::ones(7);
        let plain = Target::from(&batch.teacher)
            .labels(&batch.labels)
            .top_k(&batch.top_k);
        let with = loss.evaluate(&batch.student, plain.weights(&ones)).unwrap();
        assert_eq!(
            loss.evaluate(&batch.student, plain).unwrap(),
            with,
            "{name}"
        );
    }
}

#[test]
fn errors_leave_the_gradient_alone() {
    for (name, loss, _) in all::<f64>() {
        let batch = Batch::<f64>::new(4, 3, 4.0);
        let untouched = Output::from(Array2::from_elem((4, 3), 7.0));
        let mut broken = batch.student.clone();
        broken.logits[[2, 1]] = f64::NAN;
        let mut grad = untouched.clone();
        let error = loss
            .accumulate(&broken, batch.target(), 1.0, &mut grad)
            .unwrap_err();
        assert_eq!(error.to_string(), "student logit [2, 1] is NaN", "{name}");
        assert_eq!(grad, untouched, "{name}");
        let mut other = Output::from(Array2::zeros((4, 2)));
        let error = loss
            .accumulate(&batch.student, batch.target(), 1.0, &mut other)
            .unwrap_err();
        assert!(
            matches!(error, Error::ShapeMismatch { .. }),
            "{name}: {error}"
        );
        let error = loss.evaluate(&batch.student, Target::new()).unwrap_err();
        assert!(
            matches!(error, Error::MissingTarget { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_masked_row_is_as_if_it_were_not_there() {
    let whole = Batch::<f64>::new(6, 5, 4.0);
    let kept = [0_usize, 2, 3];
    let mask: Vec<bool> = (0..6).map(|row| kept.contains(&row)).collect();
    let labels: Vec<usize> = kept.iter().map(|&row| whole.labels[row]).collect();
    let student = Output::from(whole.student.logits.select(Axis(0), &kept));
    let teacher = Output::from(whole.teacher.logits.select(Axis(0), &kept));
    let weights = whole.weights.select(Axis(0), &kept);
    let top_k = likeliest(&teacher.logits);
    let alone = Target::from(&teacher)
        .labels(&labels)
        .weights(&weights)
        .top_k(&top_k);
    for (name, loss, _) in all::<f64>() {
        let right = loss.evaluate(&student, alone).unwrap();
        let mut broken = whole.student.clone();
        broken.logits.row_mut(1).fill(f64::NAN);
        let ours = loss.evaluate(&broken, whole.target().mask(&mask)).unwrap();
        assert_eq!(ours.value, right.value, "{name}");
        let grad = ours.grad.logits;
        assert_eq!(grad.select(Axis(0), &kept), right.grad.logits, "{name}");
        assert!(grad.row(1).iter().all(|&g| g == 0.0), "{name}");
    }
    // A label to ignore does the same, and need not be a class.
    let mut labels = whole.labels.clone();
    for row in [1, 4, 5] {
        labels[row] = 100;
    }
    let hard = CrossEntropy::new().ignore_index(100);
    let ours = hard
        .value(&whole.student, whole.target().labels(&labels))
        .unwrap();
    assert_eq!(ours, CrossEntropy::new().value(&student, alone).unwrap());
}

#[test]
fn writing_into_a_buffer_is_evaluating() {
    for (name, loss, _) in all::<f32>() {
        let batch = Batch::<f32>::new(5, 33, 6.0);
        let right = loss.evaluate(&batch.student, batch.target()).unwrap();
        let mut grad = Output::from(Array2::from_elem((5, 33), f32::NAN));
        let value = loss
            .evaluate_into(&batch.student, batch.target(), &mut grad)
            .unwrap();
        assert_eq!((value, grad), (right.value, right.grad), "{name}");
    }
}
