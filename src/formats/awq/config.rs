//! What a checkpoint says of how its weights were quantized.

use crate::error::Result;
use crate::formats::gptq::group_size;
use crate::formats::setting::Settings;
use serde_json::Value;

/// How the weights of an AWQ checkpoint are quantized: `quantization_config` of its `config.json`, or its
/// `quant_config.json`. They have 4 bits.
///
/// # Examples
///
/// ```
/// use rarefy::formats::AwqConfig;
///
/// let text = r#"{"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true, "version": "gemm"}"#;
/// let json = serde_json::from_str(text).map_err(rarefy::Error::external)?;
/// assert_eq!(AwqConfig::from_json(&json)?, AwqConfig::new(Some(128)));
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AwqConfig {
    /// Inputs that share a scale; `None`, -1 in the file: all of them.
    pub group_size: Option<usize>,
    /// Whether zero points are stored; else all are 8.
    pub zero_point: bool,
}

impl AwqConfig {
    /// With zero points.
    pub const fn new(group_size: Option<usize>) -> Self {
        Self {
            group_size,
            zero_point: true,
        }
    }

    /// What this object says, or the `quantization_config` in it.
    ///
    /// | setting | where it is missing |
    /// |---|---|
    /// | `quant_method`: `awq` | the same |
    /// | `bits`, or `w_bit`: 4 | an error |
    /// | `group_size`, or `q_group_size`: -1 or from 1 on | an error |
    /// | `zero_point` | true |
    /// | `version`: `gemm`, in letters of any case | the same |
    ///
    /// Others are not looked at.
    ///
    /// # Errors
    ///
    /// [`FileError::Setting`](crate::FileError::Setting): the first that is missing or not understood.
    pub fn from_json(json: &Value) -> Result<Self> {
        let settings = Settings::of_quantization(json)?;
        let one = |right: bool| right.then_some(());
        settings.text(&["quant_method"], "\"awq\"", Some(()), |method| {
            one(method == "awq")
        })?;
        settings.integer(&["bits", "w_bit"], "4", |bits| bits == 4)?;
        settings.text(&["version"], "\"gemm\"", Some(()), |version| {
            one(version.eq_ignore_ascii_case("gemm"))
        })?;
        Ok(Self {
            group_size: group_size(settings, &["group_size", "q_group_size"])?,
            zero_point: settings.truth("zero_point", true)?,
        })
    }
}
