//! Layers with weights of few bits: what they promise, next to floats.

use ndarray::{Array1, Array2, Axis, ShapeBuilder, array, s};
use rarefy::infer::{Activations, GroupedLinear, Layer, Scratch};
use rarefy::prelude::*;
use rarefy::quantize::{
    BlockShape, Float8, Granularity, Linear, Parameters, QuantizedTensor, Scheme,
};
use rarefy::{Error, InferError, Mask, quantize};

fn weights(outputs: usize, inputs: usize) -> Array2<f32> {
    Array2::from_shape_fn((outputs, inputs), |(i, j)| {
        ((i * 31 + j * j * 7) as f32 * 0.61).sin() * 0.1 * (1 + (i + j) % 3) as f32
    })
}

fn inputs(rows: usize, inputs: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, inputs), |(i, j)| {
        ((i * 17 + j * 5) as f32 * 0.77).cos() * (1 + (i * j) % 4) as f32
    })
}

/// Results in f64 and how far a layer may be off: half a step of each input, and roundings of f32.
fn right(
    q: &QuantizedTensor,
    x: &Array2<f32>,
    group: usize,
    activations: Activations,
) -> (Array2<f64>, Array2<f64>) {
    let w = q.dequantize::<f64>().into_dimensionality().unwrap();
    let x64 = x.mapv(f64::from);
    let steps = match activations {
        Activations::Int8 => 127.0,
        _ => 32767.0,
    };
    let mut off = Array2::zeros(x.dim());
    for (mut off, x) in off.rows_mut().into_iter().zip(x.rows()) {
        let group = group.clamp(1, 256);
        for start in (0..x.len()).step_by(group) {
            let piece = s![start..x.len().min(start + group)];
            let most = x
                .slice(piece)
                .fold(0.0_f64, |most, x| most.max(x.abs().into()));
            off.slice_mut(piece).fill(most / steps / 2.0 * 1.000_001);
        }
    }
    let size: Array2<f64> = w.mapv(f64::abs);
    let bound = off.dot(&size.t()) + x64.mapv(f64::abs).dot(&size.t()) * 1e-5;
    (x64.dot(&w.t()), bound)
}

fn check(q: &QuantizedTensor, group: usize, rows: usize, at: &str) {
    let x = inputs(rows, q.shape()[1]);
    for activations in [Activations::Int8, Activations::Int16] {
        let layer = GroupedLinear::from_tensor(q, None)
            .unwrap()
            .activations(activations);
        let y = layer.forward(&x).unwrap();
        let (right, bound) = right(q, &x, group, activations);
        for ((y, right), bound) in y.iter().zip(&right).zip(&bound) {
            let off = (f64::from(*y) - right).abs();
            assert!(
                off <= bound + 1e-30,
                "{at}, {activations:?}: {y} instead of {right}, bound {bound}"
            );
        }
    }
}

#[test]
fn results_are_within_the_bound_of_what_the_weights_mean() {
    for bits in [2, 3, 4, 8] {
        for (outputs, inputs) in [(17, 130), (5, 300), (1, 1), (33, 64)] {
            let w = weights(outputs, inputs);
            for group in [1, 8, 32, 33, 64, 128, usize::MAX] {
                for linear in [
                    Linear::new(bits),
                    Linear::new(bits).full_range(),
                    Linear::new(bits).affine(),
                    Linear::new(bits).affine().unsigned(),
                ] {
                    let group = group.min(inputs);
                    let q = linear.per_group(Axis(1), group).quantize(&w).unwrap();
                    check(
                        &q,
                        group,
                        3,
                        &format!("{bits} bits, {outputs} x {inputs}, groups of {group}"),
                    );
                }
            }
        }
    }
}

#[test]
fn any_granularity_with_groups_along_the_inputs_will_do() {
    let w = weights(19, 75);
    for (granularity, group) in [
        (Granularity::PerTensor, 75),
        (Granularity::PerChannel(Axis(0)), 75),
        (Granularity::PerToken, 75),
        (
            Granularity::PerBlock(BlockShape::new(&[4, 20]).unwrap()),
            20,
        ),
        (
            Granularity::PerBlock(BlockShape::new(&[100, 100]).unwrap()),
            75,
        ),
    ] {
        for linear in [Linear::new(4), Linear::new(8).affine()] {
            let q = linear.granularity(granularity).quantize(&w).unwrap();
            check(&q, group, 4, &format!("{granularity:?}"));
        }
    }
}

