//! Laws of quantizers.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use ndarray::{ArrayD, ArrayRefD, Axis};
use rarefy::prelude::*;
use rarefy::quantize::{
    BlockShape, Granularity, Linear, NonFinite, Parameters, Profile, QuantizedTensor, Rounding,
};
use rarefy::{Error, Float};

/// Each granularity that fits arrays of this rank.
pub(crate) fn granularities(rank: usize) -> Vec<Granularity> {
    let block = BlockShape::new(&vec![2; rank]).unwrap();
    let mut all = vec![
        Granularity::PerTensor,
        Granularity::PerToken,
        Granularity::PerBlock(block),
    ];
    for axis in (0..rank).map(Axis) {
        all.push(Granularity::PerChannel(axis));
        all.push(Granularity::PerGroup { axis, size: 3 });
    }
    all
}

const PROFILES: [Profile; 5] = [
    Profile::Rarefy,
    Profile::Torch,
    Profile::Torchao,
    Profile::Onnx,
    Profile::CompressedTensors,
];

/// Quantizers of each width, of each granularity that fits arrays of this rank, of each shape of range and of each
/// profile: each of them with some of the others.
fn all<F: Float>(rank: usize) -> Vec<(String, Box<dyn Quantizer<F>>)> {
    let mut all: Vec<(String, Box<dyn Quantizer<F>>)> = Vec::new();
    let mut push = |linear: Linear| all.push((format!("{linear:?}"), Box::new(linear)));
    for granularity in granularities(rank) {
        for bits in [2, 3, 4, 5, 6, 7, 8, 16] {
            push(Linear::new(bits).granularity(granularity));
        }
        for (number, profile) in PROFILES.into_iter().enumerate() {
            for bits in [4, 8] {
                let linear = Linear::new(bits).granularity(granularity).profile(profile);
                push(linear);
                push(linear.affine());
                match number % 2 {
                    0 => push(linear.unsigned()),
                    _ => push(linear.full_range()),
                }
            }
        }
        for bits in [1, 3, 16] {
            push(
                Linear::new(bits)
                    .granularity(granularity)
                    .affine()
                    .unsigned(),
            );
        }
        push(Linear::new(5).granularity(granularity).full_range());
    }
    all
}

/// Each weight's number of its scale.
pub(crate) fn numbers_of(q: &QuantizedTensor) -> ArrayD<usize> {
    let shape = q.shape();
    let mut tile: Vec<usize> = shape.iter().map(|&length| length.max(1)).collect();
    match q.granularity() {
        Granularity::PerChannel(axis) => tile[axis.index()] = 1,
        Granularity::PerToken => {
            if let Some((_, outer)) = tile.split_last_mut() {
                outer.fill(1);
            }
        }
        Granularity::PerGroup { axis, size } => {
            tile.fill(1);
            tile[axis.index()] = size;
        }
        Granularity::PerBlock(block) => tile.copy_from_slice(block.lengths()),
        _ => {}
    }
    ArrayD::from_shape_fn(shape, |index| {
        (0..shape.len()).fold(0, |number, axis| {
            number * shape[axis].div_ceil(tile[axis]) + index[axis] / tile[axis]
        })
    })
}

fn obeys<F: Float>(quantizer: &dyn Quantizer<F>, weights: &ArrayRefD<F>, at: &str) {
    let q = quantizer.quantize_dyn(weights).unwrap();
    let codes = q.codes();
    assert_eq!(q.shape(), weights.shape(), "{at}");
    assert!(
        codes.iter().all(|code| q.scheme().codes().contains(code)),
        "codes, {at}"
    );
    let bits = q.scheme().bits() as usize;
    let bytes = (weights.len() * bits).div_ceil(8) + 4 * q.scales().len();
    assert_eq!(
        q.bytes(),
        bytes + 4 * q.zero_points().len(),
        "every byte is counted, {at}"
    );

    let restored = q.dequantize::<F>();
    let (lowest, highest) = (*q.scheme().codes().start(), *q.scheme().codes().end());
    let values = weights.iter().zip(&restored).zip(&codes);
    for (((&x, &y), &code), &number) in values.zip(&numbers_of(&q)) {
        let scale = f64::from(q.scales()[number]);
        let zero = q.zero_points().get(number).copied().unwrap_or(0);
        let (x, y) = (x.to_f64().unwrap(), y.to_f64().unwrap());
        // Half a step and the last bits of the float types involved. A zero point is rounded, and the peers' divisor
        // leaves the largest positive weight half a step outside: off by as much again.
        let (low, high) = (f64::from(lowest - zero), f64::from(highest - zero));
        let inside = low * scale <= x && x <= high * scale;
        let bound =
            scale * if inside { 0.5 } else { 1.0 } + x.abs() * 4.0 * f64::from(f32::EPSILON);
        assert!((x - y).abs() <= bound, "{x} became {y}, {at}");
        if x == 0.0 {
            assert!(code == zero && y == 0.0, "zero is kept, {at}");
        }
    }

    // The parts make the same tensor again.
    let again = QuantizedTensor::from_codes(&codes, q.parameters().clone()).unwrap();
    assert_eq!(again, q, "{at}");
    let packed = q.packed().to_vec();
    let parameters = q.parameters().clone();
    let again = QuantizedTensor::from_packed(q.shape().to_vec(), packed, parameters).unwrap();
    assert_eq!(again, q, "{at}");
    let mut into = restored.mapv(|_| F::nan());
    q.dequantize_into(&mut into).unwrap();
    assert_eq!(into, restored, "{at}");
}

