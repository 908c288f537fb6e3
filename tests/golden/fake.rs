//! Compares training through quantization with what the real PyTorch gave: `fake.json`.

use crate::reference::{self, golden, numbers};
use ndarray::{ArrayD, Axis};
use rarefy::quantize::{FakeQuantizer, Granularity, Lsq, Parameters, Profile, Scheme};
use serde_json::Value;

fn integers(value: &Value) -> Vec<i64> {
    let values = value.as_array().unwrap().iter();
    values.map(|x| x.as_i64().unwrap()).collect()
}

fn array(case: &Value, name: &str) -> ArrayD<f32> {
    reference::array(&case[name], &case["shape"])
}

fn parameters(case: &Value) -> Parameters {
    let bits = case["bits"].as_u64().unwrap() as u32;
    let scheme = if case["signed"].as_bool().unwrap() {
        Scheme::affine(bits).unwrap()
    } else {
        Scheme::unsigned(bits).unwrap()
    };
    let granularity = match case["axis"].as_u64() {
        None => Granularity::PerTensor,
        Some(axis) => Granularity::PerChannel(Axis(axis as usize)),
    };
    let zero_points = integers(&case["zero_points"]);
    Parameters::new(scheme, granularity, numbers(&case["scales"]))
        .with_zero_points(zero_points.iter().map(|&z| z as i32).collect())
}

#[test]
fn forward_and_gradient_are_those_of_torch_to_the_bit() {
    let golden = golden("fake.json");
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 30);
    for case in cases {
        let fake = FakeQuantizer::new(parameters(case)).profile(Profile::Torch);
        let x = array(case, "x");
        assert_eq!(fake.forward(&x).unwrap(), array(case, "y"));
        let mut gradient = array(case, "gradient");
        fake.backward_in_place(&x, &mut gradient).unwrap();
        assert_eq!(gradient, array(case, "dx"));
    }
}

#[test]
fn scales_learn_as_those_of_torch() {
    let golden = golden("fake.json");
    let cases = golden["learned"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let lsq = Lsq::new(parameters(case)).profile(Profile::Torch);
        let x = array(case, "x");
        assert_eq!(lsq.forward(&x).unwrap(), array(case, "y"));
        let mut gradient = array(case, "gradient");
        let learned = lsq.backward_in_place(&x, &mut gradient).unwrap();
        assert_eq!(gradient, array(case, "dx"));
        for (ours, name) in [(learned.scales(), "ds"), (learned.zero_points(), "dz")] {
            let right = numbers::<f32>(&case[name]);
            assert_eq!(ours.len(), right.len());
            for (ours, right) in ours.iter().zip(right) {
                // Torch sums in f32, and its terms lose bits where the zero point is added first.
                let off = (ours - f64::from(right)).abs();
                assert!(
                    off < 3e-5 * (1.0 + ours.abs()),
                    "{name}: {ours} and {right}"
                );
            }
        }
    }
}
