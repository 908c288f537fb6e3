//! Ternary codes: those of the papers' formulas (`tests/golden/ternary.json`, made by `ternary.py` there), what they
//! promise for any array, and how they are stored in 1.6875 bits.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use ndarray::{Array1, Array2, ArrayD, ArrayRefD, Axis, arr0, array};
use rarefy::prelude::*;
use rarefy::quantize::{
    BlockFormat, BlockShape, BlockTensor, Granularity, Scheme, Ternary, TernaryRule,
};
use rarefy::{Error, Float};

const RULES: [TernaryRule; 2] = [TernaryRule::AbsMean, TernaryRule::Threshold];

/// `made()` of the script.
fn made() -> Array2<f32> {
    Array2::from_shape_fn((12, 128), |(i, j)| {
        let mut z = ((i * 128 + j + 1) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let sum: i64 = (0..4).map(|part| (z >> (16 * part) & 0xFFFF) as i64).sum();
        let size = if i == 3 { 0 } else { 1 + i as i64 % 5 };
        ((sum - 131_070) * size) as f32 / 1_048_576.0
    })
}

#[test]
fn codes_and_scales_are_those_of_the_formulas() {
    let path = format!("{}/tests/golden/ternary.json", env!("CARGO_MANIFEST_DIR"));
    let golden: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let weights = made();
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let rule = RULES
            .into_iter()
            .find(|rule| case["rule"] == format!("{rule:?}"));
        let ternary = Ternary::new(rule.unwrap());
        let ternary = match case["of"].as_str().unwrap() {
            "row" => ternary.per_channel(Axis(0)),
            "group" => ternary.per_group(Axis(1), 32),
            _ => ternary,
        };
        let q = ternary.quantize(&weights).unwrap();
        let signs: String = q
            .codes()
            .iter()
            .map(|&code| {
                if code < 0 {
                    '-'
                } else if code > 0 {
                    '+'
                } else {
                    '0'
                }
            })
            .collect();
        assert_eq!(signs, case["codes"].as_str().unwrap(), "{ternary:?}");
        let scales: Vec<f32> = serde_json::from_value(case["scales"].clone()).unwrap();
        assert_eq!(scales.len(), q.scales().len());
        for (&ours, theirs) in q.scales().iter().zip(scales) {
            // Of nothing but zeros theirs may be 0, which is no scale.
            let theirs = theirs.max(f32::MIN_POSITIVE);
            assert!(
                (ours / theirs - 1.0).abs() < 1e-6,
                "{ours} {theirs}, {ternary:?}"
            );
        }
        compared += 1;
    }
    assert_eq!(compared, 6);
}

/// Each rule with each granularity that fits arrays of this rank.
fn all(rank: usize) -> Vec<Ternary> {
    let block = BlockShape::new(&vec![2; rank]).unwrap();
    let mut granularities = vec![
        Granularity::PerTensor,
        Granularity::PerToken,
        Granularity::PerBlock(block),
    ];
    for axis in (0..rank).map(Axis) {
        granularities.push(Granularity::PerChannel(axis));
        granularities.push(Granularity::PerGroup { axis, size: 3 });
    }
    let each = |rule| {
        let ternary = Ternary::new(rule);
        granularities.iter().map(move |&of| ternary.granularity(of))
    };
    RULES.into_iter().flat_map(each).collect()
}

fn obeys<F: Float>(ternary: Ternary, weights: &ArrayRefD<F>, at: &str) {
    let q = match ternary.quantize(weights) {
        // Twice the threshold is no f32.
        Err(Error::ScaleOverflow { .. }) if at.contains("Threshold") && at.contains("Extreme") => {
            return;
        }
        other => other.unwrap(),
    };
    let codes = q.codes();
    assert_eq!(
        (q.shape(), q.scheme()),
        (weights.shape(), Scheme::symmetric(2).unwrap())
    );
    for (&x, &code) in weights.iter().zip(&codes) {
        // The sign, or 0.
        let x = x.to_f64().unwrap();
        assert!(
            code == 0 || f64::from(code) == x.signum(),
            "{x} {code}, {at}"
        );
        assert!(x != 0.0 || code == 0, "zero is kept, {at}");
    }
    let opposite = ternary.quantize(&weights.mapv(|x| -x)).unwrap();
    assert_eq!(opposite.codes(), codes.mapv(|code| -code), "{at}");
    assert_eq!(opposite.scales(), q.scales(), "{at}");
    if at.contains("Extreme") {
        return; // What comes back may be below the least scale.
    }
    let again = ternary.quantize(&q.dequantize::<F>()).unwrap();
    assert_eq!(again.codes(), codes, "{at}");
    if at.contains("Threshold") {
        assert_eq!(again, q, "{at}");
    }
}

fn check<F: Float>() {
    for shape in SHAPES {
        for ternary in all(shape.len()) {
            for values in ALL_VALUES {
                let weights: ArrayD<F> = array(shape, values);
                let at = format!("{ternary:?} of {values:?} {shape:?}");
                obeys(ternary, &weights, &at);
                if values == Values::Extreme {
                    continue;
                }
                let expected = ternary.quantize(&weights).unwrap();
                each_layout(&weights, |layout, view| {
                    assert_eq!(ternary.quantize(&view).unwrap(), expected, "{layout}, {at}");
                });
            }
        }
    }
}

#[test]
fn f32_weights_obey() {
    check::<f32>();
}

