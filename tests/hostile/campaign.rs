//! Tries files that lie and counts what happens.

use crate::counting::held_during;
use crate::mutate::{Means, Mutations, Seed};
use rarefy::Result;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// What parsing may take beside a file's size, whatever the file: messages, buffers, the first nodes of maps.
pub(crate) const CONSTANT: usize = 64 << 10;

/// How many files of each format are tried.
pub(crate) fn files() -> usize {
    let given = std::env::var("RAREFY_HOSTILE").ok();
    given
        .and_then(|files| files.parse().ok())
        .unwrap_or(100_000)
}

/// What became of the files of one format.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    read: usize,
    errors: usize,
    panics: Vec<String>,
    /// More memory than allowed: how much, what for.
    excess: Vec<String>,
    /// The most that parsing took beside the size of the file.
    parsing: isize,
    /// The most that reading a tensor took beside its size.
    reading: isize,
}

impl Tally {
    /// Reads something of a known size, and compares with it what that takes.
    pub(crate) fn reading<T>(
        &mut self,
        size: usize,
        read: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let mut result = None;
        let held = held_during(|| result = Some(read()));
        self.reading = self.reading.max(held as isize - size as isize);
        if held > size.saturating_add(CONSTANT) {
            self.excess
                .push(format!("reading {size} bytes took {held}"));
        }
        result.unwrap()
    }
}

/// Tries as many files as [`files`] says: each is put where it is parsed from, parsed, which is measured, and if that is
/// possible read as a whole. The test must be [`alone`](crate::counting::alone) from its beginning.
pub(crate) fn run<I, P>(
    name: &str,
    seeds: &[Seed],
    means: Means,
    mut put: impl FnMut(Vec<u8>) -> I,
    mut parse: impl FnMut(I) -> Result<P>,
    mut read: impl FnMut(P, &mut Tally) -> Result<()>,
) {
    assert!(seeds.len() >= 20, "{} seeds of {name}", seeds.len());
    let mut tally = Tally::default();
    // What is right must be read, or the files made of it would say nothing.
    for (number, seed) in seeds.iter().enumerate() {
        assert!(
            (200..=64 << 10).contains(&seed.bytes.len()),
            "seed {number} of {name}: {} bytes",
            seed.bytes.len()
        );
        let parsed = parse(put(seed.bytes.clone()));
        let right = parsed.and_then(|parsed| read(parsed, &mut tally));
        right.unwrap_or_else(|error| panic!("seed {number} of {name}: {error}"));
    }
    quietly();
    let started = Instant::now();
    let number = name.bytes().fold(7_u64, |number, byte| {
        number.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    for (count, bytes) in Mutations::new(seeds, means, number)
        .take(files())
        .enumerate()
    {
        let kept = bytes.clone();
        let put = put(bytes);
        one(&mut tally, (name, count, &kept), put, &mut parse, &mut read);
    }
    let Tally {
        read,
        errors,
        panics,
        excess,
        parsing,
        reading,
    } = &tally;
    println!(
        "{name}: {} files, {read} read, {errors} errors, {} panics, {} took more than they may; at most {parsing} bytes \
         beside the file in parsing, {reading} beside the tensor in reading; {:.1} s",
        read + errors + panics.len(),
        panics.len(),
        excess.len(),
        started.elapsed().as_secs_f64(),
    );
    assert!(
        panics.is_empty(),
        "{name}: {:#?}",
        &panics[..panics.len().min(3)]
    );
    assert!(
        excess.is_empty(),
        "{name}: {:#?}",
        &excess[..excess.len().min(3)]
    );
    assert!(*errors > files() / 10, "{name}: the changes change nothing");
}

/// What parsing may take for each byte of a file.
fn factor(name: &str) -> usize {
    match name {
        // An array of arrays without numbers takes 12 bytes for each in a file, and 56 in a list that grows.
        "GGUF" => 16,
        _ => 1,
    }
}

thread_local! {
    /// Whether this thread counts its panics itself.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// From here on panics are not printed where [`QUIET`] says so.
fn quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
}

fn one<I, P>(
    tally: &mut Tally,
    (name, count, kept): (&str, usize, &[u8]),
    put: I,
    parse: &mut impl FnMut(I) -> Result<P>,
    read: &mut impl FnMut(P, &mut Tally) -> Result<()>,
) {
    let (excess, size) = (tally.excess.len(), kept.len());
    QUIET.set(true);
    let tried = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut parsed = None;
        let held = held_during(|| parsed = Some(parse(put)));
        tally.parsing = tally.parsing.max(held as isize - size as isize);
        if held > size * factor(name) + CONSTANT {
            tally
                .excess
                .push(format!("parsing {size} bytes took {held}"));
        }
        let done = parsed.unwrap().and_then(|parsed| read(parsed, tally));
        done.map_err(|error| error.to_string())
    }));
    QUIET.set(false);
    let bad = match tried {
        Ok(Ok(())) => {
            tally.read += 1;
            tally.excess.len() > excess
        }
        Ok(Err(message)) => {
            assert!(!message.is_empty());
            tally.errors += 1;
            tally.excess.len() > excess
        }
        Err(panic) => {
            let message = panic.downcast_ref::<String>().cloned();
            let message =
                message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            tally
                .panics
                .push(format!("file {count}: {}", message.unwrap_or_default()));
            true
        }
    };
    if bad && tally.panics.len() + tally.excess.len() < 10 {
        let path = scratch(&format!("bad-{count}"));
        let _ = std::fs::write(&path, kept);
        tally
            .excess
            .extend((tally.excess.len() > excess).then(|| format!("it is {}", path.display())));
    }
}

/// A file of this program, in memory where the system has such a folder.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    folder.join(format!(
        "rarefy-hostile-{}-{number}-{name}",
        std::process::id()
    ))
}
