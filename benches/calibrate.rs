//! Observers and range searches, next to what a good user would write and to the machine's floors.
//!
//! ```text
//! cargo bench --bench calibrate
//! ```

#![allow(
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis};
use rarefy::calibrate::{ChannelSums, Histogram, MinMax, ObserverExt, Saturation};
use rarefy::quantize::{Entropy, ErrorSearch, Linear, Percentile};
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);

/// What a good user would write: two sweeps, one for the range and one for the counts.
fn naive(values: &Array2<f32>) -> Vec<u64> {
    let largest = values.fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let mut counts = vec![0; 2048];
    for value in values {
        let place = (value / largest + 1.0) * 1024.0;
        counts[(place as usize).min(2047)] += 1;
    }
    counts
}

fn observe(c: &mut Criterion) {
    let values = floors::normal(SHAPE, 1.0, 3);
    let bytes = size_of_val(values.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("calibrate 4096x4096");
    floors::configure(&mut group, bytes);
    macro_rules! observer {
        ($name:expr, $new:expr) => {
            group.bench_function($name, |b| {
                b.iter(|| {
                    let mut observer = $new;
                    observer
                        .observe(black_box(&values))
                        .expect("values are finite");
                    observer
                });
            });
        };
    }
    observer!("MinMax", MinMax::new());
    observer!("MinMax axis 1", MinMax::new().per_channel(Axis(1)));
    observer!("Histogram", Histogram::new());
    observer!("Histogram of magnitudes", Histogram::new().of_magnitudes());
    observer!(
        "Histogram axis 1, 256 bins",
        Histogram::with_bins(256)
            .expect("a power of two")
            .per_channel(Axis(1))
    );
    observer!(
        "ChannelSums axis 1",
        ChannelSums::new().per_channel(Axis(1))
    );
    observer!(
        "Saturation",
        Saturation::new(&[(-2.0, 2.0)]).expect("a range")
    );
    group.bench_function("naive histogram", |b| b.iter(|| naive(black_box(&values))));
    floors::add(&mut group, &values);
    group.finish();
}

fn search(c: &mut Criterion) {
    let values = floors::normal(SHAPE, 1.0, 3);
    let bytes = size_of_val(values.as_slice().expect("a fresh array is contiguous"));
    let mut group = c.benchmark_group("ranges 4096x4096");
    floors::configure(&mut group, bytes);
    group.sample_size(10);
    let squares = ErrorSearch::new(Linear::new(8))
        .norm(2.0)
        .shrink(1.0)
        .patience(usize::MAX);
    group.bench_function("ErrorSearch squares, 100 candidates", |b| {
        b.iter(|| squares.ranges(black_box(&values)).expect("finite"));
    });
    let rows = ErrorSearch::new(Linear::new(8).per_channel(Axis(0)))
        .norm(2.0)
        .shrink(1.0)
        .patience(usize::MAX);
    group.bench_function("ErrorSearch squares, 100 candidates axis 0", |b| {
        b.iter(|| rows.ranges(black_box(&values)).expect("finite"));
    });
    let defaults = ErrorSearch::new(Linear::new(8));
    group.bench_function("ErrorSearch norm 2.4, 20 candidates", |b| {
        b.iter(|| defaults.ranges(black_box(&values)).expect("finite"));
    });
    let mut histogram = Histogram::new();
    histogram.observe(&values).expect("finite");
    group.bench_function("ErrorSearch squares, 100 candidates, of a histogram", |b| {
        b.iter(|| squares.ranges_of(black_box(&histogram)).expect("finite"));
    });
    let percentile = Percentile::new(0.9999).expect("a share");
    group.bench_function("Percentile of a histogram", |b| {
        b.iter(|| percentile.ranges_of(black_box(&histogram)).expect("finite"));
    });
    group.bench_function("Percentile", |b| {
        b.iter(|| {
            percentile
                .ranges(black_box(&values), Default::default())
                .expect("finite")
        });
    });
    for (name, entropy) in [("nvidia", Entropy::nvidia(8)), ("onnx", Entropy::onnx())] {
        group.bench_function(format!("Entropy {name}"), |b| {
            b.iter(|| entropy.ranges_of(black_box(&histogram)).expect("finite"));
        });
    }
    floors::add(&mut group, &values);
    group.finish();
}

criterion_group!(benches, observe, search);
criterion_main!(benches);
