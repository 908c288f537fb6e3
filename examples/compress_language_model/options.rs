//! What the command line asks for.

use crate::text::Split;
use std::path::PathBuf;

pub const HELP: &str = "\
Distils, prunes and quantizes a language model, and says what it cost.

  --seed N       another start, other batches (0)
  --json FILE    the table for programs
  --plot FILE    where the plot goes (target/compress_language_model.svg)
  --validation   judge by the end of the training part; for choosing settings
  --quick        little text and few steps, to see that it runs
  --help         this";

/// The command line, read.
pub struct Options {
    pub seed: u64,
    pub json: Option<PathBuf>,
    pub plot: PathBuf,
    pub split: Split,
    pub help: bool,
}

impl Options {
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            seed: 0,
            json: None,
            plot: PathBuf::from("target/compress_language_model.svg"),
            split: Split::Test,
            help: false,
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--seed" => {
                    let text = value()?;
                    let wrong = |_| format!("--seed must be a number from 0 on, got {text}");
                    options.seed = text.parse().map_err(wrong)?;
                }
                "--json" => options.json = Some(value()?.into()),
                "--plot" => options.plot = value()?.into(),
                "--validation" => options.split = Split::Validation,
                "--quick" => options.split = Split::Quick,
                "--help" | "-h" => options.help = true,
                _ => return Err(format!("there is no option {argument}\n\n{HELP}")),
            }
        }
        Ok(options)
    }
}
