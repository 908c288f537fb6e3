//! Keeps the drawing in docs/architecture.md true: who may use whom, and what stays in one room.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::missing_assert_message,
    reason = "a test fails by panicking, prints what it did not run, and casts small numbers of its own"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the ground up. A module uses only lower ones.
const FLOORS: &[&[&str]] = &[
    &["error", "kernels"],
    &["float", "shape"],
    &["mask", "calibrate", "schedule", "tensors"],
    &["prune", "quantize", "distill"],
    &["infer", "formats"],
    &["report"],
    &["recipe"],
    &["lib", "prelude"],
];

/// Words that may stand only in code below one folder, and why.
const CONFINED: &[(&str, &str)] = &[
    ("rayon", "kernels"),
    ("unsafe", "kernels"),
    ("std::arch", "kernels"),
    ("target_feature", "kernels"),
];

/// What a confined word may do in another room, and why: constructors that map files hand their condition on to
/// the one block in `kernels` that maps.
const HANDED_ON: &[(&str, &str)] = &[
    ("formats", "pub unsafe fn map("),
    ("formats", "pub(super) unsafe fn map("),
    ("formats", "unsafe { Mapped::new(&file) }"),
    ("formats", "unsafe { Bytes::map(path) }"),
    ("formats", "unsafe { SafetensorsFile::map(file) }"),
];

fn source_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Path below src and lines of code: comments gone, numbered from 1.
fn code() -> Vec<(String, Vec<(usize, String)>)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    source_files(&source, &mut files);
    files.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let lines = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or("").to_owned());
        let name = path
            .strip_prefix(&source)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        (
            name,
            lines
                .enumerate()
                .map(|(number, line)| (number + 1, line))
                .collect(),
        )
    };
    files.iter().map(read).collect()
}

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or(file)
}

fn floor(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|modules| modules.contains(&module))
        .unwrap_or_else(|| panic!("src/{module} has no floor: give it one here and in the docs"))
}

/// The modules that a line names by `crate::...`, also in a group `crate::{a, b}`.
fn used_modules(line: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group
                .split('}')
                .next()
                .unwrap_or(group)
                .split(',')
                .collect(),
            None => vec![rest],
        };
        for name in names {
            let name = name.trim();
            let end = name
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(name.len());
            used.push(&name[..end]);
        }
    }
    used
}

/// Where the tests of a file begin: they may use the public names at the root.
fn tests_start(lines: &[(usize, String)]) -> usize {
    lines
        .iter()
        .find(|(_, line)| line.contains("#[cfg(test)]"))
        .map_or(usize::MAX, |(number, _)| *number)
}

#[test]
fn a_module_uses_only_lower_floors() {
    let mut wrong = Vec::new();
    for (file, lines) in code() {
        let own = module(&file);
        let tests = tests_start(&lines);
        for (number, line) in lines.iter().filter(|(number, _)| *number < tests) {
            for used in used_modules(line) {
                let allowed = used == own || own == "lib" || {
                    let known = FLOORS.iter().any(|modules| modules.contains(&used));
                    known && floor(used) < floor(own)
                };
                if !allowed {
                    wrong.push(format!(
                        "src/{file}:{number}: {own} uses {used}: {}",
                        line.trim()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not a lower floor:\n{}", wrong.join("\n"));
}

#[test]
fn confined_words_stay_in_their_room() {
    let mut wrong = Vec::new();
    for (file, lines) in code() {
        for (number, line) in &lines {
            for (word, room) in CONFINED {
                let separate =
                    |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                let found = line.match_indices(word).any(|(at, _)| {
                    separate(line[..at].chars().next_back())
                        && separate(line[at + word.len()..].chars().next())
                });
                let handed_on = HANDED_ON
                    .iter()
                    .any(|(room, words)| module(&file) == *room && line.contains(words));
                if found && module(&file) != *room && !handed_on {
                    wrong.push(format!("src/{file}:{number}: {}", line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not in its room:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_floor_and_every_floor_is_lived_in() {
    let files = code();
    let modules: Vec<&str> = files.iter().map(|(file, _)| module(file)).collect();
    for &module in &modules {
        floor(module);
    }
    for module in FLOORS.concat() {
        assert!(
            modules.contains(&module),
            "{module} has a floor and no file"
        );
    }
}

#[test]
fn the_drawing_in_the_docs_is_this_one() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let text = fs::read_to_string(docs).unwrap();
    for (number, modules) in FLOORS.iter().enumerate() {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("floor {number} ")))
            .unwrap_or_else(|| panic!("docs/architecture.md draws no floor {number}"));
        for module in *modules {
            let named = line.split_whitespace().any(|word| word == *module);
            assert!(
                named,
                "floor {number} of docs/architecture.md lacks {module}"
            );
        }
    }
}

#[test]
fn no_file_is_two_ideas() {
    for (file, lines) in code() {
        assert!(lines.len() <= 500, "src/{file} has {} lines", lines.len());
    }
}

#[test]
fn nothing_points_outside_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Put together here, so that this file does not contain what it looks for.
    let forbidden = [
        ["..", "shared"].join("/"),
        ["crates", "io"].join("."),
        ["pypi", "org"].join("."),
    ];
    let mut files = vec![
        root.join("README.md"),
        root.join("CHANGELOG.md"),
        root.join("Cargo.toml"),
    ];
    for folder in ["src", "tests", "benches", "examples", "docs"] {
        source_and_text_files(&root.join(folder), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        for word in &forbidden {
            assert!(
                !text.contains(word.as_str()),
                "{} names {word}",
                file.display()
            );
        }
    }
}

/// All files but what cargo makes where an example is a package of its own.
fn source_and_text_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.ends_with("target") || path.ends_with("Cargo.lock") {
            continue;
        }
        if path.is_dir() {
            source_and_text_files(&path, files);
        } else {
            files.push(path);
        }
    }
}
