//! Reports as text: an aligned table, Markdown, JSON.
//!
//! Numbers are written by Rust's own formatting, which does not depend on the system or its language,
//! so equal reports give equal bytes.

use super::table;
use super::{Drift, Report, TensorReport};
use std::fmt;

const HEADERS: [&str; 10] = [
    "tensor",
    "shape",
    "bytes",
    "stored",
    "bits/weight",
    "sparsity",
    "SQNR dB",
    "MSE",
    "max error",
    "cosine",
];

/// Which columns are words.
const WORDS: [bool; 10] = [
    true, true, false, false, false, false, false, false, false, false,
];

fn cells(tensor: &TensorReport) -> [String; 10] {
    [
        tensor.name().to_owned(),
        format!("{:?}", tensor.shape()),
        tensor.bytes_before().to_string(),
        tensor.bytes_after().to_string(),
        format!("{:.3}", tensor.bits_per_weight()),
        format!("{:.4}", tensor.sparsity()),
        format!("{:.2}", tensor.sqnr_db()),
        format!("{:.3e}", tensor.mean_squared_error()),
        format!("{:.3e}", tensor.largest_error()),
        format!("{:.6}", tensor.cosine()),
    ]
}

impl Report {
    /// Headers, a row a tensor, the totals.
    fn rows(&self) -> Vec<[String; 10]> {
        [HEADERS.map(str::to_owned)]
            .into_iter()
            .chain(self.tensors().iter().map(cells))
            .chain([cells(&self.total())])
            .collect()
    }

    /// Whether to say what became of tensors: always, except in a report that is about speeds alone.
    fn has_tensors(&self) -> bool {
        !(self.tensors().is_empty() && self.has_speeds())
    }

    /// The report as Markdown: a table of tensors, totals last; a line on drift; a table of speeds; a line for each
    /// curve of sparsities. Only what was added.
    pub fn to_markdown(&self) -> String {
        let mut parts = Vec::new();
        if self.has_tensors() {
            let mut text = String::new();
            table::markdown(&mut text, &self.rows(), WORDS);
            parts.push(text);
        }
        if let Some(drift) = self.drift() {
            parts.push(format!("{drift}\n"));
        }
        if self.has_speeds() {
            let mut text = String::new();
            self.speeds_to_markdown(&mut text);
            parts.push(text);
        }
        parts.join("\n")
    }

    /// The report as JSON.
    ///
    /// `{"tensors": [{"name", "shape", "weights", "nonzero", "bytes_before", "bytes_after",
    /// "bits_per_weight", "sparsity", "sqnr_db", "mse", "max_error", "cosine"}, …], "total": {…},
    /// "drift": {…} or null, "speeds": [{"layer", "rows", "inputs", "outputs", "dense_bytes", "compressed_bytes",
    /// "dense": {"samples", "least", "lower_quartile", "median", "upper_quartile"}, "compressed": {…}, "ratio",
    /// "least_ratio", "largest_ratio", "verdict"}, …], "break_evens": [{"layer", "pays_from": a sparsity or null,
    /// "points": [{"sparsity", and the rest as in "speeds" from "rows" on}, …]}, …]}`. Times are seconds. A number that JSON cannot say, such as the infinite SQNR of a tensor that
    /// lost nothing, is `null`.
    pub fn to_json(&self) -> String {
        let tensors: Vec<String> = self.tensors().iter().map(tensor_json).collect();
        format!(
            "{{\"tensors\":[{}],\"total\":{},\"drift\":{},{}}}",
            tensors.join(","),
            tensor_json(&self.total()),
            self.drift()
                .map_or_else(|| "null".to_owned(), |drift| drift.to_json()),
            self.speeds_to_json(),
        )
    }
}

fn tensor_json(tensor: &TensorReport) -> String {
    let shape: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    format!(
        "{{\"name\":{},\"shape\":[{}],\"weights\":{},\"nonzero\":{},\"bytes_before\":{},\
         \"bytes_after\":{},\"bits_per_weight\":{},\"sparsity\":{},\"sqnr_db\":{},\"mse\":{},\
         \"max_error\":{},\"cosine\":{}}}",
        string(tensor.name()),
        shape.join(","),
        tensor.len(),
        tensor.nonzero(),
        tensor.bytes_before(),
        tensor.bytes_after(),
        number(tensor.bits_per_weight()),
        number(tensor.sparsity()),
        number(tensor.sqnr_db()),
        number(tensor.mean_squared_error()),
        number(tensor.largest_error()),
        number(tensor.cosine()),
    )
}

