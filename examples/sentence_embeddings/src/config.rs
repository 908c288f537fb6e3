//! What a network's `config.json` says.

use crate::Result;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The sizes that a BERT network has.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub blocks: usize,
    pub heads: usize,
    /// Numbers of a token between blocks.
    pub width: usize,
    pub epsilon: f32,
}

impl Config {
    /// Reads `config.json` of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let wrong = |what: &str| format!("{}: {what}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| wrong(&error.to_string()))?;
        let json: Value = serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
        let count = |key: &str| match json[key].as_u64() {
            Some(count) if count > 0 => Ok(usize::try_from(count)?),
            _ => Err(crate::Failure::from(wrong(&format!("no count {key}")))),
        };
        for (key, needed) in [("model_type", "bert"), ("hidden_act", "gelu")] {
            if json[key] != needed {
                return Err(
                    wrong(&format!("{key} is {}, {needed} is known here", json[key])).into(),
                );
            }
        }
        let (heads, width) = (count("num_attention_heads")?, count("hidden_size")?);
        if width % heads != 0 {
            return Err(wrong(&format!("{heads} heads do not divide {width} numbers")).into());
        }
        let epsilon = json["layer_norm_eps"]
            .as_f64()
            .ok_or(wrong("no layer_norm_eps"))?;
        let epsilon = epsilon as f32;
        Ok(Self {
            blocks: count("num_hidden_layers")?,
            heads,
            width,
            epsilon,
        })
    }
}
