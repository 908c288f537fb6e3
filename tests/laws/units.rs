//! Laws of pruners that drop whole slices or blocks: how many go is a number of units, not of weights.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use ndarray::{ArrayD, ArrayRefD, Axis, Dimension, IntoDimension, IxDyn};
use rarefy::prelude::*;
use rarefy::prune::{
    Aggregate, Amount, Blocks, Coupled, GlobalStructured, Layer, Magnitude, RandomStructured,
    Structured, Unstructured,
};
use rarefy::{Error, Float, Mask, Result};
use std::sync::Arc;

/// What a unit's weights are worth, in f64 and the plainest way.
type Worth = fn(&[f64]) -> f64;

/// A pruner for tensors of one shape, with the unit of each weight in row-major order.
struct Pattern<F> {
    name: String,
    pruner: Arc<dyn Pruner<F>>,
    unit: Vec<usize>,
    units: usize,
    /// None where chance decides.
    worth: Option<Worth>,
}

/// Functions over several layers, with one.
#[derive(Debug)]
struct OfOne<P>(P, Axis);

impl<F: Float> Pruner<F> for OfOne<GlobalStructured> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let layers = [Layer::new("only", weights).axis(self.1)];
        let pruned = self.0.masks(&layers).map_err(unnamed)?;
        Ok(pruned.masks.into_iter().next().unwrap())
    }
}

impl<F: Float> Pruner<F> for OfOne<Coupled> {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let layers = [Layer::new("only", weights).axis(self.1)];
        Ok(self.0.masks(&layers).map_err(unnamed)?.remove(0))
    }
}

pub(crate) fn unnamed(error: Error) -> Error {
    match error {
        Error::Tensor { tensor, error } => {
            assert_eq!(tensor, "only");
            *error
        }
        error => error,
    }
}

const AGGREGATES: [(&str, Aggregate, Worth); 7] = [
    ("sum", Aggregate::Sum, |w| w.iter().map(|w| w.abs()).sum()),
    ("mean", Aggregate::Mean, |w| {
        w.iter().map(|w| w.abs()).sum::<f64>() / w.len() as f64
    }),
    ("max", Aggregate::Max, |w| {
        w.iter().fold(0.0, |a, w| w.abs().max(a))
    }),
    ("absolute sum", Aggregate::AbsoluteSum, |w| {
        w.iter().map(|w| w.abs()).sum()
    }),
    ("L2", Aggregate::Norm(2.0), |w| {
        w.iter().map(|w| w * w).sum::<f64>().sqrt()
    }),
    ("L0.5", Aggregate::Norm(0.5), |w| {
        w.iter().map(|w| w.abs().sqrt()).sum::<f64>().powi(2)
    }),
    ("L-inf", Aggregate::Norm(f64::NEG_INFINITY), |w| {
        w.iter().fold(f64::INFINITY, |a, w| w.abs().min(a))
    }),
];

fn units_of(shape: &[usize], unit: impl Fn(&[usize]) -> usize) -> Vec<usize> {
    let indices = ndarray::indices(IxDyn(shape)).into_iter();
    indices.map(|index| unit(index.slice())).collect()
}

