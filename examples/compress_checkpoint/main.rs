//! Compresses a checkpoint by a recipe: safetensors of a Hugging Face model in, a smaller checkpoint out.
//!
//! ```text
//! cargo run --release --features recipe --example compress_checkpoint -- IN OUT --recipe docs/recipes/int8.json
//! ```
//!
//! | argument | meaning |
//! |---|---|
//! | `IN` | a folder with a model (`config.json`, safetensors of one file or many), or a `.safetensors` or `.gguf` file; GPTQ, AWQ and compressed-tensors models are read as what their codes mean |
//! | `OUT` | the folder for the result; configuration and tokenizer come along |
//! | `--recipe FILE` | which tensor becomes what, as JSON: docs/recipes has some |
//! | `--shard I/N` | does part I of N and no more; when all parts are done, on whatever machines, run with `--join` |
//! | `--join` | makes a model of the parts |
//! | `--report FILE` | the report as JSON |
//! | `--quick` | compresses a small model of its own by each recipe of docs/recipes, in a temporary folder |
//!
//! Prints a bar while it works, a table of what became of each tensor, and both sizes of what was pruned: with its zeros, and
//! as the values that stay and a mask. The exit code is 0 if all went well, 1 if something failed, 2 if the arguments are
//! wrong.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "an example shows its result by printing it, in rounded megabytes"
)]

mod arguments;
mod bar;
mod companions;
mod quick;

use arguments::{Arguments, What};
use rarefy::formats::open_model;
use rarefy::recipe::{Done, Job, Recipe};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let done = match arguments.what {
        What::Quick => quick::run(),
        _ => compress(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compress(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(&arguments.recipe)
        .map_err(|error| format!("{}: {error}", arguments.recipe.display()))?;
    let recipe: Recipe = serde_json::from_str(&text)
        .map_err(|error| format!("{}: {error}", arguments.recipe.display()))?;
    let model = open_model(&arguments.from)?;
    let mut job = Job::new(&model, &recipe)?;
    if let Some(config) = companions::config(&arguments.from)? {
        job = job.config(config);
    }
    let watch = bar::Bar::new();
    let done = match arguments.what {
        What::Part(shard) => job
            .shard(shard)
            .run(&arguments.to, |progress| watch.show(progress)),
        What::Join => job.join(&arguments.to, |progress| watch.show(progress)),
        _ => job.run(&arguments.to, |progress| watch.show(progress)),
    };
    watch.finish();
    let done = done?;
    if !matches!(arguments.what, What::Part(_)) {
        companions::copy(&arguments.from, &arguments.to)?;
    }
    tell(&done, &recipe);
    if let Some(path) = &arguments.report {
        fs::write(path, done.report.to_json())?;
    }
    Ok(())
}

/// Prints what was done.
fn tell(done: &Done, recipe: &Recipe) {
    println!("{}\n", done.report);
    for &rule in &done.unused_rules {
        eprintln!(
            "note: rule {rule} decided about no tensor: {:?}",
            recipe.rules[rule].names
        );
    }
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    if recipe.rules.iter().any(|rule| rule.prune.is_some()) {
        let pruned = done.report.total().sparsity();
        println!(
            "pruned tensors: {:.2} MB with their zeros, {:.2} MB as values that stay and a mask ({:.1} % are zero)",
            megabytes(done.bytes_dense),
            megabytes(done.bytes_kept),
            100.0 * pruned,
        );
    }
    println!(
        "{:.2} MB -> {:.2} MB in {}",
        megabytes(done.bytes_before),
        megabytes(done.bytes_after),
        files(&done.files),
    );
}

fn files(paths: &[impl AsRef<Path>]) -> String {
    match paths {
        [] => "no file".to_owned(),
        [only] => only.as_ref().display().to_string(),
        [first, rest @ ..] => format!("{} and {} more", first.as_ref().display(), rest.len()),
    }
}
