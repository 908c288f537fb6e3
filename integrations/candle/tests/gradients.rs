//! One step with our loss gives the gradient that candle's own differentiation gives for the same formula.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{D, DType, Device, Tensor, Var};
use rarefy::distill::{KlDivergence, Output, Target};
use rarefy::ndarray::{Array2, Ix2};
use rarefy::quantize::{Granularity, Linear, Parameters, QuantizerExt, Scheme};
use rarefy_candle::{fake_quantize, loss, surrogate, with_view};

const TEMPERATURE: f64 = 2.0;

fn log_softmax(logits: &Tensor) -> Tensor {
    let largest = logits.max_keepdim(D::Minus1).unwrap();
    let moved = logits.broadcast_sub(&largest).unwrap();
    let sum = moved.exp().unwrap().sum_keepdim(D::Minus1).unwrap();
    moved.broadcast_sub(&sum.log().unwrap()).unwrap()
}

/// T² · mean over rows of KL(teacher ‖ student), in candle's own operations.
fn kl(student: &Tensor, teacher: &Tensor) -> Tensor {
    let of = |logits: &Tensor| log_softmax(&(logits / TEMPERATURE).unwrap());
    let (student, teacher) = (of(student), of(teacher));
    let rows = teacher.dims()[0] as f64;
    let terms = (teacher.exp().unwrap() * (&teacher - &student).unwrap()).unwrap();
    (terms.sum_all().unwrap() * (TEMPERATURE * TEMPERATURE / rows)).unwrap()
}

fn near(left: &Tensor, right: &Tensor) {
    let difference = (left - right)
        .unwrap()
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    let size = right
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!(difference <= 1e-5 * size, "{difference} of {size}");
}

#[test]
fn the_gradient_is_that_of_candles_own_differentiation() {
    let device = Device::Cpu;
    // logits = x · w, so that the chain goes on behind our loss.
    let x = Tensor::randn(0_f32, 1.0, (16, 8), &device).unwrap();
    let w = Var::from_tensor(&Tensor::randn(0_f32, 1.0, (8, 32), &device).unwrap()).unwrap();
    let teacher = Tensor::randn(0_f32, 2.0, (16, 32), &device).unwrap();
    let right = kl(&x.matmul(&w).unwrap(), &teacher);
    let right_gradient = right.backward().unwrap().get(&w).unwrap().clone();

    let teacher: Array2<f32> = with_view(&teacher, |view| {
        view.into_dimensionality::<Ix2>().unwrap().to_owned()
    })
    .unwrap();
    let teacher = Output::from(teacher);
    let ours = KlDivergence::new(TEMPERATURE);
    let value = loss(&ours, &x.matmul(&w).unwrap(), Target::from(&teacher)).unwrap();
    near(&value, &right);
    near(value.backward().unwrap().get(&w).unwrap(), &right_gradient);

    // Twice the loss and another term: the operation composes.
    let student = x.matmul(&w).unwrap();
    let composed = ((value_of(&ours, &student, &teacher) * 2.0).unwrap()
        + w.sqr().unwrap().sum_all().unwrap())
    .unwrap();
    let right = ((&right_gradient * 2.0).unwrap() + (w.as_tensor() * 2.0).unwrap()).unwrap();
    near(composed.backward().unwrap().get(&w).unwrap(), &right);

    let (number, scalar) = surrogate(&ours, &student, Target::from(&teacher)).unwrap();
    near(&Tensor::new(number, &device).unwrap(), &value);
    near(scalar.backward().unwrap().get(&w).unwrap(), &right_gradient);
}

fn value_of(ours: &KlDivergence, student: &Tensor, teacher: &Output<f32>) -> Tensor {
    loss(ours, student, Target::from(teacher)).unwrap()
}

#[test]
fn fake_quantization_passes_the_gradient_where_codes_reach() {
    let device = Device::Cpu;
    let w = Var::new(&[[0.26_f32, -0.9, 5.0], [-7.0, 0.0, 0.74]], &device).unwrap();
    let parameters = Parameters::new(
        Scheme::symmetric(4).unwrap(),
        Granularity::PerTensor,
        vec![0.5],
    );
    let quantizer = Linear::new(4).fake_quantizer(parameters);
    let faked = fake_quantize(&w, &quantizer).unwrap();
    assert_eq!(
        faked.to_vec2::<f32>().unwrap(),
        [[0.5, -1.0, 3.5], [-3.5, 0.0, 0.5]]
    );
    let gradient = (faked * 3.0)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let passed = [[3.0, 3.0, 0.0], [0.0, 3.0, 3.0]];
    assert_eq!(gradient.get(&w).unwrap().to_vec2::<f32>().unwrap(), passed);
    // A transposed tensor is looked at as it lies.
    let turned = fake_quantize(&w.t().unwrap(), &quantizer).unwrap();
    assert_eq!(turned.to_vec2::<f32>().unwrap()[2], [3.5, 0.5]);
}

#[test]
fn another_type_is_an_error() {
    let wrong = Tensor::ones((2, 2), DType::F64, &Device::Cpu).unwrap();
    let error = with_view(&wrong, |_| ()).unwrap_err().to_string();
    assert!(error.contains("f32") && error.contains("F64"), "{error}");
    let q = with_view(
        &Tensor::ones((2, 2), DType::F32, &Device::Cpu).unwrap(),
        |view| Linear::new(8).quantize(&view),
    );
    assert_eq!(q.unwrap().unwrap().codes().sum(), 4 * 127);
}

#[test]
fn arrays_come_over_whatever_their_memory() {
    use rarefy::ndarray::{Array, s};
    let whole = Array::from_shape_fn((4, 6), |(i, j)| (i * 6 + j) as f32);
    let cut = whole.clone().slice_move(s![1..3, ..]);
    assert_eq!(
        rarefy_candle::tensor_of(cut)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap()[0][0],
        6.0
    );
    let turned = rarefy_candle::tensor_of(whole.reversed_axes()).unwrap();
    assert_eq!(turned.dims(), [6, 4]);
    assert_eq!(turned.to_vec2::<f32>().unwrap()[1], [1.0, 7.0, 13.0, 19.0]);
}
