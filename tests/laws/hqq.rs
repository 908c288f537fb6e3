//! Half-quadratic quantization: errors next to those of the reference (`tests/golden/hqq.json`, made by `hqq.py`
//! there), what it promises for any array, and errors that say what was given.

use crate::inputs::{ALL_VALUES, SHAPES, Values, array, each_layout, same_in_every_pool};
use ndarray::{Array1, Array2, ArrayD, ArrayRefD, Axis, arr0, array};
use rarefy::prelude::*;
use rarefy::quantize::{BlockShape, Granularity, Hqq, Linear, QuantizedTensor};
use rarefy::{Error, Float};

const GROUPS: usize = 512;
const SIZE: usize = 64;

/// `sums()` of the script.
fn sums() -> Vec<[i64; 4]> {
    let sum = |count: u64| {
        let mut z = count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let parts = (0..4).map(|part| (z >> (16 * part) & 0xFFFF) as i64);
        parts.sum::<i64>() - 131_070
    };
    let number = |i: usize, k: usize| sum((4 * i + k + 1) as u64);
    (0..GROUPS * SIZE)
        .map(|i| std::array::from_fn(|k| number(i, k)))
        .collect()
}

/// `kinds()` of the script.
fn kinds() -> Vec<(&'static str, Array2<f32>)> {
    let sums = sums();
    let normal = |i: usize| sums[i][0] as f64 / 2_097_152.0;
    let laplace = |i: usize| {
        let [a, b, c, d] = sums[i];
        (a * b + c * d) as f64 / 2_f64.powi(37)
    };
    let of = |value: &dyn Fn(usize) -> f64| {
        Array2::from_shape_fn((GROUPS, SIZE), |(i, j)| value(i * SIZE + j) as f32)
    };
    vec![
        ("normal", of(&normal)),
        ("laplace", of(&laplace)),
        (
            "outliers",
            of(&|i| normal(i) * if i % 61 == 0 { 8.0 } else { 1.0 }),
        ),
        ("large", of(&|i| normal(i) * 64.0)),
    ]
}

/// The means of |e|, e² and |e|^0.7.
fn errors(weights: &Array2<f32>, q: &QuantizedTensor) -> [f64; 3] {
    let restored = q.dequantize::<f32>();
    let mut sums = [0.0; 3];
    for (&x, &y) in weights.iter().zip(&restored) {
        let e = (f64::from(x) - f64::from(y)).abs();
        sums = [sums[0] + e, sums[1] + e * e, sums[2] + e.powf(0.7)];
    }
    sums.map(|sum| sum / weights.len() as f64)
}

#[test]
fn errors_are_at_most_those_of_the_reference_and_of_rounding() {
    let path = format!("{}/tests/golden/hqq.json", env!("CARGO_MANIFEST_DIR"));
    let golden: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    println!("made by {}", golden["made_by"]);
    for (kind, weights) in kinds() {
        for bits in [2, 3, 4, 8] {
            let q = Hqq::new(bits).quantize(&weights).unwrap();
            let ours = errors(&weights, &q);
            let linear = Linear::new(bits).affine().per_group(Axis(1), SIZE);
            let rounded = errors(&weights, &linear.quantize(&weights).unwrap());
            let theirs = &golden["errors"][kind][bits.to_string()];
            let theirs =
                |name: &str| -> [f64; 3] { serde_json::from_value(theirs[name].clone()).unwrap() };
            let nearest = Hqq::new(bits).iterations(0).quantize(&weights).unwrap();
            for (a, b) in errors(&weights, &nearest).iter().zip(theirs("nearest")) {
                // The reference has no scale below 5 · 10⁻⁵.
                assert!((a / b - 1.0).abs() < 1e-3 || bits == 8, "{kind} {bits}");
            }
            let rms = |errors: [f64; 3]| errors[1].sqrt();
            println!(
                "{kind}, {bits} bits: root mean square {:.4e}, reference {:.4e}, affine {:.4e}",
                rms(ours),
                rms(theirs("default")),
                rms(rounded)
            );
            for name in ["default", "second"] {
                for (ours, theirs) in ours.iter().zip(theirs(name)) {
                    // The norm is measured in steps here: for large weights it is another one than theirs.
                    let room = if kind == "large" { 1.003 } else { 1.0 };
                    assert!(
                        *ours <= theirs * room,
                        "{kind} {bits} {name}: {ours} {theirs}"
                    );
                }
            }
            assert!(
                ours[1] < 0.97 * rounded[1],
                "{kind} {bits}: {ours:?} {rounded:?}"
            );
            assert!(ours[0] < rounded[0] && ours[2] < rounded[2]);
        }
    }
}

