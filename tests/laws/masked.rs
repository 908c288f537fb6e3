//! What every quantizer and every block format must obey under a mask: what it drops comes back as exactly +0.

use crate::codes;
use crate::inputs::{Values, array, each_layout, same_in_every_pool};
use crate::quantizer::all;
use ndarray::{ArrayD, ArrayRefD};
use rarefy::prelude::*;
use rarefy::quantize::{
    BlockFormat, BlockTensor, Granularity, Hqq, Parameters, QuantizedTensor, Scheme,
};
use rarefy::{Error, Float, Mask};

/// A mask with whole words of each kind and ragged ones between.
fn mask_of(shape: &[usize]) -> Mask {
    let mut place = 0_usize;
    Mask::from_fn(shape, |_| {
        place += 1;
        match place / 64 % 4 {
            0 => place.is_multiple_of(3),
            1 => true,
            2 => false,
            _ => !place.is_multiple_of(7),
        }
    })
    .unwrap()
}

/// NaN and infinity wherever the mask drops a weight.
fn spoilt<F: Float>(weights: &ArrayD<F>, mask: &Mask) -> ArrayD<F> {
    let mut spoilt = weights.clone();
    for (number, (weight, kept)) in spoilt.iter_mut().zip(mask.iter()).enumerate() {
        if !kept {
            *weight = [F::nan(), F::infinity(), F::neg_infinity(), -F::one()][number % 4];
        }
    }
    spoilt
}

fn is_plain_zero<F: Float>(value: F) -> bool {
    value == F::zero() && value.is_sign_positive()
}

/// What is dropped is +0, in both float types and in an array of the caller's.
fn dropped_is_zero<F: Float>(mask: &Mask, restored: [&ArrayD<F>; 2], wide: &ArrayD<f64>, at: &str) {
    for values in restored {
        for (&value, kept) in values.iter().zip(mask.iter()) {
            assert!(kept || is_plain_zero(value), "{value} revived, {at}");
        }
    }
    for (&value, kept) in wide.iter().zip(mask.iter()) {
        assert!(kept || is_plain_zero(value), "{value} revived, {at}");
    }
}

fn check<F: Float>() {
    for shape in [&[][..], &[3, 0, 2], &[5, 13], &[4, 3, 17]] {
        let mask = mask_of(shape);
        for (name, quantizer) in all::<F>(shape.len()) {
            for values in [Values::Distinct, Values::Equal] {
                let weights: ArrayD<F> = array(shape, values);
                let at = format!("{name} of {values:?} {shape:?}");
                let spoilt = spoilt(&weights, &mask);
                let q = quantizer.quantize_masked(&spoilt, &mask).unwrap();
                assert_eq!(q.first_revived(&mask).unwrap(), None, "{at}");
                let mut into = weights.mapv(|_| F::nan());
                q.dequantize_into(&mut into).unwrap();
                let restored = [&q.dequantize::<F>(), &into];
                dropped_is_zero(&mask, restored, &q.dequantize::<f64>(), &at);
                // Integers have a code for 0: the mask costs nothing, and kept weights have the codes of a pruned tensor.
                assert!(q.mask().is_none(), "{at}");
                let mut pruned = weights.clone();
                mask.apply(&mut pruned).unwrap();
                assert_eq!(q, quantizer.quantize(&pruned).unwrap(), "{at}");
                each_layout(&spoilt, |layout, view| {
                    let again = quantizer.quantize_masked(&view, &mask).unwrap();
                    assert_eq!(again, q, "{layout}, {at}");
                });
            }
        }
    }
}

/// The same of codes among which there may be no 0: then the mask stays.
fn check_uneven<F: Float>() {
    for shape in [&[][..], &[5, 13]] {
        let mask = mask_of(shape);
        let mut quantizers: Vec<(String, Box<dyn Quantizer<F>>)> = codes::all::<F>(shape.len())
            .into_iter()
            .map(|case| (case.name, case.quantizer))
            .collect();
        for quantizer in [Hqq::new(2), Hqq::new(4)] {
            if !shape.is_empty() {
                quantizers.push((format!("{quantizer:?}"), Box::new(quantizer)));
            }
        }
        for (name, quantizer) in quantizers {
            let weights: ArrayD<F> = array(shape, Values::Distinct);
            let at = format!("{name} of {shape:?}");
            let spoilt = spoilt(&weights, &mask);
            let q = quantizer.quantize_masked(&spoilt, &mask).unwrap();
            assert_eq!(q.first_revived(&mask).unwrap(), None, "{at}");
            let mut into = weights.mapv(|_| F::nan());
            q.dequantize_into(&mut into).unwrap();
            let restored = [&q.dequantize::<F>(), &into];
            dropped_is_zero(&mask, restored, &q.dequantize::<f64>(), &at);
            let mut pruned = weights.clone();
            mask.apply(&mut pruned).unwrap();
            let plain = quantizer.quantize(&pruned).unwrap();
            assert_eq!(q.packed(), plain.packed(), "{at}");
            // Not beside codes that say so themselves.
            assert_eq!(
                q.mask().is_some(),
                plain.first_revived(&mask).unwrap().is_some(),
                "{at}"
            );
        }
    }
}

