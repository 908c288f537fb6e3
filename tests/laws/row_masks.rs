//! Laws of losses where there is less than a full batch: masked classes, masked rows, no rows.

use crate::feature_losses;
use crate::features;
use crate::inputs::same_in_every_pool;
use crate::loss::{self, Batch};
use ndarray::{Array1, Array2, Axis};
use rarefy::distill::{
    KlDivergence, Loss, Output, OutputLayer, Reduction, StreamingBatch, StreamingDistillation,
    Target, TopKTarget,
};
use rarefy::{Error, Float};

const NONE: f64 = f64::NEG_INFINITY;

/// A batch of which some rows mask class 2, on the sides that are asked for.
fn masked<F: Float>(on_student: bool, on_teacher: bool) -> Batch<F> {
    let mut batch = Batch::new(6, 9, 8.0);
    for row in [1, 4] {
        if on_student {
            batch.student.logits[[row, 2]] = F::cast(NONE);
        }
        if on_teacher {
            batch.teacher.logits[[row, 2]] = F::cast(NONE);
        }
    }
    for label in &mut batch.labels {
        if *label == 2 {
            *label = 5;
        }
    }
    batch.top_k = TopKTarget::from_logits(&batch.teacher.logits, 4).unwrap();
    batch
}

/// Losses that say that they want finite logits.
fn wants_finite(name: &str) -> bool {
    ["logit mse", "standardised", "sigmoid"].contains(&name)
}

fn never_nan<F: Float>() {
    for (name, loss, _) in loss::all::<F>() {
        for (on_student, on_teacher) in [(true, true), (false, true), (true, false)] {
            let at = format!("{name}, masked by student {on_student}, by teacher {on_teacher}");
            let batch = masked::<F>(on_student, on_teacher);
            let value = loss.value(&batch.student, batch.target());
            let evaluated = loss.evaluate(&batch.student, batch.target());
            match (value, evaluated) {
                (Ok(value), Ok(evaluated)) => {
                    assert_eq!(value, evaluated.value, "{at}");
                    assert!(value.is_finite() && value >= F::zero(), "{at}: {value}");
                    let grad = &evaluated.grad.logits;
                    assert!(grad.iter().all(|g| g.is_finite()), "{at}: {grad}");
                    if on_student {
                        assert!(grad[[1, 2]] == F::zero(), "what is masked stays, {at}");
                    }
                }
                (Ok(value), Err(Error::InfiniteLoss { row, class, .. })) => {
                    assert!(value == F::infinity(), "{at}: {value}");
                    assert_eq!((row, class), (1, 2), "{at}");
                }
                (Err(Error::Infinite { index, .. }), Err(Error::Infinite { index: again, .. })) => {
                    assert!(wants_finite(name), "{at}");
                    assert_eq!((&index[..], &again[..]), (&[1, 2][..], &[1, 2][..]), "{at}");
                }
                (value, evaluated) => panic!("{at}: {value:?}, {evaluated:?}"),
            }
        }
    }
}

#[test]
fn a_masked_class_never_makes_a_nan() {
    never_nan::<f32>();
    never_nan::<f64>();
}

#[test]
fn a_class_that_both_sides_mask_is_as_if_it_were_not_there() {
    let mut batch = Batch::<f64>::new(6, 9, 8.0);
    batch.student.logits.column_mut(2).fill(NONE);
    batch.teacher.logits.column_mut(2).fill(NONE);
    batch
        .labels
        .iter_mut()
        .for_each(|label| *label = (*label).max(3));
    let others: Vec<usize> = (0..9).filter(|&class| class != 2).collect();
    let without = |output: &Output<f64>| Output::from(output.logits.select(Axis(1), &others));
    let (student, teacher) = (without(&batch.student), without(&batch.teacher));
    let labels: Vec<usize> = batch.labels.iter().map(|label| label - 1).collect();
    let top_k = |output: &Output<f64>| TopKTarget::from_logits(&output.logits, 4).unwrap();
    batch.top_k = top_k(&batch.teacher);
    let fewer = top_k(&teacher);
    let target = Target::from(&teacher).labels(&labels);
    let target = target.top_k(&fewer).weights(&batch.weights);
    for (name, loss, _) in loss::all::<f64>() {
        // Those divide by the number of classes, or share something among all of them.
        if wants_finite(name) || name.contains("elements") || name == "smoothed" {
            continue;
        }
        let whole = loss.evaluate(&batch.student, batch.target()).unwrap();
        let right = loss.evaluate(&student, target).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * (1.0 + b.abs());
        assert!(
            close(whole.value, right.value),
            "{name}: {} {}",
            whole.value,
            right.value
        );
        let grad = whole.grad.logits.select(Axis(1), &others);
        let mut pairs = grad.iter().zip(&right.grad.logits);
        assert!(pairs.all(|(&a, &b)| close(a, b)), "{name}");
        assert!(
            whole.grad.logits.column(2).iter().all(|&g| g == 0.0),
            "{name}"
        );
    }
}

