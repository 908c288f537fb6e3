//! Bad input to pruning gets a typed error that says what was given, and changes nothing.

use ndarray::{Array0, Array1, Array2, ArrayD, Axis, IxDyn, array};
use rarefy::prelude::*;
use rarefy::prune::{
    self, Aggregate, Amount, Coupled, Fisher, Fpgm, GivenScores, Global, GlobalStructured, Lamp,
    Layer, Magnitude, Movement, NanRule, Obd, Rail, Rails, Rules, Scope, SliceScores, Snip,
    Structured, Taylor, TieRule, Unstructured, Wanda, allocation,
};
use rarefy::{Error, Mask, Result};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn axes_that_do_not_exist() {
    let mut weights = array![[1.0, 2.0], [3.0, 4.0]];
    let says = "axis 2 does not exist, the array has 2 axes";
    let axis = Axis(2);
    assert_eq!(
        text(prune::ln_structured(&mut weights, 0.5, 2.0, axis)),
        says
    );
    assert_eq!(
        text(prune::random_structured(&mut weights, 0.5, axis, 1)),
        says
    );
    assert_eq!(text(prune::slice_threshold(&mut weights, 0.5, axis)), says);
    assert_eq!(text(prune::semi_structured(&mut weights, 2, 4, axis)), says);
    let scope = Scope::Slices { axis, together: 1 };
    let pruner = Unstructured::new(Magnitude, 0.5).scope(scope);
    assert_eq!(text(pruner.prune(&mut weights)), says);
    let values = array![1.0, 2.0];
    let pruner = Unstructured::new(SliceScores::new(&values, axis), 0.5);
    assert_eq!(text(pruner.mask(&weights)), says);
    assert_eq!(
        text(Unstructured::new(Wanda::new(&values, axis), 0.5).mask(&weights)),
        says
    );
    assert_eq!(
        text(Unstructured::new(Fpgm::new(axis), 0.5).mask(&weights)),
        says
    );
    assert_eq!(weights, array![[1.0, 2.0], [3.0, 4.0]]);
    let mut scalar = Array0::from_elem((), 1.0_f32);
    let error = text(prune::ln_structured(&mut scalar, 0.5, 2.0, Axis(0)));
    assert_eq!(error, "axis 0 does not exist, the array has 0 axes");
}

#[test]
fn counts_of_slices_are_counts_of_slices() {
    let mut weights = Array2::<f64>::ones((3, 100));
    let error = text(prune::ln_structured(&mut weights, 4_usize, 2.0, Axis(0)));
    assert_eq!(
        error,
        "count must lie in 0..=3, the number of slices, got 4"
    );
    let error = text(prune::random_structured(&mut weights, 1.5, Axis(0), 1));
    assert_eq!(error, "amount must lie in 0..=1, got 1.5");
    let error = text(
        Structured::new(Magnitude, 1_usize, Axis(0))
            .together(2)
            .mask(&weights),
    );
    assert_eq!(error, "axis 0 has length 3, which 2 does not divide");
    let error = text(
        Structured::new(Magnitude, 1_usize, Axis(0))
            .together(0)
            .mask(&weights),
    );
    assert_eq!(error, "axis 0 has length 3, which 0 does not divide");
    assert_eq!(weights.sum(), 300.0);
}

#[test]
fn numbers_that_are_none() {
    let mut weights = array![[1.0_f32, 2.0]];
    let error = text(prune::ln_structured(
        &mut weights,
        1_usize,
        f64::NAN,
        Axis(0),
    ));
    assert_eq!(error, "order of a norm must be a number, got NaN");
    let error = text(prune::threshold(&mut weights, f64::NAN));
    assert_eq!(error, "threshold must be a number, got NaN");
    let error = text(prune::slice_threshold(&mut weights, f64::NAN, Axis(0)));
    assert_eq!(error, "threshold must be a number, got NaN");
    let scope = Scope::Slices {
        axis: Axis(0),
        together: 0,
    };
    let error = text(
        Unstructured::new(Magnitude, 0.5)
            .scope(scope)
            .mask(&weights),
    );
    assert_eq!(error, "slices ranked together must be at least 1, got 0");
    weights[[0, 1]] = NAN;
    assert_eq!(
        text(prune::threshold(&mut weights, 0.0)),
        "weight [0, 1] is NaN"
    );
    assert_eq!(
        text(Lamp.scores(&weights.view().into_dyn())),
        "weight [0, 1] is NaN"
    );
    assert_eq!(weights[[0, 0]], 1.0);
}

