//! Layers and tables that decode their weights where they need them: next to the decoded tensor.

use ndarray::{Array1, Array2, Axis, Ix2, ShapeBuilder, array, s};
use rarefy::infer::{BlockLinear, Layer, QuantizedEmbedding, Scratch};
use rarefy::prelude::*;
use rarefy::quantize::{
    Binary, BlockFormat, BlockShape, BlockTensor, Codebook, Float8, Granularity, Hqq, Linear,
    QuantizedTensor,
};
use rarefy::{Error, InferError, Mask, quantize};

fn weights(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 31 + j * j * 7) as f32 * 0.61).sin() * 0.1 * (1 + (i + j) % 3) as f32
    })
}

/// Rows in no order, the last first, some of them twice.
fn places(rows: usize) -> Vec<usize> {
    (0..rows).rev().chain([0, rows / 2, rows / 2]).collect()
}

fn check_table(embedding: &QuantizedEmbedding, all: &Array2<f32>, at: &str) {
    let places = places(all.nrows());
    let found = embedding.lookup(&places).unwrap();
    let right = all.select(Axis(0), &places);
    let same = found
        .iter()
        .zip(&right)
        .all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(
        same && found.dim() == right.dim(),
        "{at}: {found} instead of {right}"
    );
    let mut columns = Array2::zeros(found.dim().f());
    embedding.lookup_into(&places, &mut columns).unwrap();
    assert_eq!(columns, found, "{at}");
}

fn check_codes(q: QuantizedTensor, at: &str) {
    let all = q.dequantize::<f32>().into_dimensionality().unwrap();
    let bytes = q.bytes();
    let embedding = QuantizedEmbedding::from_tensor(q).unwrap();
    assert_eq!(embedding.bytes(), bytes, "{at}");
    check_table(&embedding, &all, at);
}

#[test]
fn rows_have_the_bits_of_the_whole_table() {
    let block = |lengths: &[usize]| Granularity::PerBlock(BlockShape::new(lengths).unwrap());
    // 37 codes of 3 or 5 bits end within a byte.
    for columns in [37, 40] {
        let w = weights(11, columns);
        for granularity in [
            Granularity::PerTensor,
            Granularity::PerToken,
            Granularity::PerChannel(Axis(0)),
            Granularity::PerChannel(Axis(1)),
            Granularity::PerGroup {
                axis: Axis(0),
                size: 4,
            },
            Granularity::PerGroup {
                axis: Axis(1),
                size: 8,
            },
            block(&[3, 7]),
            block(&[100, 5]),
        ] {
            for bits in [2, 3, 4, 5, 8, 16] {
                for linear in [Linear::new(bits), Linear::new(bits).affine().unsigned()] {
                    let q = linear.granularity(granularity).quantize(&w).unwrap();
                    check_codes(
                        q,
                        &format!("{bits} bits, {granularity:?}, {columns} columns"),
                    );
                }
            }
        }
    }
}

#[test]
fn any_kind_of_code_will_do() {
    let w = weights(9, 35);
    let group = |size| Granularity::PerGroup {
        axis: Axis(1),
        size,
    };
    check_codes(
        Hqq::new(3).granularity(group(8)).quantize(&w).unwrap(),
        "HQQ",
    );
    check_codes(
        Codebook::nf4().granularity(group(8)).quantize(&w).unwrap(),
        "NF4",
    );
    check_codes(Float8::e4m3().quantize(&w).unwrap(), "E4M3");
    check_codes(
        Binary::new().per_channel(Axis(0)).quantize(&w).unwrap(),
        "binary",
    );
    let mask = Mask::from_fn((9, 35), |(i, j)| (i + j) % 2 == 0).unwrap();
    let masked = Binary::new().quantize(&w).unwrap().masked(&mask).unwrap();
    assert!(masked.mask().is_some());
    check_codes(masked, "masked");
    check_codes(
        Linear::new(4)
            .quantize(&Array2::<f32>::zeros((3, 0)))
            .unwrap(),
        "no columns",
    );
}

fn tensors(rows: usize, columns: usize) -> Vec<(String, BlockTensor)> {
    let w = weights(rows, columns);
    let mask = Mask::from_fn((rows, columns), |(i, j)| (i + j) % 3 != 0).unwrap();
    let mut all = Vec::new();
    for &format in BlockFormat::ALL {
        all.push((
            format!("{format:?}"),
            BlockTensor::encode(&w, format).unwrap(),
        ));
        let masked = BlockTensor::encode_masked(&w, format, &mask).unwrap();
        all.push((format!("{format:?} masked"), masked));
    }
    all
}

