//! Distils a linear teacher into a linear student, with no framework and a loop of one's own.
//!
//! ```text
//! cargo run --release --example kl_in_three_lines [-- --quick]
//! ```

#![allow(
    clippy::print_stdout,
    reason = "an example shows its result by printing it"
)]

use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rarefy::distill;

const INPUTS: usize = 64;
const CLASSES: usize = 10;
const BATCH: usize = 256;
const TEMPERATURE: f64 = 2.0;

fn main() -> rarefy::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let steps = if quick { 50 } else { 500 };

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let teacher = Array2::random_using((INPUTS, CLASSES), StandardNormal, &mut random) * 0.5_f32;
    let mut student = Array2::<f32>::zeros((INPUTS, CLASSES));

    for step in 0..=steps {
        let x = Array2::random_using((BATCH, INPUTS), StandardNormal, &mut random);

        // The three lines: what both say, how far apart that is and in which direction, one step.
        let loss = distill::kl_divergence(&x.dot(&student), &x.dot(&teacher), TEMPERATURE)?;
        let gradient = x.t().dot(&loss.grad);
        student.scaled_add(-0.5, &gradient);

        if step % (steps / 10) == 0 {
            println!("step {step:4}   loss {:.2e}", loss.value);
        }
    }
    Ok(())
}