fn check<F: Float>() {
    for shape in SHAPES {
        for (name, quantizer) in all::<F>(shape.len()) {
            for values in ALL_VALUES {
                let weights: ArrayD<F> = array(shape, values);
                let at = format!("{name} of {values:?} {shape:?}");
                let wide = values == Values::Extreme && name.contains("Affine");
                match quantizer.quantize(&weights) {
                    // From nearly the least to nearly the largest number is no f32.
                    Err(Error::ScaleOverflow { .. }) if wide => continue,
                    _ => {}
                }
                obeys(&*quantizer, &weights, &at);
                let expected = quantizer.quantize(&weights).unwrap();
                each_layout(&weights, |layout, view| {
                    assert_eq!(
                        quantizer.quantize(&view).unwrap(),
                        expected,
                        "{layout}, {at}"
                    );
                });
            }
        }
    }
}

#[test]
fn f32_quantizers_obey() {
    check::<f32>();
}

#[test]
fn f64_quantizers_obey() {
    check::<f64>();
}

#[test]
fn our_profile_is_symmetric_idempotent_and_monotone() {
    for bits in 2..=8 {
        for granularity in [Granularity::PerTensor, Granularity::PerChannel(Axis(1))] {
            let quantizer = Linear::new(bits).granularity(granularity);
            for values in ALL_VALUES {
                let weights: ArrayD<f32> = array(&[13, 29], values);
                let q = quantizer.quantize(&weights).unwrap();
                let at = format!("{bits} bits, {granularity:?}, {values:?}");
                let negated = quantizer.quantize(&weights.mapv(|weight| -weight)).unwrap();
                assert_eq!(negated.codes(), q.codes().mapv(|code| -code), "{at}");
                let again = quantizer.quantize(&q.dequantize::<f32>()).unwrap();
                assert_eq!(again.codes(), q.codes(), "{at}");
                if granularity == Granularity::PerTensor {
                    let mut pairs: Vec<(f32, i32)> =
                        weights.iter().copied().zip(q.codes()).collect();
                    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
                    assert!(pairs.is_sorted_by_key(|(_, code)| *code), "{at}");
                }
            }
        }
    }
}

#[test]
fn a_finer_granularity_never_has_a_larger_step() {
    let weights: ArrayD<f32> = array(&[13, 29], Values::Distinct);
    let whole = Linear::new(4).quantize(&weights).unwrap().scales()[0];
    for axis in [0, 1] {
        let q = Linear::new(4)
            .per_channel(Axis(axis))
            .quantize(&weights)
            .unwrap();
        assert!(q.scales().iter().all(|&scale| scale <= whole));
        assert!(q.scales().contains(&whole));
    }
}

#[test]
fn zeros_and_nothing_have_stated_scales() {
    let zeros = Linear::new(8)
        .quantize(&array::<f32>(&[7], Values::Zeros))
        .unwrap();
    assert_eq!(zeros.scales(), [f32::MIN_POSITIVE]);
    let torch = Linear::new(8).profile(Profile::Torch);
    assert_eq!(
        torch
            .quantize(&array::<f32>(&[7], Values::Zeros))
            .unwrap()
            .scales(),
        [f32::EPSILON]
    );
    let empty = Linear::new(8)
        .per_channel(Axis(0))
        .quantize(&ArrayD::<f32>::zeros(vec![3, 0]));
    let empty = empty.unwrap();
    assert_eq!(
        (empty.scales(), empty.len(), empty.bits_per_weight()),
        (&[1.0; 3][..], 0, 0.0)
    );
}

#[test]
fn any_number_of_threads_gives_the_same_codes() {
    let weights: ArrayD<f32> = array(&[700, 501], Values::Distinct);
    for (_, quantizer) in all::<f32>(2) {
        let q = same_in_every_pool(|| quantizer.quantize(&weights).unwrap());
        same_in_every_pool(|| q.dequantize::<f32>());
    }
}

