//! Checkpoints of compressed-tensors. Config and tensors are one file here: the config stands among the texts of a safetensors
//! file.

use crate::campaign::{Tally, run};
use crate::counting::alone;
use crate::edit::{CONFIG, edit};
use crate::mutate::{Means, Seed};
use crate::safetensors::{seal, seed};
use ndarray::Axis;
use rarefy::formats::{
    CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights, Decompressed,
    SafetensorsFile, SafetensorsWriter,
};
use rarefy::quantize::{Granularity, Minifloat, Parameters, QuantizedTensor, Scheme};
use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorSource, TensorSourceExt};
use rarefy::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) const MEANS: Means = Means {
    seal: Some(seal),
    edit: Some(edit),
};

/// A file of these tensors and this config.
pub(crate) fn file_of(tensors: &[(String, StoredTensor)], config: &Value) -> Seed {
    let path = crate::campaign::scratch("parts.safetensors");
    let info = |(name, tensor): &(String, StoredTensor)| {
        TensorInfo::new(name, tensor.dtype(), tensor.shape())
    };
    let texts = BTreeMap::from([(CONFIG.to_owned(), config.to_string())]);
    let mut writer =
        SafetensorsWriter::create(&path, tensors.iter().map(info).collect(), texts).unwrap();
    for (name, tensor) in tensors {
        writer.write(name, tensor).unwrap();
    }
    writer.finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    seed(bytes)
}

/// The tensors and the config of a file.
pub(crate) fn opened(bytes: Vec<u8>) -> Result<(SafetensorsFile, Value)> {
    let file = SafetensorsFile::from_bytes(bytes)?;
    let config = file.metadata().get(CONFIG).map_or("", String::as_str);
    let config = serde_json::from_str(config).map_err(Error::external)?;
    Ok((file, config))
}

/// Reads all tensors of a model that decodes: what it gives, what it holds of the file meanwhile.
pub(crate) fn read_model(model: &dyn TensorSource, stored: usize, tally: &mut Tally) -> Result<()> {
    let mut first = Ok(());
    for info in model.infos() {
        let bytes = info.bytes()?;
        // Beside the tensor what the file has of it, and a block of values: codes, floats, halves.
        let block = info.elements()?.min(1 << 17) * 12;
        let read = tally.reading(bytes + stored + block, || {
            model.tensor(&info.name).map(drop)
        });
        first = first.and(read);
    }
    first
}

fn seeds() -> Vec<Seed> {
    let groups = |size| Granularity::PerGroup {
        axis: Axis(1),
        size,
    };
    let rows = Granularity::PerChannel(Axis(0));
    let mut kinds = Vec::new();
    for bits in [1, 2, 3, 4, 8] {
        for granularity in [groups(32), rows] {
            for scheme in [Scheme::affine(bits), Scheme::symmetric(bits)]
                .into_iter()
                .flatten()
            {
                kinds.push((CompressedLayout::PackQuantized, scheme, granularity));
            }
        }
    }
    let eight = Scheme::symmetric(8).unwrap();
    for granularity in [rows, Granularity::PerTensor] {
        kinds.push((CompressedLayout::IntQuantized, eight, granularity));
        kinds.push((
            CompressedLayout::NaiveQuantized,
            Scheme::affine(8).unwrap(),
            granularity,
        ));
        kinds.push((
            CompressedLayout::FloatQuantized,
            Scheme::float(Minifloat::E4M3),
            granularity,
        ));
    }
    let mut seeds = Vec::new();
    for (number, (layout, scheme, granularity)) in kinds.into_iter().enumerate() {
        let Ok(weights) = CompressedWeights::new(scheme, granularity) else {
            continue;
        };
        let shape = [4 + number % 3, 64];
        let scales = vec![0.5; granularity.scales(&shape).unwrap()];
        let parameters = Parameters::new(scheme, granularity, scales);
        let codes = ndarray::Array2::zeros(shape);
        let Ok(tensor) = QuantizedTensor::from_codes(&codes, parameters) else {
            continue;
        };
        let dtype = [DType::F16, DType::Bf16, DType::F32][number % 3];
        let Ok(mut parts) = layout.encode("model.layers.0.proj", &tensor, weights, dtype) else {
            continue;
        };
        parts.push((
            "norm.weight".to_owned(),
            StoredTensor::of(&ndarray::array![1.0_f32, 2.0]),
        ));
        let group = CompressedGroup::new(["Linear"], layout, weights).unwrap();
        let config = CompressedConfig::new([group], ["lm_head"]);
        seeds.push(file_of(
            &parts,
            &config.write_into(serde_json::json!({})).unwrap(),
        ));
    }
    seeds
}

#[test]
fn compressed_tensors() {
    let _alone = alone();
    let parse = |bytes: Vec<u8>| {
        let stored = bytes.len();
        let (file, config) = opened(bytes)?;
        Ok((
            Decompressed::new(file, CompressedConfig::from_json(&config)?)?,
            stored,
        ))
    };
    let read = |(model, stored): (Decompressed<SafetensorsFile>, usize), tally: &mut Tally| {
        for info in model.infos() {
            let _ = model.quantized(&info.name);
        }
        read_model(&model, stored, tally)
    };
    run(
        "compressed-tensors",
        &seeds(),
        MEANS,
        |bytes| bytes,
        parse,
        read,
    );
}
