//! Laws of importances.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use ndarray::{Array1, ArrayD, ArrayRefD, Axis, IxDyn, Zip};
use rarefy::prelude::*;
use rarefy::prune::{
    Aggregate, Blocks, Elementwise, Fisher, Fpgm, GivenScores, Lamp, Magnitude, Movement, Obd,
    Random, RelativeMagnitude, SemiStructured, SignedTaylor, SliceScores, Snip, Structured, Taylor,
    Threshold, Unstructured, Wanda,
};
use rarefy::{Float, Result};

type Named<'a, F> = (&'static str, Box<dyn Importance<F> + 'a>);

/// A gradient for weights of this shape.
fn gradient<F: Float>(shape: &[usize]) -> ArrayD<F> {
    array(shape, Values::Ties).mapv(|value: F| value - F::cast(0.25))
}

/// Every importance, for weights of one shape.
fn all<'a, F: Float>(weights: &ArrayRefD<F>, gradient: &'a ArrayD<F>) -> Vec<Named<'a, F>> {
    let weights = weights.to_owned();
    let (mut movement, mut fisher) = (Movement::new(), Fisher::new());
    let (mut obd, mut snip) = (Obd::new(), Snip::momentum(0.5, 0.9).unwrap());
    for _ in 0..2 {
        movement.observe(&weights, gradient).unwrap();
        fisher.observe(&weights, gradient).unwrap();
        obd.observe(&weights, gradient).unwrap();
        snip.observe(&weights, gradient).unwrap();
    }
    let mut all: Vec<Named<'a, F>> = vec![
        ("magnitude", Box::new(Magnitude)),
        ("given", Box::new(GivenScores::new(gradient))),
        ("Taylor", Box::new(Taylor::new(gradient))),
        ("signed Taylor", Box::new(SignedTaylor::new(gradient))),
        ("random", Box::new(Random::new(3))),
        ("LAMP", Box::new(Lamp)),
        ("relative magnitude", Box::new(RelativeMagnitude)),
        ("movement", Box::new(movement)),
        ("Fisher", Box::new(fisher)),
        ("OBD", Box::new(obd)),
        ("SNIP", Box::new(snip)),
    ];
    for (axis, &length) in weights.shape().iter().enumerate() {
        if length > 300 {
            continue;
        }
        let values = Array1::from_iter((0..length).map(|i| F::cast(i as f64 * 1.5 - 3.0)));
        all.push((
            "slice scores",
            Box::new(SliceScores::new(&values, Axis(axis))),
        ));
        let norms = values.mapv(F::abs);
        all.push(("Wanda", Box::new(Wanda::new(&norms, Axis(axis)))));
        all.push(("FPGM", Box::new(Fpgm::new(Axis(axis)))));
    }
    all
}

/// The same importance without the form that needs no array.
#[derive(Debug)]
struct AsArray<'a, F: Float>(&'a dyn Importance<F>);

impl<F: Float> Importance<F> for AsArray<'_, F> {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        self.0.scores(weights)
    }
}

fn check<F: Float>() {
    for shape in SHAPES {
        for values in ALL_VALUES {
            let weights: ArrayD<F> = array(shape, values);
            let gradient = gradient(shape);
            for (name, importance) in all(&weights, &gradient) {
                let at = format!("{name} of {values:?} {shape:?}");
                let scores = importance.scores(&weights).unwrap();
                assert_eq!(scores.shape(), weights.shape(), "{at}");
                assert!(scores.iter().all(|score| !score.is_nan()), "{at}");
                each_layout(&weights, |layout, view| {
                    assert_eq!(importance.scores(&view).unwrap(), scores, "{layout}, {at}");
                });
                // The form that needs no array must be the same scores.
                match importance.elementwise() {
                    Some(Elementwise::Magnitude) => {
                        assert_eq!(scores, weights.mapv(|weight| weight.abs()), "{at}");
                    }
                    Some(Elementwise::Given(given)) => assert_eq!(*scores, *given, "{at}"),
                    Some(Elementwise::Product(factors)) => {
                        let products = Zip::from(&weights).and(factors);
                        let right = products.map_collect(|&w, &f| (w * f).abs());
                        assert_eq!(scores, right, "{at}");
                    }
                    _ => {}
                }
                for amount in [0.1, 0.5, 0.9] {
                    let mask = Unstructured::new(&importance, amount)
                        .mask(&weights)
                        .unwrap();
                    let array = AsArray(&*importance);
                    let by_array = Unstructured::new(array, amount).mask(&weights).unwrap();
                    assert_eq!(mask, by_array, "{amount}, {at}");
                }
            }
        }
    }
}

#[test]
fn f32_importances_obey() {
    check::<f32>();
}

#[test]
fn f64_importances_obey() {
    check::<f64>();
}

