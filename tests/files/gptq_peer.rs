//! What is written is read by auto-round: run where `RAREFY_PEERS_PYTHON` names a python that has it and safetensors.

use crate::folder::Folder;
use ndarray::{Array2, Axis};
use rarefy::formats::{GptqConfig, GptqWeights, SafetensorsWriter};
use rarefy::quantize::{Linear, QuantizerExt};
use rarefy::tensors::{DType, StoredTensor};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

#[test]
fn auto_round_reads_what_is_written() {
    let Some(python) = std::env::var_os("RAREFY_PEERS_PYTHON") else {
        println!("not run: RAREFY_PEERS_PYTHON names no python");
        return;
    };
    for bits in [2, 3, 4, 8] {
        for (affine, group) in [
            (false, Some(32)),
            (true, Some(32)),
            (true, Some(64)),
            (false, None),
        ] {
            let name = format!("gptq-{bits}-{affine}-{group:?}");
            let folder = Folder::made(&name);
            let mut right = String::new();
            let mut parts = Vec::new();
            let mut config = None;
            for (module, shape) in [("a", (64, 128)), ("b.c", (32, 96))] {
                let weights = Array2::from_shape_fn(shape, |(i, j)| {
                    ((i * 37 + j * 11) % 101) as f32 / 64.0 - 0.7
                });
                let linear = Linear::new(bits);
                let linear = if affine {
                    linear.affine().unsigned()
                } else {
                    linear
                };
                let linear = match group {
                    None => linear.per_channel(Axis(0)),
                    Some(size) => linear.per_group(Axis(1), size),
                };
                let first = linear.quantize(&weights).unwrap();
                let scales = GptqWeights::half_scales(first.parameters()).unwrap();
                let tensor = linear.quantize_with(&weights, &scales).unwrap();
                let weights = GptqWeights::new(tensor).unwrap();
                parts.extend(weights.encode(module).unwrap());
                config = Some(GptqConfig::of(&weights).unwrap());
                let values = weights.dequantize::<f32>().unwrap();
                let halves = StoredTensor::of_floats(&values, DType::F16).unwrap();
                write!(right, "{module} {} {} ", shape.0, shape.1).unwrap();
                halves
                    .bytes()
                    .iter()
                    .for_each(|byte| write!(right, "{byte:02x}").unwrap());
                right.push('\n');
            }
            let said = |(name, part): &(String, StoredTensor)| {
                rarefy::tensors::TensorInfo::new(name.clone(), part.dtype(), part.shape())
            };
            let infos = parts.iter().map(said).collect();
            let path = folder.0.join("model.safetensors");
            let mut writer = SafetensorsWriter::create(path, infos, BTreeMap::new()).unwrap();
            parts
                .iter()
                .for_each(|(name, part)| writer.write(name, part).unwrap());
            writer.finish().unwrap();
            let json = serde_json::json!({ "quantization_config": config.unwrap().to_json() });
            std::fs::write(folder.0.join("config.json"), json.to_string()).unwrap();

            let script = format!("{}/tests/golden/read_gptq.py", env!("CARGO_MANIFEST_DIR"));
            let mut command = Command::new(&python);
            let output = command
                .arg("-B")
                .arg(script)
                .arg(&folder.0)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), right, "{name}");
            println!("{name}: equal");
        }
    }
}
