//! Layers with weights of few bits, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench grouped
//! ```
//!
//! Activations are coded within what is timed. `inside` the pool is what a model gets that runs in `ThreadPool::install`;
//! elsewhere a call must wake the pool first, which shows with one row.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis, Ix2};
use rarefy::infer::{Activations, BlockLinear, GroupedLinear, Layer, QuantizedEmbedding, Scratch};
use rarefy::prelude::*;
use rarefy::quantize::{BlockFormat, BlockTensor, Linear, QuantizedTensor};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Inputs and outputs.
const SHAPES: [(usize, usize); 3] = [(768, 3072), (3072, 768), (4096, 4096)];
const ROWS: [usize; 4] = [1, 8, 32, 512];

/// Shorter than other benches: there are many.
fn configure(group: &mut BenchmarkGroup<'_, WallTime>, bytes: usize) {
    floors::configure(group, bytes);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
}

fn quantized(weights: &Array2<f32>, bits: u32, size: usize) -> QuantizedTensor {
    let linear = Linear::new(bits).per_group(Axis(1), size);
    linear.quantize(weights).expect("weights are finite")
}

fn time(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, layer: &dyn Layer, x: &Array2<f32>) {
    let mut out = Array2::zeros((x.nrows(), layer.outputs()));
    let mut scratch = Scratch::default();
    group.bench_function(name, |b| {
        b.iter(|| {
            layer
                .forward_into(black_box(x), &mut out, &mut scratch)
                .expect("shapes fit");
        });
    });
    let pool = rayon::ThreadPoolBuilder::new()
        .build()
        .expect("a pool of threads");
    group.bench_function(format!("{name} inside"), |b| {
        b.iter_custom(|times| {
            pool.install(|| {
                let start = Instant::now();
                for _ in 0..times {
                    layer
                        .forward_into(black_box(x), &mut out, &mut scratch)
                        .expect("shapes fit");
                }
                start.elapsed()
            })
        });
    });
}

/// Reads as many bytes as a layer holds.
fn floor(group: &mut BenchmarkGroup<'_, WallTime>, bytes: usize) {
    floors::add(group, &Array2::<f32>::ones((1, bytes / size_of::<f32>())));
}

/// What a good user would write: floats of the weights in a buffer that is kept, and a product of floats.
fn naive(group: &mut BenchmarkGroup<'_, WallTime>, q: &QuantizedTensor, x: &Array2<f32>) {
    let mut weights = Array2::<f32>::zeros((q.shape()[0], q.shape()[1]));
    group.bench_function("naive: dequantize, then dense", |b| {
        b.iter(|| {
            q.dequantize_into(&mut weights).expect("the same shape");
            black_box(x).dot(&weights.t())
        });
    });
}

fn linear(c: &mut Criterion) {
    for (inputs, outputs) in SHAPES {
        let weights = floors::normal((outputs, inputs), 0.02, 2);
        for rows in ROWS {
            let x = floors::normal((rows, inputs), 1.0, 3);
            let mut group = c.benchmark_group(format!("grouped {rows}x{inputs}x{outputs}"));
            configure(&mut group, inputs * outputs / 2);
            for (bits, size) in [(4, 32), (4, 128), (2, 128), (3, 128), (8, 128)] {
                let q = quantized(&weights, bits, size);
                let layer = GroupedLinear::from_tensor(&q, None).expect("weights of few bits");
                time(&mut group, &format!("int{bits}.g{size}"), &layer, &x);
                if (bits, size) == (4, 128) {
                    let wide = layer.clone().activations(Activations::Int16);
                    time(&mut group, "int4.g128, 16-bit activations", &wide, &x);
                    naive(&mut group, &q, &x);
                    floor(&mut group, layer.bytes());
                }
            }
            group.finish();
        }
    }
}

fn blocks(c: &mut Criterion) {
    let weights = floors::normal((4096, 4096), 0.02, 2);
    for rows in [1, 32] {
        let x = floors::normal((rows, 4096), 1.0, 3);
        let mut group = c.benchmark_group(format!("blocks {rows}x4096x4096"));
        configure(&mut group, 4096 * 4096 / 2);
        for format in [BlockFormat::Q4_0, BlockFormat::Q4K, BlockFormat::Q8_0] {
            let packed = BlockTensor::encode(&weights, format).expect("weights are finite");
            let mut floats = Array2::<f32>::zeros((4096, 4096));
            group.bench_function(format!("naive {format:?}: dequantize, then dense"), |b| {
                b.iter(|| {
                    packed.dequantize_into(&mut floats).expect("the same shape");
                    black_box(&x).dot(&floats.t())
                });
            });
            let layer = BlockLinear::new(packed, None).expect("weights of rank 2");
            time(&mut group, &format!("{format:?}"), &layer, &x);
            if format == BlockFormat::Q4K {
                floor(&mut group, layer.bytes());
            }
        }
        group.finish();
    }
}

fn embedding(c: &mut Criterion) {
    let table = floors::normal((32000, 768), 0.02, 2);
    let rows: Vec<usize> = (0..512).map(|i| i * 7919 % 32000).collect();
    let mut group = c.benchmark_group("embedding 512 of 32000x768");
    configure(&mut group, 512 * 768 * size_of::<f32>());
    let mut out = Array2::zeros((512, 768));
    group.bench_function("floor: rows of floats", |b| {
        b.iter(|| {
            for (mut to, &row) in out.rows_mut().into_iter().zip(black_box(&rows)) {
                to.assign(&table.row(row));
            }
        });
    });
    for bits in [4, 8] {
        let q = quantized(&table, bits, 32);
        group.bench_function(
            format!("naive {bits} bits: dequantize all, then rows"),
            |b| {
                b.iter(|| {
                    let all = q.dequantize::<f32>().into_dimensionality::<Ix2>();
                    all.expect("rank 2").select(Axis(0), black_box(&rows))
                });
            },
        );
        let embedding = QuantizedEmbedding::from_tensor(q).expect("rank 2");
        group.bench_function(format!("lookup_into {bits} bits"), |b| {
            b.iter(|| {
                embedding
                    .lookup_into(black_box(&rows), &mut out)
                    .expect("rows of the table");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, linear, blocks, embedding);
criterion_main!(benches);