#[test]
fn f64_weights_obey() {
    check::<f64>();
}

#[test]
fn any_number_of_threads_gives_the_same_codes() {
    let weights: ArrayD<f32> = array(&[700, 501], Values::Distinct);
    for ternary in all(2) {
        same_in_every_pool(|| ternary.quantize(&weights).unwrap());
    }
}

#[test]
fn ties_and_thresholds_are_where_they_are_said_to_be() {
    // A mean of 1, half of which is a tie and goes to the even code.
    let w = array![0.5_f32, 0.500_000_1, -0.5, 2.5];
    let q = Ternary::new(TernaryRule::AbsMean).quantize(&w).unwrap();
    assert_eq!(
        (q.scales(), q.codes()),
        (&[1.0][..], array![0, 1, 0, 1].into_dyn())
    );
    // A threshold of 0.7, below which lies the f32 that is nearest to it.
    let w = array![0.7_f32, 0.7_f32.next_up(), -0.7, 1.9];
    let q = Ternary::new(TernaryRule::Threshold).quantize(&w).unwrap();
    assert_eq!(q.codes(), array![0, 1, 0, 1].into_dyn());
    let mean = (f64::from(w[1]) + f64::from(w[3])) / 2.0;
    assert_eq!(q.scales(), [mean as f32]);
}

#[test]
fn the_least_scale_is_a_setting() {
    let small = array![1e-6_f32, -4e-6, 0.0];
    let q = Ternary::new(TernaryRule::AbsMean).quantize(&small).unwrap();
    assert_eq!(
        (q.scales(), q.codes()),
        (&[1e-5][..], array![0, 0, 0].into_dyn())
    );
    let q = Ternary::new(TernaryRule::AbsMean)
        .least_scale(1e-30)
        .quantize(&small);
    assert_eq!(q.unwrap().codes(), array![1, -1, 0].into_dyn());
    let q = Ternary::new(TernaryRule::Threshold)
        .quantize(&small)
        .unwrap();
    assert_eq!(
        (q.scales(), q.codes()),
        (&[4e-6][..], array![0, -1, 0].into_dyn())
    );
}

#[test]
fn nothing_and_little_have_a_stated_outcome() {
    for rule in RULES {
        let ternary = Ternary::new(rule);
        let q = ternary.quantize(&Array1::<f32>::zeros(0)).unwrap();
        assert_eq!((q.len(), q.scales()), (0, &[1.0][..]));
        let q = ternary.quantize(&arr0(-2.5_f64)).unwrap();
        assert_eq!((q.scales(), q.codes()[[]]), (&[2.5][..], -1));
        let q = ternary.quantize(&Array1::<f32>::zeros(5)).unwrap();
        assert!(q.codes().iter().all(|&code| code == 0) && q.scales()[0] > 0.0);
    }
}

#[test]
fn errors_say_what_was_given() {
    for rule in RULES {
        let ternary = Ternary::new(rule);
        let error = |w: &Array2<f64>| ternary.per_channel(Axis(0)).quantize(w).unwrap_err();
        let mut w = array![[1.0, 2.0], [3.0, 5.0]];
        w[[1, 0]] = f64::NAN;
        assert_eq!(error(&w).to_string(), "weight [1, 0] is NaN");
        w[[0, 1]] = f64::INFINITY;
        assert_eq!(
            error(&w).to_string(),
            "weight [0, 1] is inf, must be finite"
        );
        let w = array![[1.0, 2.0], [-1e300, 5.0]];
        let found = error(&w);
        assert!(
            matches!(found, Error::ScaleOverflow { channel: 1, largest } if largest == 1e300),
            "{found}"
        );
        for least in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let found = ternary.least_scale(least).quantize(&w).unwrap_err();
            assert!(matches!(found, Error::NumberOutOfRange { .. }), "{found}");
        }
        let found = ternary.per_channel(Axis(2)).quantize(&w).unwrap_err();
        assert!(matches!(found, Error::AxisOutOfRange { axis: 2, .. }));
        let nothing = Array2::<f32>::zeros((isize::MAX as usize, 0));
        let found = ternary.per_channel(Axis(0)).quantize(&nothing);
        assert!(matches!(found, Err(Error::ShapeOverflow { .. })));
    }
    let full = array![f32::MAX, f32::MAX];
    assert!(Ternary::new(TernaryRule::AbsMean).quantize(&full).is_ok());
    assert!(
        Ternary::new(TernaryRule::Threshold)
            .quantize(&full)
            .is_err()
    );
}

#[test]
fn blocks_of_five_codes_a_byte_hold_ternary_weights() {
    let weights: ArrayD<f32> = array(&[6, 512], Values::Distinct);
    for rule in RULES {
        let q = Ternary::new(rule)
            .per_group(Axis(1), 256)
            .quantize(&weights)
            .unwrap();
        for (format, bits) in [(BlockFormat::Tq1_0, 1.6875), (BlockFormat::Tq2_0, 2.0625)] {
            let values = q.dequantize::<f32>();
            let blocks = BlockTensor::encode(&values, format).unwrap();
            assert_eq!(blocks.bits_per_weight(), bits);
            // Only the scale is rounded, to a half.
            for (x, y) in values.iter().zip(&blocks.dequantize::<f32>()) {
                assert!((x - y).abs() <= x.abs() / 2048.0, "{x} {y}");
            }
        }
        assert_eq!(q.bits_per_weight(), 2.0 + 32.0 / 256.0);
    }
}
