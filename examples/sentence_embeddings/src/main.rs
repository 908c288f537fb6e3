//! Compresses all-MiniLM-L6-v2 in many ways and says how well each keeps its sentence embeddings.
//!
//! ```text
//! examples/sentence_embeddings/fetch.sh /tmp/minilm
//! cargo run --release --manifest-path examples/sentence_embeddings/Cargo.toml -- /tmp/minilm
//! ```
//!
//! The forward pass is our own over ndarray (`model.rs`), as a user of rarefy would have one; its linear layers are
//! `Box<dyn Layer>`, and `compress.rs` makes them. `README.md` has the table.

mod attention;
mod compress;
mod config;
mod exponential;
mod gelu;
#[cfg(test)]
mod golden;
mod layer_norm;
mod measures;
mod model;
mod options;
mod pace;
mod pooling;
mod sentences;
mod table;
mod tables;
mod tokens;
mod variants;
mod weights;
mod work;

use options::Options;
use std::fs;
use std::process::ExitCode;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    match run() {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            missed.iter().for_each(|line| eprintln!("missed: {line}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table; what was missed comes back.
fn run() -> Result<Vec<String>> {
    let options = Options::read(std::env::args().skip(1))?;
    if options.help {
        println!("{}", options::HELP);
        return Ok(Vec::new());
    }
    // Inside the pool a layer wakes no thread to come in.
    let pool = rayon::ThreadPoolBuilder::new().build()?;
    let results = pool.install(|| work::compare(&options))?;
    print!("{}", table::text(&results.lines));
    if let Some(path) = &options.json {
        let json = table::json(&results.lines, results.sentences);
        fs::write(path, format!("{json:#}\n"))?;
    }
    Ok(results.missed)
}
