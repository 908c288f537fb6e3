//! A GGUF file, every tensor of it as stored, as blocks and as floats.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rarefy::formats::GgufFile;
use rarefy::tensors::{TensorSource, TensorSourceExt};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = GgufFile::from_bytes(bytes.to_vec()) {
        for info in file.tensors() {
            let _ = file.block_tensor(&info.name);
        }
        for info in file.infos() {
            let _ = file.tensor(&info.name);
        }
    }
});
