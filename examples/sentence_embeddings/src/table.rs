//! The results, for people and for programs.

use crate::measures::Kept;
use crate::pace::Pace;
use serde_json::{Value, json};

/// What became of one form of the model.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub activations: &'static str,
    pub tables: &'static str,
    /// Bytes of the weights of all linear layers, and of the tables.
    pub bytes: [usize; 2],
    pub kept: Kept,
    /// Where its time is its own; else it is that of floats.
    pub pace: Option<Pace>,
}

const HEAD: [&str; 10] = [
    "linear layers",
    "activations",
    "tables",
    "linear MB",
    "tables MB",
    "mean cos",
    "least cos",
    "Spearman",
    "ms",
    "of f32",
];

/// Aligned columns.
pub fn text(lines: &[Line]) -> String {
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned))
        .chain(lines.iter().map(cells))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Words to the left, numbers to the right.
            text += &match column {
                0..3 => format!("{cell:<width$}  "),
                _ => format!("{cell:>width$}  "),
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn cells(line: &Line) -> [String; HEAD.len()] {
    let megabytes = |bytes: usize| format!("{:.2}", bytes as f64 / 1e6);
    let pace = |show: fn(&Pace) -> String| line.pace.as_ref().map_or("-".into(), show);
    let Kept {
        mean_cosine,
        least_cosine,
        spearman,
    } = line.kept;
    [
        line.name.clone(),
        line.activations.into(),
        line.tables.into(),
        megabytes(line.bytes[0]),
        megabytes(line.bytes[1]),
        format!("{mean_cosine:.5}"),
        format!("{least_cosine:.5}"),
        format!("{spearman:.5}"),
        pace(|pace| format!("{:.2}", pace.model.as_secs_f64() * 1e3)),
        pace(|pace| format!("{:.2}", pace.share())),
    ]
}

/// The same with all digits.
pub fn json(lines: &[Line], sentences: usize) -> Value {
    let line = |line: &Line| {
        json!({
            "name": line.name,
            "activations": line.activations,
            "tables": line.tables,
            "linear_bytes": line.bytes[0],
            "table_bytes": line.bytes[1],
            "mean_cosine": line.kept.mean_cosine,
            "least_cosine": line.kept.least_cosine,
            "spearman": line.kept.spearman,
            "milliseconds": line.pace.map(|pace| pace.model.as_secs_f64() * 1e3),
            "of_f32": line.pace.map(|pace| pace.share()),
        })
    };
    let lines: Vec<Value> = lines.iter().map(line).collect();
    json!({ "sentences": sentences, "variants": lines })
}
