//! Files: what other runs and other programs read and write.
//!
//! | feature | what | format |
//! |---|---|---|
//! | `cache` | what a teacher said of each row: `CacheWriter`, `CacheReader` | a folder of safetensors files |
//! | `masks` | masks by name: `MaskFile` | a safetensors file |
//! | `calibration` | statistics of activations by name: `CalibrationFile` | a safetensors file |
//! | `safetensors` | models of others, of one file or many: `Checkpoint`, `SafetensorsFile`, `SafetensorsWriter` | safetensors |
//! | `gptq` | quantized models, in and out: `GptqCheckpoint`, `GptqWeights`, `GptqConfig` | GPTQ v1 and v2 in safetensors |
//! | `gptq` | quantized models, in: `AwqCheckpoint`, `AwqConfig` | AWQ in safetensors |
//! | `bitsandbytes` | quantized models, in: `BitsAndBytesCheckpoint` | NF4 and FP4 in safetensors |

#[cfg(feature = "gptq")]
mod awq;
#[cfg(feature = "bitsandbytes")]
mod bitsandbytes;
#[cfg(any(feature = "safetensors", feature = "gguf"))]
mod bytes;
#[cfg(feature = "cache")]
mod cache;
#[cfg(feature = "calibration")]
mod calibration;
#[cfg(any(feature = "cache", feature = "calibration", feature = "masks"))]
mod checksum;
#[cfg(any(feature = "gptq", feature = "bitsandbytes"))]
mod dense;
#[cfg(any(
    feature = "cache",
    feature = "calibration",
    feature = "masks",
    feature = "npy",
    feature = "safetensors",
    feature = "gguf"
))]
mod file;
#[cfg(feature = "gptq")]
mod gptq;
#[cfg(any(feature = "cache", feature = "calibration", feature = "masks"))]
mod header;
#[cfg(feature = "gptq")]
mod integers;
#[cfg(feature = "masks")]
mod masks;
#[cfg(feature = "safetensors")]
mod safetensors;
#[cfg(any(feature = "gptq", feature = "bitsandbytes"))]
mod setting;
#[cfg(any(feature = "compressed-tensors", feature = "gptq"))]
mod words;

#[cfg(feature = "gptq")]
pub use awq::{AwqCheckpoint, AwqConfig};
#[cfg(feature = "bitsandbytes")]
pub use bitsandbytes::BitsAndBytesCheckpoint;
#[cfg(feature = "cache")]
pub use cache::{CacheReader, CacheSettings, CacheWriter};
#[cfg(feature = "calibration")]
pub use calibration::CalibrationFile;
#[cfg(feature = "gptq")]
pub use gptq::{GptqCheckpoint, GptqConfig, GptqFormat, GptqWeights};
#[cfg(feature = "masks")]
pub use masks::MaskFile;
#[cfg(feature = "safetensors")]
pub use safetensors::{Checkpoint, SafetensorsFile, SafetensorsWriter, write_index};
