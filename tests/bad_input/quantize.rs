//! Bad input to settings of quantizers, to masks beside codes and to layers: typed errors that say what was given and
//! what would be right, and stated outcomes where there is no error. Widths, NaN and infinity: `basics.rs`.

use ndarray::{Array2, Array3, Axis, arr0, array};
use rarefy::prelude::*;
use rarefy::quantize::{
    BlockFormat, BlockShape, BlockTensor, Granularity, IntegerBias, Linear, NonFinite, Parameters,
    Profile, QuantizedLayer, Rounding, Scheme,
};
use rarefy::{Error, Mask, Result, quantize};

fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

/// What a setting says of these weights, the same by each way in; weights and given parameters stay as they were.
fn refused(linear: Linear, weights: &Array3<f64>) -> String {
    let before = weights.clone();
    let error = text(linear.quantize(weights));
    let mut into = quantize::linear(&array![1.0_f32], 8).unwrap();
    assert_eq!(text(linear.quantize_into(weights, &mut into)), error);
    let mask = Mask::keep_all((2, 3, 4)).unwrap();
    assert_eq!(text(linear.quantize_masked(weights, &mask)), error);
    let boxed: Box<dyn Quantizer<f64>> = Box::new(linear);
    assert_eq!(text(boxed.quantize(weights)), error);
    assert_eq!(weights, before);
    error
}

fn weights() -> Array3<f64> {
    Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 12 + j * 4 + k) as f64 - 11.0)
}

#[test]
fn groups_and_blocks_must_fit_the_array() {
    let linear = Linear::new(4);
    let block = |lengths: &[usize]| linear.granularity(block_of(lengths));
    for (linear, right) in [
        (
            linear.per_group(Axis(1), 0),
            "size of a group must be at least 1, got 0",
        ),
        (
            linear.per_group(Axis(3), 8),
            "axis 3 does not exist, the array has 3 axes",
        ),
        (
            linear.per_channel(Axis(7)),
            "axis 7 does not exist, the array has 3 axes",
        ),
        (block(&[2, 2]), "2 lengths of a block given, 3 needed"),
        (block(&[1, 2, 3, 4]), "4 lengths of a block given, 3 needed"),
        (block(&[]), "0 lengths of a block given, 3 needed"),
    ] {
        assert_eq!(refused(linear, &weights()), right, "{linear:?}");
        assert_eq!(refused(linear.affine().unsigned(), &weights()), right);
        // The same from parameters, before any weight is looked at.
        let Ok(scheme) = linear.scheme() else {
            unreachable!("four bits")
        };
        let granularity = linear_granularity(right, &linear);
        let parameters = Parameters::new(scheme, granularity, vec![1.0]);
        let nan = weights().mapv(|_| f64::NAN);
        assert_eq!(text(linear.quantize_with(&nan, &parameters)), right);
    }
    assert_eq!(
        text(BlockShape::new(&[4, 0])),
        "length of a block must be at least 1, got 0"
    );
    assert_eq!(
        text(BlockShape::new(&[1; 9])),
        "number of lengths of a block must be at most 8, got 9"
    );
}

fn block_of(lengths: &[usize]) -> Granularity {
    Granularity::PerBlock(BlockShape::new(lengths).unwrap())
}

/// The granularity that gives this error.
fn linear_granularity(error: &str, linear: &Linear) -> Granularity {
    let all = [
        Granularity::PerGroup {
            axis: Axis(1),
            size: 0,
        },
        Granularity::PerGroup {
            axis: Axis(3),
            size: 8,
        },
        Granularity::PerChannel(Axis(7)),
        block_of(&[2, 2]),
        block_of(&[1, 2, 3, 4]),
        block_of(&[]),
    ];
    let same = |granularity: &Granularity| linear.granularity(*granularity) == *linear;
    let found = all.into_iter().find(same);
    assert!(found.is_some(), "{error}");
    found.unwrap()
}