#[test]
fn what_a_mask_drops_is_zero() {
    let w = weights(18, 70);
    let mask = Mask::from_fn((18, 70), |(i, j)| (i * 70 + j) % 3 != 0).unwrap();
    for linear in [Linear::new(4), Linear::new(3).affine().unsigned()] {
        let q = linear
            .per_group(Axis(1), 32)
            .quantize(&w)
            .unwrap()
            .masked(&mask)
            .unwrap();
        assert!(q.mask().is_some());
        check(&q, 32, 2, "masked");
    }
}

#[test]
fn rows_threads_and_memory_orders_do_not_show() {
    let (w, bias) = (
        weights(300, 200),
        Array1::from_shape_fn(300, |i| i as f32 / 7.0),
    );
    for (bits, activations) in [(4, Activations::Int8), (3, Activations::Int16)] {
        let layer = GroupedLinear::new(&w, bits, 64, Some(&bias))
            .unwrap()
            .activations(activations);
        let x = inputs(150, 200);
        let all = layer.forward(&x).unwrap();
        for threads in [1, 2, 3, 16] {
            let pool = rayon_pool(threads);
            assert_eq!(
                pool.install(|| layer.forward(&x)).unwrap(),
                all,
                "{threads} threads"
            );
        }
        let mut scratch = Scratch::default();
        for rows in (1..=20).chain([129]) {
            let mut out = Array2::from_elem((rows, 300), f32::NAN);
            layer
                .forward_into(&x.slice(s![..rows, ..]), &mut out, &mut scratch)
                .unwrap();
            assert_eq!(out, all.slice(s![..rows, ..]), "{rows} rows");
        }
        // Columns in memory, and every second row backwards.
        let mut columns = Array2::zeros((200, 150).f());
        columns.assign(&x.t());
        let mut out = Array2::zeros((150, 300).f());
        layer
            .forward_into(&columns.t(), &mut out, &mut scratch)
            .unwrap();
        assert_eq!(out, all);
        let backwards = layer.forward(&x.slice(s![..;-2, ..])).unwrap();
        assert_eq!(backwards, all.slice(s![..;-2, ..]));
    }
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}

#[test]
fn bytes_are_those_of_the_format() {
    let w = weights(64, 1024);
    for bits in [2, 3, 4, 8] {
        for group in [32, 64, 128, 256, 1024] {
            for linear in [Linear::new(bits), Linear::new(bits).affine()] {
                let q = linear.per_group(Axis(1), group).quantize(&w).unwrap();
                let layer = GroupedLinear::from_tensor(&q, None).unwrap();
                let most = q.bytes() as f64 * 1.01;
                assert!(
                    layer.bytes() as f64 <= most,
                    "{bits} bits, {group}: {}",
                    layer.bytes()
                );
            }
        }
    }
    let layer = GroupedLinear::new(&w, 4, 128, Some(&Array1::zeros(64))).unwrap();
    assert_eq!(layer.bytes(), 64 * 512 + 64 * 8 * 4 + 1 + 64 * 4);
    assert!(format!("{layer:?}").len() < 200);
}

#[test]
fn empty_arrays_have_results() {
    for shape in [(0, 5), (5, 0), (0, 0)] {
        let layer = GroupedLinear::new(&Array2::<f32>::zeros(shape), 4, 32, None).unwrap();
        let y = layer.forward(&Array2::zeros((3, shape.1))).unwrap();
        assert_eq!(y, Array2::<f32>::zeros((3, shape.0)));
    }
    let bias = array![1.5_f32, -2.0];
    let layer = GroupedLinear::new(&Array2::zeros((2, 0)), 4, 32, Some(&bias)).unwrap();
    assert_eq!(
        layer.forward(&Array2::zeros((1, 0))).unwrap(),
        array![[1.5, -2.0]]
    );
    let layer = GroupedLinear::new(&weights(3, 8), 4, 4, None).unwrap();
    assert_eq!(layer.forward(&Array2::zeros((0, 8))).unwrap().dim(), (0, 3));
}

#[test]
fn one_line_is_the_same_as_two() {
    let w = weights(20, 96);
    let q = Linear::new(4).per_group(Axis(1), 32).quantize(&w).unwrap();
    let two = GroupedLinear::from_tensor(&q, None).unwrap();
    assert_eq!(GroupedLinear::new(&w, 4, 32, None).unwrap(), two);
    let wide = w.mapv(f64::from);
    assert_eq!(GroupedLinear::new(&wide, 4, 32, None).unwrap(), two);
}

