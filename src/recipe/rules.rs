//! Which tensor becomes what, by name.

use super::{Output, Pruning, Quantization};
use crate::tensors::TensorInfo;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// Which tensor of a model becomes what, and how the result lies in files.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `rules` | | asked in their order; the first that fits decides, and where none fits the tensor is left |
/// | `output` | `dense` | how the result lies in files: [`Output`] |
/// | `file_bytes` | 5 · 10⁹ | a file of the result is closed when the next tensor would make it larger |
///
/// Rules decide about floats (F16, BF16, F32, F64) with at least two axes: matrices, embeddings, kernels of
/// convolutions. Biases, norms and integers are left whatever their names. What is left keeps its type and its bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Who decides about which tensor.
    pub rules: Vec<Rule>,
    /// How the result lies in files.
    #[serde(default)]
    pub output: Output,
    /// How large a file of the result may become.
    #[serde(default = "default_file_bytes")]
    pub file_bytes: u64,
}

/// The size of shards that Hugging Face's libraries write.
const fn default_file_bytes() -> u64 {
    5_000_000_000
}

/// What becomes of tensors with these names; without `prune` and `quantize` they are left as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Patterns of whole names: `*` stands for any characters, none and dots among them, `?` for one.
    pub names: Vec<String>,
    /// Which weights go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<Pruning>,
    /// What becomes of those that stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantize: Option<Quantization>,
}

impl Recipe {
    /// A recipe of these rules that gives floats in the model's own types.
    pub const fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            output: Output::Dense,
            file_bytes: default_file_bytes(),
        }
    }

    /// The same with another output.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// The number of the rule that decides about a tensor; `None` if it is left because none fits, or because it is no
    /// float with at least two axes.
    pub fn rule_for(&self, tensor: &TensorInfo) -> Option<usize> {
        if !tensor.dtype.is_float() || tensor.shape.len() < 2 {
            return None;
        }
        self.rules.iter().position(|rule| rule.fits(&tensor.name))
    }

    /// The rules that decide about none of these tensors: names that nothing has, or rules behind ones that take all.
    pub fn unused(&self, tensors: &[TensorInfo]) -> Vec<usize> {
        let mut used = vec![false; self.rules.len()];
        for rule in tensors.iter().filter_map(|tensor| self.rule_for(tensor)) {
            used[rule] = true;
        }
        (0..used.len()).filter(|&rule| !used[rule]).collect()
    }
}

impl Rule {
    /// Leaves tensors with names of these patterns.
    pub fn leave(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            prune: None,
            quantize: None,
        }
    }

    /// The same, pruning.
    #[must_use]
    pub fn prune(mut self, pruning: Pruning) -> Self {
        self.prune = Some(pruning);
        self
    }

    /// The same, quantizing.
    #[must_use]
    pub fn quantize(mut self, quantization: Quantization) -> Self {
        self.quantize = Some(quantization);
        self
    }

    fn fits(&self, name: &str) -> bool {
        let mut patterns = self.names.iter().map(|pattern| WildMatch::new(pattern));
        patterns.any(|pattern| pattern.matches(name))
    }

    /// Whether it changes nothing.
    pub(super) const fn leaves(&self) -> bool {
        self.prune.is_none() && self.quantize.is_none()
    }
}