#[test]
fn infinite_thresholds_and_weights_are_numbers() {
    let mut weights = array![INF, 1.0, -INF];
    prune::threshold(&mut weights, f64::NEG_INFINITY).unwrap();
    assert_eq!(weights, array![INF, 1.0, -INF]);
    prune::threshold(&mut weights, 1.0).unwrap();
    assert_eq!(weights, array![INF, 0.0, -INF]);
    prune::threshold(&mut weights, f64::INFINITY).unwrap();
    assert_eq!(weights, array![0.0, 0.0, 0.0]);
    let mut rows = array![[INF, 0.0], [1.0, 1.0], [2.0, 2.0]];
    prune::ln_structured(&mut rows, 2_usize, 3.0, Axis(0)).unwrap();
    assert_eq!(rows, array![[INF, 0.0], [0.0, 0.0], [0.0, 0.0]]);
}

#[test]
fn products_that_are_no_numbers_name_the_weight() {
    let weights = array![1.0, 0.0, 2.0];
    let gradient = array![1.0, INF, 3.0];
    let taylor = Taylor::new(&gradient);
    assert_eq!(
        text(Unstructured::new(&taylor, 0.5).mask(&weights)),
        "score [1] is NaN"
    );
    let kept = |rule| {
        let pruner = Unstructured::new(&taylor, 1_usize).rules(Rules::new().nan(rule));
        pruner.mask(&weights).unwrap()
    };
    let mask = |flags: [bool; 3]| Mask::from_array(&Array1::from(flags.to_vec()));
    assert_eq!(kept(NanRule::Smallest), mask([true, false, true]));
    assert_eq!(kept(NanRule::Largest), mask([false, true, true]));
    let mut movement = Movement::new();
    movement.observe(&weights, &weights).unwrap();
    let before = movement.clone();
    let error = text(movement.observe(&weights, &gradient));
    assert_eq!(error, "weight times gradient [1] is NaN");
    assert_eq!(movement, before);
}

#[test]
fn scores_before_the_first_batch() {
    let weights = array![1.0, 2.0];
    let says =
        |importance: &dyn Importance<f64>| text(Unstructured::new(importance, 0.5).mask(&weights));
    assert_eq!(
        says(&Movement::new()),
        "movement has not observed a gradient yet"
    );
    assert_eq!(
        says(&Fisher::new()),
        "Fisher has not observed a gradient yet"
    );
    assert_eq!(says(&Obd::new()), "OBD has not observed a gradient yet");
    assert_eq!(says(&Snip::new()), "SNIP has not observed a gradient yet");
    assert_eq!(
        text(Snip::momentum(1.5, 1.0)),
        "decay must be in 0..=1, got 1.5"
    );
    assert_eq!(
        text(Snip::momentum(1.0, 0.0)),
        "rate must be positive and finite, got 0"
    );
}

#[test]
fn shapes_that_differ_are_both_named() {
    let weights = Array2::<f32>::ones((2, 3));
    let other = Array2::<f32>::ones((3, 2));
    let error = text(Unstructured::new(GivenScores::new(&other), 0.5).mask(&weights));
    assert_eq!(error, "shapes differ: weights [2, 3], scores [3, 2]");
    let error = text(Unstructured::new(Taylor::new(&other), 0.5).mask(&weights));
    assert_eq!(error, "shapes differ: weights [2, 3], factors [3, 2]");
    let mut snip = Snip::new();
    let error = text(snip.observe(&weights, &other));
    assert_eq!(error, "shapes differ: weights [2, 3], gradient [3, 2]");
    snip.observe(&weights, &weights).unwrap();
    let error = text(snip.observe(&other, &other));
    assert_eq!(
        error,
        "shapes differ: observed weights [2, 3], weights [3, 2]"
    );
    assert_eq!(snip.batches(), 1);
    let error = text(Unstructured::new(&snip, 0.5).mask(&other));
    assert_eq!(
        error,
        "shapes differ: observed weights [2, 3], weights [3, 2]"
    );
    let mut transposed = Snip::new();
    transposed.observe(&other, &other).unwrap();
    let error = text(snip.merge(&transposed));
    assert_eq!(
        error,
        "shapes differ: observed weights [2, 3], other sums [3, 2]"
    );
    let norms = array![1.0_f32, 2.0];
    let error = text(Unstructured::new(Wanda::new(&norms, Axis(1)), 0.5).mask(&weights));
    assert_eq!(error, "2 norms given, 3 needed");
}

