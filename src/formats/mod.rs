//! Files: what other runs and other programs read and write.
//!
//! | feature | what | format |
//! |---|---|---|
//! | `cache` | what a teacher said of each row: `CacheWriter`, `CacheReader` | a folder of safetensors files |
//! | `masks` | masks by name: `MaskFile` | a safetensors file |
//! | `calibration` | statistics of activations by name: `CalibrationFile` | a safetensors file |
//! | `safetensors` | models of others, of one file or many: `Checkpoint`, `SafetensorsFile`, `SafetensorsWriter` | safetensors |
//! | `npy` | arrays of NumPy: `read_npy`, `write_npy`, `NpzFile`, `NpzWriter` | npy, npz |
//! | `tensors` | models that `torch.nn.utils.prune` pruned: `TorchPruning` | any source of tensors |
//! | `compressed-tensors` | quantized models of vLLM and transformers: `CompressedLayout`, `CompressedConfig`, `Decompressed` | safetensors and `config.json` |
//! | `gguf` | models of others with their settings, weights in blocks: `GgufFile`, `GgufWriter` | GGUF |
//! | `gptq` | quantized models, in and out: `GptqCheckpoint`, `GptqWeights`, `GptqConfig` | GPTQ v1 and v2 in safetensors |
//! | `gptq` | quantized models, in: `AwqCheckpoint`, `AwqConfig` | AWQ in safetensors |
//! | `bitsandbytes` | quantized models, in: `BitsAndBytesCheckpoint` | NF4 and FP4 in safetensors |

#[cfg(feature = "gptq")]
mod awq;
#[cfg(feature = "bitsandbytes")]
mod bitsandbytes;
#[cfg(any(feature = "safetensors", feature = "gguf", feature = "npy"))]
mod bytes;
#[cfg(feature = "cache")]
mod cache;
#[cfg(feature = "calibration")]
mod calibration;
#[cfg(any(feature = "cache", feature = "calibration", feature = "masks"))]
mod checksum;
#[cfg(feature = "compressed-tensors")]
mod compressed_tensors;
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
#[cfg(feature = "gguf")]
mod gguf;
#[cfg(feature = "gptq")]
mod gptq;
#[cfg(any(feature = "cache", feature = "calibration", feature = "masks"))]
mod header;
#[cfg(feature = "gptq")]
mod integers;
#[cfg(feature = "tensors")]
mod kept;
#[cfg(feature = "masks")]
mod masks;
#[cfg(feature = "npy")]
mod npy;
#[cfg(feature = "recipe")]
mod open;
#[cfg(any(feature = "safetensors", feature = "gguf"))]
mod pieces;
#[cfg(any(
    feature = "gptq",
    feature = "bitsandbytes",
    feature = "compressed-tensors"
))]
mod round;
#[cfg(feature = "safetensors")]
mod safetensors;
#[cfg(any(feature = "gptq", feature = "bitsandbytes"))]
mod setting;
#[cfg(feature = "tensors")]
mod torch_pruning;
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
#[cfg(feature = "compressed-tensors")]
pub use compressed_tensors::{
    CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights, Decompressed,
};
#[cfg(feature = "gguf")]
pub use gguf::{GgufArray, GgufFile, GgufStrings, GgufTensorInfo, GgufType, GgufValue, GgufWriter};
#[cfg(feature = "gptq")]
pub use gptq::{GptqCheckpoint, GptqConfig, GptqFormat, GptqWeights};
#[cfg(feature = "tensors")]
pub use kept::KeptWeights;
#[cfg(feature = "masks")]
pub use masks::MaskFile;
#[cfg(feature = "npy")]
pub use npy::{NpzFile, NpzWriter, read_npy, read_npy_tensor, write_npy, write_npy_tensor};
#[cfg(feature = "recipe")]
pub use open::open_model;
#[cfg(feature = "safetensors")]
pub use safetensors::{Checkpoint, SafetensorsFile, SafetensorsWriter, write_index};
#[cfg(feature = "tensors")]
pub use torch_pruning::TorchPruning;

#[cfg(feature = "recipe")]
pub(crate) use file::{failed, read_json, write_file};