/// What of these settings fits arrays of this rank.
fn all(rank: usize) -> Vec<Hqq> {
    let block = BlockShape::new(&vec![2; rank]).unwrap();
    let mut all = vec![
        Hqq::new(4),
        Hqq::new(1).granularity(Granularity::PerTensor),
        Hqq::new(3).granularity(Granularity::PerToken).round_zero(),
        Hqq::new(2).granularity(Granularity::PerBlock(block)),
    ];
    for axis in (0..rank).map(Axis) {
        all.push(Hqq::new(8).per_channel(axis).lp_norm(1.0));
        all.push(Hqq::new(3).per_group(axis, 3).iterations(5));
    }
    all
}

fn of_f64<F: Float>(x: F) -> f64 {
    x.to_f64().unwrap()
}

/// Σe² over the tensor, and how much of it the roundings of f32 may be.
fn squares<F: Float>(weights: &ArrayRefD<F>, q: &QuantizedTensor) -> (f64, f64) {
    let largest = weights
        .iter()
        .fold(0.0, |most, &x| of_f64(x).abs().max(most));
    let restored = q.dequantize::<f64>();
    let sum = weights.iter().zip(&restored);
    let sum = sum.map(|(&x, y)| (of_f64(x) - y).powi(2)).sum();
    let unit = largest * f64::from(f32::EPSILON) * 4.0 + f64::from(f32::MIN_POSITIVE);
    (sum, unit * unit * weights.len() as f64)
}

fn obeys<F: Float>(hqq: &Hqq, weights: &ArrayRefD<F>, at: &str) {
    let Ok(q) = hqq.quantize(weights) else {
        // From nearly the least to nearly the largest number is no f32.
        assert!(at.contains("Extreme"), "{at}");
        return;
    };
    assert_eq!(q.shape(), weights.shape(), "{at}");
    let zeros = q.parameters().float_zero_points();
    assert_eq!(zeros.len(), q.scales().len(), "{at}");
    assert!(!q.scheme().keeps_zero());
    let again = QuantizedTensor::from_codes(&q.codes(), q.parameters().clone()).unwrap();
    assert_eq!(again, q, "{at}");
    if !at.contains("Extreme") {
        let (ours, room) = squares(weights, &q);
        let start = squares(weights, &hqq.iterations(0).quantize(weights).unwrap()).0;
        assert!(ours <= start * 1.0001 + room, "{ours} {start}, {at}");
    }
    if at.contains("Equal") || at.contains("Zeros") {
        let restored = q.dequantize::<F>();
        assert!(restored.iter().zip(weights).all(|(a, b)| a == b), "{at}");
    }
}