fn patterns<F: Float>(shape: &[usize], amount: Amount) -> Vec<Pattern<F>> {
    let mut patterns = Vec::new();
    for (axis, &length) in shape.iter().enumerate() {
        let mut add = |name: &str, pruner: Arc<dyn Pruner<F>>, worth| {
            patterns.push(Pattern {
                name: format!("{name} along {axis}"),
                pruner,
                unit: units_of(shape, |index| index[axis]),
                units: length,
                worth,
            });
        };
        let along = Axis(axis);
        for (name, aggregate, worth) in AGGREGATES {
            let pruner = Structured::new(Magnitude, amount, along).aggregate(aggregate);
            add(name, Arc::new(pruner), Some(worth));
        }
        let random = RandomStructured::new(amount, along, 5);
        add("random", Arc::new(random), None);
        let global = OfOne(GlobalStructured::new(amount), along);
        add("global of one", Arc::new(global), Some(AGGREGATES[0].2));
        if length > 0 {
            let coupled = OfOne(Coupled::new(length, amount), along);
            add("coupled of one", Arc::new(coupled), Some(AGGREGATES[0].2));
        }
        if length % 2 == 0 {
            patterns.push(Pattern {
                name: format!("pairs along {axis}"),
                pruner: Arc::new(Structured::new(Magnitude, amount, along).together(2)),
                unit: units_of(shape, |index| index[axis] / 2),
                units: length / 2,
                worth: Some(AGGREGATES[0].2),
            });
        }
    }
    let counts: Vec<usize> = shape.iter().map(|n| n.div_ceil(2)).collect();
    let block = vec![2; shape.len()];
    for (name, aggregate, worth) in AGGREGATES {
        let pruner = Blocks::new(Magnitude, amount, IxDyn(&block).into_dimension());
        patterns.push(Pattern {
            name: format!("blocks of 2, {name}"),
            pruner: Arc::new(pruner.aggregate(aggregate)),
            unit: units_of(shape, |index| {
                let axes = index.iter().zip(&counts);
                axes.fold(0, |unit, (i, count)| unit * count + i / 2)
            }),
            units: counts.iter().product(),
            worth: Some(worth),
        });
    }
    patterns
}

/// The weights of each unit.
fn members<F: Float>(pattern: &Pattern<F>, weights: &ArrayRefD<F>) -> Vec<Vec<f64>> {
    let mut members = vec![Vec::new(); pattern.units];
    for (&unit, weight) in pattern.unit.iter().zip(weights) {
        members[unit].push(weight.to_f64().unwrap());
    }
    members
}

fn obeys<F: Float>(pattern: &Pattern<F>, amount: Amount, before: &ArrayRefD<F>, at: &str) {
    let count = amount.count(pattern.units).unwrap();
    let mask = pattern.pruner.mask_dyn(before).unwrap();
    assert_eq!(mask.shape(), before.shape(), "shape, {at}");

    let mut kept = vec![None; pattern.units];
    for (&unit, keep) in pattern.unit.iter().zip(mask.iter()) {
        assert_eq!(*kept[unit].get_or_insert(keep), keep, "whole units, {at}");
    }
    if !before.is_empty() {
        let dropped = kept.iter().filter(|kept| **kept == Some(false)).count();
        assert_eq!(dropped, count, "dropped units, {at}");
    }

    let mut after = before.to_owned();
    assert_eq!(pattern.pruner.prune_dyn(&mut after).unwrap(), mask, "{at}");
    for ((after, before), kept) in after.iter().zip(before).zip(mask.iter()) {
        let right = if kept { *before } else { F::zero() };
        let positive = kept || after.is_sign_positive();
        assert!(*after == right && positive, "dropped is +0, {at}");
    }
    let once = after.clone();
    let again = pattern.pruner.prune_dyn(&mut after).unwrap();
    assert_eq!(after, once, "pruning twice is pruning once, {at}");
    assert_eq!(again.dropped(), mask.dropped(), "{at}");

    let members = members(pattern, before);
    let zero = |unit: usize| members[unit].iter().all(|&weight| weight == 0.0);
    let of = |state| (0..pattern.units).filter(move |&unit| kept[unit] == Some(state));
    if of.clone()(false).any(|unit| !zero(unit)) {
        assert!(!of.clone()(true).any(zero), "zero units go first, {at}");
    }
    if let Some(worth) = pattern.worth {
        let value = |unit: usize| worth(&members[unit]);
        let lowest_kept = of.clone()(true).map(value).fold(f64::INFINITY, f64::min);
        for unit in of(false).filter(|&unit| !zero(unit)) {
            // The plain sum rounds in another order.
            assert!(
                value(unit) <= lowest_kept * (1.0 + 1e-12),
                "the least go, {at}"
            );
        }
    }
}

