//! Laws of quantizers whose codes are not evenly spaced.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use crate::quantizer::{granularities, numbers_of};
use ndarray::{ArrayD, ArrayRefD, Axis};
use rarefy::Float;
use rarefy::Result;
use rarefy::prelude::*;
use rarefy::quantize::{
    Binary, Codebook, Float8, Granularity, KMeans, Linear, Parameters, QuantizedTensor,
};

type With<F> = dyn Fn(&ArrayRefD<F>, &Parameters) -> Result<QuantizedTensor>;

/// A quantizer, what quantizes with the parameters of its results, and how far x may move where the scale is s.
struct Case<F: Float> {
    name: String,
    quantizer: Box<dyn Quantizer<F>>,
    with: Box<With<F>>,
    bound: fn(f64, f64) -> f64,
}

impl<F: Float> Case<F> {
    fn new<Q: Quantizer<F> + 'static>(
        quantizer: Q,
        with: impl Fn(&ArrayRefD<F>, &Parameters) -> Result<QuantizedTensor> + 'static,
        bound: fn(f64, f64) -> f64,
    ) -> Self {
        Self {
            name: format!("{quantizer:?}"),
            quantizer: Box::new(quantizer),
            with: Box::new(with),
            bound,
        }
    }
}

/// Each of them, of each granularity that fits arrays of this rank.
fn all<F: Float>(rank: usize) -> Vec<Case<F>> {
    let mut all = Vec::new();
    for granularity in granularities(rank) {
        let codebook = |codebook: Codebook, bound| {
            let codebook = codebook.granularity(granularity);
            let with = codebook.clone();
            Case::new(codebook, move |w, p| with.quantize_with(w, p), bound)
        };
        // Half of the largest gaps: next to −1, and from 4/12 to 6/12 and 8/12 to 1 in FP4.
        all.push(codebook(Codebook::nf4(), |_, s| s * (1.0 - 0.696) / 2.0));
        all.push(codebook(Codebook::fp4(), |_, s| s / 6.0));
        all.push(codebook(Codebook::nf4().by_inverse(), |_, s| {
            s * (1.0 - 0.696) / 2.0
        }));
        let many = (0..=200_i16).map(|i| f32::from(100 - i)).collect();
        all.push(codebook(Codebook::new(many), |_, s| s / 2.0));
        let float = Float8::e4m3().granularity(granularity);
        all.push(Case::new(
            float,
            move |w, p| float.quantize_with(w, p),
            |x, s| (x / 16.0).max(s / 1024.0),
        ));
        let float = Float8::e5m2().granularity(granularity);
        all.push(Case::new(
            float,
            move |w, p| float.quantize_with(w, p),
            |x, s| (x / 8.0).max(s / 131_072.0),
        ));
        let binary = Binary::new().granularity(granularity);
        all.push(Case::new(
            binary,
            move |w, p| binary.quantize_with(w, p),
            |x, s| x.max(s),
        ));
    }
    let whole = Codebook::nf4();
    let with = whole.clone();
    all.push(Case::new(
        whole,
        move |w, p| with.quantize_with(w, p),
        |_, s| s * (1.0 - 0.696) / 2.0,
    ));
    for (bits, zero) in [(1, false), (2, true), (4, false), (8, true)] {
        // Not until nothing moves: the laws hold after any number of rounds.
        let kmeans = KMeans::new(bits).rounds(9);
        let kmeans = if zero { kmeans.keep_zero() } else { kmeans };
        let with = Codebook::nf4();
        all.push(Case::new(
            kmeans,
            move |w, p| with.quantize_with(w, p),
            |x, _| x + f64::MAX / 2.0,
        ));
    }
    all
}

fn obeys<F: Float>(case: &Case<F>, weights: &ArrayRefD<F>, at: &str) {
    let q = case.quantizer.quantize_dyn(weights).unwrap();
    assert_eq!(q.shape(), weights.shape(), "{at}");
    let restored = q.dequantize::<F>();
    for ((&x, &y), &number) in weights.iter().zip(&restored).zip(&numbers_of(&q)) {
        let scale = f64::from(q.scales()[number]);
        let (x, y) = (x.to_f64().unwrap(), y.to_f64().unwrap());
        let bound = (case.bound)(x.abs(), scale) + x.abs() * 4.0 * f64::from(f32::EPSILON);
        assert!((x - y).abs() <= bound, "{x} became {y}, {at}");
        if x == 0.0 && q.keeps_zero() {
            assert_eq!(y, 0.0, "zero is kept, {at}");
        }
    }

    // With the same parameters the same codes, and once more for what came back.
    let again = (case.with)(weights, q.parameters()).unwrap();
    assert_eq!(again, q, "{at}");
    let back = (case.with)(&restored, q.parameters()).unwrap();
    assert_eq!(back.dequantize::<F>(), restored, "{at}");

    let again = QuantizedTensor::from_codes(&q.codes(), q.parameters().clone()).unwrap();
    assert_eq!(again, q, "{at}");
    let packed = q.packed().to_vec();
    let parameters = q.parameters().clone();
    let again = QuantizedTensor::from_packed(q.shape().to_vec(), packed, parameters).unwrap();
    assert_eq!(again, q, "{at}");
}

