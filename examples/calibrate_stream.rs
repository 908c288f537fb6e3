//! Calibrates activations from a stream in constant memory, on two workers, and compares what ranges cost.
//!
//! ```text
//! cargo run --release --example calibrate_stream [-- --quick]
//! ```

#![allow(
    clippy::print_stdout,
    reason = "an example shows its result by printing it"
)]

use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::calibrate::{Histogram, ObserverExt, Saturation};
use rarefy::quantize::{Entropy, ErrorSearch, Linear, Percentile};
use std::panic::resume_unwind;
use std::thread;

const CHANNELS: usize = 256;

/// The activations of one batch: those of a layer with a few large values, as language models have.
fn activations(batch: u64, tokens: usize) -> Array2<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(batch);
    let normal = Array2::random_using((tokens, CHANNELS), StandardNormal, &mut random);
    normal.mapv(|x: f32| if x.abs() > 4.0 { 6.0 * x } else { x })
}

fn observe(batches: impl Iterator<Item = u64>, tokens: usize) -> Result<Histogram> {
    let mut histogram = Histogram::new();
    for batch in batches {
        histogram.observe(&activations(batch, tokens))?;
    }
    Ok(histogram)
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (batches, tokens) = if quick { (8, 64) } else { (64, 512) };

    // Each worker takes every other batch; whoever is first, the sum is the same.
    let (even, odd) = thread::scope(|scope| {
        let even = scope.spawn(|| observe((0..batches).step_by(2), tokens));
        let odd = observe((1..batches).step_by(2), tokens);
        let even = even.join();
        (even.unwrap_or_else(|panic| resume_unwind(panic)), odd)
    });
    let (mut histogram, odd) = (even?, odd?);
    histogram.merge(&odd)?;
    let alone = observe(0..batches, tokens)?;
    assert_eq!(
        histogram, alone,
        "two workers or one, the counts are the same"
    );
    println!(
        "{} values in {} bytes of counts, bins {} wide",
        histogram.values(0),
        8 * histogram.counts(0).map_or(0, <[u64]>::len),
        histogram.width(0).unwrap_or_default(),
    );

    let linear = Linear::new(8);
    let fresh = activations(batches, tokens); // what calibration has not seen
    println!("\nint8 of a batch that no observer saw:");
    println!(
        "{:<22} {:>9} {:>12} {:>10}",
        "range", "high", "mean square", "clipped"
    );
    for (name, ranges) in [
        ("least and largest", histogram.ranges()?),
        (
            "99.9 % of values",
            Percentile::new(0.999)?.ranges_of(&histogram)?,
        ),
        (
            "entropy, as nvidia",
            Entropy::nvidia(8).ranges_of(&histogram)?,
        ),
        (
            "least squared error",
            ErrorSearch::new(linear)
                .norm(2.0)
                .shrink(1.0)
                .patience(usize::MAX)
                .ranges_of(&histogram)?,
        ),
    ] {
        let codes = linear.quantize_with(&fresh, &linear.parameters(&ranges)?)?;
        let back = codes.dequantize::<f32>();
        let error = (&back - &fresh).mapv(|d| d * d).mean().unwrap_or_default();
        let mut saturation = Saturation::new(&ranges)?;
        saturation.observe(&fresh)?;
        let clipped = 100.0 * saturation.channels()[0].share();
        println!(
            "{name:<22} {:>9.3} {error:>12.2e} {clipped:>8.3} %",
            ranges[0].1
        );
    }
    Ok(())
}
