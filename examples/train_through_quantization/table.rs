//! What came out, over all seeds.

use crate::judge::Stage;

/// One way to few bits, from one seed.
pub struct Row {
    pub bits: u32,
    pub granularity: &'static str,
    /// The student as it is.
    pub rounded: Stage,
    /// After further training in floats.
    pub continued: Stage,
    /// After the same training through the rounding, with scales observed and learned.
    pub trained: Option<[Stage; 2]>,
}

impl Row {
    fn stages(&self) -> Vec<&Stage> {
        let trained = self.trained.iter().flatten();
        [&self.rounded, &self.continued]
            .into_iter()
            .chain(trained)
            .collect()
    }

    /// How much lower training through makes perplexity than the better of those that were only rounded.
    fn gains(&self) -> Vec<f64> {
        let without = self.rounded.perplexity.min(self.continued.perplexity);
        let trained = self.trained.iter().flatten();
        trained.map(|stage| without - stage.perplexity).collect()
    }
}

const HEAD: &str = "| bits | a scale for each | bits/weight | rounded | further in floats, rounded | trained through | scales learned |";
const RULE: &str = "|--:|---|--:|--:|--:|--:|--:|";

/// Means over the seeds, and the gain of that seed which gained least.
pub fn render(runs: &[Vec<Row>]) -> String {
    let mut perplexity = format!("Test perplexity:\n\n{HEAD} least gain of a seed |\n{RULE}--:|\n");
    let mut agreement = format!("Agreement with the teacher in %:\n\n{HEAD}\n{RULE}\n");
    for number in 0..runs.first().map_or(0, Vec::len) {
        let rows: Vec<&Row> = runs.iter().map(|run| &run[number]).collect();
        let Row {
            bits, granularity, ..
        } = rows[0];
        let stored = cell(mean(&rows, 0, |stage| stage.bits_per_weight), 2);
        let start = format!("| {bits} | {granularity} | {stored} |");
        let cells = |value: fn(&Stage) -> f64, digits: usize| {
            let cells: Vec<_> = (0..4)
                .map(|place| cell(mean(&rows, place, value), digits))
                .collect();
            cells.join(" | ")
        };
        let least = |place: usize| {
            let gains = rows
                .iter()
                .filter_map(|row| row.gains().get(place).copied());
            gains
                .min_by(f64::total_cmp)
                .map(|gain| format!("{gain:.2}"))
        };
        let least: Vec<_> = (0..2).filter_map(least).collect();
        let (nats, share) = (
            cells(|stage| stage.perplexity, 3),
            cells(|stage| 100.0 * stage.agreement, 1),
        );
        perplexity += &format!("{start} {nats} | {} |\n", least.join(", "));
        agreement += &format!("{start} {share} |\n");
    }
    format!("{perplexity}\n{agreement}")
}

/// Of a stage in all runs, if there is one.
fn mean(rows: &[&Row], place: usize, value: fn(&Stage) -> f64) -> Option<f64> {
    let stages = rows
        .iter()
        .map(|row| row.stages().get(place).copied().map(value));
    let values: Option<Vec<f64>> = stages.collect();
    values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}
