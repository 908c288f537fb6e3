//! Training through quantization, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench fake
//! ```

#![allow(
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis, Zip};
use rarefy::prelude::*;
use rarefy::quantize::{FakeQuantizer, Granularity, Linear, Lsq, NonFinite};
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);

fn parameters(weights: &Array2<f32>, granularity: Granularity) -> FakeQuantizer {
    let linear = Linear::new(4).granularity(granularity);
    // Of smaller weights, so that some are cut off.
    let quantized = linear.quantize(&(weights * 0.5)).expect("finite");
    FakeQuantizer::new(quantized.parameters().clone())
}

fn forward(c: &mut Criterion) {
    let mut weights = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("fake quantize 4096x4096");
    floors::configure(&mut group, bytes);
    floors::add(&mut group, &weights);
    for (name, granularity) in [
        ("per tensor", Granularity::PerTensor),
        ("axis 0", Granularity::PerChannel(Axis(0))),
    ] {
        let fake = parameters(&weights, granularity);
        for (policy, non_finite) in [
            ("propagate", NonFinite::Propagate),
            ("error", NonFinite::Error),
        ] {
            let fake = fake.clone().non_finite(non_finite);
            // What was quantized once stays as it is, so each call does the same work.
            group.bench_function(format!("forward_in_place {name}, {policy}"), |b| {
                b.iter(|| {
                    fake.forward_in_place(black_box(&mut weights))
                        .expect("finite");
                });
            });
        }
    }
    let scale = 0.01_f32;
    group.bench_function("naive per tensor", |b| {
        b.iter(|| {
            Zip::from(black_box(&mut weights)).par_for_each(|weight| {
                *weight = (*weight / scale).round_ties_even().clamp(-7.0, 7.0) * scale;
            });
        });
    });
    group.finish();
}

fn backward(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let mut gradient = floors::normal(SHAPE, 1.0, 3);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("fake quantize gradient 4096x4096");
    floors::configure(&mut group, bytes);
    floors::add(&mut group, &weights);
    for (name, granularity) in [
        ("per tensor", Granularity::PerTensor),
        ("axis 0", Granularity::PerChannel(Axis(0))),
    ] {
        let fake = parameters(&weights, granularity);
        group.bench_function(format!("backward_in_place {name}"), |b| {
            b.iter(|| {
                fake.backward_in_place(black_box(&weights), black_box(&mut gradient))
                    .expect("same shape");
            });
        });
        let lsq = Lsq::new(fake.parameters().clone());
        group.bench_function(format!("Lsq::backward_in_place {name}"), |b| {
            b.iter(|| {
                lsq.backward_in_place(black_box(&weights), black_box(&mut gradient))
                    .expect("same shape")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, forward, backward);
criterion_main!(benches);