#[test]
fn what_is_dropped_is_zero_where_no_code_is() {
    check_uneven::<f32>();
    check_uneven::<f64>();
}

#[test]
fn what_a_mask_drops_stays_zero_in_f32() {
    check::<f32>();
}

#[test]
fn what_a_mask_drops_stays_zero_in_f64() {
    check::<f64>();
}

#[test]
fn what_a_mask_drops_stays_zero_in_every_block_format() {
    let mask = mask_of(&[6, 512]);
    for values in [Values::Distinct, Values::Equal, Values::Ties] {
        let weights: ArrayD<f32> = array(&[6, 512], values);
        // Far from zero too, where formats with a least weight cannot reach it well; scales of both signs.
        for (factor, shift) in [(1e-2, 0.0), (1.0, 3.0), (-1.0, -5.0)] {
            let weights = weights.mapv(|x| factor * x + shift);
            for &format in BlockFormat::ALL {
                let at = format!("{format:?} of {values:?} times {factor} plus {shift}");
                let packed = same_in_every_pool(|| {
                    BlockTensor::encode_masked(&spoilt(&weights, &mask), format, &mask).unwrap()
                });
                assert_eq!(packed.first_revived(&mask).unwrap(), None, "{at}");
                let mut into = weights.mapv(|_| f32::NAN);
                packed.dequantize_into(&mut into).unwrap();
                let restored = [&packed.dequantize::<f32>(), &into];
                dropped_is_zero(&mask, restored, &packed.dequantize::<f64>(), &at);
                if format.keeps_zero() {
                    assert!(packed.mask().is_none(), "{at}");
                }
                let bare = BlockTensor::from_bytes(
                    format,
                    packed.shape().to_vec(),
                    packed.bytes().to_vec(),
                );
                let bare = bare.unwrap();
                let bits = 8.0 * packed.mask().map_or(0, Mask::bytes) as f64 / 3072.0;
                assert_eq!(packed.bits_per_weight(), bare.bits_per_weight() + bits);
                assert_eq!(packed == bare, packed.mask().is_none(), "{at}");
                let kept = packed.dequantize::<f32>();
                for ((&a, &b), kept) in kept.iter().zip(&bare.dequantize::<f32>()).zip(mask.iter())
                {
                    assert!(!kept || a == b, "{a} is not {b}, {at}");
                }
            }
        }
    }
}

/// Signs, which have no code for 0 though the scheme has one.
#[derive(Debug)]
struct Signs;

impl<F: Float> Quantizer<F> for Signs {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> rarefy::Result<QuantizedTensor> {
        let codes = weights.mapv(|weight| if weight < F::zero() { -1 } else { 1 });
        let scheme = Scheme::symmetric(2)?;
        let parameters = Parameters::new(scheme, Granularity::PerTensor, vec![0.5]);
        QuantizedTensor::from_codes(&codes, parameters)
    }
}

#[test]
fn a_method_without_zero_keeps_the_mask_beside_its_codes() {
    let weights: ArrayD<f32> = array(&[5, 13], Values::Distinct);
    let mask = mask_of(&[5, 13]);
    let bare = Signs.quantize(&weights).unwrap();
    let first = mask.iter().position(|kept| !kept).unwrap();
    let index = vec![first / 13, first % 13];
    assert_eq!(bare.first_revived(&mask).unwrap(), Some(index));
    let q = Signs.quantize_masked(&weights, &mask).unwrap();
    assert_eq!(q.mask(), Some(&mask));
    assert_eq!(q.bytes(), bare.bytes() + mask.bytes());
    assert_ne!(q, bare);
    let restored = q.dequantize::<f32>();
    dropped_is_zero(&mask, [&restored; 2], &q.dequantize::<f64>(), "signs");
    assert!(
        mask.iter()
            .zip(&restored)
            .all(|(kept, y)| !kept || y.abs() == 0.5)
    );
    // Masks add up, and one that changes nothing is not kept.
    let half = Mask::from_fn((5, 13), |(i, _)| i < 2).unwrap();
    let both = q.clone().masked(&half).unwrap();
    assert_eq!(both.mask(), Some(&mask.and(&half).unwrap()));
    assert_eq!(both.clone().masked(&mask).unwrap(), both);
    // Memory that is used again forgets the mask.
    let mut again = both;
    rarefy::quantize::Linear::new(4)
        .quantize_into(&weights, &mut again)
        .unwrap();
    assert!(again.mask().is_none());
    let other = mask_of(&[13, 5]);
    for error in [
        Signs.quantize_masked(&weights, &other).unwrap_err(),
        q.first_revived(&other).unwrap_err(),
        q.masked(&other).unwrap_err(),
    ] {
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }
}