#[test]
fn what_is_not_finite_is_an_error_with_its_index() {
    for (name, quantizer) in all::<f64>(2) {
        let mut weights: ArrayD<f64> = array(&[5, 13], Values::Distinct);
        weights[[4, 2]] = f64::NAN;
        weights[[2, 9]] = f64::NEG_INFINITY;
        let error = quantizer.quantize(&weights).unwrap_err();
        assert_eq!(
            error.to_string(),
            "weight [2, 9] is -inf, must be finite",
            "{name}"
        );
        weights[[2, 9]] = 1.0;
        let error = quantizer.quantize(&weights).unwrap_err();
        assert_eq!(error.to_string(), "weight [4, 2] is NaN", "{name}");
        weights[[4, 2]] = 1e300;
        let error = quantizer.quantize(&weights).unwrap_err();
        assert!(
            matches!(error, Error::ScaleOverflow { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn scales_of_f64_weights_may_be_given_back_in_f32() {
    let parameters = Linear::new(8)
        .quantize(&array::<f64>(&[9], Values::Distinct))
        .unwrap();
    let parameters: &Parameters = parameters.parameters();
    assert_eq!(parameters.bytes(), 4);
}

#[test]
fn affine_codes_are_idempotent_too() {
    for bits in [2, 4, 8, 16] {
        for granularity in granularities(2) {
            let quantizer = Linear::new(bits).affine().granularity(granularity);
            for values in [Values::Distinct, Values::Ties, Values::Equal] {
                let weights: ArrayD<f32> = array(&[13, 29], values);
                let q = quantizer.quantize(&weights).unwrap();
                let back = q.dequantize::<f32>();
                let again = Linear::new(bits)
                    .quantize_with(&back, q.parameters())
                    .unwrap();
                assert_eq!(again, q, "{bits} bits, {granularity:?}, {values:?}");
            }
        }
    }
}

#[test]
fn given_parameters_and_memory_give_the_same_codes() {
    let weights: ArrayD<f32> = array(&[13, 29], Values::Distinct);
    let mut into = Linear::new(3)
        .quantize(&array::<f32>(&[2], Values::Ties))
        .unwrap();
    for linear in [
        Linear::new(4).per_group(Axis(1), 8),
        Linear::new(8).affine().profile(Profile::Torch),
        Linear::new(16).unsigned().per_channel(Axis(0)),
    ] {
        let q = linear.quantize(&weights).unwrap();
        assert_eq!(linear.quantize_with(&weights, q.parameters()).unwrap(), q);
        linear.quantize_into(&weights, &mut into).unwrap();
        assert_eq!(into, q);
    }
    let nan = weights.mapv(|_| f32::NAN);
    let parameters = into.parameters().clone();
    assert!(Linear::new(8).quantize_into(&nan, &mut into).is_err());
    assert!(into.is_empty() && into.dequantize::<f32>().is_empty());
    let error = Linear::new(8).quantize_with(&nan, &parameters).unwrap_err();
    assert_eq!(error.to_string(), "weight [0, 0] is NaN");
}

#[test]
fn what_is_not_finite_can_be_held_within_the_codes() {
    let mut weights: ArrayD<f32> = array(&[40, 5], Values::Distinct);
    let finite = weights.clone();
    weights[[4, 2]] = f32::NAN;
    weights[[0, 0]] = f32::NEG_INFINITY;
    weights[[39, 4]] = f32::INFINITY;
    for linear in [Linear::new(8), Linear::new(4).affine().per_channel(Axis(1))] {
        let q = linear
            .non_finite(NonFinite::Clamp)
            .quantize(&weights)
            .unwrap();
        let zero = q.zero_points().get(2).copied().unwrap_or(0);
        let codes = q.codes();
        assert_eq!(codes[[4, 2]], zero);
        assert_eq!(codes[[0, 0]], *q.scheme().codes().start());
        assert_eq!(codes[[39, 4]], *q.scheme().codes().end());
        assert!(q.scales().iter().all(|scale| scale.is_finite()));
        assert_eq!(
            linear.quantize(&finite).unwrap().scales().len(),
            q.scales().len()
        );
    }
}

#[test]
fn stochastic_rounding_has_no_bias_and_one_result_a_seed() {
    let weights = ArrayD::from_elem(vec![200_000], 0.3_f32);
    let parameters = Parameters::new(
        rarefy::quantize::Scheme::symmetric(8).unwrap(),
        Granularity::PerTensor,
        vec![1.0],
    );
    let with = |seed| {
        let linear = Linear::new(8).rounding(Rounding::Stochastic { seed });
        same_in_every_pool(|| linear.quantize_with(&weights, &parameters).unwrap())
    };
    let mean = f64::from(with(1).codes().iter().sum::<i32>()) / weights.len() as f64;
    // Four standard deviations of the mean of so many flips.
    assert!(
        (mean - 0.3).abs() < 4.0 * (0.21 / 200_000.0_f64).sqrt(),
        "{mean}"
    );
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}
