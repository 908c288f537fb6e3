//! Laws of losses over features: as those of losses, with features as the inputs.

use crate::feature_losses::{BATCH, CLASSES, Entry, SHARED, Weights, all};
use crate::inputs::{generator, same_in_every_pool};
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn};
use ndarray_rand::rand::Rng;
use rarefy::distill::{Loss, Output, Target};
use rarefy::{Error, Float};

fn random_output<F: Float>(
    shapes: &[(&'static str, &'static [usize])],
    seed: u64,
    spread: f64,
) -> Output<F> {
    let mut random = generator(seed);
    let mut draw = |_| F::cast((random.random::<f64>() - 0.5) * spread);
    let mut output = Output::from(Array2::from_shape_simple_fn((BATCH, CLASSES), || draw(())));
    for (name, shape) in shapes {
        let mut feature = ArrayD::from_shape_simple_fn(IxDyn(shape), || draw(()));
        if *name == "mask" {
            // The first position is always there.
            feature.mapv_inplace(|x| if x > F::zero() { F::one() } else { F::zero() });
            feature.index_axis_mut(Axis(1), 0).fill(F::one());
        }
        output = output.with_feature(*name, feature);
    }
    output
}

pub(crate) struct Batch<F> {
    pub(crate) student: Output<F>,
    pub(crate) teacher: Output<F>,
    pub(crate) weights: Array1<F>,
}

impl<F: Float> Batch<F> {
    pub(crate) fn new(entry: &Entry<F>, spread: f64) -> Self {
        let weights = [0.5, 1.25, 0.0, 2.0, 1.0];
        Self {
            student: random_output(&entry.student, 3, spread),
            teacher: random_output(&entry.teacher, 4, spread),
            weights: weights.into_iter().map(F::cast).collect(),
        }
    }

    pub(crate) fn target(&self) -> Target<'_, F> {
        Target::from(&self.teacher).weights(&self.weights)
    }

    pub(crate) fn evaluate(&self, loss: &dyn Loss<F>) -> (F, Output<F>) {
        let found = loss.evaluate(&self.student, self.target()).unwrap();
        (found.value, found.grad)
    }
}

/// Every number of an output, and of which part it is.
fn numbers<F: Float>(output: &mut Output<F>) -> Vec<(String, &mut F)> {
    let mut all: Vec<_> = output
        .logits
        .iter_mut()
        .map(|z| ("logits".to_owned(), z))
        .collect();
    for (name, feature) in &mut output.features {
        all.extend(feature.iter_mut().map(|x| (name.clone(), x)));
    }
    all
}

/// The same examples in another order.
pub(crate) fn reordered<F: Float>(output: &Output<F>, order: &[usize]) -> Output<F> {
    let mut other = Output::from(output.logits.select(Axis(0), order));
    for (name, feature) in &output.features {
        let feature = if ["proj", "bias"].contains(&name.as_str()) {
            feature.clone()
        } else {
            feature.select(Axis(0), order)
        };
        other = other.with_feature(name.as_str(), feature);
    }
    other
}

fn wide<F: Float>(x: F) -> f64 {
    x.to_f64().unwrap()
}