#[test]
fn an_example_that_is_masked_is_as_if_it_were_not_there() {
    for entry in feature_losses::all::<f64>() {
        let name = entry.name;
        let batch = features::Batch::new(&entry, 3.0);
        let kept = [0, 1, 3];
        let mask: Vec<bool> = (0..5).map(|row| kept.contains(&row)).collect();
        let student = features::reordered(&batch.student, &kept);
        let teacher = features::reordered(&batch.teacher, &kept);
        let mut broken = batch.student.clone();
        broken.logits.row_mut(4).fill(f64::NAN);
        for (part, feature) in &mut broken.features {
            if !feature_losses::SHARED.contains(&part.as_str()) {
                feature.index_axis_mut(Axis(0), 4).fill(f64::NAN);
            }
        }
        let right = entry
            .loss
            .evaluate(&student, Target::from(&teacher))
            .unwrap();
        let target = Target::from(&batch.teacher).mask(&mask);
        let ours = entry.loss.evaluate(&broken, target).unwrap();
        let error = (ours.value - right.value).abs();
        assert!(error <= 1e-14 * right.value.abs(), "{name}: {error:e}");
        let alone = features::reordered(&ours.grad, &kept);
        features::assert_close(&alone, &right.grad, 1e-14, name);
        assert!(ours.grad.logits.row(4).iter().all(|&g| g == 0.0), "{name}");
        let alone = entry.loss.value(&broken, target).unwrap();
        assert_eq!(alone, ours.value, "with and without gradient, {name}");
    }
}

#[test]
fn writing_features_into_a_buffer_is_evaluating() {
    for entry in feature_losses::all::<f32>() {
        let batch = features::Batch::new(&entry, 3.0);
        let (value, right) = batch.evaluate(&*entry.loss);
        let mut grad = batch.student.clone();
        let again = entry
            .loss
            .evaluate_into(&batch.student, batch.target(), &mut grad);
        assert_eq!((again.unwrap(), grad), (value, right), "{}", entry.name);
    }
}

#[test]
fn where_no_row_is_there_a_mean_is_an_error_and_a_sum_is_zero() {
    let batch = Batch::<f64>::new(4, 5, 6.0);
    let nobody = [false; 4];
    for (name, loss, _) in loss::all::<f64>() {
        let target = batch.target().mask(&nobody);
        let evaluated = loss.evaluate(&batch.student, target);
        let value = loss.value(&batch.student, target);
        // "kl by 7" divides by the caller's number.
        if name.ends_with(" sum") || name.ends_with("by 7") {
            let evaluated = evaluated.unwrap();
            assert_eq!((evaluated.value, value.unwrap()), (0.0, 0.0), "{name}");
            assert_eq!(evaluated.grad, batch.student.zeros_like(), "{name}");
        } else {
            for error in [evaluated.unwrap_err(), value.unwrap_err()] {
                assert!(
                    matches!(error, Error::NoWeight { rows: 4 }),
                    "{name}: {error}"
                );
            }
        }
    }
}

