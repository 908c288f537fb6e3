//! Brings the language model's student to 4, 3 and 2 bits: rounded as it is, rounded after further training in floats, and
//! trained through the rounding.
//!
//! ```text
//! cargo run --release --example train_through_quantization [-- --seeds 5] [-- --quick]
//! ```
//!
//! Text, networks and loop are those of `compress_language_model`; what is new is between weights and network, in
//! `rounding.rs`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "a program of small numbers that talks to people; not all of what the main example has is used"
)]

#[path = "../compress_language_model/adam.rs"]
mod adam;
#[path = "../compress_language_model/judge.rs"]
mod judge;
mod learner;
#[path = "../compress_language_model/network.rs"]
mod network;
#[path = "../compress_language_model/random.rs"]
mod random;
mod rounding;
mod scalars;
#[path = "../compress_language_model/settings.rs"]
mod settings;
#[path = "../compress_language_model/stored.rs"]
mod stored;
mod table;
#[path = "../compress_language_model/text.rs"]
mod text;
#[path = "../compress_language_model/training.rs"]
mod training;
#[path = "../compress_language_model/work.rs"]
mod work;

use judge::{Judge, Stage};
use learner::RoundingLearner;
use ndarray::Axis;
use network::Parameters;
use rarefy::Result;
use rarefy::quantize::Linear;
use rounding::{Scales, rounded};
use settings::{Settings, Training};
use std::error::Error;
use stored::Stored;
use table::Row;
use text::{Corpus, Split};
use training::train;
use work::Work;

/// What the student gets on top, in floats or through the rounding: two rounds over the text, 690 steps.
const FURTHER: Training = Training {
    epochs: 2,
    learning_rate: 0.002,
    dropout: 0.0,
    weight_decay: 0.0,
};

/// A name, and codes of so many bits.
type Codes = (&'static str, fn(u32) -> Linear);

/// Who shares a scale.
const GRANULARITIES: &[Codes] = &[
    ("tensor", Linear::new),
    ("unit", |bits| Linear::new(bits).per_channel(Axis(1))),
    ("32 inputs of a unit", |bits| {
        Linear::new(bits).per_group(Axis(0), 32)
    }),
];

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let (mut split, mut seeds) = (Split::Test, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => split = Split::Quick,
            "--validation" => split = Split::Validation,
            "--seeds" => seeds = arguments.next().ok_or("--seeds needs a number")?.parse()?,
            _ => {
                let options = "--seeds N, --validation and --quick";
                return Err(format!("there is no option {argument}, only {options}").into());
            }
        }
    }
    let runs = (0..seeds).map(|seed| run(split, seed));
    let runs: Vec<Vec<Row>> = runs.collect::<Result<_>>()?;
    println!("{}", table::render(&runs));
    Ok(())
}

/// All ways to few bits, from one seed.
fn run(split: Split, seed: u64) -> Result<Vec<Row>> {
    let corpus = Corpus::new(split);
    let work = Work::new(Settings::new(split), &corpus, seed);
    let teacher = work.teacher()?;
    let student = work.distilled(&teacher)?;
    let continued = work.train_with("continued", &teacher, student.clone(), FURTHER, None)?;
    let judge = Judge::new(&corpus, &teacher);
    let stage = |stored: &Stored| judge.stage("", stored);

    let mut rows = vec![Row {
        bits: 32,
        granularity: "",
        rounded: stage(&Stored::dense(&student)?)?,
        continued: stage(&Stored::dense(&continued)?)?,
        trained: None,
    }];
    for bits in [4, 3, 2] {
        for (granularity, linear) in GRANULARITIES {
            let linear = linear(bits);
            let round = |network: &Parameters| {
                Stored::quantized_by(network, |_, weights| rounded(linear, &weights))
            };
            let through = |scales| -> Result<Stage> {
                let steps = work.lessons().steps(FURTHER.epochs) as usize;
                let mut learner = RoundingLearner::new(student.clone(), linear, scales, steps)?;
                let bar = work.bar("through");
                let (loss, lessons) = (work.loss(), work.lessons());
                train(
                    &mut learner,
                    Some(&teacher),
                    loss,
                    lessons,
                    FURTHER,
                    &bar,
                    |_, _| Ok(()),
                )?;
                bar.finish();
                stage(&learner.convert()?)
            };
            rows.push(Row {
                bits,
                granularity,
                rounded: stage(&round(&student)?)?,
                continued: stage(&round(&continued)?)?,
                trained: Some([through(Scales::Observed)?, through(Scales::Learned)?]),
            });
        }
    }
    Ok(rows)
}