pub(crate) fn assert_close<F: Float>(
    ours: &Output<F>,
    theirs: &Output<F>,
    tolerance: f64,
    at: &str,
) {
    let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
    let (ours, theirs) = (numbers(&mut ours), numbers(&mut theirs));
    assert_eq!(ours.len(), theirs.len(), "{at}");
    let largest = theirs
        .iter()
        .fold(1e-3, |most: f64, g| most.max(wide(*g.1).abs()));
    for ((part, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        let error = (wide(**ours) - wide(**theirs)).abs();
        assert!(error <= tolerance * largest, "{part}: {error:e}, {at}");
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    for entry in all::<f64>() {
        let mut batch = Batch::new(&entry, 3.0);
        let (_, mut grad) = batch.evaluate(&*entry.loss);
        let grads: Vec<_> = numbers(&mut grad)
            .into_iter()
            .map(|(part, g)| (part, *g))
            .collect();
        let largest = grads
            .iter()
            .fold(1e-3, |most: f64, (_, g)| most.max(g.abs()));
        assert!(largest > 1e-3, "{} has a gradient", entry.name);
        for (index, (part, grad)) in grads.iter().enumerate() {
            if part == "mask" {
                assert_eq!(*grad, 0.0, "{}", entry.name);
                continue;
            }
            let step = 1e-4;
            let at = *numbers(&mut batch.student)[index].1;
            let mut moved = |by: f64| {
                *numbers(&mut batch.student)[index].1 = at + by;
                entry.loss.value(&batch.student, batch.target()).unwrap()
            };
            // Four points, so that the error of the difference is step⁴ and not step².
            let near = moved(step) - moved(-step);
            let far = moved(2.0 * step) - moved(-2.0 * step);
            let difference = (8.0 * near - far) / (12.0 * step);
            *numbers(&mut batch.student)[index].1 = at;
            let error = (difference - grad).abs();
            let name = entry.name;
            assert!(error <= 1e-6 * largest, "{name}, {part} {index}: {error:e}");
        }
    }
}

fn check<F: Float>(tolerance: f64) {
    for entry in all::<F>() {
        let (name, loss) = (entry.name, &*entry.loss);
        let batch = Batch::new(&entry, 3.0);
        let (value, grad) = batch.evaluate(loss);
        assert!(value > F::zero(), "{name}");
        let alone = loss.value(&batch.student, batch.target()).unwrap();
        assert_eq!(alone, value, "with and without gradient, {name}");

        // The order of the examples changes nothing but the order of the gradient's.
        let order = [3, 0, 4, 2, 1];
        let permuted = Batch {
            student: reordered(&batch.student, &order),
            teacher: reordered(&batch.teacher, &order),
            weights: batch.weights.select(Axis(0), &order),
        };
        let (other, other_grad) = permuted.evaluate(loss);
        let error = (wide(other) - wide(value)).abs();
        assert!(error <= tolerance * wide(value), "order, {name}: {error:e}");
        assert_close(&other_grad, &reordered(&grad, &order), tolerance, name);

        // Adding to a gradient is adding the gradient.
        let mut sum = batch.student.clone();
        let scale = F::cast(-2.0);
        let again = loss.accumulate(&batch.student, batch.target(), scale, &mut sum);
        assert_eq!(again.unwrap(), value, "{name}");
        let mut right = batch.student.clone();
        right.add_scaled(scale, &grad).unwrap();
        assert_eq!(sum, right, "accumulate, {name}");

        // Memory order does not matter.
        let turned = |output: &Output<F>| {
            let mut other = output.clone();
            for feature in other.features.values_mut() {
                let axes = feature.t().as_standard_layout().into_owned();
                *feature = axes.reversed_axes();
            }
            other
        };
        let layout = Batch {
            student: turned(&batch.student),
            teacher: turned(&batch.teacher),
            weights: batch.weights.clone(),
        };
        assert_eq!(
            layout.evaluate(loss),
            (value, grad.clone()),
            "layout, {name}"
        );

        // An example of weight 0 is not read, and has no gradient.
        let mut broken = Batch {
            student: batch.student.clone(),
            teacher: batch.teacher.clone(),
            weights: batch.weights.clone(),
        };
        for output in [&mut broken.student, &mut broken.teacher] {
            output.logits.row_mut(2).fill(F::nan());
            for (name, feature) in &mut output.features {
                if !SHARED.contains(&name.as_str()) {
                    feature.index_axis_mut(Axis(0), 2).fill(F::nan());
                }
            }
        }
        assert_eq!(
            broken.evaluate(loss),
            (value, grad.clone()),
            "weight 0, {name}"
        );

        // Weights of one are no weights.
        let target = Target::from(&batch.teacher);
        let plain = loss.evaluate(&batch.student, target).unwrap();
        let ones = Array1::ones(BATCH);
        let with = loss
            .evaluate(&batch.student, target.weights(&ones))
            .unwrap();
        assert_eq!(plain, with, "{name}");

        if entry.zero_at_equality && entry.student == entry.teacher {
            let target = Target::from(&batch.student).weights(&batch.weights);
            let mut same = loss.evaluate(&batch.student, target).unwrap();
            assert_eq!(same.value, F::zero(), "{name}");
            let largest = numbers(&mut same.grad)
                .into_iter()
                .fold(0.0, |most: f64, g| most.max(wide(*g.1).abs()));
            assert!(largest <= 1e-15, "{name} at equality: {largest:e}");
        }

        // Ten thousand is no reason for a NaN, and zeros everywhere are none.
        for spread in [2e4, 0.0] {
            let mut batch = Batch::new(&entry, spread);
            for (part, number) in numbers(&mut batch.student) {
                if spread == 0.0 && part != "mask" {
                    *number = F::zero();
                }
            }
            let (value, mut grad) = batch.evaluate(loss);
            assert!(value.is_finite() && value >= F::zero(), "{name} ±{spread}");
            assert!(
                numbers(&mut grad).iter().all(|(_, g)| g.is_finite()),
                "{name} ±{spread}"
            );
        }
    }
}

#[test]
fn f32_losses_over_features_obey() {
    check::<f32>(2e-5);
}

#[test]
fn f64_losses_over_features_obey() {
    check::<f64>(1e-11);
}

#[test]
fn a_weight_is_a_factor_or_a_choice() {
    for entry in all::<f64>() {
        let mut batch = Batch::new(&entry, 3.0);
        let (value, grad) = batch.evaluate(&*entry.loss);
        batch.weights.mapv_inplace(|w| 2.0 * w);
        let (twice, twice_grad) = batch.evaluate(&*entry.loss);
        let over_weights = entry.name == "attention kl masked";
        let factor = if entry.weights == Weights::Scale && !over_weights {
            2.0
        } else {
            1.0
        };
        assert!(
            (twice - factor * value).abs() <= 1e-14 * twice,
            "{}",
            entry.name
        );
        let mut right = grad.zeros_like();
        right.add_scaled(factor, &grad).unwrap();
        assert_close(&twice_grad, &right, 1e-14, entry.name);

        // What is left out is as if it were not there.
        if entry.weights == Weights::Choose {
            let kept = [0, 1, 3, 4];
            let (student, teacher) = (
                reordered(&batch.student, &kept),
                reordered(&batch.teacher, &kept),
            );
            let found = entry
                .loss
                .evaluate(&student, Target::from(&teacher))
                .unwrap();
            assert_eq!(found.value, value, "{}", entry.name);
            assert_eq!(found.grad, reordered(&grad, &kept), "{}", entry.name);
            batch.weights.fill(0.0);
            let (nothing, grad) = batch.evaluate(&*entry.loss);
            assert_eq!((nothing, grad.clone()), (0.0, grad.zeros_like()));
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for entry in all::<f32>() {
        let batch = Batch::new(&entry, 3.0);
        same_in_every_pool(|| batch.evaluate(&*entry.loss));
    }
}

#[test]
fn errors_over_features_leave_the_gradient_alone() {
    for entry in all::<f64>() {
        let name = entry.name;
        let batch = Batch::new(&entry, 3.0);
        let mut grad = batch.student.clone();
        let before = grad.clone();
        for part in entry.student.iter().map(|(part, _)| *part) {
            if SHARED.contains(&part) || (part == "v" && name == "relation kl") {
                continue;
            }
            let mut broken = batch.student.clone();
            let feature = broken.features.get_mut(part).unwrap();
            *feature.iter_mut().next().unwrap() = f64::NAN;
            let error = entry
                .loss
                .accumulate(&broken, batch.target(), 1.0, &mut grad);
            let error = error.unwrap_err();
            assert!(matches!(error, Error::Tensor { .. }), "{name}: {error}");
            assert!(error.to_string().contains("is NaN"), "{name}: {error}");

            let mut lacking = batch.student.clone();
            lacking.features.remove(part);
            let error = entry.loss.evaluate(&lacking, batch.target()).unwrap_err();
            assert!(
                matches!(error, Error::MissingFeature { .. }),
                "{name}: {error}"
            );
        }
        let mut other = Output::from(Array2::zeros((BATCH, CLASSES + 1)));
        let error = entry
            .loss
            .accumulate(&batch.student, batch.target(), 1.0, &mut other);
        assert!(matches!(error, Err(Error::ShapeMismatch { .. })), "{name}");
        let error = entry.loss.evaluate(&batch.student, Target::new());
        assert!(matches!(error, Err(Error::MissingTarget { .. })), "{name}");
        let weights = Array1::ones(BATCH + 1);
        let error = entry
            .loss
            .evaluate(&batch.student, batch.target().weights(&weights));
        assert!(matches!(error, Err(Error::WrongCount { .. })), "{name}");
        assert_eq!(grad, before, "{name}");
    }
}