#[test]
fn where_no_example_is_there_nothing_is_compared() {
    let nobody = [false; 5];
    for entry in feature_losses::all::<f64>() {
        let name = entry.name;
        let batch = features::Batch::new(&entry, 3.0);
        let target = Target::from(&batch.teacher).mask(&nobody);
        let evaluated = entry.loss.evaluate(&batch.student, target);
        // Losses among examples have no mean over rows: of no examples they are 0, as of one.
        if entry.weights == feature_losses::Weights::Choose || name == "hidden mse sum" {
            let evaluated = evaluated.unwrap();
            assert_eq!(evaluated.value, 0.0, "{name}");
            assert_eq!(evaluated.grad, batch.student.zeros_like(), "{name}");
        } else {
            let error = evaluated.unwrap_err();
            assert!(matches!(error, Error::NoWeight { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn streaming_reads_nothing_of_tokens_that_are_not_there() {
    let of = |rows, seed| crate::inputs::logits::<f64>(rows, 3, seed, 4.0);
    let (mut hidden, mut taught) = (of(4, 1), of(4, 2));
    let (projection, teacher_projection) = (of(6, 3), of(6, 4));
    hidden.row_mut(2).fill(f64::NAN);
    taught.row_mut(2).fill(f64::NAN);
    let labels = [5, 0, usize::MAX, 1];
    let batch = StreamingBatch::new(OutputLayer::new(&hidden, &projection))
        .teacher(OutputLayer::new(&taught, &teacher_projection))
        .labels(&labels);
    let loss = StreamingDistillation::new(2.0).term_weights(0.5, 0.5);
    let found = loss
        .evaluate(batch.mask(&[true, true, false, true]))
        .unwrap();
    let kept = [0, 1, 3];
    let (student, teacher) = (hidden.select(Axis(0), &kept), taught.select(Axis(0), &kept));
    let alone = StreamingBatch::new(OutputLayer::new(&student, &projection))
        .teacher(OutputLayer::new(&teacher, &teacher_projection))
        .labels(&[5, 0, 1]);
    let right = loss.evaluate(alone).unwrap();
    assert!((found.value - right.value).abs() <= 1e-14);
    assert_eq!(found.grad.hidden.select(Axis(0), &kept), right.grad.hidden);
    assert!(found.grad.hidden.row(2).iter().all(|&g| g == 0.0));

    let nobody = batch.mask(&[false; 4]);
    let error = loss.evaluate(nobody).unwrap_err();
    assert!(matches!(error, Error::NoWeight { rows: 4 }), "{error}");
    for reduction in [Reduction::Sum, Reduction::DividedBy(3.0)] {
        let found = loss.reduction(reduction).evaluate(nobody).unwrap();
        assert_eq!(found.value, 0.0);
        assert_eq!(found.grad.hidden, Array2::<f64>::zeros((4, 3)));
        assert_eq!(found.grad.projection, Array2::<f64>::zeros((6, 3)));
    }
}

#[test]
fn no_rows_and_no_classes_are_an_error() {
    for (name, loss, _) in loss::all::<f64>() {
        for shape in [(0, 3), (3, 0), (0, 0)] {
            let empty = Output::from(Array2::zeros(shape));
            let classes = shape.1.max(1);
            let top_k = TopKTarget::new(
                classes,
                Array2::zeros((shape.0, 1)),
                Array2::zeros((shape.0, 1)),
            );
            let (labels, weights) = (vec![0; shape.0], Array1::ones(shape.0));
            let top_k = top_k.unwrap();
            let target = Target::from(&empty).labels(&labels).weights(&weights);
            let error = loss.evaluate(&empty, target.top_k(&top_k)).unwrap_err();
            // There is no target of k of no classes.
            let named = matches!(error, Error::NoLogits { .. })
                || (shape.1 == 0 && matches!(error, Error::ShapeMismatch { .. }));
            assert!(named, "{name} {shape:?}: {error}");
        }
    }
}

#[test]
fn a_label_of_a_row_that_is_not_read_is_not_read_either() {
    let mut batch = Batch::<f64>::new(5, 4, 6.0);
    batch.weights[3] = 0.0;
    let mask = [true, false, true, true, true];
    let right = batch.labels.clone();
    for (name, loss, _) in loss::all::<f64>() {
        let labels = |labels| {
            let target = batch.target().labels(labels).mask(&mask);
            loss.evaluate(&batch.student, target)
        };
        let mut padded = right.clone();
        (padded[1], padded[3]) = (usize::MAX, 4);
        assert_eq!(labels(&padded).unwrap(), labels(&right).unwrap(), "{name}");
    }
}

#[test]
fn values_alone_and_sums_of_gradients_are_the_same_in_every_pool() {
    let batch = Batch::<f32>::new(300, 1001, 12.0);
    for (_, loss, _) in loss::all::<f32>() {
        same_in_every_pool(|| {
            let mut grad = Output::from(Array2::from_elem((300, 1001), 0.25));
            let target = batch.target();
            let added = loss.accumulate(&batch.student, target, 0.5, &mut grad);
            let value = loss.value(&batch.student, target);
            (value.unwrap(), added.unwrap(), grad)
        });
    }
    for entry in feature_losses::all::<f32>() {
        let batch = features::Batch::new(&entry, 3.0);
        same_in_every_pool(|| entry.loss.value(&batch.student, batch.target()).unwrap());
    }
}

#[test]
fn what_a_mean_is_over_is_what_it_says() {
    let batch = Batch::<f64>::new(7, 5, 6.0);
    let of = |reduction, weights: &Array1<f64>| {
        let loss = KlDivergence::new(2.0).reduction(reduction);
        let target = Target::from(&batch.teacher).weights(weights);
        loss.evaluate(&batch.student, target).unwrap()
    };
    // Twice the weights are the same mean over weights, to the bit: 2 is a power of two.
    let over = Reduction::MeanOverWeights;
    assert_eq!(of(over, &batch.weights), of(over, &(&batch.weights * 2.0)));
    // With weights of one all that count rows agree, to the bit.
    let ones = Array1::ones(7);
    let rows = of(Reduction::MeanOverRows, &ones);
    assert_eq!(of(over, &ones), rows);
    assert_eq!(of(Reduction::DividedBy(7.0), &ones), rows);
    // Elements are rows times classes.
    let elements = of(Reduction::MeanOverElements, &ones).value;
    assert!((elements * 5.0 - rows.value).abs() <= 1e-15);
}
