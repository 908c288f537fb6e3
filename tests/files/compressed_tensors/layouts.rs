//! What a layout cannot hold.

use super::{ROWS, groups, symmetric, tensor, text, weights};
use CompressedLayout::{Dense, FloatQuantized, IntQuantized, PackQuantized};
use ndarray::{Array2, Axis};
use rarefy::formats::{CompressedGroup, CompressedLayout, CompressedWeights};
use rarefy::quantize::{BlockShape, Granularity, Minifloat, Parameters, QuantizedTensor, Scheme};
use rarefy::tensors::{DType, TensorMap};
use rarefy::{Error, Mask, Result};

#[test]
fn what_no_layout_holds_is_refused() {
    let new = |scheme: Result<Scheme>, granularity| {
        text(CompressedWeights::new(scheme.unwrap(), granularity))
    };
    let integers = "integers of 1 to 8 bits or E4M3";
    for (scheme, what, must) in [
        (Scheme::symmetric(16), "codes of 16 bits", integers),
        (Scheme::codebook(4), "a codebook", integers),
        (Ok(Scheme::binary()), "signs alone", integers),
        (Ok(Scheme::float(Minifloat::E5M2)), "E5M2", integers),
        (Ok(Scheme::float(Minifloat::E2M1)), "E2M1", integers),
        (
            Scheme::float_zero_point(4),
            "zero points that are floats",
            "zero points that are codes",
        ),
    ] {
        let right = format!("compressed-tensors cannot hold {what}: {must}");
        assert_eq!(new(scheme, ROWS), right);
    }
    let block = |lengths: &[usize]| Granularity::PerBlock(BlockShape::new(lengths).unwrap());
    let down = Granularity::PerGroup {
        axis: Axis(0),
        size: 4,
    };
    for (granularity, what) in [
        (Granularity::PerChannel(Axis(1)), "scales along axis 1"),
        (down, "groups of 4 along axis 0"),
        (groups(0), "groups of 0 along axis 1"),
        (block(&[4]), "blocks of 1 lengths"),
        (block(&[4, 4, 4]), "blocks of 3 lengths"),
    ] {
        let error = new(Scheme::symmetric(4), granularity);
        let right = format!(
            "compressed-tensors cannot hold {what}: one scale, or scales per output, in groups along the inputs or in blocks of two lengths"
        );
        assert_eq!(error, right);
    }
}

#[test]
fn what_a_layout_does_not_hold_is_refused() {
    let affine = Scheme::affine(4).unwrap();
    let float = Scheme::float(Minifloat::E4M3);
    let block = Granularity::PerBlock(BlockShape::new(&[2, 4]).unwrap());
    let whole = Granularity::PerTensor;
    let zeros = "pack-quantized cannot hold zero points of a whole tensor or of blocks: zero points per channel or in groups";
    for (layout, scheme, granularity, right) in [
        (Dense, symmetric(4), ROWS, "dense cannot hold codes: floats"),
        (
            PackQuantized,
            float,
            ROWS,
            "pack-quantized cannot hold floats of 8 bits: integers",
        ),
        (PackQuantized, affine, whole, zeros),
        (PackQuantized, affine, block, zeros),
        (
            IntQuantized,
            float,
            ROWS,
            "int-quantized cannot hold floats of 8 bits: integers",
        ),
        (
            FloatQuantized,
            affine,
            ROWS,
            "float-quantized cannot hold integers: floats of 8 bits",
        ),
    ] {
        let weights = weights(scheme, granularity);
        assert_eq!(text(layout.infos("m", &[3, 8], weights, DType::F16)), right);
        assert_eq!(
            text(CompressedGroup::new(["Linear"], layout, weights)),
            right
        );
        let q = tensor(scheme, granularity);
        assert_eq!(text(layout.encode("m", &q, weights, DType::F16)), right);
        let none = TensorMap::default();
        assert_eq!(text(layout.read(&none, "m", weights)), right);
    }

    let infos = |shape: &[usize], granularity, dtype| {
        text(PackQuantized.infos("m", shape, weights(symmetric(4), granularity), dtype))
    };
    assert_eq!(
        infos(&[3, 8, 2], ROWS, DType::F16),
        "pack-quantized cannot hold a weight of 3 axes: weights of two axes"
    );
    assert_eq!(
        infos(&[3, 8], groups(3), DType::F16),
        "pack-quantized cannot hold groups of 3 along 8 inputs: groups that divide the inputs"
    );
    assert_eq!(
        infos(&[3, 8], ROWS, DType::F64),
        "pack-quantized cannot hold scales of type F64: F32, F16 or BF16"
    );
    assert!(matches!(
        PackQuantized.infos(
            "m",
            &[usize::MAX, 8],
            weights(symmetric(4), ROWS),
            DType::F16
        ),
        Err(Error::ShapeOverflow { .. })
    ));
}

