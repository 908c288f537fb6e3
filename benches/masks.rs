//! Masks in a training loop: applied to weights, gradient and two moments, and pruning what one left.
//!
//! ```text
//! cargo bench --bench masks
//! ```

#![allow(
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis, Zip, concatenate};
use rarefy::prelude::*;
use rarefy::prune::{Magnitude, Unstructured, compound, regrow_by_gradient};
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);

fn four(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let half = Unstructured::new(Magnitude, 0.5);
    let mask = half.mask(&weights).expect("weights are numbers");
    let flags = mask.to_array().into_dimensionality();
    let flags: Array2<bool> = flags.expect("the mask has the rank of the weights");
    let mut arrays = [(); 4].map(|()| weights.clone());
    let mut group = c.benchmark_group("apply a mask to four of 4096x4096");
    floors::configure(&mut group, 4 * bytes);
    group.bench_function("Mask::apply_all", |b| {
        b.iter(|| {
            let [w, g, m, v] = black_box(&mut arrays);
            mask.apply_all([w, g, m, v]).expect("shapes are the same");
        });
    });
    group.bench_function("Mask::apply four times", |b| {
        b.iter(|| {
            for array in black_box(&mut arrays) {
                mask.apply(array).expect("shapes are the same");
            }
        });
    });
    group.bench_function("naive", |b| {
        b.iter(|| {
            for array in black_box(&mut arrays) {
                Zip::from(array).and(&flags).par_for_each(|value, &keep| {
                    if !keep {
                        *value = 0.0;
                    }
                });
            }
        });
    });
    // The same four: what is read and written whatever the mask says.
    let together = arrays.each_ref().map(|array| array.view());
    let together = concatenate(Axis(0), &together).expect("shapes are the same");
    floors::add(&mut group, &together);
    group.finish();
}

fn again(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1);
    let gradient = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let half = Unstructured::new(Magnitude, 0.5);
    let mask = half.mask(&weights).expect("weights are numbers");
    let mut group = c.benchmark_group("prune what a mask left of 4096x4096");
    floors::configure(&mut group, bytes);
    group.bench_function("compound 0.5", |b| {
        b.iter_batched_ref(
            || weights.clone(),
            |weights| compound(&half, weights, &mask).expect("weights are numbers"),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("regrow_by_gradient 0.3", |b| {
        b.iter_batched_ref(
            || weights.clone(),
            |weights| {
                regrow_by_gradient(weights, &mask, &gradient, 0.3).expect("weights are numbers")
            },
            BatchSize::PerIteration,
        );
    });
    floors::add(&mut group, &weights);
    group.finish();
}

criterion_group!(benches, four, again);
criterion_main!(benches);
