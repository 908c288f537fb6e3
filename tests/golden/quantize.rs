//! Scales, zero points and codes next to those of four peers, to the bit.

use crate::reference::cases;
use ndarray::{ArrayD, Axis, IxDyn};
use rarefy::prelude::*;
use rarefy::quantize::{BlockShape, Granularity, Linear, Profile, QuantizedTensor};
use serde_json::Value;

/// How many cases there are, and those that differ, told.
pub(crate) struct Outcome {
    pub(crate) cases: usize,
    pub(crate) differing: Vec<String>,
}

impl Outcome {
    fn of(cases: &[Value], differs: impl Fn(&Value) -> Option<String>) -> Self {
        Self {
            cases: cases.len(),
            differing: cases.iter().filter_map(differs).collect(),
        }
    }
}

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Floats come as the integers that their bits are.
fn weights(case: &Value) -> ArrayD<f32> {
    let bits: Vec<u32> = list(&case["weights"]);
    let values = bits.into_iter().map(f32::from_bits).collect();
    ArrayD::from_shape_vec(IxDyn(&list::<usize>(&case["shape"])), values).unwrap()
}

fn width(case: &Value) -> u32 {
    u32::try_from(case["bits"].as_u64().unwrap()).unwrap()
}

/// What differs in scales or codes.
fn difference(q: &QuantizedTensor, case: &Value) -> Option<&'static str> {
    let scales: Vec<u32> = q.scales().iter().map(|scale| scale.to_bits()).collect();
    if scales != list::<u32>(&case["scales"]) {
        return Some("scales");
    }
    let codes: Vec<i32> = q.codes().into_iter().collect();
    (codes != list::<i32>(&case["codes"])).then_some("codes")
}

/// `quantize.json`: PyTorch alone, per tensor and channel.
pub(crate) fn torch() -> Outcome {
    Outcome::of(&cases("quantize.json"), |case| {
        let granularity = match case["axis"].as_u64() {
            Some(axis) => Granularity::PerChannel(Axis(usize::try_from(axis).unwrap())),
            None => Granularity::PerTensor,
        };
        let linear = Linear::new(width(case)).granularity(granularity);
        let q = linear.profile(Profile::Torch).quantize(&weights(case));
        let what = difference(&q.unwrap(), case)?;
        Some(format!("{what} of {} at {}", case["shape"], case["bits"]))
    })
}

/// `quantize_peers.json`: four peers, tiles of any kind, symmetric and affine, signed and unsigned.
pub(crate) fn peers() -> Outcome {
    Outcome::of(&cases("quantize_peers.json"), |case| {
        let profile = match case["peer"].as_str().unwrap() {
            "torch" => Profile::Torch,
            "torchao" => Profile::Torchao,
            "compressed_tensors" => Profile::CompressedTensors,
            _ => Profile::Onnx,
        };
        let block = BlockShape::new(&list::<usize>(&case["block"])).unwrap();
        let linear = Linear::new(width(case))
            .profile(profile)
            .granularity(Granularity::PerBlock(block));
        let linear = match case["affine"].as_bool().unwrap() {
            true => linear.affine(),
            false => linear,
        };
        let linear = match case["signed"].as_bool().unwrap() {
            true => linear,
            false => linear.unsigned(),
        };
        let q = linear.quantize(&weights(case)).unwrap();
        let zeros: Vec<i32> = list(&case["zeros"]);
        let same_zeros = match q.zero_points() {
            [] => zeros.iter().all(|&zero| zero == 0),
            ours => ours == zeros,
        };
        let what = match same_zeros {
            true => difference(&q, case)?,
            false => "zero points",
        };
        Some(format!(
            "{what} of {} {} in {}: {linear:?}",
            case["peer"], case["shape"], case["block"]
        ))
    })
}

/// In how many codes of the PyTorch corpus x · (1/s), which is theirs, and x / s differ.
pub(crate) fn codes_that_dividing_changes() -> usize {
    let of = |case: &Value| {
        let (weights, scale) = (weights(case), list::<u32>(&case["scales"]));
        let scale = f32::from_bits(scale[0]);
        let theirs: Vec<i32> = list(&case["codes"]);
        let divided = weights.iter().map(|w| (w / scale).round_ties_even());
        let divided = divided.map(|code| code.clamp(-128.0, 127.0) as i32);
        divided.zip(theirs).filter(|(a, b)| a != b).count()
    };
    let per_tensor = |case: &&Value| case["axis"].is_null();
    let cases = cases("quantize.json");
    cases.iter().filter(per_tensor).map(of).sum()
}
