//! What `config.json` says.

use super::group::layout_of;
use super::module::Module;
use super::setting::Setting;
use super::{CompressedGroup, CompressedLayout, FORMAT};
use crate::error::{Error, FileError, Result};
use crate::formats::file::{damaged, failed};
use crate::tensors::TensorSource;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The key in `config.json`.
const KEY: &str = "quantization_config";
/// The format of configs whose groups have several.
const MIXED: &str = "mixed-precision";
/// Longer files than this are no config of a model.
const LONGEST: u64 = 1 << 26;

/// How the weights of a checkpoint are quantized: `quantization_config` in `config.json`.
///
/// # Examples
///
/// ```
/// use ndarray::Axis;
/// use rarefy::formats::{CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights};
/// use rarefy::quantize::{Granularity, Scheme};
/// use serde_json::json;
///
/// let groups = Granularity::PerGroup { axis: Axis(1), size: 128 };
/// let weights = CompressedWeights::new(Scheme::symmetric(4)?, groups)?;
/// let linear = CompressedGroup::new(["Linear"], CompressedLayout::PackQuantized, weights)?;
/// let config = CompressedConfig::new([linear], ["lm_head"]);
///
/// let written = config.write_into(json!({ "model_type": "llama" }))?;
/// assert_eq!(written["model_type"], "llama");
/// let settings = &written["quantization_config"];
/// assert_eq!(settings["quant_method"], "compressed-tensors");
/// assert_eq!(settings["config_groups"]["group_0"]["weights"]["group_size"], 128);
/// assert_eq!(CompressedConfig::from_json(&written)?, config);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CompressedConfig {
    groups: Vec<CompressedGroup>,
    ignore: Vec<String>,
}

