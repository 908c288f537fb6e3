//! Compares pruning again and again with what `torch.nn.utils.prune` did: containers.json in
//! `tests/golden`, made by the script there.

use crate::reference::{cases, numbers, size, sizes};
use ndarray::{ArrayD, ArrayRefD, Axis, IxDyn};
use rarefy::prune::{
    Amount, Compound, Elementwise, FromMask, Identity, Importance, Magnitude, Pruner, Unstructured,
    compound, compound_along,
};
use rarefy::{Mask, Result};
use serde_json::Value;

/// Scores of the caller's own.
#[derive(Debug)]
struct Given(ArrayD<f64>);

impl Importance<f64> for Given {
    fn scores(&self, _: &ArrayRefD<f64>) -> Result<ArrayD<f64>> {
        Ok(self.0.clone())
    }

    fn elementwise(&self) -> Option<Elementwise<'_, f64>> {
        Some(Elementwise::Given(&self.0))
    }
}

/// Whole slices by their norm, as a user would write it.
#[derive(Debug)]
struct Norms {
    amount: Amount,
    n: f64,
    axis: Axis,
}

impl Pruner<f64> for Norms {
    fn mask_dyn(&self, weights: &ArrayRefD<f64>) -> Result<Mask> {
        let count = weights.len_of(self.axis);
        let norm = |slice: ArrayD<f64>| {
            if self.n.is_infinite() {
                slice.iter().fold(0.0_f64, |norm, x| norm.max(x.abs()))
            } else {
                let sum: f64 = slice.iter().map(|x| x.abs().powf(self.n)).sum();
                sum.powf(1.0 / self.n)
            }
        };
        let norms: Vec<f64> = weights
            .axis_iter(self.axis)
            .map(|slice| norm(slice.to_owned()))
            .collect();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| norms[a].total_cmp(&norms[b]));
        let mut kept = weights.mapv(|_| true);
        for &index in &order[..self.amount.count(count)?] {
            kept.index_axis_mut(self.axis, index).fill(false);
        }
        Ok(Mask::from_array(&kept))
    }
}

impl Compound<f64> for Norms {
    fn compound_dyn(&self, weights: &ArrayRefD<f64>, left: &Mask) -> Result<Mask> {
        compound_along(self.axis, weights, left, |slices| self.mask_dyn(slices))
    }
}

fn amount(value: &Value) -> Amount {
    match value.as_u64() {
        Some(_) => Amount::Count(size(value)),
        None => Amount::Fraction(value.as_f64().unwrap()),
    }
}

fn method(step: &Value, scores: &ArrayD<f64>) -> Box<dyn Compound<f64>> {
    match step["method"].as_str().unwrap() {
        "l1" => Box::new(Unstructured::new(Magnitude, amount(&step["amount"]))),
        "scores" => {
            let given = Given(scores.clone());
            Box::new(Unstructured::new(given, amount(&step["amount"])))
        }
        "ln" => Box::new(Norms {
            amount: amount(&step["amount"]),
            n: step["rest"][0].as_f64().unwrap_or(f64::INFINITY),
            axis: Axis(size(&step["rest"][1])),
        }),
        "identity" => Box::new(Identity),
        "custom" => {
            let modulus = size(&step["amount"]);
            let mut place = 0;
            let kept = scores.mapv(|_| {
                place += 1;
                (place - 1) % modulus != 0
            });
            Box::new(FromMask::new(Mask::from_array(&kept)))
        }
        other => panic!("no method {other}"),
    }
}

#[test]
fn every_step_leaves_the_mask_that_pytorch_leaves() {
    let cases = cases("containers.json");
    assert_eq!(cases.len(), 20);
    for case in &cases {
        let shape = sizes(&case["shape"]);
        let array = |value| ArrayD::from_shape_vec(IxDyn(&shape), numbers(value)).unwrap();
        let (start, scores) = (array(&case["weights"]), array(&case["scores"]));
        let mut weights = start.clone();
        let mut mask = Mask::keep_all(IxDyn(&shape)).unwrap();
        let steps = case["steps"].as_array().unwrap();
        for (number, step) in steps.iter().enumerate() {
            mask = compound(&*method(step, &scores), &mut weights, &mask).unwrap();
            let flags: String = mask
                .iter()
                .map(|kept| if kept { '1' } else { '0' })
                .collect();
            let right = case["masks"][number].as_str().unwrap();
            assert_eq!(flags, right, "step {number} of {steps:?}");
            let mut masked = start.clone();
            mask.apply(&mut masked).unwrap();
            assert_eq!(weights, masked);
        }
    }
}
