//! Reads what the real `compressed-tensors` wrote: compressed_tensors.json and compressed_tensors.safetensors in
//! `tests/golden`, made by the script there.

use crate::reference::cases;
use ndarray::ArrayD;
use rarefy::formats::{CompressedConfig, CompressedLayout, Decompressed, SafetensorsFile};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorMap, TensorSource, TensorSourceExt};
use serde_json::{Value, json};

fn file() -> SafetensorsFile {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/compressed_tensors.safetensors"
    );
    SafetensorsFile::open(path).unwrap()
}

/// The tensors of a module alone.
fn parts(file: &SafetensorsFile, module: &str) -> TensorMap {
    let of_module = |info: &&TensorInfo| info.name.starts_with(&format!("{module}."));
    let infos = file.infos().iter().filter(of_module);
    TensorMap::new(infos.map(|info| (info.name.clone(), file.tensor(&info.name).unwrap()))).unwrap()
}

fn config(case: &Value) -> CompressedConfig {
    let config = json!({ "quantization_config": case["quantization_config"] });
    CompressedConfig::from_json(&config).unwrap()
}

/// Whole numbers of a byte.
fn small(file: &SafetensorsFile, name: &str) -> ArrayD<i32> {
    let stored = file.tensor(name).unwrap();
    match stored.dtype() {
        DType::U8 => stored.elements::<u8>().unwrap().mapv(i32::from),
        _ => stored.elements::<i8>().unwrap().mapv(i32::from),
    }
}

#[test]
fn codes_scales_and_values_are_those_of_the_library() {
    let file = file();
    for case in cases("compressed_tensors.json") {
        let module = case["module"].as_str().unwrap();
        let model = Decompressed::new(parts(&file, module), config(&case)).unwrap();
        let name = format!("{module}.weight");
        let q = model.quantized(&name).unwrap().unwrap();

        // Codes of one bit are 0 and 1 with a zero point of 1 more.
        let float = q.scheme().minifloat().is_some();
        let offset = i32::from(!q.scheme().is_signed() && !float);
        let codes = small(&file, &format!("codes.{module}"));
        assert_eq!(q.codes().mapv(|code| code - offset), codes, "{case}");
        let scales = file
            .floats::<f32>(&format!("{module}.weight_scale"))
            .unwrap();
        assert!(scales.iter().eq(q.scales()), "{case}");
        let zeros = format!("zero_points.{module}");
        if file.position(&zeros).is_some() {
            let ours = q.zero_points().iter().map(|zero| zero - offset);
            assert!(ours.eq(small(&file, &zeros)), "{case}");
        } else {
            assert!(q.zero_points().iter().all(|&zero| zero == offset), "{case}");
        }

        let right = file.tensor(&format!("dense.{module}")).unwrap();
        assert_eq!(model.tensor(&name).unwrap(), right, "{case}");
    }
}

#[test]
fn what_is_written_are_the_bytes_of_the_library() {
    let file = file();
    for case in cases("compressed_tensors.json") {
        let module = case["module"].as_str().unwrap();
        let config = config(&case);
        let group = &config.groups()[0];
        let layout = CompressedLayout::named(case["layout"].as_str().unwrap()).unwrap();
        assert_eq!(group.layout(), layout, "{case}");
        let weights = group.weights().unwrap();
        let parts = parts(&file, module);
        let q = layout.read(&parts, module, weights).unwrap();
        let dtype = parts.info(&format!("{module}.weight_scale")).unwrap().dtype;
        let mut written = layout.encode(module, &q, weights, dtype).unwrap();
        written.sort_by(|(left, _), (right, _)| left.cmp(right));
        let mut theirs: Vec<(String, StoredTensor)> = parts.into_iter().collect();
        theirs.sort_by(|(left, _), (right, _)| left.cmp(right));
        assert_eq!(written, theirs, "{case}");
        // And so is the config, as far as it says something.
        let ours = config.write_into(json!({})).unwrap();
        let ours = &ours["quantization_config"];
        for (key, right) in case["quantization_config"].as_object().unwrap() {
            if key != "config_groups" && !right.is_null() {
                assert_eq!(&ours[key], right, "{key}");
            }
        }
        let theirs = &case["quantization_config"]["config_groups"]["group_0"];
        assert_eq!(&ours["config_groups"]["group_0"], theirs);
    }
}
