//! A safetensors file, every tensor of it as it is and as floats.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rarefy::formats::SafetensorsFile;
use rarefy::tensors::{TensorSource, TensorSourceExt};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = SafetensorsFile::from_bytes(bytes.to_vec()) {
        for info in file.infos() {
            assert!(file.tensor(&info.name).is_ok(), "what was checked is there");
            let _ = file.floats::<f32>(&info.name);
        }
    }
});
