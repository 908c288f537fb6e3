//! Codes that are not evenly spaced, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench codebook
//! ```

#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis};
use rarefy::prelude::*;
use rarefy::quantize::{Binary, Codebook, Float8, KMeans, Minifloat};
use rayon::prelude::*;
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);

/// What a good user would write: NF4 in groups of 64, each weight looking for the nearest entry, two codes in a byte.
fn naive_nf4(weights: &Array2<f32>, entries: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let flat = weights.as_slice().expect("a fresh array is contiguous");
    let parts: Vec<(Vec<u8>, f32)> = flat
        .par_chunks(64)
        .map(|group| {
            let scale = group
                .iter()
                .fold(0.0_f32, |most, weight| most.max(weight.abs()));
            let nearest = |weight: f32| {
                let distance = |code: &usize| (entries[*code] - weight / scale).abs();
                let order = |a: &usize, b: &usize| distance(a).total_cmp(&distance(b));
                (0..entries.len()).min_by(order).unwrap_or(0) as u8
            };
            let pairs = group.chunks(2);
            let bytes = pairs
                .map(|pair| nearest(pair[0]) | nearest(pair[1]) << 4)
                .collect();
            (bytes, scale)
        })
        .collect();
    let scales = parts.iter().map(|(_, scale)| *scale).collect();
    (
        parts.into_iter().flat_map(|(bytes, _)| bytes).collect(),
        scales,
    )
}

/// What a good user would write: one cast after the other, per row.
fn naive_e4m3(weights: &Array2<f32>) -> (Vec<u8>, Vec<f32>) {
    let largest =
        |row: ndarray::ArrayView1<'_, f32>| row.fold(0.0_f32, |most, w| most.max(w.abs()));
    let scales: Vec<f32> = weights
        .rows()
        .into_iter()
        .map(|row| largest(row) / 448.0)
        .collect();
    let rows = weights.axis_iter(Axis(0)).into_par_iter().zip(&scales);
    let codes = rows.flat_map_iter(|(row, &scale)| {
        let code = move |weight: &f32| Minifloat::E4M3.encode(weight / scale).unwrap_or(0);
        row.to_vec().into_iter().map(move |weight| code(&weight))
    });
    (codes.collect(), scales.clone())
}

fn encode(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("quantize unevenly 4096x4096");
    floors::configure(&mut group, bytes);
    let many = Codebook::new(
        (0..=255_u8)
            .map(|i| (f32::from(i) - 127.5).powi(3))
            .collect(),
    );
    let quantizers: [(&str, &dyn Quantizer<f32>); 7] = [
        ("Codebook NF4 groups of 64", &Codebook::nf4()),
        ("Codebook FP4 groups of 64", &Codebook::fp4()),
        (
            "Codebook NF4 per tensor",
            &Codebook::nf4().granularity(Default::default()),
        ),
        ("Codebook of 256 axis 0", &many.per_channel(Axis(0))),
        ("Float8 E4M3 axis 0", &Float8::e4m3().per_channel(Axis(0))),
        ("Float8 E5M2 per tensor", &Float8::e5m2()),
        ("Binary axis 0", &Binary::new().per_channel(Axis(0))),
    ];
    for (name, quantizer) in quantizers {
        group.bench_function(name, |b| {
            b.iter(|| {
                quantizer
                    .quantize(black_box(&weights))
                    .expect("weights are finite")
            });
        });
    }
    let entries = Codebook::nf4().entries().to_vec();
    group.bench_function("naive NF4 groups of 64", |b| {
        b.iter(|| naive_nf4(black_box(&weights), &entries));
    });
    group.bench_function("naive E4M3 axis 0", |b| {
        b.iter(|| naive_e4m3(black_box(&weights)));
    });
    floors::add(&mut group, &weights);
    group.finish();
}

fn clusters(c: &mut Criterion) {
    let weights = floors::normal((1024, 1024), 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("clusters 1024x1024");
    floors::configure(&mut group, bytes);
    for bits in [2, 4, 8] {
        group.bench_function(format!("KMeans {bits} bits"), |b| {
            b.iter(|| {
                KMeans::new(bits)
                    .quantize(black_box(&weights))
                    .expect("weights are finite")
            });
        });
    }
    floors::add(&mut group, &weights);
    group.finish();
}

fn decode(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("dequantize uneven codes 4096x4096");
    floors::configure(&mut group, bytes);
    let mut restored = Array2::<f32>::zeros(SHAPE);
    let quantizers: [(&str, &dyn Quantizer<f32>); 3] = [
        ("NF4 groups of 64", &Codebook::nf4()),
        ("E4M3 axis 0", &Float8::e4m3().per_channel(Axis(0))),
        ("signs axis 0", &Binary::new().per_channel(Axis(0))),
    ];
    for (name, quantizer) in quantizers {
        let quantized = quantizer.quantize(&weights).expect("weights are finite");
        group.bench_function(format!("dequantize_into {name}"), |b| {
            b.iter(|| {
                quantized
                    .dequantize_into(black_box(&mut restored))
                    .expect("same shape");
            });
        });
    }
    let entries = Codebook::nf4().entries().to_vec();
    let (codes, scales) = naive_nf4(&weights, &entries);
    group.bench_function("naive NF4 groups of 64", |b| {
        b.iter(|| {
            let values = black_box(&mut restored).as_slice_mut().expect("contiguous");
            let parts = values
                .par_chunks_mut(64)
                .zip(codes.par_chunks(32))
                .zip(&scales);
            parts.for_each(|((values, bytes), &scale)| {
                for (pair, &byte) in values.chunks_mut(2).zip(bytes) {
                    pair[0] = entries[usize::from(byte & 15)] * scale;
                    pair[1] = entries[usize::from(byte >> 4)] * scale;
                }
            });
        });
    });
    floors::add(&mut group, &weights);
    group.finish();
}

criterion_group!(benches, encode, clusters, decode);
criterion_main!(benches);
