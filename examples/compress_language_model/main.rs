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

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use judge::{Judge, Stage};
use network::{Parameters, Size};
use options::Options;
use rarefy::Result;
use rarefy::distill::{CrossEntropy, KlDivergence, WeightedSum};
use rarefy::prelude::*;
use rarefy::prune::{Magnitude, Unstructured};
use rarefy::report::{Drift, Report};
use rarefy::schedule::Polynomial;
use settings::{Settings, Training};
use std::error::Error;
use std::fs;
use std::ops::Range;
use std::time::Instant;
use stored::{Stored, Tensor};
use text::Corpus;
use training::{Batch, Learner, Lessons, train};

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
    let work = Work {
        settings,
        corpus: &corpus,
        seed: options.seed,
        bars: MultiProgress::new(),
    };
    let networks = work.networks()?;
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

/// What every training needs.
struct Work<'a> {
    settings: Settings,
    corpus: &'a Corpus,
    seed: u64,
    bars: MultiProgress,
}

/// What was trained.
struct Networks {
    teacher: Parameters,
    student_hard: Parameters,
    student_distilled: Parameters,
    dense_continued: Parameters,
    pruned_50: Parameters,
    pruned_75: Parameters,
}

impl Work<'_> {
    fn networks(&self) -> Result<Networks> {
        let Settings {
            teacher_size,
            student_size,
            ..
        } = self.settings;
        let teacher = self.train_alone(
            "teacher",
            self.random_network(teacher_size, random::TEACHER),
            self.settings.teacher,
        )?;
        // Both students start from the same weights and see the same batches.
        let start = self.random_network(student_size, random::STUDENT);
        let student_hard =
            self.train_alone("student_hard", start.clone(), self.settings.student_hard)?;
        let distilled = self.settings.student_distilled;
        let student_distilled =
            self.train_with("student_distilled", &teacher, start, distilled, None)?;

        let further = |name, from: &Parameters, sparsity| {
            self.train_with(
                name,
                &teacher,
                from.clone(),
                self.settings.further,
                sparsity,
            )
        };
        let dense_continued = further("dense_continued", &student_distilled, None)?;
        let pruned_50 = further("pruned_50", &student_distilled, Some(0.0..0.5))?;
        let pruned_75 = further("pruned_75", &pruned_50, Some(0.5..0.75))?;
        Ok(Networks {
            teacher,
            student_hard,
            student_distilled,
            dense_continued,
            pruned_50,
            pruned_75,
        })
    }

    fn random_network(&self, (embedding, hidden): (usize, usize), stream: u64) -> Parameters {
        let mut random = random::numbers(self.seed, stream);
        let classes = self.corpus.classes();
        Parameters::random(
            Size {
                classes,
                embedding,
                hidden,
            },
            &mut random,
        )
    }

    /// On the labels of the text only.
    fn train_alone(
        &self,
        name: &'static str,
        weights: Parameters,
        training: Training,
    ) -> Result<Parameters> {
        let bar = self.bar(name);
        let mut learner = Learner::new(weights, training, self.seed);
        let lessons = self.lessons();
        train(
            &mut learner,
            None,
            CrossEntropy::new(),
            lessons,
            training,
            &bar,
            |_, _| Ok(()),
        )?;
        bar.finish();
        Ok(learner.weights)
    }

    /// From a teacher, and becoming sparser over the first two thirds of the steps if asked to.
    fn train_with(
        &self,
        name: &'static str,
        teacher: &dyn Teacher<f32, Batch>,
        weights: Parameters,
        training: Training,
        sparsity: Option<Range<f64>>,
    ) -> Result<Parameters> {
        let Settings {
            distillation,
            prune_every,
            ..
        } = self.settings;
        let soft = KlDivergence::new(distillation.temperature);
        let loss = WeightedSum::new()
            .with("hard", distillation.hard, CrossEntropy::new())
            .with("soft", 1.0 - distillation.hard, soft);
        let until = self.lessons().steps(training.epochs) * 2 / 3;
        let sparsity = sparsity
            .map(|range| Polynomial::cubic(range.start, range.end, 0..=until))
            .transpose()?;

        let bar = self.bar(name);
        let mut learner = Learner::new(weights, training, self.seed);
        let prune = |step: u64, learner: &mut Learner| match &sparsity {
            Some(sparsity) if step == until || step < until && step.is_multiple_of(prune_every) => {
                learner.prune(&Unstructured::new(Magnitude, sparsity.at(step)))
            }
            _ => Ok(()),
        };
        train(
            &mut learner,
            Some(teacher),
            loss,
            self.lessons(),
            training,
            &bar,
            prune,
        )?;
        bar.finish();
        Ok(learner.weights)
    }

    fn lessons(&self) -> Lessons<'_> {
        Lessons {
            corpus: self.corpus,
            batch: self.settings.batch,
            seed: self.seed,
        }
    }

    fn bar(&self, name: &'static str) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:18} {bar:40} {percent:>3} % {elapsed}");
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name);
        bar
    }
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
