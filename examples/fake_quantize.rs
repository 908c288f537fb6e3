//! Trains a linear layer of 3 bits: rounded afterwards, trained through the rounding, and with learned scales.
//!
//! ```text
//! cargo run --release --example fake_quantize [-- --quick]
//! ```

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "an example shows what it found, and casts small numbers and slopes of its own"
)]

use ndarray::{Array2, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::quantize::{Granularity, Linear, Lsq, Scheme};

const BITS: u32 = 3;
const RATE: f32 = 0.01;

/// Mean square of the answers' errors, and its gradient for the weights.
fn loss(weights: &Array2<f32>, x: &Array2<f32>, y: &Array2<f32>) -> (f32, Array2<f32>) {
    let off = x.dot(&weights.t()) - y;
    let gradient = off.t().dot(x) * (2.0 / off.len() as f32);
    (off.mapv(|off| off * off).sum() / off.len() as f32, gradient)
}

/// Falls to 0: at a constant rate weights keep jumping between two codes, and where they stop is chance.
fn rate(step: usize, steps: usize) -> f32 {
    RATE * (1.0 - step as f32 / steps as f32)
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let steps = if quick { 20 } else { 400 };
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut normal = |rows, columns| -> Array2<f32> {
        Array2::random_using((rows, columns), StandardNormal, &mut random)
    };
    // Inputs that lean on one another: what rounding does to one weight another can make good.
    let (truth, mixing) = (normal(16, 32), normal(32, 32));
    let x = normal(512, 32).dot(&mixing) * 0.2;
    let y = x.dot(&truth.t());

    let linear = Linear::new(BITS).per_channel(Axis(0));
    let parameters = linear.parameters(&[(-2.5, 2.5); 16])?;
    let fake = linear.fake_quantizer(parameters.clone());
    let (afterwards, _) = loss(&fake.forward(&truth)?, &x, &y);

    let mut weights = truth.clone();
    for step in 0..steps {
        let rate = rate(step, steps);
        let (_, mut gradient) = loss(&fake.forward(&weights)?, &x, &y);
        fake.backward_in_place(&weights, &mut gradient)?;
        weights.scaled_add(-rate, &gradient);
    }
    let codes = linear.quantize_with(&weights, &parameters)?;
    let (trained, _) = loss(&fake.forward(&weights)?, &x, &y);

    let scheme = Scheme::symmetric(BITS)?;
    let mut lsq = Lsq::from_weights(&truth, scheme, Granularity::PerChannel(Axis(0)))?;
    let mut weights = truth;
    for step in 0..steps {
        let rate = rate(step, steps);
        let (_, mut gradient) = loss(&lsq.forward(&weights)?, &x, &y);
        let learned = lsq.backward_in_place(&weights, &mut gradient)?;
        weights.scaled_add(-rate, &gradient);
        let pairs = lsq.scales().iter().zip(learned.scales());
        let scales: Vec<f32> = pairs.map(|(s, g)| s - rate * *g as f32).collect();
        lsq.set(&scales, &[])?;
    }
    let (learned, _) = loss(&lsq.forward(&weights)?, &x, &y);

    println!(
        "error of answers at {:.2} bits a weight",
        codes.bits_per_weight()
    );
    println!("  rounded afterwards     {afterwards:.4}");
    println!("  trained through        {trained:.4}");
    println!("  with learned scales    {learned:.4}");
    Ok(())
}
