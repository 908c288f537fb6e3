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

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};
use ndarray::{Array1, Array2, Axis, NdFloat, Zip, s};
use rarefy::prelude::*;
use rarefy::prune::{
    Aggregate, Layer, Magnitude, SemiStructured, Structured, Taylor, Unstructured,
    global_unstructured, l1_unstructured,
};
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);

/// What a good user would write: scores, a selection, a pass by the threshold. Weights whose score is the threshold
/// are dropped in order until the count is right.
fn naive<T: NdFloat>(
    weights: &mut Array2<T>,
    score: impl Fn(usize, T) -> T,
    fraction: f64,
) -> Array2<bool> {
    let count = (fraction * weights.len() as f64).round_ties_even() as usize;
    let mut mask = Array2::from_elem(weights.dim(), true);
    if count == 0 {
        return mask;
    }
    let scores: Vec<T> = weights
        .iter()
        .enumerate()
        .map(|(index, &weight)| score(index, weight))
        .collect();
    let mut ranked = scores.clone();
    let compare = |a: &T, b: &T| a.partial_cmp(b).expect("scores are numbers");
    let (below, &mut threshold, _) = ranked.select_nth_unstable_by(count - 1, compare);
    let smaller = below.iter().filter(|&&score| score < threshold).count();
    let mut ties = count - smaller;
    for ((weight, keep), score) in weights.iter_mut().zip(&mut mask).zip(scores) {
        if score < threshold || (score == threshold && ties > 0) {
            ties -= usize::from(score == threshold);
            *weight = T::zero();
            *keep = false;
        }
    }
    mask
}

/// What a good user would write for slices: norms, an order of them, a pass over the slices that go.
fn naive_slices(weights: &mut Array2<f32>, axis: Axis, drop: usize) -> Array2<bool> {
    let other = Axis(1 - axis.index());
    let norms = weights.map_axis(other, |lane| {
        lane.fold(0.0, |sum, &weight| sum + weight * weight).sqrt()
    });
    let mut order: Vec<usize> = (0..norms.len()).collect();
    order.sort_by(|&a, &b| norms[a].total_cmp(&norms[b]));
    let mut mask = Array2::from_elem(weights.dim(), true);
    for &slice in &order[..drop] {
        weights.index_axis_mut(axis, slice).fill(0.0);
        mask.index_axis_mut(axis, slice).fill(false);
    }
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
            |weights| naive(weights, |_, weight| weight.abs(), 0.5),
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

/// Criterion's two ways to time a pruner: the mask alone, and in place with the mask.
fn both<P: Pruner<T>, T: rarefy::Float + NdFloat>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    pruner: &P,
    weights: &Array2<T>,
) {
    group.bench_function(format!("{name} mask only"), |b| {
        b.iter(|| {
            pruner
                .mask(black_box(weights))
                .expect("weights are numbers")
        });
    });
    group.bench_function(name, |b| {
        b.iter_batched_ref(
            || weights.clone(),
            |weights| pruner.prune(weights).expect("weights are numbers"),
            BatchSize::PerIteration,
        );
    });
}

fn structured(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("half of the slices of 4096x4096 by L2");
    floors::configure(&mut group, bytes);
    for (name, axis) in [("rows", Axis(0)), ("columns", Axis(1))] {
        let pruner = Structured::new(Magnitude, 0.5, axis).aggregate(Aggregate::Norm(2.0));
        both(&mut group, name, &pruner, &weights);
        group.bench_function(format!("{name} naive"), |b| {
            b.iter_batched_ref(
                || weights.clone(),
                |weights| naive_slices(weights, axis, SHAPE.0 / 2),
                BatchSize::PerIteration,
            );
        });
    }
    floors::add(&mut group, &weights);
    // Dropped rows are half of the memory; dropped columns have a part in all of it, which is `scale`.
    let mut half = weights.slice(s![..SHAPE.0 / 2, ..]).to_owned();
    group.bench_function("floor: zeroing half", |b| {
        b.iter(|| black_box(&mut half).par_mapv_inplace(|_| 0.0));
    });
    group.finish();
}

fn taylor(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1);
    let gradient = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("half of 4096x4096 by |w·g|");
    floors::configure(&mut group, 2 * bytes);
    let pruner = Unstructured::new(Taylor::new(&gradient), 0.5);
    both(&mut group, "Taylor", &pruner, &weights);
    let factors = gradient.as_slice().expect("a fresh array is contiguous");
    group.bench_function("naive", |b| {
        b.iter_batched_ref(
            || weights.clone(),
            |weights| {
                naive(
                    weights,
                    |index, weight| (weight * factors[index]).abs(),
                    0.5,
                )
            },
            BatchSize::PerIteration,
        );
    });
    // Over one of the two arrays.
    floors::add(&mut group, &weights);
    group.finish();
}

fn wide(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1).mapv(f64::from);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("prune 4096x4096 of f64");
    floors::configure(&mut group, bytes);
    let pruner = Unstructured::new(Magnitude, 0.5);
    both(&mut group, "l1 0.5", &pruner, &weights);
    group.bench_function("naive", |b| {
        b.iter_batched_ref(
            || weights.clone(),
            |weights| naive(weights, |_, weight| weight.abs(), 0.5),
            BatchSize::PerIteration,
        );
    });
    floors::add(&mut group, &weights);
    group.finish();
}

fn global(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    // A hundred tensors as unlike as those of a network: biases, projections, an embedding.
    let sizes = [64, 1000, 4096, 65_536, 147_456, 300_000, 589_824];
    let mut sizes: Vec<usize> = sizes.into_iter().cycle().take(99).collect();
    sizes.push(weights.len() - sizes.iter().sum::<usize>());
    let mut rest = weights.as_slice().expect("a fresh array is contiguous");
    let mut tensors = Vec::with_capacity(sizes.len());
    for size in sizes {
        let (tensor, behind) = rest.split_at(size);
        tensors.push(Array1::from(tensor.to_vec()));
        rest = behind;
    }
    let masks = |tensors: &[Array1<f32>]| {
        let layers: Vec<_> = tensors.iter().map(|t| Layer::new("a tensor", t)).collect();
        global_unstructured(&layers, 0.5).expect("weights are numbers")
    };
    let mut group = c.benchmark_group("half of 100 tensors of 16.8 million");
    floors::configure(&mut group, bytes);
    group.bench_function("global mask only", |b| {
        b.iter(|| masks(black_box(&tensors)));
    });
    group.bench_function("global", |b| {
        b.iter_batched_ref(
            || tensors.clone(),
            |tensors| {
                let masks = masks(tensors);
                for (mask, tensor) in masks.iter().zip(tensors) {
                    mask.apply(tensor).expect("shapes are the same");
                }
                masks
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("naive", |b| {
        b.iter_batched_ref(
            || tensors.clone(),
            |tensors| {
                let all: Vec<f32> = tensors.iter().flatten().copied().collect();
                let mut all = Array2::from_shape_vec(SHAPE, all).expect("as many as there were");
                let mask = naive(&mut all, |_, weight| weight.abs(), 0.5);
                for (weight, &pruned) in tensors.iter_mut().flatten().zip(&all) {
                    *weight = pruned;
                }
                mask
            },
            BatchSize::PerIteration,
        );
    });
    floors::add(&mut group, &weights);
    group.finish();
}

criterion_group!(benches, l1, wide, n_of_m, structured, taylor, global, apply);
criterion_main!(benches);
