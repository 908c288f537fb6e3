//! Bad input around masks gets a typed error that says what was given, and changes nothing: the edge
//! cases of docs/numerics.md that are not in `tests/shrinking.rs`, `tests/gradual.rs`,
//! `tests/mask_files.rs` and beside the code.

use ndarray::{Array1, Array2, Axis, array};
use rarefy::prelude::*;
use rarefy::prune::{
    FromMask, Magnitude, Remaining, Unstructured, compound, regrow_at_random, regrow_by_gradient,
};
use rarefy::schedule::{Interval, Rounds};
use rarefy::{Error, Mask, Result, prune};
use std::fmt::Debug;

fn text<T: Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn amounts_count_what_is_alive() {
    let left = Mask::from_array(&array![true, false, true, false]);
    let mut weights = array![1.0, 2.0, 3.0, 4.0];
    let before = weights.clone();
    let mut run = |amount: prune::Amount| {
        let pruner = Unstructured::new(Magnitude, amount);
        let error = text(compound(&pruner, &mut weights, &left));
        let moved = text(regrow_at_random(&mut weights, &left, amount, 1));
        let grown = text(regrow_by_gradient(&mut weights, &left, &before, amount));
        assert_eq!((&error, &error), (&moved, &grown));
        assert_eq!(weights, before);
        error
    };
    let count = "count must lie in 0..=2, the number of weights, got 3";
    assert_eq!(run(3_usize.into()), count);
    assert_eq!(run(1.5.into()), "amount must lie in 0..=1, got 1.5");
    assert_eq!(run(f64::NAN.into()), "amount must lie in 0..=1, got NaN");
}

#[test]
fn nothing_alive_and_nothing_at_all_are_fine_for_shares() {
    let half = Unstructured::new(Magnitude, 0.5);
    let none = Mask::drop_all(3).unwrap();
    let mut weights = array![f64::NAN, 1.0, 2.0];
    assert_eq!(compound(&half, &mut weights, &none).unwrap(), none);
    assert_eq!(weights, array![0.0, 0.0, 0.0]);
    assert_eq!(
        regrow_at_random(&mut weights, &none, 0.5, 1).unwrap().mask,
        none
    );
    let one = Unstructured::new(Magnitude, 1_usize);
    let count = "count must lie in 0..=0, the number of weights, got 1";
    assert_eq!(text(compound(&one, &mut weights, &none)), count);
    let mut empty = Array2::<f32>::zeros((3, 0));
    let nothing = Mask::keep_all((3, 0)).unwrap();
    assert_eq!(compound(&half, &mut empty, &nothing).unwrap(), nothing);
    assert_eq!(
        regrow_by_gradient(&mut empty, &nothing, &Array2::zeros((3, 0)), 1.0)
            .unwrap()
            .mask,
        nothing
    );
    // All kept: what goes is all that can grow.
    let all = Mask::keep_all(4).unwrap();
    let mut weights = array![1.0, 2.0, 3.0, 4.0];
    let regrown = regrow_at_random(&mut weights, &all, 0.5, 3).unwrap();
    assert_eq!((regrown.mask, regrown.grown.kept()), (all, 0));
    assert_eq!(weights, array![1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn shapes_are_compared_before_anything_is_written() {
    let mask = Mask::keep_all((2, 3)).unwrap();
    let weights = Array2::<f32>::ones((3, 2));
    let shapes = "shapes differ: mask [2, 3], weights [3, 2]";
    let half = Unstructured::new(Magnitude, 0.5);
    assert_eq!(text(compound(&half, &mut weights.clone(), &mask)), shapes);
    assert_eq!(text(FromMask::new(mask.clone()).mask(&weights)), shapes);
    assert_eq!(
        text(Remaining::new(half, mask.clone()).mask(&weights)),
        shapes
    );
    assert_eq!(
        text(regrow_at_random(&mut weights.clone(), &mask, 0.5, 1)),
        shapes
    );
    let gradient = "shapes differ: mask [2, 3], gradient [3, 2]";
    assert_eq!(
        text(regrow_by_gradient(
            &mut weights.clone(),
            &mask,
            &weights,
            0.5
        )),
        gradient
    );
    let other = "shapes differ: mask [2, 3], other mask [3, 2]";
    let turned = Mask::keep_all((3, 2)).unwrap();
    assert_eq!(text(mask.xor(&turned)), other);
    let arrays = "shapes differ: mask [2, 3], array [3]";
    assert_eq!(
        text(mask.restore(&mut Array1::<f32>::ones(3), &Array1::ones(3))),
        arrays
    );
}

#[test]
fn axes_and_indices_of_masks_are_checked() {
    let mask = Mask::keep_all((2, 3)).unwrap();
    let axis = "axis 2 does not exist, the array has 2 axes";
    assert_eq!(text(mask.alive(Axis(2))), axis);
    assert_eq!(text(mask.select(Axis(2), &[])), axis);
    let index = "position must lie in 0..3, got 3";
    assert_eq!(text(mask.select(Axis(1), &[0, 3])), index);
    assert_eq!(mask.select(Axis(1), &[]).unwrap().shape(), [2, 0]);
}

#[test]
fn intervals_and_rounds_are_checked() {
    assert!(matches!(
        Interval::between(0..=5, 0),
        Err(Error::NumberOutOfRange { .. })
    ));
    assert!(matches!(
        Rounds::new(-0.1, 3),
        Err(Error::AmountOutOfRange { .. })
    ));
    assert!(matches!(
        Rounds::new(0.5, 0),
        Err(Error::NumberOutOfRange { .. })
    ));
}
