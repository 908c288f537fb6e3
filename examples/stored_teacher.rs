//! Asks the teacher about every example once, stores its logits, and trains from those: the student
//! becomes, bit for bit, the one that asks the teacher at every step.
//!
//! ```text
//! cargo run --release --example stored_teacher [-- --quick]
//! ```

#![allow(
    clippy::print_stdout,
    reason = "an example shows its result by printing it"
)]

use ndarray::{Array2, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::seq::SliceRandom;
use ndarray_rand::rand_distr::StandardNormal;
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::distill::{
    Distiller, KlDivergence, Output, StoredLogits, Student, Target, Teacher, teacher_fn,
};
use std::cell::Cell;
use std::time::Instant;

const INPUTS: usize = 32;
const HIDDEN: usize = 2048;
const CLASSES: usize = 10;
const BATCH: usize = 64;

/// Some of the examples: their numbers, and where they stand in the whole.
struct Batch {
    inputs: Array2<f32>,
    positions: Vec<usize>,
}

impl Batch {
    fn of(data: &Array2<f32>, positions: &[usize]) -> Self {
        Self {
            inputs: data.select(Axis(0), positions),
            positions: positions.to_vec(),
        }
    }
}

// All that a store of logits wants to know of a batch.
impl AsRef<[usize]> for Batch {
    fn as_ref(&self) -> &[usize] {
        &self.positions
    }
}

/// One matrix, and plain gradient descent.
struct Linear {
    weights: Array2<f32>,
    inputs: Array2<f32>,
}

impl Linear {
    fn new() -> Self {
        Self {
            weights: Array2::zeros((INPUTS, CLASSES)),
            inputs: Array2::zeros((0, INPUTS)),
        }
    }
}

impl Student<f32, Batch> for Linear {
    fn forward(&mut self, batch: &Batch) -> Result<Output<f32>> {
        self.inputs.clone_from(&batch.inputs);
        Ok(Output::from(batch.inputs.dot(&self.weights)))
    }

    fn backward(&mut self, grad: &Output<f32>) -> Result<()> {
        let gradient = self.inputs.t().dot(&grad.logits);
        self.weights.scaled_add(-0.2, &gradient);
        Ok(())
    }
}

/// Trains a student for some epochs, in an order that depends on nothing but the seed.
fn train(
    data: &Array2<f32>,
    epochs: usize,
    teacher: &impl Teacher<f32, Batch>,
) -> Result<(Linear, f32)> {
    let mut student = Linear::new();
    let distiller = Distiller::new(KlDivergence::new(2.0));
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut order: Vec<usize> = (0..data.nrows()).collect();
    let mut last = 0.0;
    for _ in 0..epochs {
        order.shuffle(&mut random);
        for positions in order.chunks(BATCH) {
            let batch = Batch::of(data, positions);
            last = distiller.step(teacher, &mut student, &batch, Target::new())?;
        }
    }
    Ok((student, last))
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (examples, epochs) = if quick { (512, 3) } else { (4096, 10) };

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let data = Array2::random_using((examples, INPUTS), StandardNormal, &mut random);
    let first = Array2::random_using((INPUTS, HIDDEN), StandardNormal, &mut random) * 0.2_f32;
    let second = Array2::random_using((HIDDEN, CLASSES), StandardNormal, &mut random) * 0.05_f32;

    // A network with a hidden layer, one example at a time: what an example gets must not depend on
    // the batch that it is in, and a product of matrices may round differently in another shape.
    let asked = Cell::new(0_usize);
    let teacher = teacher_fn(|batch: &Batch| {
        asked.set(asked.get() + batch.inputs.nrows());
        let mut logits = Array2::zeros((batch.inputs.nrows(), CLASSES));
        for (x, mut says) in batch.inputs.rows().into_iter().zip(logits.rows_mut()) {
            says.assign(&x.dot(&first).mapv(|h: f32| h.max(0.0)).dot(&second));
        }
        Ok(Output::from(logits))
    });

    let start = Instant::now();
    let (online, loss) = train(&data, epochs, &teacher)?;
    let (times, seconds) = (asked.replace(0), start.elapsed().as_secs_f64());
    println!("asking    the teacher answers {times:6} times, loss {loss:.6}, {seconds:.2} s");

    let start = Instant::now();
    let everything: Vec<usize> = (0..examples).collect();
    let stored = StoredLogits::record(&teacher, [&Batch::of(&data, &everything)])?;
    let (offline, loss) = train(&data, epochs, &stored)?;
    let (times, seconds) = (asked.get(), start.elapsed().as_secs_f64());
    println!("storing   the teacher answers {times:6} times, loss {loss:.6}, {seconds:.2} s");

    let same = online
        .weights
        .iter()
        .zip(&offline.weights)
        .all(|(a, b)| a.to_bits() == b.to_bits());
    println!(
        "the two students are {}",
        if same {
            "the same, bit for bit"
        } else {
            "different"
        }
    );
    assert!(same, "stored logits are the teacher's own");
    Ok(())
}