#[test]
fn errors_over_several_layers_name_the_layer() {
    let good = array![[1.0_f32, 2.0], [3.0, 4.0]];
    let bad = array![[1.0, NAN]];
    let layers = [Layer::new("good", &good), Layer::new("bad", &bad)];
    let says = "tensor \"bad\": weight [0, 1] is NaN";
    assert_eq!(text(Global::new(0.5).masks(&layers)), says);
    assert_eq!(text(GlobalStructured::new(0.5).masks(&layers)), says);
    assert_eq!(text(Coupled::new(1, 1_usize).masks(&layers)), says);
    let layers = [
        Layer::new("good", &good),
        Layer::new("flat", &good).axis(Axis(2)),
    ];
    let says = "tensor \"flat\": axis 2 does not exist, the array has 2 axes";
    assert_eq!(text(GlobalStructured::new(0.5).masks(&layers)), says);
    let rails = Rails::new().least_per_slice(1);
    assert_eq!(
        text(Global::new(0.5).rails(rails.clone()).masks(&layers)),
        says
    );
    assert_eq!(text(Coupled::new(2, 0.5).masks(&layers)), says);
    let error = text(Coupled::new(3, 0.5).masks(&layers));
    assert_eq!(
        error,
        "tensor \"good\": axis 0 has length 2, which 3 does not divide"
    );
    let error = text(Global::new(9_usize).masks(&layers));
    assert_eq!(
        error,
        "count must lie in 0..=8, the number of weights, got 9"
    );
    let error = text(GlobalStructured::new(5_usize).masks(&layers[..1]));
    assert_eq!(
        error,
        "count must lie in 0..=2, the number of slices, got 5"
    );
    let error = text(Coupled::new(2, 3_usize).masks(&layers));
    assert_eq!(error, "count must lie in 0..=2, the number of units, got 3");
    let infinite = array![1.0, INF];
    let error = text(allocation::lamp(&[Layer::new("w", &infinite)], 0.5));
    assert_eq!(error, "tensor \"w\": weight [1] is inf, must be finite");
    let error = text(GlobalStructured::new(0.5).rails(rails).masks(&layers));
    assert_eq!(
        error,
        "least kept per slice must be 0 where whole slices go, got 1"
    );
    let aggregate = Aggregate::Norm(f64::NAN);
    let error = text(Coupled::new(2, 0.5).across(aggregate).masks(&layers));
    assert_eq!(error, "order of a norm must be a number, got NaN");
}

#[test]
fn rails_out_of_range() {
    let weights = array![1.0, 2.0];
    let layers = [Layer::new("w", &weights)];
    let masks = |rails: Rails| text(Global::new(0.5).rails(rails).masks(&layers));
    let error = masks(Rails::new().highest_share(1.5));
    assert_eq!(error, "highest share must be in 0..=1, got 1.5");
    let error = masks(Rails::new().skip("v"));
    assert_eq!(error, "no layer is named \"v\"");
}

#[test]
fn rails_keep_what_they_should_and_say_so() {
    let small = array![[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]];
    let large = array![[5.0, 6.0, 7.0], [8.0, 9.0, 10.0]];
    let layers = [Layer::new("small", &small), Layer::new("large", &large)];
    let run = |rails: Rails| Global::new(0.5).rails(rails).masks(&layers).unwrap();
    let kept = |rails: Rails| {
        let pruned = run(rails);
        let notes: Vec<_> = pruned
            .notes
            .iter()
            .map(|n| (n.tensor.clone(), n.rail, n.kept))
            .collect();
        (pruned.masks[0].kept(), pruned.masks[1].kept(), notes)
    };
    assert_eq!(kept(Rails::new()), (0, 6, vec![]));
    let note = |rail, count| vec![("small".to_owned(), rail, count)];
    // Others go instead, so that half of all goes.
    assert_eq!(
        kept(Rails::new().least_kept(2)),
        (2, 4, note(Rail::LeastKept, 2))
    );
    assert_eq!(
        kept(Rails::new().highest_share(0.5)),
        (3, 3, note(Rail::HighestShare, 3))
    );
    assert_eq!(
        kept(Rails::new().least_per_slice(1)),
        (2, 4, note(Rail::LeastPerSlice, 2))
    );
    assert_eq!(
        kept(Rails::new().skip("small")),
        (6, 3, note(Rail::Skip, 6))
    );
    // Nothing else is left: fewer go.
    let pruned = run(Rails::new().least_kept(5));
    assert_eq!((pruned.asked, pruned.dropped()), (6, 2));
    let pruned = run(Rails::new().least_kept(99));
    assert_eq!((pruned.asked, pruned.dropped()), (6, 0));
    // The highest of each row stay.
    let pruned = run(Rails::new().least_per_slice(1));
    let small = pruned.masks[0].to_array();
    assert_eq!(
        small,
        array![[false, false, true], [false, false, true]].into_dyn()
    );
    // Slices: one row of each layer.
    let global = GlobalStructured::new(0.5).rails(Rails::new().least_kept(1));
    let pruned = global.masks(&layers).unwrap();
    assert_eq!((pruned.masks[0].kept(), pruned.masks[1].kept()), (3, 3));
    assert_eq!(
        (pruned.notes[0].rail, pruned.notes[0].kept),
        (Rail::LeastKept, 1)
    );
}

