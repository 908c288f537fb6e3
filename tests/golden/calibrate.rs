//! Compares with what the real peers gave: `tests/golden/calibrate.json`, made by `generate_calibrate.py` there.

use crate::reference::{numbers, parsed, size, sizes};
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn};
use rarefy::calibrate::{Histogram, MinMax, MovingAverage, ObserverExt};
use rarefy::quantize::{Entropy, ErrorSearch, Linear, Percentile, Profile};
use serde_json::Value;

struct Golden(Value);

impl Golden {
    fn read() -> Self {
        Self(parsed("calibrate.json"))
    }

    fn cases(&self, kind: &str) -> Vec<&Value> {
        let cases = self.0["cases"].as_array().unwrap().iter();
        let cases: Vec<&Value> = cases.filter(|case| case["kind"] == kind).collect();
        println!(
            "{} cases of {kind} made by {}",
            cases.len(),
            self.0["made_by"]
        );
        assert!(cases.len() >= 12, "{kind}");
        cases
    }

    fn sample(&self, case: &Value) -> Array1<f32> {
        floats(&self.0["samples"][size(&case["sample"])])
    }

    fn histogram(&self, case: &Value, magnitudes: bool) -> Histogram {
        let mut histogram = Histogram::with_bins(size(&case["bins"])).unwrap();
        if magnitudes {
            histogram = histogram.of_magnitudes();
        }
        histogram.observe(&self.sample(case)).unwrap();
        histogram
    }
}

/// A value of f32: what parses text may be off by the last bit of an f64.
fn number(value: &Value) -> f64 {
    f64::from(value.as_f64().unwrap() as f32)
}

fn floats(bits: &Value) -> Array1<f32> {
    Array1::from(numbers(bits))
}

fn batches(case: &Value) -> Vec<ArrayD<f32>> {
    let batch = |batch: &Value| {
        let shape = sizes(&batch["shape"]);
        floats(&batch["bits"])
            .into_shape_with_order(IxDyn(&shape))
            .unwrap()
    };
    case["batches"]
        .as_array()
        .unwrap()
        .iter()
        .map(batch)
        .collect()
}

fn ends(case: &Value) -> Vec<(f64, f64)> {
    let list = |name: &str| case[name].as_array().unwrap().iter().map(number);
    list("low").zip(list("high")).collect()
}

fn axis(case: &Value) -> Option<Axis> {
    case["axis"].as_u64().map(|axis| Axis(axis as usize))
}

#[test]
fn extremes_are_those_of_torch() {
    for case in Golden::read().cases("min_max") {
        let mut observer = MinMax::new();
        if let Some(axis) = axis(case) {
            observer = observer.per_channel(axis);
        }
        for batch in batches(case) {
            observer.observe(&batch).unwrap();
        }
        assert_eq!(observer.ranges().unwrap(), ends(case));
    }
}

#[test]
fn moving_averages_are_those_of_torch() {
    for case in Golden::read().cases("moving_average") {
        let mut observer = MovingAverage::new();
        if let Some(axis) = axis(case) {
            observer = observer.per_channel(axis);
        }
        for batch in batches(case) {
            observer.observe(&batch).unwrap();
        }
        for (ours, right) in observer.ranges().unwrap().into_iter().zip(ends(case)) {
            // There f32, here f64.
            let near = |a: f64, b: f64| (a - b).abs() <= 3e-7 * b.abs();
            assert!(
                near(ours.0, right.0) && near(ours.1, right.1),
                "{ours:?} {right:?}"
            );
        }
    }
}

#[test]
fn percentiles_are_those_of_onnx_runtime() {
    let golden = Golden::read();
    for case in golden.cases("percentile") {
        let signed = case["signed"].as_bool().unwrap();
        let histogram = golden.histogram(case, !signed);
        let share = case["percentile"].as_f64().unwrap() / 100.0;
        let percentile = Percentile::new(share).unwrap();
        let (low, high) = percentile.onnx().ranges_of(&histogram).unwrap()[0];
        let right = (number(&case["low"]), number(&case["high"]));
        assert_eq!((low, high), right, "{} {share} {signed}", case["name"]);
        // Our own answer is at most a bin from the exact one.
        let exact = if signed {
            percentile
        } else {
            percentile.of_magnitudes()
        };
        let exact = exact
            .ranges(&golden.sample(case), Default::default())
            .unwrap()[0];
        let (low, high) = percentile.ranges_of(&histogram).unwrap()[0];
        let bin = histogram.width(0).unwrap();
        let near = (low - exact.0).abs() <= bin && (high - exact.1).abs() <= bin;
        assert!(
            near,
            "{low} to {high} for {exact:?}, {} {share} {signed}",
            case["name"]
        );
    }
}

