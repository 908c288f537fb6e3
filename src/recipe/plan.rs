//! What becomes of each tensor, and in which file it will be.

use super::layout::{Layout, infos};
use super::threshold::Threshold;
use super::{Output, Pruning, Recipe};
use crate::error::{Error, FileError, Result};
use crate::formats::KeptWeights;
use crate::tensors::{TensorInfo, TensorSource};
use std::ops::Range;

/// What becomes of a tensor.
#[derive(Debug)]
pub(super) struct Step {
    /// Its number in the source.
    pub(super) tensor: usize,
    /// The rule that decides about it, if that changes something.
    pub(super) rule: Option<usize>,
    pub(super) layout: Layout,
    /// The tensors that it becomes.
    pub(super) outputs: Vec<TensorInfo>,
}

/// What becomes of each tensor, and in which file it will be.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of the source.
    pub(super) steps: Vec<Step>,
    /// The steps of each file.
    pub(super) files: Vec<Range<usize>>,
}

impl Step {
    /// Bytes of all tensors that it becomes.
    pub(super) fn bytes(&self) -> Result<usize> {
        let mut sum = 0_usize;
        for info in &self.outputs {
            sum = sum.saturating_add(info.bytes()?);
        }
        Ok(sum)
    }
}

impl Plan {
    /// The plan of a recipe for a model. `thresholds` has one for each rule that prunes all its tensors together; before
    /// they are known, those tensors count as if none of their weights went.
    pub(super) fn new(
        source: &dyn TensorSource,
        recipe: &Recipe,
        thresholds: &[(usize, Threshold)],
    ) -> Result<Self> {
        let mut steps = Vec::with_capacity(source.infos().len());
        for (tensor, info) in source.infos().iter().enumerate() {
            let of_rule = |rule: &usize| !recipe.rules[*rule].leaves();
            let rule = recipe.rule_for(info).filter(of_rule);
            let step = step(tensor, info, rule, recipe, thresholds);
            steps.push(step.map_err(|error| error.in_tensor(&*info.name))?);
        }
        let files = match recipe.output {
            // One file, whatever its size.
            Output::Gguf(_) => into_files(&steps, u64::MAX)?,
            _ => into_files(&steps, recipe.file_bytes)?,
        };
        Ok(Self { steps, files })
    }

    /// The name of a file.
    pub(super) fn file_name(&self, output: &Output, file: usize) -> String {
        match (output, self.files.len()) {
            (Output::Gguf(_), _) => "model.gguf".to_owned(),
            (_, 1) => "model.safetensors".to_owned(),
            (_, files) => format!("model-{:05}-of-{files:05}.safetensors", file + 1),
        }
    }

    /// The tensors of a file.
    pub(super) fn infos(&self, file: usize) -> Vec<TensorInfo> {
        let steps = &self.steps[self.files[file].clone()];
        steps
            .iter()
            .flat_map(|step| step.outputs.iter().cloned())
            .collect()
    }
}

fn step(
    tensor: usize,
    info: &TensorInfo,
    rule: Option<usize>,
    recipe: &Recipe,
    thresholds: &[(usize, Threshold)],
) -> Result<Step> {
    let Some(number) = rule else {
        return Ok(Step {
            tensor,
            rule,
            layout: Layout::Same,
            outputs: vec![info.clone()],
        });
    };
    let rule = &recipe.rules[number];
    let layout = Layout::new(&recipe.output, rule, info)?;
    let outputs = match (layout, rule.prune) {
        (Layout::Kept, Some(pruning)) => {
            let len = info.elements()?;
            let of_rule = thresholds.iter().find(|(rule, _)| *rule == number);
            let kept = match pruning {
                Pruning::Global(_) => of_rule.and_then(|(_, threshold)| threshold.kept(tensor)),
                _ => pruning.kept(&info.shape, len)?,
            };
            KeptWeights::infos(&info.name, info.dtype, &info.shape, kept.unwrap_or(len))?
        }
        _ => infos(layout, info)?,
    };
    Ok(Step {
        tensor,
        rule: Some(number),
        layout,
        outputs,
    })
}

/// Fills one file after the other, each with whole tensors.
fn into_files(steps: &[Step], most: u64) -> Result<Vec<Range<usize>>> {
    if most == 0 {
        return Err(Error::File(FileError::Setting {
            key: "file_bytes".to_owned(),
            given: "0".to_owned(),
            must: "at least 1",
        }));
    }
    let mut files = Vec::new();
    let (mut start, mut bytes) = (0, 0_u64);
    for (number, step) in steps.iter().enumerate() {
        let more = step.bytes()? as u64;
        if number > start && bytes.saturating_add(more) > most {
            files.push(start..number);
            (start, bytes) = (number, 0);
        }
        bytes = bytes.saturating_add(more);
    }
    files.push(start..steps.len());
    Ok(files)
}