#[test]
fn every_importance_works_with_every_pattern() {
    let shape = [6, 8];
    for values in [Values::Distinct, Values::Ties, Values::Equal, Values::Zeros] {
        let weights: ArrayD<f32> = array(&shape, values);
        let gradient = gradient(&shape);
        for (name, importance) in all(&weights, &gradient) {
            let importance = &*importance;
            let at = format!("{name} of {values:?}");
            let scores = importance.scores(&weights).unwrap();
            for aggregate in [
                Aggregate::Sum,
                Aggregate::Mean,
                Aggregate::Max,
                Aggregate::AbsoluteSum,
                Aggregate::Norm(2.0),
                Aggregate::Norm(0.7),
            ] {
                for axis in [0, 1] {
                    let rows = Structured::new(importance, 3_usize, Axis(axis));
                    let mask = rows.aggregate(aggregate).mask(&weights).unwrap();
                    assert_eq!(mask.dropped(), 3 * shape[1 - axis], "{aggregate:?}, {at}");
                }
                let blocks = Blocks::new(importance, 0.5, (2, 2)).aggregate(aggregate);
                assert_eq!(
                    blocks.mask(&weights).unwrap().dropped(),
                    24,
                    "{aggregate:?}, {at}"
                );
            }
            let pairs = SemiStructured::new(importance, 2, 4, Axis(1));
            assert_eq!(pairs.mask(&weights).unwrap().kept(), 24, "{at}");
            let above = Threshold::new(importance, 0.5).mask(&weights).unwrap();
            assert_eq!(above.to_array(), scores.mapv(|score| score > 0.5), "{at}");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_scores() {
    let shape = [300, 270];
    let weights: ArrayD<f32> = array(&shape, Values::Ties);
    let gradient = gradient(&shape);
    for (_, importance) in all(&weights, &gradient) {
        same_in_every_pool(|| importance.scores(&weights).unwrap());
    }
}

#[test]
fn what_two_observed_is_what_one_would_have() {
    let shape = IxDyn(&[4, 5]);
    // Eighths, so that every sum is exact.
    let batch = |number: usize| {
        let mut place = number * 7;
        ArrayD::<f64>::from_shape_simple_fn(shape.clone(), || {
            place += 5;
            (place % 17) as f64 / 8.0 - 1.0
        })
    };
    let weights = batch(90);
    macro_rules! check {
        ($new:expr) => {{
            let (mut whole, mut first, mut second) = ($new, $new, $new);
            for number in 0..5 {
                whole.observe(&weights, &batch(number)).unwrap();
                let part = if number < 2 { &mut first } else { &mut second };
                part.observe(&weights, &batch(number)).unwrap();
            }
            first.merge(&second).unwrap();
            assert_eq!(first, whole);
            assert_eq!(first.batches(), 5);
            first.merge(&$new).unwrap();
            assert_eq!(first, whole, "nothing was observed there");
            let mut empty = $new;
            empty.merge(&whole).unwrap();
            assert_eq!(empty, whole);
        }};
    }
    check!(Movement::new());
    check!(Fisher::new());
    check!(Obd::new());
    check!(Snip::new());
    check!(Snip::momentum(0.5, 1.0).unwrap());
}

#[test]
fn observed_scores_are_their_formulas() {
    let shape = [3, 4];
    let weights: [ArrayD<f64>; 3] = [0.5, 1.0, 2.0].map(|by| array(&shape, Values::Ties) * by);
    let gradients = [-1.0, 0.5, 3.0].map(|by| array::<f64>(&shape, Values::Distinct) * by);
    let (mut movement, mut fisher) = (Movement::new(), Fisher::new());
    let (mut obd, mut snip) = (Obd::new(), Snip::momentum(0.25, 0.9).unwrap());
    for (w, g) in weights.iter().zip(&gradients) {
        movement.observe(w, g).unwrap();
        fisher.observe(w, g).unwrap();
        obd.observe(w, g).unwrap();
        snip.observe(w, g).unwrap();
    }
    let products: Vec<ArrayD<f64>> = weights.iter().zip(&gradients).map(|(w, g)| w * g).collect();
    let now = &weights[2];
    let near = |ours: Result<ArrayD<f64>>, right: ArrayD<f64>| {
        for (ours, right) in ours.unwrap().iter().zip(&right) {
            assert!(
                (ours - right).abs() <= 1e-12 * right.abs(),
                "{ours} {right}"
            );
        }
    };
    let sum = |terms: Vec<ArrayD<f64>>| terms.into_iter().reduce(|a, b| a + b).unwrap();
    near(movement.scores(now), -sum(products.clone()));
    let squares = products.iter().map(|p| p * p).collect();
    near(fisher.scores(now), sum(squares) / 3.0);
    let squares = gradients.iter().map(|g| g * g).collect();
    near(obd.scores(now), sum(squares) / 3.0 * now * now);
    let faded = |number: usize, by: f64| products[number].mapv(|p| p.abs() * 0.9 * by);
    near(
        snip.scores(now),
        sum(vec![faded(0, 0.0625), faded(1, 0.25), faded(2, 1.0)]),
    );
}
