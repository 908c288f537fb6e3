//! Layers of integers next to onnxruntime: the same integers, and 4 bits in groups within their bound.

use crate::reference::{numbers, of_kind, size, sizes};
use ndarray::{Array1, Array2, Array4, Axis};
use rarefy::infer::{Activations, GroupedLinear, Layer, QuantizedConv2d, QuantizedLinear};
use rarefy::quantize::{Granularity, Parameters, QuantizedTensor, Scheme};
use serde_json::Value;

fn integers(value: &Value) -> Vec<i32> {
    let list = value.as_array().unwrap().iter();
    list.map(|x| i32::try_from(x.as_i64().unwrap()).unwrap())
        .collect()
}

/// Activations whose codes are those given: the scale is 1.
fn activations(case: &Value) -> (Vec<f32>, Parameters) {
    let zero = i32::try_from(size(&case["zero"])).unwrap();
    let x = integers(&case["activations"])
        .iter()
        .map(|code| (code - zero) as f32)
        .collect();
    let scheme = Scheme::unsigned(8).unwrap();
    let parameters = Parameters::new(scheme, Granularity::PerTensor, vec![1.0]);
    (x, parameters.with_zero_points(vec![zero]))
}

/// Weights of int8 with scales of 1.
fn weights(case: &Value, shape: &[usize], zeros: Vec<i32>) -> QuantizedTensor {
    let scheme = match zeros.is_empty() {
        true => Scheme::symmetric_full_range(8),
        false => Scheme::affine(8),
    };
    let axis = Granularity::PerChannel(Axis(0));
    let parameters = Parameters::new(scheme.unwrap(), axis, vec![1.0; shape[0]]);
    let codes = ndarray::ArrayD::from_shape_vec(shape, integers(&case["weights"])).unwrap();
    QuantizedTensor::from_codes(&codes, parameters.with_zero_points(zeros)).unwrap()
}

fn check(y: impl IntoIterator<Item = f32>, case: &Value) {
    let right = integers(&case["products"]);
    let y: Vec<f32> = y.into_iter().collect();
    // Small enough for an f32 to hold them.
    assert!(right.iter().all(|x| x.abs() < 1 << 24));
    let right: Vec<f32> = right.iter().map(|&x| x as f32).collect();
    assert_eq!(y, right, "{}", case["shape"]);
}

#[test]
fn products_of_integers_are_onnxruntimes() {
    for case in of_kind("products.json", "matmul") {
        let &[rows, inputs, outputs] = &sizes(&case["shape"])[..] else {
            panic!("three sizes");
        };
        let (x, parameters) = activations(&case);
        let zeros = integers(&case["zeros"]);
        let layer =
            QuantizedLinear::from_tensor(&weights(&case, &[outputs, inputs], zeros), None).unwrap();
        let layer = layer.static_activations(&parameters).unwrap();
        let x = Array2::from_shape_vec((rows, inputs), x).unwrap();
        check(layer.forward(&x).unwrap(), &case);
    }
}

#[test]
fn convolutions_of_integers_are_onnxruntimes() {
    for case in of_kind("products.json", "conv") {
        let two = |name: &str| <[usize; 2]>::try_from(sizes(&case[name])).unwrap();
        let (x, parameters) = activations(&case);
        let shape = <[usize; 4]>::try_from(sizes(&case["images"])).unwrap();
        let images = Array4::from_shape_vec(shape, x).unwrap();
        let weights = weights(&case, &sizes(&case["shape"]), Vec::new());
        let layer = QuantizedConv2d::from_tensor(&weights, None).unwrap();
        let layer = layer.padding(two("padding")).stride(two("stride")).unwrap();
        let layer = layer.dilation(two("dilation")).unwrap();
        let layer = layer.static_activations(&parameters).unwrap();
        let y = layer.forward(&images).unwrap();
        assert_eq!(y.shape(), sizes(&case["out"]));
        check(y, &case);
    }
}

#[test]
fn four_bits_in_groups_are_onnxruntimes_within_the_bound() {
    for case in of_kind("products.json", "bits") {
        let &[rows, inputs, outputs] = &sizes(&case["shape"])[..] else {
            panic!("three sizes");
        };
        let granularity = Granularity::PerGroup {
            axis: Axis(1),
            size: size(&case["block"]),
        };
        let scheme = Scheme::unsigned(4).unwrap();
        let parameters = Parameters::new(scheme, granularity, numbers(&case["scales"]))
            .with_zero_points(integers(&case["zeros"]));
        let codes = integers(&case["weights"]);
        let codes = Array2::from_shape_vec((outputs, inputs), codes).unwrap();
        let tensor = QuantizedTensor::from_codes(&codes, parameters).unwrap();
        let x: Vec<f32> = numbers(&case["activations"]);
        let x = Array2::from_shape_vec((rows, inputs), x).unwrap();
        let y: Vec<f32> = numbers(&case["result"]);
        let y = Array1::from(y)
            .into_shape_with_order((rows, outputs))
            .unwrap();
        let restored: Array2<f32> = tensor.dequantize().into_dimensionality().unwrap();
        let sizes = x.mapv(f32::abs).dot(&restored.mapv(f32::abs).t());
        // Half a step of each input, and its quotient by the largest of normal numbers.
        for (activations, bound) in [(Activations::Int8, 0.05), (Activations::Int16, 2e-4)] {
            let layer = GroupedLinear::from_tensor(&tensor, None).unwrap();
            let ours = layer.activations(activations).forward(&x).unwrap();
            for ((ours, y), size) in ours.iter().zip(&y).zip(&sizes) {
                assert!((ours - y).abs() <= bound * size, "{ours} {y} {size}");
            }
        }
    }
}
