//! What a stage of compression is worth: how large the network is, and how well it predicts.

use crate::network::Parameters;
use crate::stored::Stored;
use crate::text::Corpus;
use crate::training::Batch;
use ndarray::{Array2, ArrayView2};
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
    /// Characters that its layers write in a second, where that was measured.
    pub tokens_per_second: Option<f64>,
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
            "tokens_per_second": self.tokens_per_second,
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

    /// The contexts of the test part.
    pub fn contexts(&self) -> ArrayView2<'_, u8> {
        self.test.contexts.view()
    }

    /// What these logits of the test part are worth.
    pub fn perplexity(&self, logits: Array2<f32>) -> Result<f64> {
        let target = Target::new().labels(&self.test.labels);
        let loss: f32 = CrossEntropy::new().value(&Output::from(logits), target)?;
        Ok(f64::from(loss).exp())
    }

    /// The logits of the test part.
    pub fn logits(&self, network: &Parameters) -> Array2<f32> {
        network.logits(self.test.contexts.view())
    }

    /// Judges the network that comes back from its stored form.
    pub fn stage(&self, name: &'static str, stored: &Stored) -> Result<Stage> {
        let network = stored.restore();
        let logits = self.logits(&network);
        Ok(Stage {
            name,
            nonzero: network.nonzero(),
            bytes: stored.bytes(),
            bits_per_weight: 8.0 * stored.bytes() as f64 / network.len() as f64,
            agreement: Drift::between(&self.teacher, &logits)?.top1_agreement,
            perplexity: self.perplexity(logits)?,
            tokens_per_second: None,
        })
    }
}

/// The stages as a table in Markdown, which is as easy to read in a terminal.
pub fn table(stages: &[Stage]) -> String {
    let mut lines = vec![
        "| stage             | nonzero |   bytes | bits/weight | perplexity | agreement | tokens/s |"
            .to_owned(),
        "|-------------------|--------:|--------:|------------:|-----------:|----------:|---------:|"
            .to_owned(),
    ];
    lines.extend(stages.iter().map(|stage| {
        format!(
            "| {:17} | {:7} | {:7} | {:11.2} | {:10.3} | {:7.1} % | {:8.0} |",
            stage.name,
            stage.nonzero,
            stage.bytes,
            stage.bits_per_weight,
            stage.perplexity,
            100.0 * stage.agreement,
            stage.tokens_per_second.unwrap_or(f64::NAN),
        )
    }));
    lines.join("\n")
}
