//! One group of a config: which modules, and how they are quantized.

use super::setting::Setting;
use super::{CompressedLayout, CompressedWeights};
use crate::error::Result;
use serde_json::{Value, json};

/// Modules that are quantized alike: one of `config_groups`.
///
/// # Examples
///
/// ```
/// use ndarray::Axis;
/// use rarefy::formats::{CompressedGroup, CompressedLayout, CompressedWeights};
/// use rarefy::quantize::{Granularity, Scheme};
///
/// let groups = Granularity::PerGroup { axis: Axis(1), size: 128 };
/// let weights = CompressedWeights::new(Scheme::symmetric(4)?, groups)?;
/// let linear = CompressedGroup::new(["Linear"], CompressedLayout::PackQuantized, weights)?;
/// assert!(linear.input_activations().is_none());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CompressedGroup {
    targets: Vec<String>,
    layout: CompressedLayout,
    weights: Option<CompressedWeights>,
    inputs: Option<Value>,
    outputs: Option<Value>,
}

impl CompressedGroup {
    /// Modules of these classes (`Linear`), of these names, or whose names these patterns match (`re:` before a regular
    /// expression, of Python's kind).
    ///
    /// Inputs are quantized too where programs that load the layout expect it, anew for each token: to integers of 8 bits
    /// in `IntQuantized`, to floats of 8 bits in `FloatQuantized`. Elsewhere they stay floats.
    ///
    /// # Errors
    ///
    /// [`FileError::CannotHold`](crate::FileError::CannotHold) if the layout does not hold such weights.
    pub fn new<T: Into<String>>(
        targets: impl IntoIterator<Item = T>,
        layout: CompressedLayout,
        weights: CompressedWeights,
    ) -> Result<Self> {
        layout.check(weights)?;
        let inputs = match layout {
            CompressedLayout::IntQuantized => Some(per_token("int")),
            CompressedLayout::FloatQuantized => Some(per_token("float")),
            _ => None,
        };
        Ok(Self {
            targets: targets.into_iter().map(Into::into).collect(),
            layout,
            weights: Some(weights),
            inputs,
            outputs: None,
        })
    }

    /// The same with other words on how inputs are quantized; null says that they are not.
    #[must_use]
    pub fn with_input_activations(mut self, inputs: Value) -> Self {
        self.inputs = Some(inputs).filter(|inputs| !inputs.is_null());
        self
    }

    /// Classes, names or patterns of modules.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// How weights are stored.
    pub const fn layout(&self) -> CompressedLayout {
        self.layout
    }

    /// What is said of weights; nothing where they are not quantized.
    pub const fn weights(&self) -> Option<CompressedWeights> {
        self.weights
    }

    /// What is said of inputs, as it is in the config.
    pub const fn input_activations(&self) -> Option<&Value> {
        self.inputs.as_ref()
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "targets": self.targets,
            "format": self.layout.name(),
            "weights": self.weights.map(CompressedWeights::to_json),
            "input_activations": self.inputs,
            "output_activations": self.outputs,
        })
    }

    /// A group of a config whose own format is `outer`, if that is one of a group.
    pub(super) fn from_json(group: &Setting<'_>, outer: Option<CompressedLayout>) -> Result<Self> {
        group.object()?;
        let weights = group.get("weights");
        let weights = match weights.given() {
            Some(_) => Some(CompressedWeights::from_json(&weights)?),
            None => None,
        };
        let inputs = group.get("input_activations").given().cloned();
        let format = group.get("format");
        let layout = match (format.given(), outer) {
            (Some(_), _) => layout_of(&format)?,
            (None, Some(outer)) => outer,
            (None, None) => implied(weights, inputs.is_some()),
        };
        Ok(Self {
            targets: group.get("targets").texts()?,
            layout,
            weights,
            inputs,
            outputs: group.get("output_activations").given().cloned(),
        })
    }
}

/// The layout that a config names.
pub(super) fn layout_of(format: &Setting<'_>) -> Result<CompressedLayout> {
    let layout = CompressedLayout::named(format.text()?);
    layout.ok_or_else(|| {
        format.wrong("dense, pack-quantized, int-quantized, naive-quantized or float-quantized")
    })
}

/// The layout of a group that does not say it: that which compressed-tensors takes.
const fn implied(weights: Option<CompressedWeights>, inputs: bool) -> CompressedLayout {
    match weights {
        None => CompressedLayout::Dense,
        Some(weights) => match (weights.is_float(), inputs) {
            (false, true) => CompressedLayout::IntQuantized,
            (false, false) => CompressedLayout::PackQuantized,
            (true, true) => CompressedLayout::FloatQuantized,
            (true, false) => CompressedLayout::NaiveQuantized,
        },
    }
}

fn per_token(kind: &str) -> Value {
    json!({
        "num_bits": 8,
        "type": kind,
        "symmetric": true,
        "strategy": "token",
        "group_size": null,
        "dynamic": true,
    })
}