impl CompressedConfig {
    /// These groups of modules, but none of the modules that `ignore` names as targets are named.
    pub fn new<T: Into<String>>(
        groups: impl IntoIterator<Item = CompressedGroup>,
        ignore: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            groups: groups.into_iter().collect(),
            ignore: ignore.into_iter().map(Into::into).collect(),
        }
    }

    /// What the config of a model says.
    ///
    /// Only what is needed to read weights is looked at; what is said of a cache of keys and values, for instance, is not.
    ///
    /// # Errors
    ///
    /// [`FileError::Setting`] with the setting that is missing, is of the wrong type, or says something that is not
    /// understood: another `quant_method`, a `format` that [`CompressedLayout`] has not, weights that are transformed or
    /// sparse.
    pub fn from_json(config: &Value) -> Result<Self> {
        let settings = Setting::new(KEY, config.get(KEY));
        settings.object()?;
        let method = settings.get("quant_method");
        if method.text()? != FORMAT {
            return Err(method.wrong("compressed-tensors"));
        }
        let format = settings.get("format");
        let outer = match format.text()? {
            MIXED => None,
            name => match CompressedLayout::named(name) {
                Some(layout) => Some(layout),
                None => return Err(format.wrong(
                    "dense, pack-quantized, int-quantized, naive-quantized, float-quantized or mixed-precision",
                )),
            },
        };
        refuse(&settings)?;
        let named = settings.get("config_groups");
        let mut groups = Vec::new();
        for name in named.object()?.keys() {
            groups.push(CompressedGroup::from_json(&named.get(name), outer)?);
        }
        let ignore = settings.get("ignore").texts()?;
        Ok(Self { groups, ignore })
    }

    /// What the `config.json` at `path` says.
    ///
    /// # Errors
    ///
    /// [`FileError::Failed`] if it cannot be read, [`FileError::Damaged`] if it is no JSON; those of
    /// [`from_json`](Self::from_json).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(failed("open", path))?;
        let mut text = Vec::new();
        let read = file.take(LONGEST + 1).read_to_end(&mut text);
        read.map_err(failed("read", path))?;
        if text.len() as u64 > LONGEST {
            return Err(damaged(path, "more than 64 MiB are no config"));
        }
        let config: Value =
            serde_json::from_slice(&text).map_err(|error| damaged(path, error.to_string()))?;
        Self::from_json(&config)
    }

    /// The config of a model with this in it; everything else stays as it is.
    ///
    /// # Errors
    ///
    /// [`FileError::Setting`] if `config` is no object.
    pub fn write_into(&self, mut config: Value) -> Result<Value> {
        match config.as_object_mut() {
            Some(object) => object.insert(KEY.to_owned(), self.to_json()),
            None => return Err(Setting::new("config", Some(&config)).wrong("an object")),
        };
        Ok(config)
    }

    /// The groups, in the order of their names.
    pub fn groups(&self) -> &[CompressedGroup] {
        &self.groups
    }

    /// Modules that are not quantized although a group has their class.
    pub fn ignore(&self) -> &[String] {
        &self.ignore
    }

    /// The name of the layout, or that of several.
    fn format(&self) -> &'static str {
        let mut layouts = self.groups.iter().map(CompressedGroup::layout);
        match layouts.next() {
            None => CompressedLayout::Dense.name(),
            Some(first) if layouts.all(|layout| layout == first) => first.name(),
            Some(_) => MIXED,
        }
    }

    fn to_json(&self) -> Value {
        // The first group that a module fits counts, and readers go by the order of names.
        let digits = self.groups.len().saturating_sub(1).to_string().len();
        let groups: Map<String, Value> = (self.groups.iter().enumerate())
            .map(|(number, group)| (format!("group_{number:0digits$}"), group.to_json()))
            .collect();
        json!({
            "quant_method": FORMAT,
            "format": self.format(),
            "quantization_status": "compressed",
            "config_groups": groups,
            "ignore": self.ignore,
            "kv_cache_scheme": null,
            "global_compression_ratio": null,
        })
    }

    /// The quantized weight of a module whose codes are stored this way, by the group that its tensors fit.
    pub(super) fn module(
        &self,
        layout: CompressedLayout,
        source: &dyn TensorSource,
        name: &str,
    ) -> Result<Module> {
        let mut fit: Vec<Module> = Vec::new();
        let mut why = None;
        for group in &self.groups {
            let Some(weights) = group.weights() else {
                continue;
            };
            match Module::find(layout, source, name, weights) {
                Ok(module) if group.targets().iter().any(|target| target == name) => {
                    return Ok(module);
                }
                Ok(module) if fit.iter().all(|other| other.weights() != module.weights()) => {
                    fit.push(module);
                }
                Ok(_) => {}
                Err(error) => why = why.or(Some(error)),
            }
        }
        let several = fit.len() > 1;
        match fit.pop() {
            Some(module) if !several => Ok(module),
            Some(_) => Err(groups(
                format!("several groups that the tensors of {name} fit"),
                "groups that tensors tell apart, or that name the module",
            )),
            None => Err(why.unwrap_or_else(|| {
                groups(
                    format!("no group for the quantized weight of {name}"),
                    "groups with weights",
                )
            })),
        }
    }
}

fn groups(given: String, must: &'static str) -> Error {
    Error::File(FileError::Setting {
        key: format!("{KEY}.config_groups"),
        given,
        must,
    })
}

/// Fails if more was done to weights than to quantize them.
fn refuse(settings: &Setting<'_>) -> Result<()> {
    let transforms = settings.get("transform_config");
    let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    let nothing =
        |value: &Value| is_empty(value) || value.get("config_groups").is_some_and(is_empty);
    if transforms.given().is_some_and(|value| !nothing(value)) {
        return Err(transforms.wrong("empty: weights that were transformed are not read"));
    }
    let sparsity = settings.get("sparsity_config").get("format");
    match sparsity.given() {
        None => Ok(()),
        Some(_) if layout_of(&sparsity).is_ok_and(|layout| layout == CompressedLayout::Dense) => {
            Ok(())
        }
        Some(_) => Err(sparsity.wrong("dense: sparse layouts are not read")),
    }
}
