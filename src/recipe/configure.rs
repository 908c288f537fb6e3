//! What the configuration of a model says of its codes.

use super::layout::{Layout, module};
use super::plan::Plan;
use crate::error::{Error, FileError, Result};
use crate::formats::{
    CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights, GptqConfig,
};
use crate::tensors::TensorInfo;
use serde_json::{Value, json};

/// The class of layers that other programs look for.
const LINEAR: &str = "Linear";

/// What says how codes are laid out.
const CODES: &str = "quantization_config";

/// The configuration without what it says of codes, which are written anew or not at all.
pub(super) fn without_codes(config: &Value) -> Value {
    let mut config = config.clone();
    if let Some(keys) = config.as_object_mut() {
        keys.remove(CODES);
    }
    config
}

/// The configuration with what compressed-tensors needs to know.
///
/// Where all codes are of one kind, all linear layers are said to be of it, but for those with weights that are left. Where
/// there are several, each names its modules.
pub(super) fn compressed(
    config: Option<Value>,
    infos: &[TensorInfo],
    plan: &Plan,
) -> Result<Value> {
    let mut groups: Vec<((CompressedLayout, CompressedWeights), Vec<&str>)> = Vec::new();
    let mut ignored = Vec::new();
    for step in &plan.steps {
        let info = &infos[step.tensor];
        let Some(module) = module(&info.name) else {
            continue;
        };
        match step.layout {
            Layout::Compressed {
                layout, weights, ..
            } => {
                let kind = (layout, weights);
                match groups.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, modules)) => modules.push(module),
                    None => groups.push((kind, vec![module])),
                }
            }
            // Whether it is a linear layer cannot be seen; naming others does no harm.
            _ if info.dtype.is_float() && info.shape.len() == 2 => ignored.push(module),
            _ => {}
        }
    }
    let one = groups.len() == 1;
    let mut written = Vec::with_capacity(groups.len());
    for ((layout, weights), modules) in groups {
        let targets = if one { vec![LINEAR] } else { modules };
        written.push(CompressedGroup::new(targets, layout, weights)?);
    }
    let base = config.unwrap_or_else(|| json!({}));
    CompressedConfig::new(written, ignored).write_into(base)
}

/// The configuration with what readers of GPTQ need to know: one number of bits and one size of groups for all.
pub(super) fn gptq(config: Option<Value>, plan: &Plan) -> Result<Option<Value>> {
    let mut kind = None;
    for step in &plan.steps {
        let Layout::Gptq {
            bits,
            group,
            symmetric,
        } = step.layout
        else {
            continue;
        };
        let (known, _) = *kind.get_or_insert(((bits, group), symmetric));
        if known != (bits, group) {
            return Err(Error::File(FileError::CannotHold {
                format: "gptq",
                what: format!("{known:?} and {:?} as bits and groups", (bits, group)),
                must: "one number of bits and one size of groups for all",
            }));
        }
        kind = kind.map(|(kind, all)| (kind, all && symmetric));
    }
    let Some(((bits, group), symmetric)) = kind else {
        return Ok(config);
    };
    let mut said = GptqConfig::new(bits, group);
    said.sym = symmetric;
    let mut written = config.unwrap_or_else(|| json!({}));
    match written.as_object_mut() {
        Some(keys) => keys.insert(CODES.to_owned(), said.to_json()),
        None => {
            return Err(Error::File(FileError::Setting {
                key: "config".to_owned(),
                given: written.to_string(),
                must: "an object",
            }));
        }
    };
    Ok(Some(written))
}
