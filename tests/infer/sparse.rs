//! `SparseLinear` in every format, against its own weights in f64.

use crate::{in_every_pool, numbers};
use ndarray::{Array1, Array2, ShapeBuilder, array, s};
use rarefy::infer::{Csr, DenseLinear, Layer, Scratch, SparseFormat, SparseLinear};
use rarefy::prelude::*;
use rarefy::prune::{Blocks, Magnitude, SemiStructured, Unstructured};
use rarefy::{Error, InferError, Mask};

const FORMATS: [SparseFormat; 7] = [
    SparseFormat::Bitmask,
    SparseFormat::Csr,
    SparseFormat::SemiStructured { keep: 2, of: 4 },
    SparseFormat::SemiStructured { keep: 3, of: 5 },
    SparseFormat::Blocks {
        outputs: 1,
        inputs: 8,
    },
    SparseFormat::Blocks {
        outputs: 4,
        inputs: 16,
    },
    SparseFormat::Blocks {
        outputs: 3,
        inputs: 2,
    },
];

/// Weights of this share of zeros, as the format needs them.
fn pruned((outputs, inputs): (usize, usize), share: f64, format: SparseFormat) -> Array2<f32> {
    let mut weights = numbers((outputs, inputs), 1);
    let pruner: Box<dyn Pruner<f32>> = match format {
        SparseFormat::SemiStructured { keep, of } => {
            Box::new(SemiStructured::new(Magnitude, keep, of, ndarray::Axis(1)))
        }
        SparseFormat::Blocks { outputs, inputs } => {
            Box::new(Blocks::new(Magnitude, share, (outputs, inputs)))
        }
        _ => Box::new(Unstructured::new(Magnitude, share)),
    };
    pruner.prune(&mut weights).unwrap();
    weights
}

/// Fails unless the layer computes with its own weights, to rounding.
fn check(layer: &SparseLinear, bias: &[f32], x: &Array2<f32>) {
    let y = in_every_pool(|| layer.forward(x).unwrap());
    let weights = layer.to_dense();
    for ((row, output), &y) in y.indexed_iter() {
        let terms =
            (0..x.ncols()).map(|i| f64::from(x[[row, i]]) * f64::from(weights[[output, i]]));
        let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| {
            (sum + term, size + term.abs())
        });
        let bias = f64::from(bias[output]);
        let bound = ((x.ncols() + 3) as f64 * size + bias.abs()) * 2_f64.powi(-24);
        let error = (f64::from(y) - sum - bias).abs();
        assert!(
            error <= bound,
            "{layer:?} at {row}, {output}: off by {error}"
        );
    }
}

#[test]
fn every_format_computes_with_the_weights_it_was_made_of() {
    for format in FORMATS {
        for share in [0.0, 0.5, 0.9, 0.97, 1.0] {
            for (rows, inputs, outputs) in [(1, 1, 1), (5, 67, 13), (21, 130, 70), (66, 64, 33)] {
                let weights = pruned((outputs, inputs), share, format);
                let bias = numbers(outputs, 2);
                let x = numbers((rows, inputs), 3);
                let layer = SparseLinear::new(&weights, Some(&bias), format).unwrap();
                assert_eq!(layer.to_dense(), weights, "{format:?}");
                assert_eq!(layer.format(), format);
                check(&layer, bias.as_slice().unwrap(), &x);
                let small = layer.quantized();
                assert!(small.is_quantized() && small.stored() == layer.stored());
                for (row, original) in small.to_dense().outer_iter().zip(weights.outer_iter()) {
                    let largest = original.fold(0.0_f32, |largest, w| largest.max(w.abs()));
                    let step = largest / 127.0;
                    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 0.501 * step;
                    assert!(row.iter().zip(original).all(near), "{format:?}");
                }
                check(&small, bias.as_slice().unwrap(), &x);
                assert_eq!(small.quantized(), small);
            }
        }
    }
}