#[test]
fn settings_that_look_wrong_and_are_not() {
    // Longer than the axis: all of it.
    let whole = Linear::new(8).per_group(Axis(2), usize::MAX);
    let rows = Linear::new(8).per_group(Axis(2), 4);
    let (a, b) = (whole.quantize(&weights()), rows.quantize(&weights()));
    assert_eq!(a.unwrap().codes(), b.unwrap().codes());
    // No axes: one token, one block without lengths.
    let scalar = arr0(-3.0_f32);
    for linear in [
        Linear::new(8).per_token(),
        Linear::new(8).granularity(block_of(&[])),
    ] {
        let q = linear.quantize(&scalar).unwrap();
        assert_eq!((q.codes()[[]], q.scales().len()), (-127, 1));
    }
    assert!(
        Linear::new(8)
            .per_group(Axis(0), 1)
            .quantize(&scalar)
            .is_err()
    );
    // The last of `affine` and `full_range` holds; unsigned, the whole range has its middle as zero point.
    let weights = array![-1.0_f32, 0.0, 0.5];
    assert_eq!(
        Linear::new(4).affine().full_range(),
        Linear::new(4).full_range()
    );
    assert_eq!(
        Linear::new(4).full_range().affine(),
        Linear::new(4).affine()
    );
    let q = Linear::new(4).full_range().unsigned().quantize(&weights);
    let q = q.unwrap();
    assert_eq!((q.zero_points(), q.codes()[1]), (&[8][..], 8));
    assert_eq!(q.scheme(), Scheme::unsigned(4).unwrap());
    assert_eq!(q.dequantize::<f32>()[0], -1.0);
    // Without weights there is nothing that a group could be.
    let none = Array2::<f32>::zeros((0, 5));
    let q = Linear::new(8)
        .per_group(Axis(1), 2)
        .quantize(&none)
        .unwrap();
    assert_eq!((q.scales().len(), q.bytes()), (0, 0));
}

#[test]
fn widths_of_unsigned_codes_begin_at_one() {
    for bits in [0, 9, 15, 17] {
        let right = format!("bits must lie in 1..=8 or be 16, got {bits}");
        assert_eq!(refused(Linear::new(bits).unsigned(), &weights()), right);
    }
    for profile in [Profile::Torch, Profile::CompressedTensors] {
        let linear = Linear::new(1).profile(profile);
        assert_eq!(
            refused(linear, &weights()),
            "bits must lie in 2..=8 or be 16, got 1"
        );
    }
}

#[test]
fn a_scale_that_no_f32_holds_is_named_by_its_group() {
    let mut large = weights();
    large[[1, 2, 1]] = -1e300;
    let message = |group| {
        format!("weights of channel or block {group} reach 1e300, too large for their scale")
    };
    for (linear, group) in [
        (Linear::new(8), 0),
        (Linear::new(8).affine(), 0),
        (Linear::new(4).per_channel(Axis(1)), 2),
        (Linear::new(4).per_token().unsigned(), 5),
        (Linear::new(2).per_group(Axis(2), 2), 10),
        (Linear::new(16).granularity(block_of(&[1, 2, 4])), 3),
        (Linear::new(8).rounding(Rounding::Stochastic { seed: 1 }), 0),
        (Linear::new(8).profile(Profile::Torch), 0),
        (Linear::new(8).non_finite(NonFinite::Clamp), 0),
    ] {
        assert_eq!(refused(linear, &large), message(group), "{linear:?}");
    }
    // With a scale that is given they are only beyond the outermost code.
    let parameters = Parameters::new(
        Scheme::symmetric(8).unwrap(),
        Granularity::PerTensor,
        vec![1.0],
    );
    let q = Linear::new(8).quantize_with(&large, &parameters).unwrap();
    assert_eq!(q.codes()[[1, 2, 1]], -127);
}

#[test]
fn an_error_leaves_reused_memory_without_weights() {
    let mut into = quantize::linear(&weights(), 8).unwrap();
    for linear in [Linear::new(8).per_group(Axis(0), 0), Linear::new(3)] {
        let mut nan = weights();
        nan[[0, 1, 2]] = f64::NAN;
        let error = text(linear.quantize_into(&nan, &mut into));
        assert!(error.starts_with("size of a group") || error == "weight [0, 1, 2] is NaN");
    }
    assert!(into.is_empty() && into.mask().is_none());
    assert_eq!(into.bits_per_weight(), 0.0);
}

#[test]
fn chance_and_clamping_do_not_hide_what_is_wrong() {
    let mut bad = weights();
    bad[[0, 2, 3]] = f64::INFINITY;
    let chance = Linear::new(8).rounding(Rounding::Stochastic { seed: 7 });
    assert_eq!(
        refused(chance, &bad),
        "weight [0, 2, 3] is inf, must be finite"
    );
    assert_eq!(
        refused(chance.non_finite(NonFinite::Propagate), &bad),
        "no code means NaN: it can be an error or be clamped, not propagated"
    );
    let held = chance.non_finite(NonFinite::Clamp).quantize(&bad).unwrap();
    assert_eq!(held.codes()[[0, 2, 3]], 127);
    let nothing_finite = bad.mapv(|_| f64::NAN);
    let held = Linear::new(8).non_finite(NonFinite::Clamp);
    let q = held.quantize(&nothing_finite).unwrap();
    assert!(q.codes().iter().all(|&code| code == 0));
}

