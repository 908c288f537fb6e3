//! How the result lies in files.

use crate::error::{Error, FileError, Result};
use crate::formats::{CompressedLayout, GgufValue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the result lies in files. In JSON, for example, `"dense"`, `{"compressed-tensors": "pack-quantized"}`,
/// `{"gguf": {"architecture": "bert"}}`.
///
/// | output | files | pruned weights | quantized weights |
/// |---|---|---|---|
/// | `dense` | safetensors | zeros | what codes mean, in the tensor's own type: for whoever reads floats |
/// | `kept` | safetensors | values that stay, and a mask of a bit a weight: [`KeptWeights`](crate::formats::KeptWeights) | refused |
/// | `compressed-tensors` | safetensors, `quantization_config` | zeros | one of its layouts ([`CompressedLayout`]), for vLLM and transformers |
/// | `gptq` | safetensors, `quantization_config` | zeros | GPTQ's words, format v1 |
/// | `gguf` | `model.gguf` | zeros | block formats, for llama.cpp and candle |
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Output {
    /// Floats.
    #[default]
    Dense,
    /// Values that stay, and masks.
    Kept,
    /// A layout of compressed-tensors for all codes of the model.
    CompressedTensors(CompressedLayout),
    /// The layout of GPTQ, format v1.
    Gptq,
    /// A GGUF file.
    Gguf(GgufOutput),
}

/// What a GGUF file says beside its tensors.
///
/// Names of tensors stay what they are, so that candle finds them; llama.cpp has names of its own for each architecture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GgufOutput {
    /// `general.architecture`: "llama", "bert", ...
    pub architecture: String,
    /// More keys with numbers, texts and truth values: head counts, layers and what else the architecture asks for.
    /// Whole numbers become u32 where they fit, else i64; others f32.
    #[serde(default)]
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl Output {
    /// The name of the output in a recipe.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Kept => "kept",
            Self::CompressedTensors(_) => "compressed-tensors",
            Self::Gptq => "gptq",
            Self::Gguf(_) => "gguf",
        }
    }
}

impl GgufOutput {
    /// The keys of the file.
    pub(super) fn values(&self) -> Result<Vec<(String, GgufValue)>> {
        let architecture = GgufValue::from(self.architecture.as_str());
        let mut values = vec![("general.architecture".to_owned(), architecture)];
        for (key, given) in &self.metadata {
            let value = value(given).ok_or_else(|| {
                Error::File(FileError::Setting {
                    key: format!("output.gguf.metadata.{key}"),
                    given: given.to_string(),
                    must: "a whole number that fits an i64, a number that fits an f32, a text or a truth value",
                })
            })?;
            values.push((key.clone(), value));
        }
        Ok(values)
    }
}

fn value(given: &serde_json::Value) -> Option<GgufValue> {
    if let Some(text) = given.as_str() {
        return Some(text.into());
    }
    if let Some(truth) = given.as_bool() {
        return Some(truth.into());
    }
    if let Some(whole) = given.as_i64() {
        return Some(u32::try_from(whole).map_or_else(|_| whole.into(), GgufValue::from));
    }
    if given.is_u64() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "as the documentation says")]
    let number = given.as_f64()? as f32;
    number.is_finite().then(|| number.into())
}
