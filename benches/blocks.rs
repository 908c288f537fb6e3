//! Block formats, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench blocks
//! ```

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use rarefy::quantize::{BlockFormat, BlockTensor};
use rayon::prelude::*;
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);
const FORMATS: [BlockFormat; 7] = [
    BlockFormat::Q8_0,
    BlockFormat::Q4_0,
    BlockFormat::Q4K,
    BlockFormat::Tq1_0,
    BlockFormat::Tq2_0,
    BlockFormat::Mxfp4,
    BlockFormat::Nvfp4,
];

/// What a good user would write for the blocks of `Q8_0`, with an f32 for a scale.
fn naive_q8_0(weights: &[f32], codes: &mut [i8], scales: &mut [f32]) {
    weights
        .par_chunks_exact(32)
        .zip(codes.par_chunks_exact_mut(32))
        .zip(scales)
        .for_each(|((weights, codes), scale)| {
            let largest = weights.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            *scale = largest / 127.0;
            for (code, weight) in codes.iter_mut().zip(weights) {
                *code = (weight / *scale).round() as i8;
            }
        });
}

fn encode(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("encode blocks 4096x4096");
    floors::configure(&mut group, bytes);
    for format in FORMATS {
        let needed = format.bytes_for(weights.shape()).expect("whole blocks");
        let mut to = vec![0; needed];
        group.bench_function(format!("{format:?}"), |b| {
            b.iter(|| {
                format
                    .encode_into(black_box(&weights), &mut to)
                    .expect("weights are finite");
            });
        });
    }
    let (mut codes, mut scales) = (vec![0; weights.len()], vec![0.0; weights.len() / 32]);
    let flat = weights.as_slice().expect("a fresh array is contiguous");
    group.bench_function("naive Q8_0", |b| {
        b.iter(|| naive_q8_0(black_box(flat), &mut codes, &mut scales));
    });
    floors::add(&mut group, &weights);
    group.finish();
}

fn decode(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 2);
    let bytes = size_of_val(weights.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("decode blocks 4096x4096");
    floors::configure(&mut group, bytes);
    let mut restored = Array2::<f32>::zeros(SHAPE);
    for format in FORMATS {
        let tensor = BlockTensor::encode(&weights, format).expect("weights are finite");
        group.bench_function(format!("{format:?}"), |b| {
            b.iter(|| {
                tensor
                    .dequantize_into(black_box(&mut restored))
                    .expect("same shape");
            });
        });
    }
    let flat = weights.as_slice().expect("a fresh array is contiguous");
    let (mut codes, mut scales) = (vec![0; weights.len()], vec![0.0; weights.len() / 32]);
    naive_q8_0(flat, &mut codes, &mut scales);
    group.bench_function("naive Q8_0", |b| {
        b.iter(|| {
            black_box(&mut restored)
                .as_slice_mut()
                .expect("a fresh array is contiguous")
                .par_chunks_exact_mut(32)
                .zip(codes.par_chunks_exact(32))
                .zip(&scales)
                .for_each(|((weights, codes), scale)| {
                    for (weight, &code) in weights.iter_mut().zip(codes) {
                        *weight = f32::from(code) * scale;
                    }
                });
        });
    });
    floors::add(&mut group, &weights);
    group.finish();
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
