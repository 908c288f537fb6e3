//! What the command line asks for.

use std::path::PathBuf;

pub const HELP: &str = "\
Compresses all-MiniLM-L6-v2 and says how well it keeps its sentence embeddings.

  FOLDER               where config.json, model.safetensors and tokenizer.json are
  --compressed FOLDER  compare the model.safetensors of this folder, instead of compressing here
  --json FILE          the table for programs
  --quick              32 sentences and little timing, to see that it runs
  --help               this

Where a bound is missed it says which, and ends with status 1.";

/// The command line, read.
#[derive(Debug, Default)]
pub struct Options {
    pub folder: PathBuf,
    pub compressed: Option<PathBuf>,
    pub json: Option<PathBuf>,
    pub quick: bool,
    pub help: bool,
}

impl Options {
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let (mut options, mut folder) = (Self::default(), None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--compressed" => options.compressed = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--quick" => options.quick = true,
                "--help" | "-h" => options.help = true,
                _ if folder.is_none() && !argument.starts_with('-') => {
                    folder = Some(argument.into());
                }
                _ => return Err(format!("no use for {argument}\n\n{HELP}")),
            }
        }
        match folder {
            Some(folder) => options.folder = folder,
            None if options.help => {}
            None => return Err(format!("a folder is needed\n\n{HELP}")),
        }
        Ok(options)
    }
}
