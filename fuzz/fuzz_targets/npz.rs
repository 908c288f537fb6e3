//! A `.npz` file, every array of it; what inflates to more than a megabyte is not waited for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rarefy::formats::NpzFile;
use rarefy::tensors::{TensorSource, TensorSourceExt};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = NpzFile::from_bytes(bytes.to_vec()) {
        for info in file.infos() {
            if info.bytes().is_ok_and(|bytes| bytes <= 1 << 20) {
                let _ = file.tensor(&info.name);
            }
        }
    }
});
