//! Prunes an array, and shows that the amount is what was asked for.
//!
//! ```text
//! cargo run --release --example prune_in_two_lines [-- --quick]
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
use rarefy::prune;
use std::time::Instant;

fn main() -> rarefy::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let side = if quick { 256 } else { 2048 };
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let dense: Array2<f32> = Array2::random_using((side, side), StandardNormal, &mut random);

    println!("{side} x {side} weights");
    println!("amount    zeros   share of Σw² left      ms");
    for amount in [0.3, 0.5, 0.9] {
        let mut weights = dense.clone();
        let mut gradient = Array2::<f32>::ones((side, side));
        let start = Instant::now();

        // The two lines: the smallest go, and stay away whatever the optimiser does.
        let mask = prune::l1_unstructured(&mut weights, amount)?;
        mask.apply(&mut gradient)?;

        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        let squares = |weights: &Array2<f32>| weights.iter().map(|w| w * w).sum::<f32>();
        let left = squares(&weights) / squares(&dense) * 100.0;
        let zeros = mask.dropped();
        println!("{amount:6} {zeros:8} {left:19.1} % {milliseconds:7.2}");
    }
    Ok(())
}