#[test]
fn given_parameters_are_checked_before_weights() {
    let nan = Array2::from_elem((2, 3), f32::NAN);
    let scheme = Scheme::affine(4).unwrap();
    let rows = Granularity::PerChannel(Axis(0));
    let with = |parameters: &Parameters| text(Linear::new(4).quantize_with(&nan, parameters));
    let parameters = Parameters::new(scheme, rows, vec![1.0; 3]);
    assert_eq!(with(&parameters), "3 scales given, 2 needed");
    let parameters = Parameters::new(scheme, rows, vec![1.0, -0.5]);
    assert_eq!(
        with(&parameters),
        "scale 1 must be positive and finite, got -0.5"
    );
    let parameters = Parameters::new(scheme, rows, vec![1.0; 2]);
    assert_eq!(
        with(&parameters.clone().with_zero_points(vec![0])),
        "1 zero points given, 2 needed"
    );
    assert_eq!(
        with(&parameters.with_zero_points(vec![0, 8])),
        "zero point [1] must lie in -8..=7, got 8"
    );
}

#[test]
fn ranges_for_parameters_are_checked() {
    let linear = Linear::new(8).affine();
    for (range, right) in [
        (
            (f64::NAN, 1.0),
            "least number of a range must be finite, got NaN",
        ),
        (
            (0.0, f64::INFINITY),
            "largest number of a range must be finite, got inf",
        ),
        ((1.0, -1.0), "width of a range must be at least 0, got -2"),
        (
            (-1e300, 1.0),
            "weights of channel or block 1 reach 1e300, too large for their scale",
        ),
    ] {
        assert_eq!(text(linear.parameters(&[(-1.0, 1.0), range])), right);
    }
    // As many ranges as were given; whether they fit shows when they meet a tensor.
    let none = linear.per_channel(Axis(0)).parameters(&[]).unwrap();
    assert_eq!(
        text(linear.quantize_with(&array![1.0_f32], &none)),
        "0 scales given, 1 needed"
    );
}

#[test]
fn masks_must_have_the_shape_of_the_weights() {
    let weights = Array2::<f32>::ones((2, 32));
    let mask = Mask::keep_all((32, 2)).unwrap();
    let right = |what| format!("shapes differ: mask [32, 2], {what} [2, 32]");
    let q = quantize::linear(&weights, 8).unwrap();
    let packed = BlockTensor::encode(&weights, BlockFormat::Q4_1).unwrap();
    assert_eq!(
        text(Linear::new(8).quantize_masked(&weights, &mask)),
        right("weights")
    );
    assert_eq!(
        text(BlockTensor::encode_masked(
            &weights,
            BlockFormat::Q4_1,
            &mask
        )),
        right("weights")
    );
    assert_eq!(text(q.first_revived(&mask)), right("quantized tensor"));
    assert_eq!(text(q.masked(&mask)), right("quantized tensor"));
    assert_eq!(text(packed.first_revived(&mask)), right("block tensor"));
    assert_eq!(text(packed.masked(&mask)), right("block tensor"));
    // Only what is kept must be a number, and its index is that of the weights.
    let mut bad = weights;
    bad[[0, 1]] = f32::NAN;
    bad[[1, 2]] = f32::NEG_INFINITY;
    let mask = Mask::from_fn((2, 32), |(i, _)| i == 1).unwrap();
    let right = "weight [1, 2] is -inf, must be finite";
    assert_eq!(text(Linear::new(8).quantize_masked(&bad, &mask)), right);
    assert_eq!(
        text(BlockTensor::encode_masked(&bad, BlockFormat::Q4_1, &mask)),
        right
    );
}