#[test]
fn blocks_are_tables_too() {
    for (at, blocks) in tensors(7, 512) {
        let all = blocks.dequantize::<f32>().into_dimensionality().unwrap();
        let embedding = QuantizedEmbedding::from_blocks(blocks).unwrap();
        assert_eq!((embedding.rows(), embedding.width()), (7, 512));
        check_table(&embedding, &all, &at);
    }
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let q = Linear::new(8).quantize(&weights(5, 8)).unwrap();
    let embedding = QuantizedEmbedding::from_tensor(q).unwrap();
    let mut out = Array2::from_elem((2, 8), 7.0);
    let error = embedding.lookup_into(&[4, 5], &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "index 1 must lie in 0..5, the rows of the table, got 5"
    );
    assert!(out.iter().all(|&x| x.to_bits() == 7.0_f32.to_bits()));
    assert!(embedding.lookup(&[usize::MAX]).is_err());
    let error = embedding.lookup_into(&[1], &mut out).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }));
    assert_eq!(embedding.lookup(&[]).unwrap().dim(), (0, 8));
    let line = quantize::linear(&array![1.0_f32], 8).unwrap();
    let error = QuantizedEmbedding::from_tensor(line).unwrap_err();
    assert!(matches!(error, Error::Infer(InferError::Rank { .. })));
}

#[test]
fn block_layers_are_within_their_bound() {
    for (at, blocks) in tensors(19, 512) {
        let w = blocks
            .dequantize::<f64>()
            .into_dimensionality::<Ix2>()
            .unwrap();
        let bytes = blocks.bytes().len() + blocks.mask().map_or(0, Mask::bytes);
        let bias = Array1::from_shape_fn(19, |i| i as f32 / 8.0);
        let layer = BlockLinear::new(blocks, Some(&bias)).unwrap();
        assert_eq!(layer.bytes(), bytes + 19 * 4, "{at}");
        let x = Array2::from_shape_fn((70, 512), |(i, j)| ((i * 17 + j * 5) as f32).cos());
        let y = layer.forward(&x).unwrap();
        let x64 = x.mapv(f64::from);
        let right = x64.dot(&w.t()) + &bias.mapv(f64::from);
        let size = x64.mapv(f64::abs).dot(&w.mapv(f64::abs).t());
        for ((y, right), size) in y.iter().zip(&right).zip(&size) {
            let bound = 26.0 * 2_f64.powi(-24) * size + right.abs() * 2_f64.powi(-23);
            assert!(
                (f64::from(*y) - right).abs() <= bound,
                "{at}: {y} instead of {right}"
            );
        }
        let mut scratch = Scratch::default();
        for rows in [0, 1, 2, 65] {
            let mut out = Array2::zeros((rows, 19).f());
            layer
                .forward_into(&x.slice(s![..rows, ..]), &mut out, &mut scratch)
                .unwrap();
            assert_eq!(out, y.slice(s![..rows, ..]), "{at}, {rows} rows");
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            assert_eq!(pool.install(|| layer.forward(&x)).unwrap(), y, "{at}");
        }
        let mut columns = Array2::zeros(x.dim().f());
        columns.assign(&x);
        assert_eq!(layer.forward(&columns).unwrap(), y, "{at}");
    }
}

#[test]
fn block_layers_refuse_what_does_not_fit() {
    let blocks = BlockTensor::encode(&weights(4, 64), BlockFormat::Q8_0).unwrap();
    let layer = BlockLinear::new(blocks.clone(), None).unwrap();
    let mut x = Array2::<f32>::zeros((2, 64));
    assert!(layer.forward(&Array2::zeros((2, 63))).is_err());
    x[[1, 3]] = f32::INFINITY;
    let error = layer.forward(&x).unwrap_err();
    assert!(matches!(error, Error::Infinite { .. }), "{error}");
    assert!(BlockLinear::new(blocks, Some(&array![1.0])).is_err());
    let cube = ndarray::Array3::<f32>::zeros((2, 2, 32));
    let cube = BlockTensor::encode(&cube, BlockFormat::Q8_0).unwrap();
    let error = BlockLinear::new(cube, None).unwrap_err();
    assert!(matches!(error, Error::Infer(InferError::Rank { .. })));
}
