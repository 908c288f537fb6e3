//! Quantization to the nearest, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench quantize
//! ```

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array1, Array2, Axis, Zip};
use rarefy::prelude::*;
use rarefy::quantize::{Hqq, Linear, Ternary, TernaryRule};
use rayon::prelude::*;
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);

/// What a good user would write, int8 per tensor.
fn naive_per_tensor(weights: &Array2<f32>) -> (Array2<i8>, f32) {
    let largest = weights.fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let scale = largest / 127.0;
    let codes =
        Zip::from(weights).par_map_collect(|weight| (weight / scale).round_ties_even() as i8);
    (codes, scale)
}

/// What a good user would write, int8 per row.
fn naive_per_row(weights: &Array2<f32>) -> (Array2<i8>, Array1<f32>) {
    let scales = weights.map_axis(Axis(1), |row| {
        row.fold(0.0_f32, |largest, weight| largest.max(weight.abs())) / 127.0
    });
    let mut codes = Array2::zeros(weights.dim());
    Zip::from(codes.rows_mut())
        .and(weights.rows())
        .and(&scales)
        .par_for_each(|mut codes, row, &scale| {
            Zip::from(&mut codes)
                .and(&row)
                .for_each(|code, weight| *code = (weight / scale).round_ties_even() as i8);
        });
    (codes, scales)
}

fn encode(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("quantize 4096x4096");
    floors::configure(&mut group, bytes);
    for bits in [8, 4, 3] {
        for (name, linear) in [
            ("per tensor", Linear::new(bits)),
            ("axis 0", Linear::new(bits).per_channel(Axis(0))),
            ("axis 1", Linear::new(bits).per_channel(Axis(1))),
        ] {
            group.bench_function(format!("Linear {bits} bits {name}"), |b| {
                b.iter(|| {
                    linear
                        .quantize(black_box(&weights))
                        .expect("weights are finite")
                });
            });
        }
    }
    group.bench_function("naive 8 bits per tensor", |b| {
        b.iter(|| naive_per_tensor(black_box(&weights)));
    });
    group.bench_function("naive 8 bits axis 0", |b| {
        b.iter(|| naive_per_row(black_box(&weights)));
    });
    floors::add(&mut group, &weights);
    group.finish();
}

fn decode(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("dequantize 4096x4096");
    floors::configure(&mut group, bytes);
    let mut restored = Array2::<f32>::zeros(SHAPE);
    for bits in [8, 4, 3] {
        let linear = Linear::new(bits).per_channel(Axis(0));
        let quantized = linear.quantize(&weights).expect("weights are finite");
        group.bench_function(format!("dequantize_into {bits} bits axis 0"), |b| {
            b.iter(|| {
                quantized
                    .dequantize_into(black_box(&mut restored))
                    .expect("same shape");
            });
        });
    }
    let (codes, scales) = naive_per_row(&weights);
    group.bench_function("naive 8 bits axis 0", |b| {
        b.iter(|| {
            Zip::from(black_box(&mut restored).rows_mut())
                .and(codes.rows())
                .and(&scales)
                .par_for_each(|mut row, codes, &scale| {
                    Zip::from(&mut row)
                        .and(&codes)
                        .for_each(|weight, &code| *weight = f32::from(code) * scale);
                });
        });
    });
    floors::add(&mut group, &weights);
    group.finish();
}

/// What a good user would write for the zero point of a group of HQQ, from the formulas.
fn naive_hqq(group: &[f32], most: f32) -> (f32, f32) {
    let low = group.iter().copied().fold(f32::INFINITY, f32::min);
    let high = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = (high - low) / most;
    let (mut zero, mut beta) = (-low / scale, 6.0);
    let mut best = (f32::INFINITY, zero);
    for _ in 0..=20 {
        let (mut moves, mut squares) = (0.0, 0.0);
        for weight in group {
            let place = weight / scale + zero;
            let u = place - place.round_ties_even().clamp(0.0, most);
            let kept = (u.abs() - u.abs().powf(-0.3) / beta).max(0.0);
            moves += u - kept.copysign(u);
            squares += u * u;
        }
        if squares < best.0 {
            best = (squares, zero);
        }
        zero -= moves / group.len() as f32;
        beta *= 1.01;
    }
    (scale, best.1)
}

fn hqq(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let flat = weights.as_slice().expect("a fresh array is contiguous");
    let mut group = c.benchmark_group("hqq 4096x4096");
    floors::configure(&mut group, size_of_val(flat));
    for bits in [4, 2] {
        group.bench_function(format!("Hqq {bits} bits"), |b| {
            b.iter(|| {
                Hqq::new(bits)
                    .quantize(black_box(&weights))
                    .expect("weights are finite")
            });
        });
    }
    group.bench_function("naive 4 bits, without codes", |b| {
        b.iter(|| {
            let groups = black_box(flat).par_chunks_exact(64);
            groups
                .map(|group| naive_hqq(group, 15.0))
                .collect::<Vec<_>>()
        });
    });
    floors::add(&mut group, &weights);
    group.finish();
}

/// What a good user would write, with the mean magnitude of the tensor.
fn naive_ternary(weights: &Array2<f32>) -> (Array2<i8>, f32) {
    let sum = weights.fold(0.0, |sum, weight| sum + f64::from(weight.abs()));
    let scale = (sum / weights.len() as f64) as f32;
    let code = |weight: &f32| (weight / scale).round_ties_even().clamp(-1.0, 1.0) as i8;
    (Zip::from(weights).par_map_collect(code), scale)
}

fn ternary(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("ternary 4096x4096");
    floors::configure(&mut group, bytes);
    for rule in [TernaryRule::AbsMean, TernaryRule::Threshold] {
        let whole = Ternary::new(rule);
        for (name, ternary) in [
            ("per tensor", whole),
            ("groups of 256", whole.per_group(Axis(1), 256)),
        ] {
            group.bench_function(format!("{rule:?} {name}"), |b| {
                b.iter(|| {
                    ternary
                        .quantize(black_box(&weights))
                        .expect("weights are finite")
                });
            });
        }
    }
    group.bench_function("naive AbsMean per tensor", |b| {
        b.iter(|| naive_ternary(black_box(&weights)));
    });
    floors::add(&mut group, &weights);
    group.finish();
}

criterion_group!(benches, encode, decode, hqq, ternary);
criterion_main!(benches);
