//! Laws of pruners.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use crate::units::unnamed;
use ndarray::{ArrayD, ArrayRefD, Axis};
use rarefy::prelude::*;
use rarefy::prune::{Amount, Compound, Global, Layer, Magnitude, Scope, Unstructured};
use rarefy::{Error, Float, Mask, Result};
use std::sync::Arc;

/// A pruner that drops an exact amount, made anew for each amount.
type Family<F> = fn(Amount) -> Arc<dyn Pruner<F>>;

/// Scores that are made as an array, so that the general path is under the laws too.
#[derive(Clone, Copy, Debug, PartialEq)]
struct DoubledAsArray;

impl<F: Float> Importance<F> for DoubledAsArray {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        Ok(weights.mapv(|weight| weight.abs() + weight.abs()))
    }
}

/// Compound pruning of what a mask left that keeps everything.
#[derive(Debug)]
struct OfAll<P>(P);

impl<F: Float, P: Compound<F>> Pruner<F> for OfAll<P> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let all = Mask::keep_all(weights.raw_dim())?;
        self.0.compound_dyn(weights, &all)
    }
}

/// Pruning several tensors, with one.
#[derive(Debug)]
struct GlobalOfOne(Amount);

impl<F: Float> Pruner<F> for GlobalOfOne {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let layers = [Layer::new("only", weights)];
        let pruned = Global::new(self.0).masks(&layers).map_err(unnamed)?;
        Ok(pruned.masks.into_iter().next().unwrap())
    }
}

#[derive(Debug)]
struct WholeAsGroup(Amount);

impl<F: Float> Pruner<F> for WholeAsGroup {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let pruner = Unstructured::new(Magnitude, self.0);
        match weights.shape().first() {
            Some(&together) if together > 0 => {
                let axis = Axis(0);
                pruner
                    .scope(Scope::Slices { axis, together })
                    .mask_dyn(weights)
            }
            _ => pruner.mask_dyn(weights),
        }
    }
}

fn families<F: Float>() -> Vec<(&'static str, Family<F>)> {
    vec![
        ("magnitude", |amount| {
            Arc::new(Unstructured::new(Magnitude, amount))
        }),
        ("scores", |amount| {
            Arc::new(Unstructured::new(DoubledAsArray, amount))
        }),
        ("compound", |amount| {
            Arc::new(OfAll(Unstructured::new(Magnitude, amount)))
        }),
        ("compound scores", |amount| {
            Arc::new(OfAll(Unstructured::new(DoubledAsArray, amount)))
        }),
        ("global of one", |amount| Arc::new(GlobalOfOne(amount))),
        ("one group", |amount| {
            // A scope that holds the whole tensor, where it has an axis.
            Arc::new(WholeAsGroup(amount))
        }),
        ("boxed", |amount| {
            let importance: Box<dyn Importance<F>> = Box::new(Magnitude);
            Arc::new(Unstructured::new(importance, amount))
        }),
    ]
}

fn amounts(len: usize) -> Vec<Amount> {
    let mut amounts: Vec<Amount> = [0.0, 0.1, 0.3, 0.5, 0.77, 1.0].map(Amount::from).to_vec();
    amounts.extend([0, len / 3, len].map(Amount::from));
    amounts
}

fn zeros<F: Float>(weights: &ArrayRefD<F>) -> usize {
    weights.iter().filter(|weight| weight.is_zero()).count()
}

/// What holds for one pruner and one array, whatever the values.
fn obeys<F: Float>(pruner: &dyn Pruner<F>, amount: Amount, before: &ArrayRefD<F>, at: &str) {
    let count = amount.count(before.len()).unwrap();
    let mask = pruner.mask_dyn(before).unwrap();
    assert_eq!(mask.shape(), before.shape(), "shape, {at}");
    assert_eq!(mask.dropped(), count, "dropped, {at}");

    let mut after = before.to_owned();
    assert_eq!(
        pruner.prune_dyn(&mut after).unwrap(),
        mask,
        "mask and prune agree, {at}"
    );
    for ((after, before), kept) in after.iter().zip(before).zip(mask.iter()) {
        let right = if kept { *before } else { F::zero() };
        let positive = kept || after.is_sign_positive();
        assert!(
            *after == right && positive,
            "dropped is +0, kept is untouched, {at}"
        );
    }
    let least_kept = |kept| {
        let magnitudes = before
            .iter()
            .zip(mask.iter())
            .filter(move |(_, k)| *k == kept);
        magnitudes.map(|(weight, _)| weight.abs())
    };
    let lowest_kept = least_kept(true).fold(F::infinity(), F::min);
    assert!(
        least_kept(false).all(|dropped| dropped <= lowest_kept),
        "smallest go, {at}"
    );
    assert_eq!(
        zeros(&after),
        zeros(before).max(count),
        "zeros already there count, {at}"
    );

    let once = after.clone();
    let again = pruner.prune_dyn(&mut after).unwrap();
    assert_eq!(after, once, "pruning twice is pruning once, {at}");
    assert_eq!(again.dropped(), count, "dropped again, {at}");
}