fn check<F: Float>() {
    for shape in SHAPES {
        for values in ALL_VALUES {
            let weights: ArrayD<F> = array(shape, values);
            for amount in [0.0, 0.3, 0.5, 1.0].map(Amount::from) {
                for pattern in patterns::<F>(shape, amount) {
                    let at = format!("{} {amount:?} of {values:?} {shape:?}", pattern.name);
                    obeys(&pattern, amount, &weights, &at);
                    let expected = pattern.pruner.mask(&weights).unwrap();
                    if amount == Amount::from(0.3) {
                        each_layout(&weights, |layout, view| {
                            let mask = pattern.pruner.mask(&view).unwrap();
                            assert_eq!(mask, expected, "{layout}, {at}");
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn f32_units_obey() {
    check::<f32>();
}

#[test]
fn f64_units_obey() {
    check::<f64>();
}

#[test]
fn a_larger_count_drops_a_superset_of_units() {
    let weights: ArrayD<f32> = array(&[12, 10], Values::Ties);
    let names: Vec<String> = patterns::<f32>(&[12, 10], 0.0.into())
        .into_iter()
        .map(|pattern| pattern.name)
        .collect();
    for (number, name) in names.iter().enumerate() {
        let mut smaller = Mask::keep_all((12, 10)).unwrap();
        for percent in (0..=100).step_by(10) {
            let amount = Amount::from(f64::from(percent) / 100.0);
            let mask = patterns::<f32>(&[12, 10], amount)[number]
                .pruner
                .mask(&weights)
                .unwrap();
            assert_eq!(mask.and(&smaller).unwrap(), mask, "{name}, {percent} %");
            smaller = mask;
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_units() {
    let shape = [300, 6, 91];
    let weights: ArrayD<f32> = array(&shape, Values::Ties);
    for pattern in patterns::<f32>(&shape, 0.3.into()) {
        same_in_every_pool(|| pattern.pruner.mask(&weights).unwrap());
    }
}

#[test]
fn bad_input_changes_nothing() {
    let shape = [5, 13];
    let clean: ArrayD<f32> = array(&shape, Values::Distinct);
    let bits = |array: &ArrayD<f32>| array.mapv(f32::to_bits);
    for amount in [
        Amount::Fraction(1.5),
        Amount::Fraction(f64::NAN),
        Amount::Count(66),
    ] {
        for pattern in patterns::<f32>(&shape, amount) {
            let mut weights = clean.clone();
            assert!(
                pattern.pruner.prune(&mut weights).is_err(),
                "{}",
                pattern.name
            );
            assert_eq!(weights, clean, "{}", pattern.name);
        }
    }
    let mut weights = clean;
    weights[[3, 7]] = f32::NAN;
    weights[[4, 0]] = f32::NAN;
    let before = bits(&weights);
    for pattern in patterns::<f32>(&shape, 0.5.into()) {
        let error = pattern.pruner.prune(&mut weights).unwrap_err();
        assert_eq!(
            error.to_string(),
            "weight [3, 7] is NaN",
            "{}",
            pattern.name
        );
        assert_eq!(bits(&weights), before, "{}", pattern.name);
    }
}

#[test]
fn slices_of_one_weight_are_weights() {
    for values in ALL_VALUES {
        let column: ArrayD<f64> = array(&[301, 1], values);
        for amount in [0.0, 0.1, 0.3, 0.5, 0.77, 1.0] {
            let right = Unstructured::new(Magnitude, amount).mask(&column).unwrap();
            for n in [1.0, 2.0, 0.5, f64::INFINITY, f64::NEG_INFINITY] {
                let rows = Structured::new(Magnitude, amount, Axis(0));
                let mask = rows.aggregate(Aggregate::Norm(n)).mask(&column).unwrap();
                // Powers through logarithms can make near magnitudes equal or swap them.
                if n != 0.5 {
                    assert_eq!(mask, right, "order {n}, {amount} of {values:?}");
                }
                assert_eq!(mask.dropped(), right.dropped(), "order {n}");
            }
        }
    }
}