fn check<F: Float>() {
    for shape in SHAPES {
        for case in all::<F>(shape.len()) {
            for values in ALL_VALUES {
                let weights: ArrayD<F> = array(shape, values);
                let at = format!("{} of {values:?} {shape:?}", case.name);
                if weights.len() > 1000 && values != Values::Distinct {
                    continue;
                }
                obeys(&case, &weights, &at);
                if weights.len() > 1000 {
                    continue;
                }
                let expected = case.quantizer.quantize(&weights).unwrap();
                each_layout(&weights, |layout, view| {
                    let q = case.quantizer.quantize(&view).unwrap();
                    assert_eq!(q, expected, "{layout}, {at}");
                });
            }
        }
    }
}

#[test]
fn f32_codes_obey() {
    check::<f32>();
}

#[test]
fn f64_codes_obey() {
    check::<f64>();
}

#[test]
fn any_number_of_threads_gives_the_same_uneven_codes() {
    let weights: ArrayD<f32> = array(&[300, 501], Values::Distinct);
    for case in all::<f32>(2) {
        let q = same_in_every_pool(|| case.quantizer.quantize(&weights).unwrap());
        same_in_every_pool(|| q.dequantize::<f32>());
    }
}

fn squared_error(weights: &ArrayD<f32>, q: &QuantizedTensor) -> f64 {
    let pairs = weights.iter().zip(q.dequantize::<f64>());
    pairs.map(|(&x, y)| (f64::from(x) - y).powi(2)).sum()
}

#[test]
fn clusters_are_no_worse_than_even_codes_and_means_of_their_members() {
    for values in [
        Values::Distinct,
        Values::Ties,
        Values::Equal,
        Values::Extreme,
    ] {
        let weights: ArrayD<f32> = array(&[60, 47], values);
        for bits in 2..=6 {
            for kmeans in [KMeans::new(bits), KMeans::new(bits).keep_zero()] {
                let q = kmeans.quantize(&weights).unwrap();
                let at = format!("{kmeans:?} of {values:?}");
                let error = squared_error(&weights, &q);
                for linear in [Linear::new(bits), Linear::new(bits).affine()] {
                    // From nearly the least to the largest number there is no affine scale.
                    let Ok(even) = linear.quantize(&weights) else {
                        continue;
                    };
                    let even = squared_error(&weights, &even);
                    assert!(error <= even * (1.0 + 1e-6), "{error} above {even}, {at}");
                }
                let table = q.parameters().codebook();
                assert!(table.is_sorted_by(|a, b| a < b), "{at}");
                if values == Values::Extreme {
                    continue;
                }
                for (code, &entry) in table.iter().enumerate() {
                    let members = weights.iter().zip(q.codes());
                    let members = members.filter(|(_, own)| usize::try_from(*own).unwrap() == code);
                    let (sum, count) = members.fold((0.0, 0.0), |(sum, count), (&x, _)| {
                        (sum + f64::from(x), count + 1.0)
                    });
                    let mean = if count > 0.0 { sum / count } else { 0.0 };
                    let kept = kmeans == KMeans::new(bits).keep_zero() && entry == 0.0;
                    let near = (mean - f64::from(entry)).abs() <= 1e-6 * f64::from(entry).abs();
                    assert!(kept || near, "{entry} is not {mean}, {at}");
                }
            }
        }
    }
}

#[test]
fn signs_have_the_best_scale() {
    let weights: ArrayD<f32> = array(&[13, 29], Values::Distinct);
    let q = Binary::new()
        .per_channel(Axis(1))
        .quantize(&weights)
        .unwrap();
    let least = squared_error(&weights, &q);
    for factor in [0.99, 1.01] {
        let scales = q.scales().iter().map(|scale| scale * factor).collect();
        let other = Parameters::new(q.scheme(), Granularity::PerChannel(Axis(1)), scales);
        let other = QuantizedTensor::from_codes(&q.codes(), other).unwrap();
        assert!(squared_error(&weights, &other) > least);
    }
}