#[test]
fn entropies_are_those_of_onnx_runtime() {
    let golden = Golden::read();
    let (mut all, mut in_f32) = (0, 0);
    for case in golden.cases("entropy") {
        let histogram = golden.histogram(case, false);
        let found = Entropy::onnx().ranges_of(&histogram).unwrap()[0];
        let ends = |low: &str, high: &str| (number(&case[low]), number(&case[high]));
        assert_eq!(
            found,
            ends("low", "high"),
            "{} {}",
            case["name"],
            case["bins"]
        );
        all += 1;
        in_f32 += i32::from(found == ends("low_in_f32", "high_in_f32"));
    }
    // In f32 rounding decides between candidates that agree to seven digits.
    println!("{in_f32} of {all} as in f32");
    assert!(4 * in_f32 >= 3 * all, "{in_f32} of {all}");
}

#[test]
fn entropies_are_those_of_nvidia() {
    let golden = Golden::read();
    for case in golden.cases("nvidia") {
        let bits = size(&case["bits_of_code"]) as u32;
        for magnitudes in [true, false] {
            let mut histogram = golden.histogram(case, magnitudes);
            if !magnitudes {
                // Twice as many bins: half of them for each sign.
                histogram = Histogram::with_bins(2 * size(&case["bins"])).unwrap();
                histogram.observe(&golden.sample(case)).unwrap();
            }
            let (low, high) = Entropy::nvidia(bits).ranges_of(&histogram).unwrap()[0];
            assert_eq!(high, number(&case["high"]), "{} {bits}", case["name"]);
            assert_eq!(low, -high);
        }
    }
}

#[test]
fn grid_searches_are_those_of_compressed_tensors() {
    let golden = Golden::read();
    for case in golden.cases("mse") {
        let bits = size(&case["bits_of_code"]) as u32;
        let mut linear = Linear::new(bits).profile(Profile::CompressedTensors);
        if !case["symmetric"].as_bool().unwrap() {
            linear = linear.affine();
        }
        let search = ErrorSearch::new(linear)
            .norm(case["norm"].as_f64().unwrap())
            .grid(size(&case["grid"]))
            .shrink(case["shrink"].as_f64().unwrap())
            .patience(size(&case["patience"]));
        let values = golden.sample(case);
        let rows = values.view().insert_axis(Axis(0)).to_owned();
        let found = match case["weights"].as_u64() {
            None => search.ranges(&rows).unwrap()[0],
            Some(number) => {
                let weights = golden.0["weights"][number as usize].clone();
                let weights: Vec<f64> = serde_json::from_value(weights).unwrap();
                search.ranges_weighted(&rows, &weights, Axis(1)).unwrap()[0]
            }
        };
        let right = (number(&case["low"]), number(&case["high"]));
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs();
        // A range that starts above 0 is widened to hold it.
        let same = near(found.0, right.0.min(0.0)) && near(found.1, right.1);
        let at = format!(
            "{} {bits} {} {}",
            case["name"], case["norm"], case["symmetric"]
        );
        assert!(same, "{found:?} for {right:?}: {at}");
    }
}

#[test]
fn searches_from_histograms_are_near_those_from_values() {
    let golden = Golden::read();
    for case in golden.cases("mse") {
        let linear = Linear::new(4);
        let search = ErrorSearch::new(linear)
            .norm(2.0)
            .shrink(1.0)
            .patience(usize::MAX);
        let values = golden.sample(case);
        let mut histogram = Histogram::with_bins(1 << 14).unwrap();
        histogram.observe(&values).unwrap();
        let error = |range: (f64, f64)| -> f64 {
            let codes = linear
                .quantize_with(&values, &linear.parameters(&[range]).unwrap())
                .unwrap();
            let back: Array1<f32> = codes.dequantize().into_dimensionality().unwrap();
            (&back - &values)
                .mapv(|d| f64::from(d) * f64::from(d))
                .sum()
        };
        let exact = error(search.ranges(&values).unwrap()[0]);
        let near = error(search.ranges_of(&histogram).unwrap()[0]);
        assert!(near <= exact * 1.01, "{near} for {exact}");
        assert!(
            exact
                <= error((
                    f64::from(values.fold(0.0_f32, |a, x| a.min(*x))),
                    f64::from(values.fold(0.0_f32, |a, x| a.max(*x)))
                ))
        );
    }
}

#[test]
fn the_best_of_a_tile_is_found_for_each_tile_by_itself() {
    let golden = Golden::read();
    let rows: Vec<Array1<f32>> = golden
        .cases("mse")
        .into_iter()
        .take(12)
        .map(|case| golden.sample(case))
        .collect();
    let all = Array2::from_shape_fn((12, 2000), |(row, column)| rows[row][column]);
    let linear = Linear::new(4).affine();
    let together = ErrorSearch::new(linear.per_channel(Axis(0)))
        .ranges(&all)
        .unwrap();
    let turned = ErrorSearch::new(linear.per_channel(Axis(1)))
        .ranges(&all.t())
        .unwrap();
    assert_eq!(together, turned);
    for (row, found) in rows.iter().zip(together) {
        assert_eq!(ErrorSearch::new(linear).ranges(row).unwrap(), [found]);
    }
}