#[test]
fn memory_order_and_rows_given_together_do_not_matter() {
    let x = numbers((40, 130), 3);
    for format in FORMATS {
        let weights = pruned((50, 130), 0.6, format);
        let layer = SparseLinear::new(&weights, None, format).unwrap();
        let mut by_columns = Array2::zeros((50, 130).f());
        by_columns.assign(&weights);
        assert_eq!(SparseLinear::new(&by_columns, None, format).unwrap(), layer);
        let wide = by_columns.mapv(f64::from);
        assert_eq!(SparseLinear::new(&wide, None, format).unwrap(), layer);
        let many = layer.forward(&x).unwrap();
        let few = layer.forward(&x.slice(s![..3, ..])).unwrap();
        for row in 0..3 {
            let one = layer.forward(&x.slice(s![row..=row, ..])).unwrap();
            assert_eq!(one.row(0), few.row(row), "{format:?}");
        }
        if format == SparseFormat::Bitmask {
            // Six are few here, four of them together.
            let six = layer.forward(&x.slice(s![..6, ..])).unwrap();
            assert_eq!(six.slice(s![..3, ..]), few);
        }
        assert_eq!(
            layer.forward(&x.slice(s![7..37, ..])).unwrap(),
            many.slice(s![7..37, ..])
        );
        let mut turned = Array2::zeros((40, 130).f());
        turned.assign(&x);
        let mut out = Array2::from_elem((40, 50).f(), f32::NAN);
        let mut scratch = Scratch::default();
        layer.forward_into(&turned, &mut out, &mut scratch).unwrap();
        assert_eq!(out, many, "{format:?}");
        let mut out = Array2::from_elem((3, 50).f(), f32::NAN);
        layer
            .forward_into(&turned.slice(s![..3, ..]), &mut out, &mut scratch)
            .unwrap();
        assert_eq!(out, few, "{format:?}");
    }
}

#[test]
fn empty_arrays_work() {
    for format in FORMATS {
        for (rows, inputs, outputs) in [(0, 3, 2), (2, 0, 3), (2, 3, 0), (40, 0, 3), (0, 0, 0)] {
            let weights = Array2::<f32>::zeros((outputs, inputs));
            let bias = Array1::from_elem(outputs, 0.5);
            for layer in [
                SparseLinear::new(&weights, Some(&bias), format).unwrap(),
                SparseLinear::new(&weights, Some(&bias), format)
                    .unwrap()
                    .quantized(),
            ] {
                let y = layer.forward(&Array2::zeros((rows, inputs))).unwrap();
                assert_eq!(y, Array2::from_elem((rows, outputs), 0.5), "{format:?}");
                assert_eq!(layer.to_dense(), weights);
            }
        }
    }
}

#[test]
fn a_layer_takes_what_its_format_says() {
    let (outputs, inputs) = (256, 1024);
    for format in FORMATS {
        for share in [0.5, 0.9] {
            let weights = pruned((outputs, inputs), share, format);
            let bias = numbers(outputs, 2);
            let layer = SparseLinear::new(&weights, Some(&bias), format).unwrap();
            let kept = weights.iter().filter(|&&weight| weight != 0.0).count();
            let (values, places) = match format {
                SparseFormat::Bitmask => (kept, outputs * inputs / 8 + 4 * outputs),
                SparseFormat::Csr => (kept, 2 * kept + 4 * outputs),
                SparseFormat::SemiStructured { keep, of } => {
                    let row = inputs / of * keep + keep.min(inputs % of);
                    (outputs * row, outputs * inputs / 8)
                }
                SparseFormat::Blocks {
                    outputs: tall,
                    inputs: wide,
                } => {
                    let units = weights.exact_chunks((tall, wide));
                    let whole = units
                        .into_iter()
                        .filter(|b| b.iter().any(|&w| w != 0.0))
                        .count();
                    // The last outputs may be fewer than a block.
                    let edge = weights.slice(s![outputs / tall * tall.., ..]);
                    let last = edge.axis_chunks_iter(ndarray::Axis(1), wide);
                    let last = last.filter(|b| b.iter().any(|&w| w != 0.0)).count();
                    let blocks = whole + last;
                    (
                        blocks * tall * wide,
                        2 * blocks + 4 * outputs.div_ceil(tall),
                    )
                }
                _ => unreachable!("all formats are above"),
            };
            let says = 4 * values + places + 4 * outputs;
            let bytes = layer.bytes();
            assert!(
                bytes >= says && bytes as f64 <= 1.01 * says as f64,
                "{format:?}: {bytes}"
            );
            let says = values + places + 8 * outputs;
            let bytes = layer.quantized().bytes();
            assert!(
                bytes >= says && bytes as f64 <= 1.01 * says as f64,
                "{format:?}: {bytes}"
            );
        }
    }
}

