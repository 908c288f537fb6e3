//! Compresses a language model: distils it, prunes it, quantizes it, and prints what each step saves
//! and costs.
//!
//! ```text
//! cargo run --release --example compress_language_model
//! ```
//!
//! The text is Cicero's, the networks and the training loop are written by hand as a user would have
//! them (`network.rs`, `adam.rs`), and everything between them is rarefy's public interface:
//! `training.rs` distils and prunes, `stored.rs` quantizes, `judge.rs` measures, `layers.rs` computes with what is
//! stored, and so writes text.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a program of small numbers that talks to people; views are passed by value"
)]

mod adam;
mod judge;
mod layers;
mod network;
mod options;
mod pace;
mod plot;
mod random;
mod settings;
mod speech;
mod stored;
mod text;
mod training;
mod work;

use judge::{Judge, Stage};
use layers::Layers;
use network::Parameters;
use options::Options;
use rarefy::Result;
use rarefy::report::{Drift, Report};
use settings::Settings;
use std::error::Error;
use std::fs;
use std::time::Instant;
use stored::{Stored, Tensor};
use text::Corpus;
use work::Work;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    if options.help {
        println!("{}", options::HELP);
        return Ok(());
    }
    let start = Instant::now();
    let settings = Settings::new(options.split);
    let corpus = Corpus::new(options.split);
    println!(
        "Cicero, De finibus I: {} characters, {} different ones; the last tenth tests.\n",
        corpus.len(),
        corpus.classes()
    );
    let networks = Work::new(settings, &corpus, options.seed).networks()?;
    let stored = [
        ("teacher", Stored::dense(&networks.teacher)?),
        ("student_hard", Stored::dense(&networks.student_hard)?),
        (
            "student_distilled",
            Stored::dense(&networks.student_distilled)?,
        ),
        ("dense_continued", Stored::dense(&networks.dense_continued)?),
        ("pruned_50", Stored::sparse(&networks.pruned_50)?),
        ("pruned_75", Stored::sparse(&networks.pruned_75)?),
        ("int8", Stored::quantized(&networks.pruned_50, 8)?),
        ("int4", Stored::quantized(&networks.pruned_50, 4)?),
    ];
    let layers = stored.iter().map(|(_, stored)| Layers::new(stored));
    let mut layers = layers.collect::<Result<Vec<_>>>()?;

    let judge = Judge::new(&corpus, &networks.teacher);
    let stages = stored
        .iter()
        .map(|(name, stored)| judge.stage(name, stored));
    let mut stages = stages.collect::<Result<Vec<_>>>()?;
    let paces = pace::tokens_per_second(&mut layers, &corpus, options.split)?;
    for (stage, pace) in stages.iter_mut().zip(paces) {
        stage.tokens_per_second = Some(pace);
    }
    println!("{}\n", judge::table(&stages));

    println!("What the layers compute, next to the weights as they are restored:\n");
    for ((name, stored), layers) in stored.iter().zip(&mut layers) {
        let close = pace::check(&judge, stored, layers)?;
        println!(
            "  {name:17} logits off by {:.1e} (at most {:.0e}), same top character {:5.1} %, perplexity {:.3}",
            close.error,
            close.bound,
            100.0 * close.agreement,
            close.perplexity,
        );
    }
    println!("\nWhether they pay on this machine, next to layers of floats:\n");
    for ((name, stored), layers) in stored.iter().zip(&layers).skip(4) {
        println!("{name}\n{}\n", pace::speeds(stored, layers, options.split)?);
    }
    println!("What 4 bits did to the pruned student, tensor by tensor:\n");
    if let Some((_, int4)) = stored.last() {
        println!("{}", report(&networks.pruned_50, int4, &judge)?);
    }
    println!("The teacher, the student and its compressed copies, each asked to go on:\n");
    for ((name, _), layers) in stored.iter().zip(&mut layers) {
        if !matches!(*name, "student_hard" | "dense_continued") {
            let line = speech::line(layers, &corpus, options.seed)?;
            println!("  {name:17} {line}");
        }
    }

    if let Some(folder) = options.plot.parent() {
        fs::create_dir_all(folder)?;
    }
    plot::draw(&options.plot, &stages)?;
    println!("\nPlot: {}", options.plot.display());
    if let Some(file) = options.json {
        let stages: Vec<_> = stages.iter().map(Stage::to_json).collect();
        let all = serde_json::json!({ "seed": options.seed, "stages": stages });
        fs::write(&file, format!("{all:#}\n"))?;
        println!("Table for programs: {}", file.display());
    }
    println!("Time: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// The crate's own account of what became of each tensor and of the answers.
fn report(original: &Parameters, stored: &Stored, judge: &Judge) -> Result<Report> {
    let mut report = Report::new();
    for ((name, weights), (_, tensor)) in original.named().into_iter().zip(&stored.tensors) {
        match tensor {
            Tensor::Quantized(codes) => report.add_quantized(name, &weights, codes)?,
            kept => report.add(name, &weights, &kept.restore(), kept.bytes())?,
        }
    }
    let (before, after) = (judge.logits(original), judge.logits(&stored.restore()));
    Ok(report.with_drift(Drift::between(&before, &after)?))
}
