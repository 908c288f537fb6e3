//! A small attention network learns from a larger one, its layers included, in the way of TinyBERT:
//! labels, softened logits, hidden states through a learned projection, attention scores.
//!
//! ```text
//! cargo run --release --example tiny_bert_losses [-- --quick]
//! ```
//!
//! No framework: network.rs has forward and backward pass, task.rs the data. The teacher has seen many
//! examples, the students see the same few.

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::expect_used,
    unreachable_pub,
    reason = "an example shows its result by printing it, counts little, and knows its own shapes"
)]

mod network;
mod task;

use ndarray_rand::rand::SeedableRng;
use network::Network;
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::distill::{
    AttentionMse, CrossEntropy, Distiller, HiddenMse, KlDivergence, Target, Teacher, WeightedSum,
};
use task::Batch;

const TEACHER_WIDTH: usize = 48;
const STUDENT_WIDTH: usize = 10;
const TEMPERATURE: f64 = 2.0;

/// What each student learns from. The weights were not tuned: each term starts at about the same size.
fn losses() -> [(&'static str, WeightedSum<f32>); 3] {
    let hard = || WeightedSum::new().with("hard", 1.0, CrossEntropy::new());
    let soft = || hard().with("soft", 1.0, KlDivergence::new(TEMPERATURE));
    let hidden = HiddenMse::new("hidden", "hidden").projection("projection");
    let layers = soft().with("hidden", 1.0, hidden).with(
        "attention",
        0.1,
        AttentionMse::new("attention", "attention"),
    );
    [
        ("labels", hard()),
        ("labels, logits", soft()),
        ("labels, logits, hidden states, attention", layers),
    ]
}

fn error(network: &Network, batch: &Batch) -> Result<f64> {
    let logits = network.teach(batch)?.logits;
    let wrong = logits
        .rows()
        .into_iter()
        .zip(&batch.labels)
        .filter(|(row, label)| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map(|(class, _)| class) != Some(**label)
        });
    Ok(100.0 * wrong.count() as f64 / batch.labels.len() as f64)
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (seeds, teacher_steps, steps) = if quick { (1, 40, 20) } else { (5, 300, 400) };
    let (examples, tested) = (60, 2000);

    let losses = losses();
    let mut errors = vec![Vec::new(); losses.len() + 1];
    let mut sizes = [0; 2];
    for seed in 0..seeds {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut teacher = Network::new(TEACHER_WIDTH, TEACHER_WIDTH, &mut random);
        let labels_alone = Distiller::new(CrossEntropy::new());
        for _ in 0..teacher_steps {
            let batch = Batch::random(128, &mut random);
            labels_alone.learn(&mut teacher, &batch, Target::new().labels(&batch.labels))?;
        }
        let test = Batch::random(tested, &mut random);
        let train = Batch::random(examples, &mut random);
        let taught = teacher.teach(&train)?;
        errors[0].push(error(&teacher, &test)?);

        for ((name, loss), errors) in losses.iter().zip(&mut errors[1..]) {
            // The same start and the same examples for every student.
            let mut random = ChaCha8Rng::seed_from_u64(1000 + seed);
            let mut student = Network::new(STUDENT_WIDTH, TEACHER_WIDTH, &mut random);
            sizes = [teacher.size(), student.size()];
            let distiller = Distiller::new(loss.clone());
            let target = Target::from(&taught).labels(&train.labels);
            let mut ends = Vec::new();
            for step in 0..steps {
                let said = distiller.learn_terms(&mut student, &train, target)?;
                if step == 0 || step == steps - 1 {
                    ends.push(said);
                }
            }
            if seed == 0 {
                println!("{name}, first and last step:");
                ends.iter().for_each(|said| println!("    {said}"));
            }
            errors.push(error(&student, &test)?);
        }
    }

    println!(
        "\nteacher of {} weights, students of {}, {examples} examples to learn from",
        sizes[0], sizes[1]
    );
    println!("\n| learned from | test error, mean of {seeds} | least | most |\n|---|--:|--:|--:|");
    let names = losses.iter().map(|(name, _)| *name);
    for (name, errors) in std::iter::once("the teacher").chain(names).zip(&errors) {
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
        let most = errors.iter().copied().fold(0.0, f64::max);
        println!("| {name} | {mean:.1} % | {least:.1} % | {most:.1} % |");
    }
    Ok(())
}
