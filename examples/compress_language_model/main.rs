//! Compresses a language model: distils it, prunes it, quantizes it, and prints what each step saves
//! and costs.
//!
//! ```text
//! cargo run --release --example compress_language_model
//! ```
//!
//! The text is Cicero's, the networks and the training loop are written by hand as a user would have
//! them (`network.rs`, `adam.rs`), and everything between them is rarefy's public interface:
//! `training.rs` distils and prunes, `stored.rs` quantizes, `judge.rs` measures.

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
mod network;
mod options;
mod plot;
mod random;
mod settings;
mod speech;
mod stored;
mod text;
mod training;
mod work;

use judge::{Judge, Stage};
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
    let int8 = Stored::quantized(&networks.pruned_50, 8)?;
    let int4 = Stored::quantized(&networks.pruned_50, 4)?;

    let judge = Judge::new(&corpus, &networks.teacher);
    let stages = [
        judge.stage("teacher", &Stored::dense(&networks.teacher)?)?,
        judge.stage("student_hard", &Stored::dense(&networks.student_hard)?)?,
        judge.stage(
            "student_distilled",
            &Stored::dense(&networks.student_distilled)?,
        )?,
        judge.stage(
            "dense_continued",
            &Stored::dense(&networks.dense_continued)?,
        )?,
        judge.stage("pruned_50", &Stored::sparse(&networks.pruned_50)?)?,
        judge.stage("pruned_75", &Stored::sparse(&networks.pruned_75)?)?,
        judge.stage("int8", &int8)?,
        judge.stage("int4", &int4)?,
    ];
    println!("{}\n", judge::table(&stages));
    println!("What 4 bits did to the pruned student, tensor by tensor:\n");
    println!("{}", report(&networks.pruned_50, &int4, &judge)?);
    println!("The teacher, the student and its copy in 4 bits, each asked to go on:\n");
    for (name, network) in [
        ("teacher", &networks.teacher),
        ("student", &networks.student_distilled),
        ("int4", &int4.restore()),
    ] {
        println!(
            "  {name:8} {}",
            speech::line(network, &corpus, options.seed)
        );
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