#[test]
fn allocations_out_of_range() {
    assert_eq!(
        text(allocation::uniform(3, 1.5)),
        "amount must lie in 0..=1, got 1.5"
    );
    assert_eq!(
        text(allocation::erk(&[&[3, 3]], -0.5)),
        "amount must lie in 0..=1, got -0.5"
    );
    assert!(matches!(
        allocation::erk(&[&[usize::MAX, 3]], 0.5),
        Err(Error::ShapeOverflow { .. })
    ));
    let error = text(allocation::owl(&[0.0, 1.0], 0.9, 0.2));
    assert_eq!(
        error,
        "lambda must be so small that every share stays in 0..=1, got 0.2"
    );
    let error = text(allocation::owl(&[0.0, f64::NAN], 0.5, 0.1));
    assert_eq!(error, "share of outliers must be finite, got NaN");
    let error = text(allocation::owl(&[0.0, 1.0], 0.5, -0.1));
    assert_eq!(error, "lambda must be finite and not negative, got -0.1");
    assert_eq!(
        text(allocation::outlier_share(&array![1.0, NAN], 2.0)),
        "score [1] is NaN"
    );
    // What is nothing, and what is all alike.
    assert_eq!(allocation::owl(&[], 0.5, 0.1).unwrap(), []);
    assert_eq!(
        allocation::owl(&[2.0, 2.0], 0.5, 0.1).unwrap(),
        [Amount::Fraction(0.5); 2]
    );
    assert_eq!(
        allocation::outlier_share(&Array1::<f32>::zeros(0), 2.0).unwrap(),
        0.0
    );
    let shares = allocation::erk(&[&[], &[0, 3], &[4, 4]], 0.5).unwrap();
    assert_eq!(shares[..2], [Amount::Fraction(0.0); 2]);
}

#[test]
fn nothing_is_pruned_of_nothing() {
    let empty = ArrayD::<f32>::zeros(IxDyn(&[3, 0]));
    for amount in [0.0, 0.5, 1.0] {
        for axis in [Axis(0), Axis(1)] {
            let mask = prune::ln_structured(&mut empty.clone(), amount, 2.0, axis).unwrap();
            assert_eq!((mask.shape(), mask.len()), (&[3, 0][..], 0));
            prune::random_structured(&mut empty.clone(), amount, axis, 1).unwrap();
            prune::semi_structured(&mut empty.clone(), 2, 4, axis).unwrap();
        }
        let masks = prune::global_unstructured::<f32>(&[], amount).unwrap();
        assert!(masks.is_empty());
        let layers = [Layer::new("empty", &empty)];
        assert_eq!(
            prune::global_unstructured(&layers, amount).unwrap()[0].len(),
            0
        );
        assert_eq!(
            GlobalStructured::new(amount)
                .masks(&layers)
                .unwrap()
                .masks
                .len(),
            1
        );
    }
    assert!(prune::global_unstructured::<f32>(&[], 1_usize).is_err());
}

#[test]
fn tied_scores_of_several_layers() {
    let weights = Array2::<f32>::ones((2, 2));
    let layers = [Layer::new("a", &weights), Layer::new("b", &weights)];
    let masks = prune::global_unstructured(&layers, 5_usize).unwrap();
    assert_eq!((masks[0].dropped(), masks[1].dropped()), (4, 1));
    assert_eq!(masks[1].keeps(&[0, 0]), Some(false));
    let all = Global::new(1_usize).rules(Rules::new().ties(TieRule::AllTied));
    assert_eq!(all.masks(&layers).unwrap().dropped(), 8);
    let none = Global::new(7_usize).rules(Rules::new().ties(TieRule::NoneTied));
    assert_eq!(none.masks(&layers).unwrap().dropped(), 0);
}