fn check<F: Float>() {
    for shape in SHAPES {
        for hqq in all(shape.len()) {
            for values in ALL_VALUES {
                let weights: ArrayD<F> = array(shape, values);
                let at = format!("{hqq:?} of {values:?} {shape:?}");
                obeys(&hqq, &weights, &at);
                if weights.len() > 1000 || values != Values::Distinct {
                    continue;
                }
                let expected = hqq.quantize(&weights).unwrap();
                each_layout(&weights, |layout, view| {
                    assert_eq!(hqq.quantize(&view).unwrap(), expected, "{layout}, {at}");
                });
                let singles = hqq.quantize(&weights.mapv(|x| of_f64(x) as f32)).unwrap();
                assert_eq!(singles, expected, "f32 and f64, {at}");
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
    let weights: ArrayD<f32> = array(&[140, 501], Values::Distinct);
    for hqq in all(2) {
        same_in_every_pool(|| hqq.quantize(&weights).unwrap());
    }
}

#[test]
fn weights_of_another_size_have_the_same_codes() {
    let weights: ArrayD<f32> = array(&[40, 130], Values::Distinct);
    let q = Hqq::new(3).quantize(&weights).unwrap();
    for factor in [1024.0, 1.0 / 4096.0] {
        let other = Hqq::new(3).quantize(&weights.mapv(|x| x * factor)).unwrap();
        assert_eq!(other.packed(), q.packed());
        let zeros = |q: &QuantizedTensor| q.parameters().float_zero_points().to_vec();
        assert_eq!(zeros(&other), zeros(&q));
        let scales: Vec<f32> = q.scales().iter().map(|scale| scale * factor).collect();
        assert_eq!(other.scales(), scales);
    }
}

#[test]
fn weights_on_a_grid_come_back() {
    for bits in 1..=8 {
        let most = (1_usize << bits) - 1;
        let weights = Array1::from_shape_fn(300, |i| ((i * 7) % (most + 1)) as f32 * 0.25 - 3.5);
        let q = Hqq::new(bits)
            .per_group(Axis(0), 300)
            .quantize(&weights)
            .unwrap();
        assert_eq!(q.dequantize::<f32>(), weights.into_dyn(), "{bits} bits");
    }
}

#[test]
fn more_iterations_are_never_worse() {
    let weights: ArrayD<f32> = array(&[30, 64], Values::Distinct);
    let mut last = f64::INFINITY;
    for iterations in [0, 1, 2, 5, 20, 40] {
        let q = Hqq::new(2)
            .iterations(iterations)
            .quantize(&weights)
            .unwrap();
        let error = squares(&weights, &q).0;
        assert!(error <= last * 1.0001, "{iterations}: {error} {last}");
        last = error;
    }
}

#[test]
fn nothing_and_little_have_a_stated_outcome() {
    let q = Hqq::new(4).quantize(&Array1::<f32>::zeros(0)).unwrap();
    assert_eq!((q.len(), q.scales().len()), (0, 0));
    let q = Hqq::new(4)
        .per_channel(Axis(0))
        .quantize(&Array2::<f32>::zeros((3, 0)));
    let q = q.unwrap();
    assert_eq!(q.scales(), [1.0; 3]);
    assert_eq!(q.parameters().float_zero_points(), [0.0; 3]);
    let q = Hqq::new(4).quantize(&arr0(-2.5_f64)).unwrap();
    assert_eq!((q.dequantize::<f64>()[[]], q.scales()), (-2.5, &[2.5][..]));
    let q = Hqq::new(4).quantize(&array![0.0_f32, -0.0, 0.0]).unwrap();
    assert_eq!(q.scales(), [f32::MIN_POSITIVE]);
    assert_eq!(q.codes(), array![0, 0, 0].into_dyn());
    assert!(q.parameters().keeps_zero());
    let default = Hqq::new(4)
        .quantize(&Array2::<f32>::ones((1, 130)))
        .unwrap();
    let group = Granularity::PerGroup {
        axis: Axis(1),
        size: 64,
    };
    assert_eq!((default.granularity(), default.scales().len()), (group, 3));
}

fn error(hqq: Hqq, weights: &ArrayRefD<f64>) -> String {
    hqq.quantize(weights).unwrap_err().to_string()
}

#[test]
fn errors_say_what_was_given() {
    let good = array![[1.0, 2.0], [3.0, 5.0]].into_dyn();
    for bits in [0, 9, u32::MAX] {
        let message = error(Hqq::new(bits), &good);
        assert_eq!(
            message,
            format!("number of bits must be 1 to 8, got {bits}")
        );
    }
    let hqq = Hqq::new(4);
    for (hqq, message) in [
        (
            hqq.lp_norm(0.0),
            "norm of the error must be above 0 and at most 1, got 0",
        ),
        (
            hqq.lp_norm(1.5),
            "norm of the error must be above 0 and at most 1, got 1.5",
        ),
        (
            hqq.lp_norm(f64::NAN),
            "norm of the error must be above 0 and at most 1, got NaN",
        ),
        (hqq.beta(-1.0), "beta must be finite and positive, got -1"),
        (
            hqq.kappa(0.5),
            "kappa must be finite and at least 1, got 0.5",
        ),
        (
            hqq.per_group(Axis(1), 0),
            "size of a group must be at least 1, got 0",
        ),
        (
            hqq.per_channel(Axis(2)),
            "axis 2 does not exist, the array has 2 axes",
        ),
    ] {
        assert_eq!(error(hqq, &good), message);
    }
    let mut bad = good.clone();
    bad[[1, 0]] = f64::NAN;
    assert_eq!(error(hqq, &bad), "weight [1, 0] is NaN");
    bad[[0, 1]] = f64::NEG_INFINITY;
    assert_eq!(error(hqq, &bad), "weight [0, 1] is -inf, must be finite");
    let mut large = good;
    large[[1, 1]] = 1e300;
    let found = hqq.quantize(&large).unwrap_err();
    assert!(
        matches!(found, Error::ScaleOverflow { channel: 1, largest } if largest == 1e300),
        "{found}"
    );
    let nothing = Array2::<f32>::zeros((isize::MAX as usize, 0));
    let found = hqq.per_channel(Axis(0)).quantize(&nothing);
    assert!(matches!(found, Err(Error::ShapeOverflow { .. })));
}