fn check<F: Float>() {
    for (name, family) in families::<F>() {
        for shape in SHAPES {
            for values in ALL_VALUES {
                let weights: ArrayD<F> = array(shape, values);
                for amount in amounts(weights.len()) {
                    let pruner = family(amount);
                    let at = format!("{name} {amount:?} of {values:?} {shape:?}");
                    obeys(&*pruner, amount, &weights, &at);
                    let expected = pruner.mask(&weights).unwrap();
                    each_layout(&weights, |layout, view| {
                        assert_eq!(pruner.mask(&view).unwrap(), expected, "{layout}, {at}");
                    });
                }
            }
        }
    }
}

#[test]
fn f32_pruners_obey() {
    check::<f32>();
}

#[test]
fn f64_pruners_obey() {
    check::<f64>();
}

#[test]
fn a_larger_amount_drops_a_superset() {
    for (name, family) in families::<f32>() {
        for values in ALL_VALUES {
            let weights = array(&[23, 17], values);
            let mut smaller = Mask::keep_all((23, 17)).unwrap();
            for count in (0..=weights.len()).step_by(17) {
                let mask = family(count.into()).mask(&weights).unwrap();
                assert_eq!(
                    mask.and(&smaller).unwrap(),
                    mask,
                    "{name}, {count} of {values:?}"
                );
                smaller = mask;
            }
        }
    }
}

#[test]
fn order_and_scale_do_not_matter() {
    for (name, family) in families::<f64>() {
        let weights: ArrayD<f64> = array(&[300], Values::Distinct);
        let mask = family(0.4.into()).mask(&weights).unwrap();
        let scaled = weights.mapv(|weight| weight * 7.25);
        assert_eq!(
            family(0.4.into()).mask(&scaled).unwrap(),
            mask,
            "scaled, {name}"
        );
        let mut reversed = weights.clone();
        reversed.invert_axis(Axis(0));
        let mut mirrored = mask.to_array();
        mirrored.invert_axis(Axis(0));
        let mask = family(0.4.into()).mask(&reversed).unwrap();
        assert_eq!(mask.to_array(), mirrored, "permuted, {name}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_mask() {
    for (name, family) in families::<f32>() {
        for values in [Values::Distinct, Values::Ties] {
            let weights: ArrayD<f32> = array(&[700, 501], values);
            let mask = same_in_every_pool(|| family(0.3.into()).mask(&weights).unwrap());
            assert_eq!(mask.dropped(), 105_210, "{name}"); // round(0.3 · 350 700)
        }
    }
}

#[test]
fn nan_and_amounts_out_of_range_change_nothing() {
    for (name, family) in families::<f32>() {
        let mut weights: ArrayD<f32> = array(&[5, 13], Values::Distinct);
        for amount in [
            Amount::Fraction(1.5),
            Amount::Fraction(f64::NAN),
            Amount::Count(66),
        ] {
            let before = weights.clone();
            assert!(family(amount).prune(&mut weights).is_err(), "{name}");
            assert_eq!(weights, before, "{name}");
        }
        weights[[3, 7]] = f32::NAN;
        weights[[4, 0]] = f32::NAN;
        let bits = |array: &ArrayD<f32>| array.mapv(f32::to_bits);
        let before = bits(&weights);
        let error = family(0.5.into()).prune(&mut weights).unwrap_err();
        let first = |index: &[usize]| index == [3, 7];
        assert!(
            matches!(error, Error::NotANumber { ref index, .. } if first(index)),
            "{error}"
        );
        assert_eq!(bits(&weights), before, "{name}");
    }
}
