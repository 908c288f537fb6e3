//! The configs of quantized checkpoints.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rarefy::formats::{AwqConfig, CompressedConfig, GptqConfig};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(json) = serde_json::from_slice(bytes) {
        let _ = CompressedConfig::from_json(&json);
        let _ = GptqConfig::from_json(&json);
        let _ = AwqConfig::from_json(&json);
    }
});
