//! What a checkpoint says of how its weights were quantized.

use crate::error::Result;
use crate::formats::setting::Settings;
use serde_json::{Value, json};

/// How a GPTQ checkpoint stores zero points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GptqFormat {
    /// `gptq`: less one. Zero point 0 cannot be stored.
    #[default]
    V1,
    /// `gptq_v2`: as they are.
    V2,
}

/// How the weights of a GPTQ checkpoint are quantized: `quantization_config` of its `config.json`, or its
/// `quantize_config.json`.
///
/// # Examples
///
/// ```
/// use rarefy::formats::{GptqConfig, GptqFormat};
///
/// let text = r#"{"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "sym": true}"#;
/// let json = serde_json::from_str(text).map_err(rarefy::Error::external)?;
/// let config = GptqConfig::from_json(&json)?;
/// assert_eq!((config.bits, config.group_size), (4, Some(128)));
/// assert_eq!(config.checkpoint_format, GptqFormat::V1); // where nothing is said
/// assert_eq!(GptqConfig::from_json(&config.to_json())?, config);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GptqConfig {
    /// Bits of a weight: 2, 3, 4 or 8.
    pub bits: u32,
    /// Inputs that share a scale; `None`, -1 in the file: all of them.
    pub group_size: Option<usize>,
    /// Whether columns were quantized in the order of their importance, so that an input may belong to any group.
    ///
    /// Readers of ours look at `g_idx` alone, as PyTorch's do.
    pub desc_act: bool,
    /// Whether all zero points are 2ᵇ⁻¹.
    pub sym: bool,
    /// How zero points are stored. Some tools store them as they are and say `gptq`: set it where a file lies.
    pub checkpoint_format: GptqFormat,
}

impl GptqConfig {
    /// Symmetric, inputs in their order, `gptq`.
    pub const fn new(bits: u32, group_size: Option<usize>) -> Self {
        Self {
            bits,
            group_size,
            desc_act: false,
            sym: true,
            checkpoint_format: GptqFormat::V1,
        }
    }

    /// What this object says, or the `quantization_config` in it.
    ///
    /// | setting | where it is missing |
    /// |---|---|
    /// | `quant_method`: `gptq` | the same |
    /// | `bits`: 2, 3, 4, 8 | an error |
    /// | `group_size`: -1 or from 1 on | an error |
    /// | `desc_act` | false |
    /// | `sym` | true |
    /// | `checkpoint_format`, or `format`: `gptq`, `gptq_v2` | `gptq` |
    ///
    /// Others are not looked at.
    ///
    /// # Errors
    ///
    /// [`FileError::Setting`](crate::FileError::Setting): the first that is missing or not understood.
    pub fn from_json(json: &Value) -> Result<Self> {
        let settings = Settings::of_quantization(json)?;
        settings.text(&["quant_method"], "\"gptq\"", Some(()), |method| {
            (method == "gptq").then_some(())
        })?;
        let bits = settings.integer(&["bits"], "2, 3, 4 or 8", |bits| {
            matches!(bits, 2 | 3 | 4 | 8)
        })?;
        let format = settings.text(
            &["checkpoint_format", "format"],
            "\"gptq\" or \"gptq_v2\"",
            Some(GptqFormat::V1),
            |format| match format {
                "gptq" => Some(GptqFormat::V1),
                "gptq_v2" => Some(GptqFormat::V2),
                _ => None,
            },
        )?;
        Ok(Self {
            bits: u32::try_from(bits).unwrap_or_default(),
            group_size: group_size(settings, &["group_size"])?,
            desc_act: settings.truth("desc_act", false)?,
            sym: settings.truth("sym", true)?,
            checkpoint_format: format,
        })
    }

    /// The object that goes into `config.json` as `quantization_config`, and is `quantize_config.json` for older readers.
    pub fn to_json(&self) -> Value {
        json!({
            "quant_method": "gptq",
            "bits": self.bits,
            "group_size": self.group_size.map_or(json!(-1), |size| json!(size)),
            "desc_act": self.desc_act,
            "sym": self.sym,
            "checkpoint_format": match self.checkpoint_format {
                GptqFormat::V1 => "gptq",
                GptqFormat::V2 => "gptq_v2",
            },
            "lm_head": false,
            "meta": { "quantizer": [concat!("rarefy:", env!("CARGO_PKG_VERSION"))] },
        })
    }

    /// Inputs of a group where there are so many in all.
    pub(in crate::formats) fn group(&self, inputs: usize) -> usize {
        self.group_size
            .map_or(inputs, |size| size.clamp(1, inputs.max(1)))
    }
}

/// How many inputs share a scale: `None` if all do.
pub(in crate::formats) fn group_size(
    settings: Settings<'_>,
    keys: &[&str],
) -> Result<Option<usize>> {
    let size = settings.integer(keys, "-1 or from 1 on", |size| size == -1 || size > 0)?;
    Ok(usize::try_from(size).ok())
}
