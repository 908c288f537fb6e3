//! `QuantizedConv2d`.

use crate::{codes_of, numbers};
use ndarray::{Array4, Axis, ShapeBuilder, array, s};
use rarefy::infer::{QuantizedConv2d, Scratch};
use rarefy::prelude::*;
use rarefy::quantize::{Granularity, Linear, Parameters, QuantizedTensor, Scheme};

struct Case {
    images: [usize; 4],
    outputs: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
}

/// The definition, one product at a time, over codes.
fn right(
    case: &Case,
    tensor: &QuantizedTensor,
    bias: &[f32],
    images: &Array4<f32>,
    shape: [usize; 4],
) -> Array4<f32> {
    let codes = tensor.codes();
    let [_, channels, height, width] = case.images;
    let encoded: Vec<_> = images
        .axis_iter(Axis(0))
        .map(|image| codes_of(&image.iter().copied().collect::<Vec<_>>(), 127.0))
        .collect();
    Array4::from_shape_fn(shape, |(n, o, y, x)| {
        let (activations, scale) = &encoded[n];
        let zero = tensor.zero_points().get(o).copied().unwrap_or(0);
        let mut sum = 0;
        for c in 0..channels {
            for ky in 0..case.kernel[0] {
                for kx in 0..case.kernel[1] {
                    let row =
                        (y * case.stride[0] + ky * case.dilation[0]).wrapping_sub(case.padding[0]);
                    let column =
                        (x * case.stride[1] + kx * case.dilation[1]).wrapping_sub(case.padding[1]);
                    if row < height && column < width {
                        let weight = codes[[o, c, ky, kx]] - zero;
                        sum += activations[(c * height + row) * width + column] * i64::from(weight);
                    }
                }
            }
        }
        sum as f32 * scale * tensor.scales()[o] + bias[o]
    })
}

#[test]
fn every_bit_is_the_definitions() {
    let case = |images, outputs, kernel, stride, padding, dilation| Case {
        images,
        outputs,
        kernel,
        stride,
        padding,
        dilation,
    };
    for case in [
        case([2, 3, 7, 6], 5, [3, 3], [1, 1], [1, 1], [1, 1]),
        case([1, 16, 9, 9], 17, [3, 2], [2, 3], [0, 1], [1, 2]),
        case([1, 2, 20, 11], 70, [1, 1], [1, 1], [0, 0], [1, 1]),
        case([3, 1, 1, 1], 1, [1, 1], [1, 1], [0, 0], [1, 1]),
        case([1, 4, 2, 5], 33, [3, 3], [1, 2], [2, 0], [2, 1]),
        case([1, 2, 0, 3], 2, [1, 1], [1, 1], [1, 1], [1, 1]),
        case([1, 0, 2, 3], 2, [1, 1], [1, 1], [0, 0], [1, 1]),
        case([0, 2, 2, 3], 2, [2, 2], [1, 1], [0, 0], [1, 1]),
    ] {
        let shape = (case.outputs, case.images[1], case.kernel[0], case.kernel[1]);
        let weights = numbers(shape, 1);
        let bias = numbers(case.outputs, 2);
        let images = numbers(case.images, 3);
        for linear in [Linear::new(8), Linear::new(8).affine()] {
            let tensor = linear.per_channel(Axis(0)).quantize(&weights).unwrap();
            let layer = QuantizedConv2d::from_tensor(&tensor, Some(&bias)).unwrap();
            let layer = layer.stride(case.stride).unwrap().padding(case.padding);
            let layer = layer.dilation(case.dilation).unwrap();
            let shape = layer.out_shape(case.images).unwrap();
            let expected = right(&case, &tensor, bias.as_slice().unwrap(), &images, shape);
            let mut scratch = Scratch::default();
            for threads in [1, 2, 3, 16] {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let mut y = Array4::from_elem(shape, f32::NAN);
                pool.install(|| layer.forward_into(&images, &mut y, &mut scratch))
                    .unwrap();
                assert_eq!(y, expected, "{threads} threads");
            }
            assert_eq!(layer.forward(&images).unwrap(), expected);
            let mut backwards = Array4::from_elem(shape.f(), f32::NAN);
            let mut y = backwards.slice_mut(s![.., .., ..;-1, ..]);
            layer.forward_into(&images, &mut y, &mut scratch).unwrap();
            assert_eq!(y, expected);
        }
    }
}

#[test]
fn a_static_zero_point_is_what_the_border_has() {
    let weights = Array4::<f32>::ones((1, 1, 3, 3));
    let parameters = Parameters::new(
        Scheme::unsigned(8).unwrap(),
        Granularity::PerTensor,
        vec![0.5],
    )
    .with_zero_points(vec![100]);
    let layer = QuantizedConv2d::new(&weights, None)
        .unwrap()
        .padding([1, 1]);
    let layer = layer.static_activations(&parameters).unwrap();
    let y = layer.forward(&Array4::ones((1, 1, 3, 3))).unwrap();
    let right = array![[4.0_f32, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]];
    assert!(
        y.iter()
            .zip(&right)
            .all(|(y, right)| (y - right).abs() < 1e-5),
        "{y}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let weights = Array4::<f32>::ones((2, 3, 3, 3));
    let layer = QuantizedConv2d::new(&weights, None).unwrap();
    let refused = |images: [usize; 4]| {
        layer
            .forward(&Array4::zeros(images))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused([1, 2, 5, 5]),
        "shapes differ: images [1, 2, 5, 5], needed [1, 3, 5, 5]"
    );
    assert_eq!(
        refused([1, 3, 2, 5]),
        "shapes differ: images [1, 3, 2, 5], kernel [3, 3]"
    );
    let mut images = Array4::zeros((1, 3, 3, 3));
    images[[0, 2, 1, 0]] = f32::NAN;
    let error = layer.forward(&images).unwrap_err();
    assert_eq!(error.to_string(), "input [0, 2, 1, 0] is NaN");
    assert!(layer.clone().stride([0, 1]).is_err() && layer.clone().dilation([1, 0]).is_err());
    assert!(QuantizedConv2d::new(&Array4::<f32>::ones((1, 1, 0, 2)), None).is_err());
    let flat = Linear::new(8).quantize(&array![1.0_f32]).unwrap();
    assert!(QuantizedConv2d::from_tensor(&flat, None).is_err());
    let huge = layer.padding([usize::MAX / 2, 1]);
    assert!(huge.out_shape([1, 3, 5, 5]).is_err());
}
