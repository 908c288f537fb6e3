//! Weights of a compressed checkpoint are decoded some rows at a time: an allocator counts.

use crate::counting::{alone, held_during};
use ndarray::{Array2, Axis};
use rarefy::formats::{
    CompressedConfig, CompressedGroup, CompressedLayout, CompressedWeights, Decompressed,
};
use rarefy::quantize::{Granularity, Parameters, QuantizedTensor, Scheme};
use rarefy::tensors::{DType, TensorMap, TensorSource};

#[test]
fn what_is_held_does_not_grow_with_the_weight() {
    let _alone = alone();
    let groups = Granularity::PerGroup {
        axis: Axis(1),
        size: 64,
    };
    let layout = CompressedLayout::PackQuantized;
    let held = [1000, 8000].map(|rows| {
        let scheme = Scheme::affine(4).unwrap();
        let parameters = Parameters::new(scheme, groups, vec![0.5; rows * 16]);
        let codes = Array2::from_shape_fn((rows, 1024), |(i, j)| (i * 5 + j) as i32 % 15 - 7);
        let q = QuantizedTensor::from_codes(&codes, parameters).unwrap();
        let weights = CompressedWeights::new(scheme, groups).unwrap();
        let stored = layout.encode("m", &q, weights, DType::F16).unwrap();
        let group = CompressedGroup::new(["Linear"], layout, weights).unwrap();
        let config = CompressedConfig::new([group], [] as [&str; 0]);
        let model = Decompressed::new(TensorMap::new(stored).unwrap(), config).unwrap();
        let mut bytes = vec![0; rows * 2048];
        held_during(|| model.read_bytes(0, 0, &mut bytes).unwrap())
    });
    // 2^17 values at a time: as words, codes, f32 and f16, and a scale and a zero point for 64 of them.
    assert!(held[0] <= 2 << 20, "{held:?}");
    assert!(held[1] <= held[0] + (64 << 10), "{held:?}");
}
