//! Measuring what compression did, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench report
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input, and the naive twin its own chunks"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use rarefy::quantize;
use rarefy::report::{Drift, Report};
use rayon::prelude::*;
use std::hint::black_box;

/// What a good user would write: one pass, chunks side by side, sums in f64.
fn naive(original: &Array2<f32>, restored: &Array2<f32>) -> (usize, f64, f64, f64, f64, f64) {
    const CHUNK: usize = 64 * 1024;
    let (x, y) = (original.as_slice(), restored.as_slice());
    let (x, y) = (x.expect("contiguous"), y.expect("contiguous"));
    let chunks = x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).map(|(x, y)| {
        let mut sums = (0, 0.0, 0.0, 0.0, 0.0, 0.0_f64);
        for (&x, &y) in x.iter().zip(y) {
            let (x, y) = (f64::from(x), f64::from(y));
            sums.0 += usize::from(y != 0.0);
            sums.1 += x * x;
            sums.2 += y * y;
            sums.3 += x * y;
            sums.4 += (x - y) * (x - y);
            sums.5 = sums.5.max((x - y).abs());
        }
        sums
    });
    chunks.reduce(Default::default, |a, b| {
        (
            a.0 + b.0,
            a.1 + b.1,
            a.2 + b.2,
            a.3 + b.3,
            a.4 + b.4,
            a.5.max(b.5),
        )
    })
}

fn tensors(c: &mut Criterion) {
    let weights = floors::normal((4096, 4096), 0.02, 6);
    let quantized = quantize::linear(&weights, 8).expect("weights are finite");
    let restored = quantized.dequantize::<f32>();
    let restored = restored
        .into_dimensionality()
        .expect("the rank of the weights");
    let bytes = 2 * size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("report 4096x4096");
    floors::configure(&mut group, bytes);
    group.bench_function("Report::add", |b| {
        b.iter(|| {
            let mut report = Report::new();
            report
                .add("weight", black_box(&weights), &restored, quantized.bytes())
                .expect("weights are finite");
            report
        });
    });
    group.bench_function("naive", |b| {
        b.iter(|| naive(black_box(&weights), &restored));
    });
    floors::add(&mut group, &weights);
    group.finish();
}

fn drift(c: &mut Criterion) {
    let original = floors::normal((512, 32000), 3.0, 7);
    let compressed = &original + &floors::normal((512, 32000), 0.1, 8);
    let bytes = 2 * size_of_val(original.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("drift 512x32000");
    floors::configure(&mut group, bytes);
    group.bench_function("Drift::between", |b| {
        b.iter(|| Drift::between(black_box(&original), &compressed).expect("logits are finite"));
    });
    group.bench_function("naive", |b| {
        b.iter(|| {
            let rows = (0..original.nrows()).into_par_iter().map(|row| {
                let (x, y) = (original.row(row), black_box(&compressed).row(row));
                let largest = |z: &ndarray::ArrayView1<'_, f32>| {
                    z.iter()
                        .enumerate()
                        .fold((0, f32::NEG_INFINITY), |most, (place, &logit)| {
                            if logit > most.1 { (place, logit) } else { most }
                        })
                };
                let ((top_x, x_max), (top_y, y_max)) = (largest(&x), largest(&y));
                let x_sum = x.fold(0.0, |sum, z| sum + (z - x_max).exp()).ln() + x_max;
                let y_sum = y.fold(0.0, |sum, z| sum + (z - y_max).exp()).ln() + y_max;
                let kl: f32 = x
                    .iter()
                    .zip(&y)
                    .map(|(x, y)| (x - x_sum).exp() * ((x - x_sum) - (y - y_sum)))
                    .sum();
                (kl, top_x == top_y)
            });
            rows.collect::<Vec<_>>()
        });
    });
    floors::add(&mut group, &original);
    group.finish();
}

criterion_group!(benches, tensors, drift);
criterion_main!(benches);