#[test]
fn a_tensor_is_what_was_planned() {
    let encode = |q: &QuantizedTensor, weights| PackQuantized.encode("m", q, weights, DType::F16);
    let q = tensor(symmetric(4), ROWS);
    assert_eq!(
        text(encode(&q, weights(symmetric(5), ROWS))),
        "pack-quantized cannot hold integers of 4 bits: codes of the bits and the kind that were planned"
    );
    assert_eq!(
        text(encode(&q, weights(symmetric(4), groups(4)))),
        "pack-quantized cannot hold scales PerChannel(Axis(0)): the granularity that was planned"
    );

    // Zero points that all are the middle need not be stored, others must.
    let unsigned = Scheme::unsigned(4).unwrap();
    let zeros = |zeros: Vec<i32>| {
        let parameters = Parameters::new(unsigned, ROWS, vec![0.5; 3]).with_zero_points(zeros);
        QuantizedTensor::from_codes(&Array2::from_elem((3, 8), 9), parameters).unwrap()
    };
    let middle = zeros(vec![8; 3]);
    assert!(CompressedWeights::of(&middle).unwrap().is_symmetric());
    let stored = encode(&middle, CompressedWeights::of(&middle).unwrap()).unwrap();
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[0].1.bytes(), [0x99; 12]);
    let other = zeros(vec![8, 8, 7]);
    let planned = weights(unsigned, ROWS).symmetric();
    assert!(!CompressedWeights::of(&other).unwrap().is_symmetric());
    assert_eq!(
        text(encode(&other, planned)),
        "pack-quantized cannot hold the zero point 7 of scale 2 in symmetric weights: the middle code as every zero point"
    );
    // Weights that were planned with zero points get the middle ones where they have none.
    let stored = encode(&q, weights(Scheme::affine(4).unwrap(), ROWS)).unwrap();
    assert_eq!(stored[2].0, "m.weight_zero_point");
    assert_eq!(stored[2].1.bytes(), [0x88, 8, 0, 0]);

    // A mask that no code stands for.
    let mask = Mask::from_array(&Array2::from_shape_fn((3, 8), |(i, _)| i > 0));
    let kept = zeros(vec![8; 3]).masked(&mask).unwrap();
    assert!(kept.mask().is_some());
    assert_eq!(
        text(encode(&kept, CompressedWeights::of(&kept).unwrap())),
        "pack-quantized cannot hold a mask beside the codes: codes of which one means 0 exactly"
    );
}

#[test]
fn scales_are_never_rounded() {
    let encode = |scales: Vec<f32>, dtype| {
        let parameters = Parameters::new(symmetric(4), ROWS, scales);
        let q = QuantizedTensor::from_codes(&Array2::zeros((3, 8)), parameters).unwrap();
        PackQuantized.encode("m", &q, weights(symmetric(4), ROWS), dtype)
    };
    let fine = 1.0 + f32::EPSILON;
    assert!(encode(vec![0.5, 0.25, fine], DType::F32).is_ok());
    for dtype in [DType::F16, DType::Bf16] {
        assert!(encode(vec![0.5, 0.25, 1.5], dtype).is_ok());
        assert_eq!(
            text(encode(vec![0.5, fine, 1.5], dtype)),
            format!(
                "pack-quantized cannot hold scale 1, 1.0000001e0, as {dtype}: scales that their type has exactly: round them before quantizing"
            )
        );
    }
    // Beyond the largest number, and below the least.
    assert!(
        text(encode(vec![0.5, 0.5, 65536.0], DType::F16)).contains("scale 2, 6.5536e4, as F16")
    );
    assert!(text(encode(vec![1e-9, 0.5, 0.5], DType::F16)).contains("scale 0, 1e-9, as F16"));
}