#[test]
fn sixteen_bits_are_two_thousand_times_as_near() {
    let w = weights(64, 512);
    let q = Linear::new(4).per_group(Axis(1), 128).quantize(&w).unwrap();
    let x = inputs(8, 512);
    let dense: Array2<f64> = x.mapv(f64::from).dot(
        &q.dequantize::<f64>()
            .into_dimensionality::<ndarray::Ix2>()
            .unwrap()
            .t(),
    );
    let size = (dense.mapv(|y| y * y).sum() / dense.len() as f64).sqrt();
    let off = |activations| {
        let layer = GroupedLinear::from_tensor(&q, None)
            .unwrap()
            .activations(activations);
        let y = layer.forward(&x).unwrap().mapv(f64::from) - &dense;
        (y.mapv(|y| y * y).sum() / dense.len() as f64).sqrt() / size
    };
    let (eight, sixteen) = (off(Activations::Int8), off(Activations::Int16));
    assert!(eight < 1e-2, "{eight}");
    assert!(sixteen < 5e-5, "{sixteen}");
}

fn scheme_needed(error: &Error) -> bool {
    matches!(error, Error::Infer(InferError::Scheme { .. }))
}

#[test]
fn weights_of_another_kind_are_refused() {
    let w = weights(4, 16);
    let refused = |q: &QuantizedTensor| GroupedLinear::from_tensor(q, None).unwrap_err();
    for bits in [5, 6, 7, 16] {
        assert!(
            scheme_needed(&refused(&Linear::new(bits).quantize(&w).unwrap())),
            "{bits}"
        );
    }
    assert!(scheme_needed(&refused(
        &Float8::e4m3().quantize(&w).unwrap()
    )));
    let codes = Array2::<i32>::zeros((4, 16));
    let parameters = Parameters::new(
        Scheme::float_zero_point(4).unwrap(),
        Granularity::PerTensor,
        vec![1.0],
    );
    let float = QuantizedTensor::from_codes(&codes, parameters).unwrap();
    let message = refused(&float).to_string();
    assert_eq!(
        message,
        "weights must have integers of 2, 3, 4 or 8 bits, these have Scheme { bits: 4, kind: FloatZeroPoint }"
    );
    for granularity in [
        Granularity::PerChannel(Axis(1)),
        Granularity::PerGroup {
            axis: Axis(0),
            size: 2,
        },
    ] {
        let q = Linear::new(4)
            .granularity(granularity)
            .quantize(&w)
            .unwrap();
        let error = refused(&q);
        assert!(
            matches!(error, Error::Infer(InferError::Granularity { .. })),
            "{error}"
        );
    }
    let line = quantize::linear(&array![1.0_f32, 2.0], 4).unwrap();
    assert!(matches!(
        refused(&line),
        Error::Infer(InferError::Rank { .. })
    ));
    assert!(GroupedLinear::new(&w, 4, 0, None).is_err());
    let short = GroupedLinear::new(&w, 4, 8, Some(&array![1.0]));
    assert!(matches!(short, Err(Error::WrongCount { expected: 4, .. })));
    let bias = array![0.0, f32::NAN, 0.0, 0.0];
    assert!(matches!(
        GroupedLinear::new(&w, 4, 8, Some(&bias)),
        Err(Error::NotANumber { .. })
    ));
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let layer = GroupedLinear::new(&weights(4, 16), 4, 8, None).unwrap();
    let mut scratch = Scratch::default();
    let mut x = inputs(3, 16);
    let error = layer.forward(&inputs(3, 15)).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    let mut out = Array2::zeros((3, 5));
    assert!(layer.forward_into(&x, &mut out, &mut scratch).is_err());
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        x[[2, 11]] = bad;
        let error = layer.forward(&x).unwrap_err();
        let (Error::NotANumber { index, .. } | Error::Infinite { index, .. }) = &error else {
            unreachable!("{error}");
        };
        assert_eq!(index, &[2, 11]);
    }
}

#[test]
fn layers_are_plain_values() {
    fn value<T: Clone + PartialEq + std::fmt::Debug + Send + Sync + Unpin + 'static>() {}
    value::<GroupedLinear>();
    value::<Activations>();
    value::<rarefy::infer::BlockLinear>();
    value::<rarefy::infer::QuantizedEmbedding>();
    value::<InferError>();
}