#[test]
fn a_mask_says_what_is_stored_and_best_chooses() {
    let mut weights = numbers((30, 200), 5);
    let mask = Unstructured::new(Magnitude, 0.7).mask(&weights).unwrap();
    // What is dropped is not looked at.
    let dropped = mask.iter().position(|kept| !kept).unwrap();
    weights[[dropped / 200, dropped % 200]] = f32::NAN;
    let layer = SparseLinear::masked(&weights, &mask, None, SparseFormat::Csr).unwrap();
    mask.apply(&mut weights).unwrap();
    assert_eq!(layer.to_dense(), weights);
    assert_eq!(layer.stored(), mask.kept());
    let best = SparseLinear::best(&weights, None).unwrap();
    assert_eq!(
        (best.format(), best.to_dense()),
        (SparseFormat::Bitmask, weights.clone())
    );
    let dense = DenseLinear::new(&weights, None).unwrap();
    for rows in [1, 50] {
        let x = numbers((rows, 200), 6);
        let (a, b) = (best.forward(&x).unwrap(), dense.forward(&x).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn compressed_rows_go_in_and_out() {
    let (wide, inputs) = (numbers((3, 70_000), 7), 70_000);
    let mask = Unstructured::new(Magnitude, 0.999).mask(&wide).unwrap();
    for format in [SparseFormat::Csr, SparseFormat::Bitmask] {
        let layer = SparseLinear::masked(&wide, &mask, None, format).unwrap();
        let csr = layer.to_csr();
        assert_eq!((csr.shape, csr.values.len()), ((3, inputs), mask.kept()));
        let back = SparseLinear::from_csr(&csr, None).unwrap();
        assert_eq!(back.to_dense(), layer.to_dense());
        check(&back, &[0.0; 3], &numbers((5, inputs), 8));
    }
    let good = Csr {
        shape: (2, 3),
        starts: vec![0, 1, 3],
        columns: vec![2, 0, 1],
        values: vec![5.0, 0.0, 1.0],
    };
    // A zero that is stored stays stored.
    assert_eq!(SparseLinear::from_csr(&good, None).unwrap().to_csr(), good);
    let fails = |change: &dyn Fn(&mut Csr)| {
        let mut csr = good.clone();
        change(&mut csr);
        SparseLinear::from_csr(&csr, None).unwrap_err()
    };
    for (message, error) in [
        (
            "2 starts of rows given, 3 needed",
            fails(&|c| c.starts.truncate(2)),
        ),
        (
            "2 columns given, 3 needed",
            fails(&|c| c.columns.truncate(2)),
        ),
        (
            "start 0 of the rows must lie in 0..=0, got 1",
            fails(&|c| c.starts[0] = 1),
        ),
        (
            "start 1 of the rows must lie in 0..=3, got 4",
            fails(&|c| c.starts[1] = 4),
        ),
        (
            "start 2 of the rows must lie in 3..=3, got 2",
            fails(&|c| c.starts[2] = 2),
        ),
        (
            "column 2 of row 1 must lie in 1..3, got 0",
            fails(&|c| c.columns[2] = 0),
        ),
        (
            "column 0 of row 0 must lie in 0..3, got 3",
            fails(&|c| c.columns[0] = 3),
        ),
        ("weight [1] is NaN", fails(&|c| c.values[1] = f32::NAN)),
    ] {
        assert_eq!(error.to_string(), message);
    }
}

#[cfg(feature = "sprs")]
#[test]
fn matrices_of_sprs_go_in_and_out() {
    let weights = pruned((40, 30), 0.8, SparseFormat::Csr);
    for format in FORMATS {
        let layer = SparseLinear::best(&pruned((40, 30), 0.8, format), None).unwrap();
        let matrix = layer.to_sprs();
        assert_eq!(matrix.to_dense(), layer.to_dense());
        let by_columns = matrix.to_csc();
        let back = SparseLinear::from_sprs(&by_columns, None).unwrap();
        assert_eq!(back.to_sprs(), matrix);
    }
    let layer = SparseLinear::new(&weights, None, SparseFormat::Csr).unwrap();
    let wide = layer.to_sprs().map(|&weight| f64::from(weight));
    assert_eq!(SparseLinear::from_sprs(&wide, None).unwrap(), layer);
    let bad = wide.map(|_| f64::NAN);
    assert!(matches!(
        SparseLinear::from_sprs(&bad, None),
        Err(Error::NotANumber { .. })
    ));
}

#[test]
fn what_does_not_fit_says_so() {
    let weights = array![[1.0_f32, 2.0, 0.0, 3.0], [0.0, 0.0, 1.0, 0.0]];
    let two_of_four = SparseFormat::SemiStructured { keep: 2, of: 4 };
    let new = |format| SparseLinear::new(&weights, None, format);
    let error = new(two_of_four).unwrap_err();
    assert!(matches!(
        error,
        Error::Infer(InferError::TooManyInGroup {
            index: [0, 3],
            keep: 2,
            of: 4
        })
    ));
    for format in [
        SparseFormat::SemiStructured { keep: 3, of: 2 },
        SparseFormat::SemiStructured { keep: 0, of: 0 },
        SparseFormat::Blocks {
            outputs: 0,
            inputs: 1,
        },
        SparseFormat::Blocks {
            outputs: 1,
            inputs: 0,
        },
    ] {
        assert!(matches!(new(format), Err(Error::NumberOutOfRange { .. })));
    }
    let bias = array![1.0_f32];
    let error = SparseLinear::new(&weights, Some(&bias), SparseFormat::Csr).unwrap_err();
    assert_eq!(error.to_string(), "1 numbers of a bias given, 2 needed");
    let mask = Mask::keep_all((4, 2)).unwrap();
    let masked = SparseLinear::masked(&weights, &mask, None, SparseFormat::Csr);
    assert!(matches!(masked, Err(Error::ShapeMismatch { .. })));
    for bad in [f64::NAN, f64::INFINITY, 1e300] {
        let mut weights = weights.mapv(f64::from);
        weights[[1, 2]] = bad;
        let error = SparseLinear::new(&weights, None, SparseFormat::Bitmask).unwrap_err();
        assert!(
            error.to_string().starts_with("weight [1, 2] is "),
            "{error}"
        );
    }
    for format in [SparseFormat::Bitmask, SparseFormat::Csr] {
        let layer = new(format).unwrap();
        let mut x = Array2::zeros((40, 4));
        assert!(matches!(
            layer.forward(&x.slice(s![.., ..3])),
            Err(Error::ShapeMismatch { .. })
        ));
        let mut out = Array2::zeros((40, 3));
        let error = layer.forward_into(&x, &mut out, &mut Scratch::default());
        assert!(matches!(error, Err(Error::ShapeMismatch { .. })));
        x[[39, 1]] = f32::NEG_INFINITY;
        let error = layer.forward(&x).unwrap_err().to_string();
        assert_eq!(error, "activation [39, 1] is -inf, must be finite");
        x[[7, 0]] = f32::NAN;
        let error = layer.forward(&x).unwrap_err().to_string();
        assert_eq!(error, "activation [7, 0] is NaN");
    }
}

#[test]
fn blocks_are_no_longer_than_the_weights() {
    let weights = numbers((3, 5), 1);
    let format = SparseFormat::Blocks {
        outputs: usize::MAX,
        inputs: usize::MAX,
    };
    let layer = SparseLinear::new(&weights, None, format).unwrap();
    assert_eq!(layer.to_dense(), weights);
    assert_eq!(layer.stored(), 15);
    for rows in [1, 40] {
        check(&layer, &[0.0; 3], &numbers((rows, 5), 2));
    }
}

#[test]
fn extremes_quantize() {
    let tiny = f32::MIN_POSITIVE;
    let weights = array![[tiny, -tiny / 4.0], [f32::MAX, f32::MIN], [0.0, 0.0]];
    let layer = SparseLinear::new(&weights, None, SparseFormat::Csr).unwrap();
    let small = layer.quantized().to_dense();
    assert_eq!(small.row(0), array![tiny, 0.0]);
    assert!(small.iter().all(|weight| weight.is_finite()));
    assert_eq!(small.row(2), array![0.0, 0.0]);
}
