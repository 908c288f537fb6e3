//! Draws what a weight's bits buy: the relative error of every scheme on the weights of a trained network.
//!
//! ```text
//! cargo run --release --example quantization_chart [-- --plot docs/quantization.svg] [-- --quick]
//! ```
//!
//! The network is the teacher of `compress_language_model`, trained as there.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
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
mod labels;
#[path = "../compress_language_model/network.rs"]
mod network;
mod plot;
#[path = "../compress_language_model/random.rs"]
mod random;
mod schemes;
#[path = "../compress_language_model/settings.rs"]
mod settings;
#[path = "../compress_language_model/text.rs"]
mod text;
#[path = "../compress_language_model/training.rs"]
mod training;
#[path = "../compress_language_model/work.rs"]
mod work;

use ndarray::Array2;
use plot::Point;
use rarefy::report::Report;
use schemes::{Scheme, schemes};
use settings::Settings;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use text::{Corpus, Split};
use work::Work;

fn main() -> Result<(), Box<dyn Error>> {
    let mut file = PathBuf::from("target/quantization.svg");
    let mut split = Split::Test;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => split = Split::Quick,
            "--plot" => file = arguments.next().ok_or("--plot needs a file")?.into(),
            _ => {
                return Err(
                    format!("there is no option {argument}, only --plot FILE and --quick").into(),
                );
            }
        }
    }

    let corpus = Corpus::new(split);
    let teacher = Work::new(Settings::new(split), &corpus, 0).teacher()?;
    // 512 weights a row in both, which every block divides. What is left out, the embedding, is a 150th.
    let matrices = [
        teacher.hidden,
        teacher.output.t().as_standard_layout().into_owned(),
    ];

    let mut points = Vec::new();
    for scheme in schemes() {
        points.push(measure(scheme, &matrices)?);
    }
    println!("| series | scheme | bits/weight | relative error |");
    println!("|---|---|--:|--:|");
    for Point {
        series,
        name,
        bits,
        error,
    } in &points
    {
        println!("| {series} | {name} | {bits:.3} | {:.2} % |", 100.0 * error);
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    plot::draw(&file, &points)?;
    println!("\nPlot: {}", file.display());
    Ok(())
}

/// All matrices as if they were one: ‖W − Ŵ‖ / ‖W‖ and the bits of each weight.
fn measure(scheme: Scheme, matrices: &[Array2<f32>]) -> rarefy::Result<Point> {
    let mut report = Report::new();
    for weights in matrices {
        let (restored, bytes) = (scheme.run)(weights)?;
        let weights = weights.view().into_dyn();
        report.add(scheme.name.as_str(), &*weights, &*restored, bytes)?;
    }
    let total = report.total();
    Ok(Point {
        series: scheme.series,
        name: scheme.name,
        bits: total.bits_per_weight(),
        error: 10_f64.powf(-total.sqnr_db() / 20.0),
    })
}
