//! Laws of N:M pruning.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use ndarray::{ArrayD, Axis};
use rarefy::Float;
use rarefy::prelude::*;
use rarefy::prune::{Magnitude, Search, SemiStructured};

const PATTERNS: [(usize, usize); 7] = [(2, 4), (4, 8), (8, 16), (1, 3), (0, 5), (5, 5), (3, 200)];

fn check<F: Float>() {
    for shape in SHAPES {
        for values in ALL_VALUES {
            let weights: ArrayD<F> = array(shape, values);
            for axis in (0..shape.len()).map(Axis) {
                for (keep, of) in PATTERNS {
                    for search in [Search::Greedy, Search::BestPattern] {
                        let pruner = SemiStructured::new(Magnitude, keep, of, axis).search(search);
                        let at = format!("{keep}:{of} {axis:?} {search:?} of {values:?} {shape:?}");
                        groups_obey(&pruner, &weights, (keep, of, axis), &at);
                    }
                }
            }
        }
    }
}

fn groups_obey<F: Float>(
    pruner: &SemiStructured<Magnitude>,
    weights: &ArrayD<F>,
    (keep, of, axis): (usize, usize, Axis),
    at: &str,
) {
    let mask = pruner.mask(weights).unwrap();
    let flags = mask.to_array();
    for (lane, kept) in weights.lanes(axis).into_iter().zip(flags.lanes(axis)) {
        for start in (0..lane.len()).step_by(of) {
            let end = lane.len().min(start + of);
            let right = ((end - start) * keep).div_ceil(of);
            let group = |state| {
                let places = (start..end).filter(move |&i| kept[i] == state);
                places.map(|i| lane[i].abs())
            };
            assert_eq!(group(true).count(), right, "kept of a group, {at}");
            let lowest = group(true).fold(F::infinity(), F::min);
            assert!(
                group(false).all(|weight| weight <= lowest),
                "the least go, {at}"
            );
        }
    }
    let mut after = weights.clone();
    assert_eq!(pruner.prune(&mut after).unwrap(), mask, "{at}");
    let once = after.clone();
    pruner.prune(&mut after).unwrap();
    assert_eq!(after, once, "pruning twice is pruning once, {at}");
    each_layout(weights, |layout, view| {
        assert_eq!(pruner.mask(&view).unwrap(), mask, "{layout}, {at}");
    });
}

#[test]
fn f32_groups_obey() {
    check::<f32>();
}

#[test]
fn f64_groups_obey() {
    check::<f64>();
}

#[test]
fn any_number_of_threads_gives_the_same_groups() {
    let weights: ArrayD<f32> = array(&[300, 6, 91], Values::Ties);
    for axis in (0..3).map(Axis) {
        same_in_every_pool(|| {
            SemiStructured::new(Magnitude, 2, 4, axis)
                .mask(&weights)
                .unwrap()
        });
    }
}

#[test]
fn nan_changes_nothing() {
    let mut weights: ArrayD<f32> = array(&[5, 13], Values::Distinct);
    weights[[3, 7]] = f32::NAN;
    let before = weights.mapv(f32::to_bits);
    let pruner = SemiStructured::new(Magnitude, 2, 4, Axis(1));
    let error = pruner.prune(&mut weights).unwrap_err();
    assert_eq!(error.to_string(), "weight [3, 7] is NaN");
    assert_eq!(weights.mapv(f32::to_bits), before);
}
