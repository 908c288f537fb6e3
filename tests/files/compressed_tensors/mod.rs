//! Checkpoints of compressed-tensors: what is written is read back to the bit, and what is damaged, forged or beyond a
//! layout is an error that says so, and costs no more memory than what is there.

#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small numbers of the tests' own"
)]

mod configs;
mod decompressed;
mod layouts;
mod parts;
mod peers;
mod round_trips;

use CompressedLayout::{FloatQuantized, IntQuantized, NaiveQuantized, PackQuantized};
use ndarray::{Array2, Axis};
use rarefy::Result;
use rarefy::formats::{
    CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights, Decompressed,
};
use rarefy::quantize::{Granularity, Minifloat, Parameters, QuantizedTensor, Scheme};
use rarefy::tensors::{DType, StoredTensor, TensorMap};
use serde_json::{Value, json};

pub(super) const ROWS: Granularity = Granularity::PerChannel(Axis(0));

pub(super) fn groups(size: usize) -> Granularity {
    Granularity::PerGroup {
        axis: Axis(1),
        size,
    }
}

pub(super) fn text<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    outcome.unwrap_err().to_string()
}

/// Three rows of eight codes: 0 everywhere, or as a zero point is.
pub(super) fn tensor(scheme: Scheme, granularity: Granularity) -> QuantizedTensor {
    let count = granularity.scales(&[3, 8]).unwrap();
    let parameters = Parameters::new(scheme, granularity, vec![0.5; count]);
    QuantizedTensor::from_codes(&Array2::zeros((3, 8)), parameters).unwrap()
}

pub(super) fn weights(scheme: Scheme, granularity: Granularity) -> CompressedWeights {
    CompressedWeights::new(scheme, granularity).unwrap()
}

pub(super) fn symmetric(bits: u32) -> Scheme {
    Scheme::symmetric(bits).unwrap()
}

pub(super) fn config(settings: &Value) -> Result<CompressedConfig> {
    CompressedConfig::from_json(&json!({ "quantization_config": settings }))
}

pub(super) fn settings() -> Value {
    json!({
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {
                    "num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 8,
                    "dynamic": false, "actorder": null, "observer": "mse", "block_structure": null,
                },
                "input_activations": null,
                "output_activations": null,
            },
        },
    })
}

/// The tensors of a module.
pub(super) type Parts = Vec<(String, StoredTensor)>;

/// A module of each kind, its parts, and its config.
pub(super) fn modules() -> Vec<(CompressedLayout, CompressedWeights, Parts)> {
    let affine = Scheme::affine(4).unwrap();
    let float = Scheme::float(Minifloat::E4M3);
    [
        (PackQuantized, affine, groups(4)),
        (PackQuantized, symmetric(4), ROWS),
        (IntQuantized, affine, ROWS),
        (NaiveQuantized, symmetric(8), Granularity::PerTensor),
        (FloatQuantized, float, ROWS),
    ]
    .into_iter()
    .map(|(layout, scheme, granularity)| {
        let weights = weights(scheme, granularity);
        let q = tensor(scheme, granularity);
        (
            layout,
            weights,
            layout.encode("m", &q, weights, DType::F16).unwrap(),
        )
    })
    .collect()
}

pub(super) fn opened(
    layout: CompressedLayout,
    weights: CompressedWeights,
    parts: Parts,
) -> (Result<QuantizedTensor>, Result<Decompressed<TensorMap>>) {
    let source = TensorMap::new(parts).unwrap();
    let group = CompressedGroup::new(["Linear"], layout, weights).unwrap();
    let config = CompressedConfig::new([group], [] as [&str; 0]);
    (
        layout.read(&source, "m", weights),
        Decompressed::new(source, config),
    )
}