impl Drift {
    /// The drift as JSON: `{"rows", "mean_kl", "kl_99", "top1_agreement"}`; what is infinite is `null`.
    pub fn to_json(&self) -> String {
        format!(
            "{{\"rows\":{},\"mean_kl\":{},\"kl_99\":{},\"top1_agreement\":{}}}",
            self.rows,
            number(self.mean_kl),
            number(self.kl_99),
            number(self.top1_agreement),
        )
    }
}

/// A JSON number, or null. Rust writes the shortest digits that read back as the same f64.
pub(super) fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value:?}")
    } else {
        "null".to_owned()
    }
}

/// A JSON string.
pub(super) fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for Report {
    /// The same parts as in [`to_markdown`](Self::to_markdown), in aligned columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_tensors() {
            table::aligned(f, &self.rows(), WORDS)?;
        }
        if let Some(drift) = self.drift() {
            let gap = if self.has_tensors() { "\n" } else { "" };
            write!(f, "{gap}{drift}")?;
        }
        if self.has_speeds() {
            let alone = !self.has_tensors() && self.drift().is_none();
            f.write_str(if alone { "" } else { "\n\n" })?;
            self.write_speeds(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answers: mean KL {:.6} nats, 99th percentile {:.6}, same top class {:.4}",
            self.rows, self.mean_kl, self.kl_99, self.top1_agreement,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{number, string};
    use crate::report::{Drift, Report};
    use ndarray::array;

    fn report() -> Report {
        let mut report = Report::new();
        let (x, y) = (array![3.0_f32, 4.0], array![3.0_f32, 0.0]);
        report.add("a|b \"c\"\n", &x, &y, 5).unwrap();
        report.add("same", &x, &x, 8).unwrap();
        report.with_drift(Drift {
            rows: 2,
            mean_kl: 0.25,
            kl_99: f64::INFINITY,
            top1_agreement: 1.0,
        })
    }

    #[test]
    fn json_is_what_a_parser_reads_back() {
        let text = report().to_json();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let tensor = &json["tensors"][0];
        assert_eq!(tensor["name"], "a|b \"c\"\n");
        assert_eq!(tensor["shape"], serde_json::json!([2]));
        assert_eq!(tensor["bits_per_weight"], 20.0);
        assert_eq!(tensor["sparsity"], 0.5);
        assert_eq!(tensor["mse"], 8.0);
        assert_eq!(tensor["max_error"], 4.0);
        assert!((tensor["cosine"].as_f64().unwrap() - 0.6).abs() < 1e-15);
        assert!(json["tensors"][1]["sqnr_db"].is_null());
        assert_eq!(json["total"]["bytes_after"], 13);
        assert_eq!(json["speeds"], serde_json::json!([]));
        assert_eq!(json["drift"]["mean_kl"], 0.25);
        assert!(json["drift"]["kl_99"].is_null());
    }

    #[test]
    fn markdown_rows_stay_rows() {
        let text = report().to_markdown();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 7, "{text}");
        assert!(
            rows[2].starts_with(r#"| a\|b "c"  | [2] | 8 | 5 | 20.000 | 0.5000 |"#),
            "{text}"
        );
        assert!(rows[4].starts_with("| total | [4] |"), "{text}");
    }

    #[test]
    fn the_table_is_aligned() {
        let mut report = Report::new();
        report
            .add(
                "hidden.weight",
                &array![[1.0_f64, 2.0]],
                &array![[1.0, 2.0]],
                16,
            )
            .unwrap();
        let text = report.to_string();
        let expected = "\
tensor         shape   bytes  stored  bits/weight  sparsity  SQNR dB      MSE  max error    cosine
hidden.weight  [1, 2]     16      16       64.000    0.0000      inf  0.000e0    0.000e0  1.000000
total          [2]        16      16       64.000    0.0000      inf  0.000e0    0.000e0  1.000000";
        assert_eq!(text, expected);
    }

    #[test]
    fn equal_reports_give_equal_bytes() {
        assert_eq!(report().to_json(), report().to_json());
        assert_eq!(report().to_string(), report().to_string());
    }

    #[test]
    fn numbers_and_strings_are_json() {
        for value in [0.0, -0.0, 1.5, 1e-300, f64::MAX, 0.1 + 0.2] {
            let back: f64 = serde_json::from_str(&number(value)).unwrap();
            assert_eq!(back.to_bits(), value.to_bits());
        }
        assert_eq!(number(f64::NAN), "null");
        let text = "\u{1} \"q\" \\ ü \u{1F600}";
        assert_eq!(serde_json::from_str::<String>(&string(text)).unwrap(), text);
    }
}
