//! Laws of quantizers.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use ndarray::{ArrayD, ArrayRefD, Axis};
use rarefy::prelude::*;
use rarefy::quantize::{Granularity, Linear, Parameters, Profile, QuantizedTensor};
use rarefy::{Error, Float};

/// Each quantizer of each width, granularity and profile that fits arrays of this rank.
fn all<F: Float>(rank: usize) -> Vec<(String, Box<dyn Quantizer<F>>)> {
    let mut all: Vec<(String, Box<dyn Quantizer<F>>)> = Vec::new();
    let axes = (0..rank).map(|axis| Granularity::PerChannel(Axis(axis)));
    let granularities: Vec<Granularity> = axes.chain([Granularity::PerTensor]).collect();
    for bits in 2..=8 {
        for &granularity in &granularities {
            for profile in [Profile::Rarefy, Profile::Torch] {
                let quantizer = Linear::new(bits).granularity(granularity).profile(profile);
                all.push((format!("{quantizer:?}"), Box::new(quantizer)));
            }
        }
    }
    all
}

/// Each weight together with the scale that it belongs to.
fn scales_of(q: &QuantizedTensor) -> ArrayD<f32> {
    let mut scales = ArrayD::zeros(q.shape());
    match q.granularity() {
        Granularity::PerChannel(axis) => {
            for (mut lane, &scale) in scales.axis_iter_mut(axis).zip(q.scales()) {
                lane.fill(scale);
            }
        }
        _ => scales.fill(q.scales()[0]),
    }
    scales
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
    let highest = f64::from(*q.scheme().codes().end());
    for (((&x, &y), &scale), &code) in weights
        .iter()
        .zip(&restored)
        .zip(&scales_of(&q))
        .zip(&codes)
    {
        let (x, y, scale) = (x.to_f64().unwrap(), y.to_f64().unwrap(), f64::from(scale));
        // Half a step and the last bits of the float types involved; PyTorch's divisor leaves the
        // largest positive weight half a step outside, so it may be off by as much again.
        let inside = x.abs() <= highest * scale;
        let bound =
            scale * if inside { 0.5 } else { 1.0 } + x.abs() * 4.0 * f64::from(f32::EPSILON);
        assert!((x - y).abs() <= bound, "{x} became {y}, {at}");
        if x == 0.0 {
            assert!(code == 0 && y == 0.0, "zero is kept, {at}");
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
