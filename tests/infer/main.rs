//! Layers that compute with compressed weights, each against the formula in f64 over its dequantized weights.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, and casts small numbers of its own"
)]

mod conv2d;
mod decoded;
mod grouped;
mod linear;
mod reordered;
mod sparse;
mod speed;

use ndarray::{Array, Array2, Dimension, ShapeBuilder};

/// Numbers in -1..=1 that look random, one for each place.
fn numbers<D: Dimension, S: ShapeBuilder<Dim = D>>(shape: S, seed: u64) -> Array<f32, D> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Array::from_shape_simple_fn(shape, || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// Codes of a row as dynamic quantization makes them, and their scale.
fn codes_of(row: &[f32], most: f32) -> (Vec<i64>, f32) {
    let largest = row.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
    let scale = (largest / most).max(f32::MIN_POSITIVE);
    let code = |x: &f32| (x / scale).round_ties_even() as i64;
    (row.iter().map(code).collect(), scale)
}

/// Calls `compute` in pools of 1, 2, 3 and 16 threads and checks that all give the same bits.
fn in_every_pool(compute: impl Fn() -> Array2<f32> + Sync) -> Array2<f32> {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(&compute)
    };
    let one = in_pool(1);
    for threads in [2, 3, 16] {
        let other = in_pool(threads);
        let same = one
            .iter()
            .zip(&other)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{threads} threads");
    }
    one
}
