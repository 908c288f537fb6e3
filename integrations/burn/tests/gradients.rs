//! One step with our loss gives the gradient that burn's own differentiation gives for the same formula.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use rarefy::distill::{KlDivergence, Output, Target};
use rarefy::ndarray::{Array2, Ix2};
use rarefy::prune::{Magnitude, PrunerExt, Unstructured};
use rarefy::quantize::{Granularity, Linear, Parameters, Scheme};
use rarefy_burn::{apply_mask, fake_quantize, surrogate, tensor_of, with_view};

const TEMPERATURE: f32 = 2.0;

fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 31 + j * 17 + seed * 7) % 101) as f32 / 25.0 - 2.0
    })
}

fn near(left: &Tensor<2>, right: &Tensor<2>) {
    let of = |tensor: &Tensor<2>| with_view(tensor, |view| view.to_owned()).unwrap();
    let (left, right) = (of(left), of(right));
    let size = right.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let difference = left
        .iter()
        .zip(&right)
        .fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(difference <= 1e-5 * size, "{difference} of {size}");
}

#[test]
fn the_gradient_is_that_of_burns_own_differentiation() {
    let device = Device::flex().autodiff();
    let x: Tensor<2> = tensor_of(numbers(16, 8, 1), &device).unwrap();
    let w: Tensor<2> = tensor_of::<2, _>(numbers(8, 32, 2), &device)
        .unwrap()
        .require_grad();
    let teacher: Tensor<2> = tensor_of(numbers(16, 32, 3), &device).unwrap();

    // T² · mean over rows of KL(teacher ‖ student), in burn's own operations.
    let student = log_softmax(x.clone().matmul(w.clone()) / TEMPERATURE, 1);
    let of_teacher = log_softmax(teacher.clone() / TEMPERATURE, 1);
    let terms = of_teacher.clone().exp() * (of_teacher - student);
    let right = terms.sum() * (TEMPERATURE * TEMPERATURE / 16.0);
    let right_value = right.clone().into_scalar::<f32>();
    let right_gradient = w.grad(&right.backward()).unwrap();

    let teacher = with_view(&teacher, |view| {
        view.into_dimensionality::<Ix2>().unwrap().to_owned()
    })
    .unwrap();
    let teacher = Output::from(teacher);
    let logits = x.matmul(w.clone());
    let loss = KlDivergence::new(f64::from(TEMPERATURE));
    let (value, scalar) = surrogate(&loss, &logits, Target::from(&teacher)).unwrap();
    assert!(
        (value - right_value).abs() <= 1e-5 * right_value,
        "{value} {right_value}"
    );
    near(&w.grad(&scalar.backward()).unwrap(), &right_gradient);
}

#[test]
fn fake_quantization_passes_the_gradient_where_codes_reach() {
    let device = Device::flex().autodiff();
    let values = rarefy::ndarray::array![[0.26_f32, -0.9, 5.0], [-7.0, 0.0, 0.74]];
    let w: Tensor<2> = tensor_of::<2, _>(values, &device).unwrap().require_grad();
    let parameters = Parameters::new(
        Scheme::symmetric(4).unwrap(),
        Granularity::PerTensor,
        vec![0.5],
    );
    let faked = fake_quantize(&w, &Linear::new(4).fake_quantizer(parameters)).unwrap();
    let right = rarefy::ndarray::array![[0.5_f32, -1.0, 3.5], [-3.5, 0.0, 0.5]].into_dyn();
    with_view(&faked, |view| assert_eq!(view, right)).unwrap();
    let gradients = (faked * 3.0).sum().backward();
    let right = rarefy::ndarray::array![[3.0_f32, 3.0, 0.0], [0.0, 3.0, 3.0]].into_dyn();
    with_view(&w.grad(&gradients).unwrap(), |view| assert_eq!(view, right)).unwrap();
}

#[test]
fn masks_zero_what_they_drop() {
    let device = Device::flex();
    let w: Tensor<2> = tensor_of(numbers(4, 6, 5), &device).unwrap();
    let mask = with_view(&w, |view| Unstructured::new(Magnitude, 0.5).mask(&view))
        .unwrap()
        .unwrap();
    let masked = apply_mask(&w, &mask).unwrap();
    with_view(&masked, |view| {
        assert_eq!(view.iter().filter(|&&x| x == 0.0).count(), mask.dropped());
    })
    .unwrap();
}
