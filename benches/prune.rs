//! Pruning by magnitude, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench prune
//! ```

#![allow(
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis, Zip};
use rarefy::prelude::*;
use rarefy::prune::{Magnitude, SemiStructured, Unstructured, l1_unstructured};
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);

/// What a good user would write: bits of the magnitudes aside, a selection, a pass by the threshold.
/// Weights as large as the threshold are dropped in order until the count is right.
fn naive(weights: &mut Array2<f32>, fraction: f64) -> Array2<bool> {
    let count = (fraction * weights.len() as f64).round_ties_even() as usize;
    let mut magnitudes: Vec<u32> = weights.iter().map(|w| w.abs().to_bits()).collect();
    if count == 0 {
        return Array2::from_elem(weights.dim(), true);
    }
    let (below, &mut threshold, _) = magnitudes.select_nth_unstable(count - 1);
    let smaller = below
        .iter()
        .filter(|&&magnitude| magnitude < threshold)
        .count();
    let mut ties = count - smaller;
    let mut mask = Array2::from_elem(weights.dim(), true);
    Zip::from(weights).and(&mut mask).for_each(|weight, keep| {
        let magnitude = weight.abs().to_bits();
        if magnitude < threshold || (magnitude == threshold && ties > 0) {
            ties -= usize::from(magnitude == threshold);
            *weight = 0.0;
            *keep = false;
        }
    });
    mask
}

fn l1(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("prune 4096x4096");
    floors::configure(&mut group, bytes);
    for fraction in [0.3, 0.5, 0.9] {
        group.bench_function(format!("l1_unstructured {fraction}"), |b| {
            b.iter_batched_ref(
                || weights.clone(),
                |weights| l1_unstructured(weights, fraction).expect("weights are numbers"),
                BatchSize::PerIteration,
            );
        });
    }
    let pruner = Unstructured::new(Magnitude, 0.5);
    group.bench_function("mask only 0.5", |b| {
        b.iter(|| {
            pruner
                .mask(black_box(&weights))
                .expect("weights are numbers")
        });
    });
    group.bench_function("naive 0.5", |b| {
        b.iter_batched_ref(
            || weights.clone(),
            |weights| naive(weights, 0.5),
            BatchSize::PerIteration,
        );
    });
    floors::add(&mut group, &weights);
    group.finish();
}

fn apply(c: &mut Criterion) {
    let mut weights = floors::normal(SHAPE, 0.02, 1);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mask = l1_unstructured(&mut weights, 0.5).expect("weights are numbers");
    let flags = mask.to_array();
    let flags = flags
        .into_dimensionality()
        .expect("the mask has the rank of the weights");
    let mut group = c.benchmark_group("apply a mask 4096x4096");
    floors::configure(&mut group, bytes);
    group.bench_function("Mask::apply", |b| {
        b.iter(|| {
            mask.apply(black_box(&mut weights))
                .expect("shapes are the same");
        });
    });
    group.bench_function("naive", |b| {
        b.iter(|| {
            Zip::from(black_box(&mut weights))
                .and(&flags)
                .par_for_each(|weight, &keep| {
                    if !keep {
                        *weight = 0.0;
                    }
                });
        });
    });
    floors::add(&mut group, &weights);
    group.finish();
}

/// What a good user would write for N of M: every group sorted by magnitude, on all threads.
fn naive_groups(weights: &mut Array2<f32>, keep: usize, of: usize) -> Array2<bool> {
    let mut mask = Array2::from_elem(weights.dim(), true);
    Zip::from(weights.rows_mut())
        .and(mask.rows_mut())
        .par_for_each(|mut weights, mut mask| {
            let mut order: Vec<usize> = Vec::with_capacity(of);
            for start in (0..weights.len()).step_by(of) {
                order.clear();
                order.extend(start..start + of);
                order.sort_by(|&a, &b| weights[a].abs().total_cmp(&weights[b].abs()));
                for &place in &order[..of - keep] {
                    weights[place] = 0.0;
                    mask[place] = false;
                }
            }
        });
    mask
}

fn n_of_m(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("n of m 4096x4096");
    floors::configure(&mut group, bytes);
    for (keep, of) in [(2, 4), (4, 8), (8, 16)] {
        let pruner = SemiStructured::new(Magnitude, keep, of, Axis(1));
        group.bench_function(format!("{keep}:{of}"), |b| {
            b.iter_batched_ref(
                || weights.clone(),
                |weights| pruner.prune(weights).expect("weights are numbers"),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("{keep}:{of} mask only"), |b| {
            b.iter(|| {
                pruner
                    .mask(black_box(&weights))
                    .expect("weights are numbers")
            });
        });
        group.bench_function(format!("{keep}:{of} naive"), |b| {
            b.iter_batched_ref(
                || weights.clone(),
                |weights| naive_groups(weights, keep, of),
                BatchSize::PerIteration,
            );
        });
    }
    floors::add(&mut group, &weights);
    group.finish();
}

criterion_group!(benches, l1, n_of_m, apply);
criterion_main!(benches);
