//! Layers of eight bits, next to dequantizing and multiplying floats, to floats alone and to the machine's floor.
//!
//! ```text
//! cargo bench --bench infer
//! ```
//!
//! What peers take is printed by `benches/peers`, to be run by turns with this.

#![allow(
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Array4};
use rarefy::infer::{Layer, QuantizedConv2d, QuantizedLinear, Scratch};
use rarefy::prelude::*;
use rarefy::quantize::Linear;
use std::hint::black_box;

/// Inputs and outputs: the two of a BERT's feed-forward network, and a square of a language model.
const SHAPES: [(usize, usize); 3] = [(768, 3072), (3072, 768), (4096, 4096)];
const ROWS: [usize; 4] = [1, 8, 32, 512];

fn run(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    layer: &dyn Layer,
    x: &Array2<f32>,
) {
    let (mut out, mut scratch) = (
        Array2::zeros((x.nrows(), layer.outputs())),
        Scratch::default(),
    );
    group.bench_function(name, |b| {
        b.iter(|| {
            layer
                .forward_into(black_box(x), &mut out, &mut scratch)
                .expect("shapes fit and activations are finite");
        });
    });
}

/// int8 with activations quantized on the way.
fn linear(c: &mut Criterion) {
    for (inputs, outputs) in SHAPES {
        let weights = floors::normal((outputs, inputs), 0.02, 1);
        let layer = QuantizedLinear::new(&weights, None).expect("weights are finite");
        let seven = layer.clone().seven_bit_activations();
        let codes = Linear::new(8)
            .quantize(&weights)
            .expect("weights are finite");
        for rows in ROWS {
            let x = floors::normal((rows, inputs), 1.0, 2);
            let mut group = c.benchmark_group(format!("int8 {rows}x{inputs}x{outputs}"));
            floors::configure(&mut group, inputs * outputs);
            let bytes = codes.packed();
            group.bench_function("floor: sum of the codes", |b| {
                b.iter(|| floors::sum_of_bytes(black_box(bytes)));
            });
            run(&mut group, "QuantizedLinear", &layer, &x);
            run(&mut group, "QuantizedLinear 7 bits", &seven, &x);
            let mut out = Array2::zeros((rows, outputs));
            group.bench_function("ndarray f32, one thread", |b| {
                b.iter(|| general_mat_mul(1.0, black_box(&x), &weights.t(), 0.0, &mut out));
            });
            if rows <= 32 {
                let mut restored = Array2::<f32>::zeros((outputs, inputs));
                group.bench_function("naive: dequantize, then ndarray", |b| {
                    b.iter(|| {
                        codes
                            .dequantize_into(&mut restored)
                            .expect("the shape is the same");
                        general_mat_mul(1.0, black_box(&x), &restored.t(), 0.0, &mut out);
                    });
                });
            }
        }
    }
}

/// 3 × 3, 64 to 64 channels, 56 × 56: a layer of `ResNet`.
fn convolution(c: &mut Criterion) {
    let (channels, side) = (64, 56);
    let weights = floors::normal((channels, channels * 9), 0.05, 3);
    let weights = weights
        .into_shape_with_order((channels, channels, 3, 3))
        .expect("as many numbers");
    let images = floors::normal((channels, side * side), 1.0, 4);
    let images = images
        .into_shape_with_order((1, channels, side, side))
        .expect("as many numbers");
    let layer = QuantizedConv2d::new(&weights, None)
        .expect("weights are finite")
        .padding([1, 1]);
    let mut group = c.benchmark_group("conv2d 3x3 64 to 64 56x56");
    floors::configure(&mut group, 4 * images.len());
    let (mut out, mut scratch) = (Array4::zeros((1, channels, side, side)), Scratch::default());
    for (name, layer) in [
        ("QuantizedConv2d", layer.clone()),
        ("QuantizedConv2d 7 bits", layer.seven_bit_activations()),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                layer
                    .forward_into(black_box(&images), &mut out, &mut scratch)
                    .expect("shapes fit and activations are finite");
            });
        });
    }
    // What a product of floats of this size takes, without copying patches.
    let x = floors::normal((side * side, 9 * channels), 1.0, 5);
    let w = floors::normal((9 * channels, channels), 0.05, 6);
    let mut y = Array2::zeros((side * side, channels));
    group.bench_function("ndarray f32 product of the patches, one thread", |b| {
        b.iter(|| general_mat_mul(1.0, black_box(&x), &w, 0.0, &mut y));
    });
}

criterion_group!(benches, linear, convolution);
criterion_main!(benches);
