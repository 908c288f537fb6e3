//! What the command line says.

use rarefy::recipe::Shard;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "usage: compress_checkpoint IN OUT --recipe FILE [--shard I/N | --join] [--report FILE]\n       compress_checkpoint --quick";

/// What is to be done.
#[derive(Clone, Copy)]
pub(crate) enum What {
    All,
    Part(Shard),
    Join,
    Quick,
}

pub(crate) struct Arguments {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) recipe: PathBuf,
    pub(crate) report: Option<PathBuf>,
    pub(crate) what: What,
}

impl Arguments {
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut folders = Vec::new();
        let (mut recipe, mut report, mut what) = (None, None, What::All);
        while let Some(argument) = given.next() {
            let mut value = || {
                given
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--recipe" => recipe = Some(PathBuf::from(value()?)),
                "--report" => report = Some(PathBuf::from(value()?)),
                "--shard" => {
                    let shard = value()?
                        .parse()
                        .map_err(|error| format!("--shard: {error}"))?;
                    what = once(what, What::Part(shard))?;
                }
                "--join" => what = once(what, What::Join)?,
                "--quick" => what = once(what, What::Quick)?,
                flag if flag.starts_with("--") => return Err(format!("unknown argument {flag}")),
                folder => folders.push(PathBuf::from(folder)),
            }
        }
        if matches!(what, What::Quick) {
            folders = vec![PathBuf::new(), PathBuf::new()];
            recipe = Some(PathBuf::new());
        }
        let [from, to] = <[PathBuf; 2]>::try_from(folders)
            .map_err(|folders| format!("{} of 2 paths given", folders.len()))?;
        Ok(Self {
            from,
            to,
            recipe: recipe.ok_or("--recipe is missing")?,
            report,
            what,
        })
    }
}

/// One thing at a time.
fn once(known: What, new: What) -> Result<What, String> {
    match known {
        What::All => Ok(new),
        _ => Err("one of --shard, --join and --quick".to_owned()),
    }
}
