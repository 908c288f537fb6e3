//! Quantized checkpoints: a safetensors file whose text `config` says how, as in the tests of files that lie.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rarefy::formats::{
    AwqCheckpoint, AwqConfig, BitsAndBytesCheckpoint, CompressedConfig, Decompressed, GptqCheckpoint, GptqConfig,
    SafetensorsFile,
};
use rarefy::tensors::{TensorSource, TensorSourceExt};

fn read(model: &dyn TensorSource) {
    for info in model.infos() {
        let _ = model.tensor(&info.name);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = SafetensorsFile::from_bytes(bytes.to_vec()) else {
        return;
    };
    if let Ok(model) = BitsAndBytesCheckpoint::new(&file) {
        read(&model);
    }
    let config = file.metadata().get("config").map_or("", String::as_str);
    let Ok(json) = serde_json::from_str(config) else {
        return;
    };
    if let Ok(model) = CompressedConfig::from_json(&json).and_then(|config| Decompressed::new(&file, config)) {
        read(&model);
    }
    if let Ok(model) = GptqConfig::from_json(&json).and_then(|config| GptqCheckpoint::new(&file, config)) {
        read(&model);
    }
    if let Ok(model) = AwqConfig::from_json(&json).and_then(|config| AwqCheckpoint::new(&file, config)) {
        read(&model);
    }
});