#[test]
fn a_bias_that_fits_no_layer_says_why() {
    let weights = Array2::from_shape_fn((3, 4), |(i, j)| (i + j) as f32 + 1.0);
    let q = Linear::new(8)
        .per_channel(Axis(0))
        .quantize(&weights)
        .unwrap();
    let layer = QuantizedLayer::<f32>::new(q).unwrap();
    let right = "2 numbers of a bias given, 3 needed";
    let short = array![1.0_f32, 2.0];
    assert_eq!(text(layer.clone().float_bias(&short)), right);
    assert_eq!(text(layer.clone().integer_bias(&short, 0.1)), right);
    let nan = array![1.0_f32, f32::NAN, 2.0];
    assert_eq!(text(layer.clone().float_bias(&nan)), "bias [1] is NaN");
    assert_eq!(
        text(layer.clone().integer_bias(&nan, 0.1)),
        "bias [1] is NaN"
    );
    let bias = array![1.0_f32, -2e9, 3.0];
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = text(layer.clone().integer_bias(&bias, scale));
        let right = format!("input scale {scale:e} times weight scale ");
        assert!(error.starts_with(&right), "{error}");
        assert!(error.contains("of channel 0 must be positive and finite"));
        let error = text(IntegerBias::least_weight_scales(&bias, scale));
        let right = format!("input scale must be positive and finite, got {scale}");
        assert_eq!(error, right);
    }
    assert_eq!(
        text(IntegerBias::quantize(&bias, 1e-3, &[0.5])),
        "bias -2e9 of channel 1 leaves 32 bits at scale 5e-4: input scale times weight scale must be at least \
         9.313226e-1 there, or the bias stay a float"
    );
    assert_eq!(
        text(IntegerBias::quantize(&bias, 1.0, &[0.5, 0.5])),
        "2 scales of a bias (one for all would do too) given, 3 needed"
    );
    let huge = array![1e300_f64];
    assert!(matches!(
        IntegerBias::least_weight_scales(&huge, 1.0),
        Err(Error::ScaleOverflow { channel: 0, .. })
    ));
    assert_eq!(
        text(IntegerBias::from_codes(vec![1, 2], vec![0.0])),
        "scale 0 must be positive and finite, got 0"
    );
    let codes = IntegerBias::from_codes(vec![1, 2, 3], vec![1.0]).unwrap();
    assert_eq!(
        text(layer.with_integer_bias(codes)),
        "1 scales of a bias given, 3 needed"
    );
    let scalar = quantize::linear(&arr0(1.0_f32), 8).unwrap();
    assert_eq!(
        text(QuantizedLayer::<f32>::new(scalar)),
        "axis 0 does not exist, the array has 0 axes"
    );
    let groups = Linear::new(8).per_group(Axis(1), 2).quantize(&weights);
    let layer = QuantizedLayer::new(groups.unwrap()).unwrap();
    assert_eq!(
        text(layer.integer_bias(&array![1.0_f32, 2.0, 3.0], 0.1)),
        "the weights of one output channel have several scales, so its bias has none: there must be one for the tensor \
         or for each index on axis 0, or the bias stay a float"
    );
}

#[test]
fn one_bit_has_a_code_for_zero_and_one_for_a_side() {
    let right = "bits must lie in 2..=8 or be 16, got 1";
    for linear in [
        Linear::new(1).unsigned(),
        Linear::new(1).unsigned().full_range(),
        Linear::new(1).unsigned().profile(Profile::Torch),
    ] {
        assert_eq!(refused(linear, &weights()), right);
        assert_eq!(text(linear.parameters(&[(0.0, 0.0)])), right);
    }
    assert!(
        Linear::new(1)
            .unsigned()
            .affine()
            .quantize(&weights())
            .is_ok()
    );
}

#[test]
fn weights_without_inputs_have_no_scale_for_an_integer_bias() {
    let none = Array2::<f32>::zeros((3, 0));
    let q = Linear::new(8)
        .per_group(Axis(1), 4)
        .quantize(&none)
        .unwrap();
    let layer = QuantizedLayer::<f32>::new(q).unwrap();
    let error = text(layer.integer_bias(&array![1.0, 2.0, 3.0], 0.1));
    assert!(error.contains("several scales"), "{error}");
}

#[test]
fn a_side_with_one_code_more_reaches_the_largest_float_at_once() {
    for bits in [2, 8] {
        let q = Linear::new(bits)
            .full_range()
            .quantize(&array![f32::MAX, 0.0])
            .unwrap();
        let restored = q.dequantize::<f32>();
        assert!(restored.iter().all(|x| x.is_finite()), "{bits} bits");
        let step = q.scales()[0] * 1.001;
        assert!(f32::MAX - restored[0] <= step, "{bits} bits");
    }
}
