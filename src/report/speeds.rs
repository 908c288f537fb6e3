//! How fast layers are, as text.

use super::Report;
use super::render::{number, string};
use super::table;
use crate::infer::speed::{BreakEven, Speed, Timing};
use std::fmt::{self, Write};

const HEADERS: [&str; 12] = [
    "layer",
    "shape",
    "rows",
    "sparsity",
    "bytes",
    "stored",
    "dense µs",
    "µs",
    "ratio",
    "least",
    "largest",
    "verdict",
];

/// Which columns are words.
const WORDS: [bool; 12] = [
    true, true, false, false, false, false, false, false, false, false, false, true,
];

fn cells(name: &str, sparsity: Option<f64>, speed: &Speed) -> [String; 12] {
    let layers = speed.layers();
    let (least, largest) = speed.ratio_range();
    let microseconds = |timing: Timing| format!("{:.2}", 1e6 * timing.median);
    [
        name.to_owned(),
        format!("{:?}", [layers.outputs, layers.inputs]),
        layers.rows.to_string(),
        sparsity.map_or_else(String::new, |sparsity| sparsity.to_string()),
        layers.dense_bytes.to_string(),
        layers.compressed_bytes.to_string(),
        microseconds(speed.dense()),
        microseconds(speed.compressed()),
        format!("{:.3}", speed.ratio()),
        format!("{least:.3}"),
        format!("{largest:.3}"),
        speed.verdict().to_string(),
    ]
}

/// What is said below the table of each curve.
fn conclusion(name: &str, curve: &BreakEven) -> String {
    match curve.pays_from() {
        Some(sparsity) => format!("{name}: pays from sparsity {sparsity} on"),
        None => format!("{name}: does not pay at any of these sparsities"),
    }
}

impl Report {
    pub(super) fn has_speeds(&self) -> bool {
        !(self.speeds.is_empty() && self.break_evens.is_empty())
    }

    fn speed_rows(&self) -> Vec<[String; 12]> {
        let single = self.speeds.iter();
        let single = single.map(|(name, speed)| cells(name, None, speed));
        let curves = self.break_evens.iter().flat_map(|(name, curve)| {
            let points = curve.points().iter();
            points.map(move |(sparsity, speed)| cells(name, Some(*sparsity), speed))
        });
        [HEADERS.map(str::to_owned)]
            .into_iter()
            .chain(single)
            .chain(curves)
            .collect()
    }

    pub(super) fn write_speeds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table::aligned(f, &self.speed_rows(), WORDS)?;
        for (name, curve) in &self.break_evens {
            f.write_char('\n')?;
            f.write_str(&conclusion(name, curve))?;
        }
        Ok(())
    }

    pub(super) fn speeds_to_markdown(&self, text: &mut String) {
        table::markdown(text, &self.speed_rows(), WORDS);
        for (name, curve) in &self.break_evens {
            let line = table::markdown_words(&conclusion(name, curve));
            text.push_str(&format!("\n{line}\n"));
        }
    }

    pub(super) fn speeds_to_json(&self) -> String {
        let speeds = self.speeds.iter();
        let speeds: Vec<String> = speeds
            .map(|(name, speed)| format!("{{\"layer\":{},{}}}", string(name), speed_json(speed)))
            .collect();
        let curves = self.break_evens.iter().map(|(name, curve)| {
            let points = curve.points().iter();
            let points: Vec<String> = points
                .map(|(sparsity, speed)| {
                    let sparsity = number(*sparsity);
                    format!("{{\"sparsity\":{sparsity},{}}}", speed_json(speed))
                })
                .collect();
            let from = curve.pays_from().map_or_else(|| "null".to_owned(), number);
            format!(
                "{{\"layer\":{},\"pays_from\":{from},\"points\":[{}]}}",
                string(name),
                points.join(","),
            )
        });
        format!(
            "\"speeds\":[{}],\"break_evens\":[{}]",
            speeds.join(","),
            curves.collect::<Vec<_>>().join(","),
        )
    }
}

/// The members of an object.
fn speed_json(speed: &Speed) -> String {
    let layers = speed.layers();
    let (least, largest) = speed.ratio_range();
    format!(
        "\"rows\":{},\"inputs\":{},\"outputs\":{},\"dense_bytes\":{},\"compressed_bytes\":{},\
         \"dense\":{},\"compressed\":{},\"ratio\":{},\"least_ratio\":{},\"largest_ratio\":{},\
         \"verdict\":{}",
        layers.rows,
        layers.inputs,
        layers.outputs,
        layers.dense_bytes,
        layers.compressed_bytes,
        timing_json(speed.dense()),
        timing_json(speed.compressed()),
        number(speed.ratio()),
        number(least),
        number(largest),
        string(speed.verdict().name()),
    )
}

fn timing_json(timing: Timing) -> String {
    format!(
        "{{\"samples\":{},\"least\":{},\"lower_quartile\":{},\"median\":{},\"upper_quartile\":{}}}",
        timing.samples,
        number(timing.least),
        number(timing.lower_quartile),
        number(timing.median),
        number(timing.upper_quartile),
    )
}
