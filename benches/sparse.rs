//! Sparse layers next to the dense layer and to the machine's floor: reading what they store.
//!
//! ```text
//! cargo bench --bench sparse --features sprs
//! ```

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    unreachable_pub,
    reason = "a bench chooses its own input"
)]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod floors;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis};
use rarefy::infer::{DenseLinear, Layer, Scratch, SparseFormat, SparseLinear};
use rarefy::prelude::*;
use rarefy::prune::{Blocks, Magnitude, SemiStructured, Unstructured};
use std::hint::black_box;

const SHAPE: (usize, usize) = (4096, 4096);
const ROWS: [usize; 2] = [1, 64];
const ZEROS: [f64; 4] = [0.5, 0.7, 0.9, 0.95];

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn run(group: &mut Group<'_>, name: &str, layer: &dyn Layer, x: &Array2<f32>) {
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

/// Floats and int8, with the floor of the floats beside them.
fn run_both(
    group: &mut Group<'_>,
    name: &str,
    weights: &Array2<f32>,
    format: SparseFormat,
    x: &Array2<f32>,
) {
    let layer = SparseLinear::new(weights, None, format).expect("weights are finite and fit");
    if x.nrows() == 1 {
        let stored = Array2::<f32>::ones((1, layer.bytes() / 4));
        let values = stored.as_slice().expect("a fresh array is contiguous");
        group.bench_function(format!("floor: sum of {name}"), |b| {
            b.iter(|| floors::sum(black_box(values)));
        });
    }
    run(group, name, &layer, x);
    run(group, &format!("{name} int8"), &layer.quantized(), x);
}

/// What a user of `sprs` would write: a matrix times columns.
#[cfg(feature = "sprs")]
fn run_sprs(group: &mut Group<'_>, name: &str, weights: &Array2<f32>, x: &Array2<f32>) {
    let layer = SparseLinear::new(weights, None, SparseFormat::Csr).expect("weights are finite");
    let (matrix, columns) = (layer.to_sprs(), x.t().as_standard_layout().into_owned());
    let vector = columns.column(0).to_owned();
    group.bench_function(name, |b| match x.nrows() {
        1 => b.iter(|| {
            black_box(&matrix * black_box(&vector));
        }),
        _ => b.iter(|| {
            black_box(&matrix * black_box(&columns));
        }),
    });
}

fn sparse(c: &mut Criterion) {
    let weights = floors::normal(SHAPE, 0.02, 1);
    let bytes = size_of::<f32>() * weights.len();
    for rows in ROWS {
        let x = floors::normal((rows, SHAPE.1), 1.0, 2);
        let mut group = c.benchmark_group(format!("sparse {rows}x4096x4096"));
        floors::configure(&mut group, bytes);
        let dense = DenseLinear::new(&weights, None).expect("weights are finite");
        run(&mut group, "DenseLinear", &dense, &x);
        for zeros in ZEROS {
            let mut pruned = weights.clone();
            Unstructured::new(Magnitude, zeros)
                .prune(&mut pruned)
                .expect("weights are finite");
            for (name, format) in [
                ("bitmask", SparseFormat::Bitmask),
                ("csr", SparseFormat::Csr),
            ] {
                run_both(&mut group, &format!("{name} {zeros}"), &pruned, format, &x);
            }
            #[cfg(feature = "sprs")]
            run_sprs(&mut group, &format!("sprs {zeros}"), &pruned, &x);
            for (outputs, inputs) in [(1, 8), (4, 16)] {
                let mut pruned = weights.clone();
                Blocks::new(Magnitude, zeros, (outputs, inputs))
                    .prune(&mut pruned)
                    .expect("weights are finite");
                let format = SparseFormat::Blocks { outputs, inputs };
                let name = format!("blocks {outputs}x{inputs} {zeros}");
                run_both(&mut group, &name, &pruned, format, &x);
            }
        }
        for (keep, of) in [(2, 4), (4, 8), (8, 16)] {
            let mut pruned = weights.clone();
            SemiStructured::new(Magnitude, keep, of, Axis(1))
                .prune(&mut pruned)
                .expect("weights are finite");
            let format = SparseFormat::SemiStructured { keep, of };
            run_both(&mut group, &format!("{keep}:{of}"), &pruned, format, &x);
        }
        group.finish();
    }
}

criterion_group!(benches, sparse);
criterion_main!(benches);
