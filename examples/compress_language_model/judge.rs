//! What a stage of compression is worth: how large the network is, and how well it predicts.

use crate::network::Parameters;
use crate::stored::Stored;
use crate::text::Corpus;
use crate::training::Batch;
use ndarray::Array2;
use rarefy::Result;
use rarefy::distill::{CrossEntropy, Output, Target};
use rarefy::prelude::*;
use rarefy::report::Drift;
use serde_json::{Value, json};

/// A line of the table.
pub struct Stage {
    pub name: &'static str,
    /// Weights that are not zero.
    pub nonzero: usize,
    /// Bytes of the form in which the network is kept.
    pub bytes: usize,
    /// Those over all weights, zero or not.
    pub bits_per_weight: f64,
    /// On the test part: e to the mean cross-entropy; as many characters as seem equally likely.
    pub perplexity: f64,
    /// How often the most likely next character is the teacher's.
    pub agreement: f64,
}

impl Stage {
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "nonzero": self.nonzero,
            "bytes": self.bytes,
            "bits_per_weight": self.bits_per_weight,
            "perplexity": self.perplexity,
            "agreement": self.agreement,
        })
    }
}

/// Judges networks by the test part of the text.
pub struct Judge {
    test: Batch,
    teacher: Array2<f32>,
}

impl Judge {
    pub fn new(corpus: &Corpus, teacher: &Parameters) -> Self {
        let places: Vec<usize> = corpus.test_places().collect();
        let test = Batch::new(corpus, &places);
        Self {
            teacher: teacher.logits(test.contexts.view()),
            test,
        }
    }

    /// The logits of the test part.
    pub fn logits(&self, network: &Parameters) -> Array2<f32> {
        network.logits(self.test.contexts.view())
    }

    /// Judges the network that comes back from its stored form.
    pub fn stage(&self, name: &'static str, stored: &Stored) -> Result<Stage> {
        let network = stored.restore();
        let output = Output::from(self.logits(&network));
        let target = Target::new().labels(&self.test.labels);
        let loss: f32 = CrossEntropy::new().value(&output, target)?;
        Ok(Stage {
            name,
            nonzero: network.nonzero(),
            bytes: stored.bytes(),
            bits_per_weight: 8.0 * stored.bytes() as f64 / network.len() as f64,
            perplexity: f64::from(loss).exp(),
            agreement: Drift::between(&self.teacher, &output.logits)?.top1_agreement,
        })
    }
}

/// The stages as a table in Markdown, which is as easy to read in a terminal.
pub fn table(stages: &[Stage]) -> String {
    let mut lines = vec![
        "| stage             | nonzero |   bytes | bits/weight | perplexity | agreement |"
            .to_owned(),
        "|-------------------|--------:|--------:|------------:|-----------:|----------:|"
            .to_owned(),
    ];
    lines.extend(stages.iter().map(|stage| {
        format!(
            "| {:17} | {:7} | {:7} | {:11.2} | {:10.3} | {:7.1} % |",
            stage.name,
            stage.nonzero,
            stage.bytes,
            stage.bits_per_weight,
            stage.perplexity,
            100.0 * stage.agreement
        )
    }));
    lines.join("\n")
}
