//! Quantizes an array, says what that cost, and takes the codes out and in again.
//!
//! ```text
//! cargo run --release --example quantize_one_array [-- --quick]
//! ```

#![allow(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "an example shows its result by printing it, and casts the number of a row"
)]

use ndarray::{Array2, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::prelude::*;
use rarefy::quantize::{self, Linear, QuantizedTensor};
use rarefy::report::Report;

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let side = if quick { 256 } else { 2048 };
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut weights: Array2<f32> = Array2::random_using((side, side), StandardNormal, &mut random);
    // Rows of different size, the last ten times the first, as layers have.
    for (row, mut weights) in weights.rows_mut().into_iter().enumerate() {
        weights *= 0.01 * (1.0 + 9.0 * row as f32 / side as f32);
    }

    // The two lines: codes, and the numbers that they mean.
    let codes = quantize::linear(&weights, 8)?;
    let back = codes.dequantize::<f32>();
    let (before, after) = (weights[[side - 1, 0]], back[[side - 1, 0]]);
    println!("{side} x {side} weights; one was {before:.5} and comes back as {after:.5}\n");

    // Everybody with one scale, each row with its own, each 64 neighbours with theirs.
    let mut report = Report::new();
    for bits in [8, 4] {
        for (name, linear) in [
            ("one scale", Linear::new(bits)),
            ("a scale a row", Linear::new(bits).per_channel(Axis(0))),
            ("a scale for 64", Linear::new(bits).per_group(Axis(1), 64)),
        ] {
            let codes = linear.quantize(&weights)?;
            report.add_quantized(format!("{bits} bits, {name}"), &weights, &codes)?;
        }
    }
    let dense = report.total().bytes_before() / report.tensors().len();
    println!(
        "{:23} {:>8} {:>12} {:>8} {:>14}   ({dense} bytes before)",
        "", "bytes", "bits/weight", "SQNR dB", "largest error"
    );
    for row in report.tensors() {
        println!(
            "{:23} {:>8} {:>12.4} {:>8.2} {:>14.2e}",
            row.name(),
            row.bytes_after(),
            row.bits_per_weight(),
            row.sqnr_db(),
            row.largest_error(),
        );
    }

    // Out, for a file of yours, and in again, where everything is checked. Two codes share a byte at 4 bits.
    let codes = Linear::new(4).per_channel(Axis(0)).quantize(&weights)?;
    let bytes = codes.packed().to_vec();
    let (first, all) = (bytes[0], codes.codes());
    println!(
        "\nthe first byte, {first:#04x}, holds the codes {} and {}",
        all[[0, 0]],
        all[[0, 1]]
    );
    let parameters = codes.parameters().clone();
    let again = QuantizedTensor::from_packed(codes.shape().to_vec(), bytes, parameters)?;
    assert_eq!(again, codes, "what went out comes in again");
    Ok(())
}
