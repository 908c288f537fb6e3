//! `QuantizedLinear`.

use crate::{codes_of, in_every_pool, numbers};
use ndarray::{Array1, Array2, Axis, ShapeBuilder, array, s};
use rarefy::calibrate::{MinMax, ObserverExt};
use rarefy::infer::{Layer, QuantizedLinear, Scratch};
use rarefy::prelude::*;
use rarefy::quantize::{
    Codebook, Granularity, Linear, Parameters, QuantizedLayer, QuantizedTensor, Scheme,
};
use rarefy::{Error, Mask};

/// The formula of the type's page, in 64-bit integers.
fn right(tensor: &QuantizedTensor, bias: &[f32], x: &Array2<f32>, most: f32) -> Array2<f32> {
    let (outputs, inputs) = (tensor.shape()[0], tensor.shape()[1]);
    let codes = tensor.codes();
    let of = |output: usize, len: usize| if len == 1 { 0 } else { output };
    Array2::from_shape_fn((x.nrows(), outputs), |(row, output)| {
        let (activations, scale) = codes_of(&x.row(row).to_vec(), most);
        let zeros = tensor.zero_points();
        let zero = zeros.get(of(output, zeros.len())).copied().unwrap_or(0);
        let sum: i64 = (0..inputs)
            .map(|i| activations[i] * i64::from(codes[[output, i]] - zero))
            .sum();
        let scales = tensor.scales();
        let y = sum as f32 * scale * scales[of(output, scales.len())];
        if bias.is_empty() { y } else { y + bias[output] }
    })
}

fn same_bits(a: &Array2<f32>, b: &Array2<f32>) -> bool {
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

const SHAPES: [(usize, usize, usize); 6] = [
    (1, 1, 1),
    (1, 5, 3),
    (7, 67, 17),
    (6, 64, 64),
    (13, 130, 100),
    (50, 33, 70),
];

#[test]
fn every_bit_is_the_formulas() {
    for (rows, inputs, outputs) in SHAPES {
        let weights = numbers((outputs, inputs), 1);
        let bias = numbers(outputs, 2);
        let x = numbers((rows, inputs), 3);
        let tensor = Linear::new(8)
            .per_channel(Axis(0))
            .quantize(&weights)
            .unwrap();
        let layer = QuantizedLinear::new(&weights, Some(&bias)).unwrap();
        let y = in_every_pool(|| layer.forward(&x).unwrap());
        assert!(same_bits(
            &y,
            &right(&tensor, bias.as_slice().unwrap(), &x, 127.0)
        ));
        assert_eq!(layer.dequantize().into_dyn(), tensor.dequantize::<f32>());
        let seven = layer.clone().seven_bit_activations();
        let y = in_every_pool(|| seven.forward(&x).unwrap());
        assert!(same_bits(
            &y,
            &right(&tensor, bias.as_slice().unwrap(), &x, 63.0)
        ));
    }
}

#[test]
fn all_integer_schemes_and_granularities_of_outputs_are_taken() {
    let (rows, inputs, outputs) = (5, 37, 21);
    let weights = numbers((outputs, inputs), 4).mapv(|x| x + 0.3);
    let x = numbers((rows, inputs), 5);
    for bits in 2..=8 {
        let linear = Linear::new(bits);
        for linear in [
            linear,
            linear.affine(),
            linear.affine().unsigned(),
            linear.full_range(),
        ] {
            let blocks =
                Granularity::PerBlock(rarefy::quantize::BlockShape::new(&[1, inputs]).unwrap());
            for granularity in [
                Granularity::PerTensor,
                Granularity::PerChannel(Axis(0)),
                Granularity::PerToken,
                Granularity::PerGroup {
                    axis: Axis(1),
                    size: inputs,
                },
                blocks,
            ] {
                let tensor = linear.granularity(granularity).quantize(&weights).unwrap();
                let layer = QuantizedLinear::from_tensor(&tensor, None).unwrap();
                let y = layer.forward(&x).unwrap();
                assert!(same_bits(&y, &right(&tensor, &[], &x, 127.0)), "{tensor:?}");
                assert_eq!(layer.dequantize().into_dyn(), tensor.dequantize::<f32>());
            }
        }
    }
}

#[test]
fn a_row_alone_has_the_bits_it_has_among_others_in_any_memory_order() {
    let (rows, inputs, outputs) = (23, 70, 35);
    let layer = QuantizedLinear::new(&numbers((outputs, inputs), 6), None).unwrap();
    let x = numbers((rows, inputs), 7);
    let y = layer.forward(&x).unwrap();
    let (mut out, mut scratch) = (Array2::zeros((1, outputs)), Scratch::default());
    for row in 0..rows {
        let alone = x.slice(s![row..=row, ..]);
        layer.forward_into(&alone, &mut out, &mut scratch).unwrap();
        assert!(same_bits(&out, &y.slice(s![row..=row, ..]).to_owned()));
    }
    let mut columns = Array2::zeros((rows, inputs).f());
    columns.assign(&x);
    let mut out = Array2::zeros((2 * rows, outputs).f());
    let mut every_other = out.slice_mut(s![..;2, ..]);
    layer
        .forward_into(&columns, &mut every_other, &mut scratch)
        .unwrap();
    assert!(same_bits(&every_other.to_owned(), &y));
    assert!(scratch.bytes() > 0);
}

#[test]
fn static_activations_are_pytorchs() {
    let (rows, inputs, outputs) = (9, 50, 20);
    let weights = numbers((outputs, inputs), 8);
    let x = numbers((rows, inputs), 9).mapv(|x| 2.0 * x + 0.5);
    let mut observed = MinMax::new();
    observed.observe(&x).unwrap();
    let tensor = Linear::new(8)
        .per_channel(Axis(0))
        .quantize(&weights)
        .unwrap();
    for linear in [
        Linear::new(8).affine(),
        Linear::new(8).affine().unsigned(),
        Linear::new(8),
        Linear::new(7).affine(),
    ] {
        let parameters = linear.parameters(&observed.ranges().unwrap()).unwrap();
        let layer = QuantizedLinear::new(&weights, None).unwrap();
        let layer = layer.static_activations(&parameters).unwrap();
        // Beyond what was observed as well.
        let wide = x.mapv(|x| 1.5 * x);
        for x in [&x, &wide] {
            let (scale, codes) = (parameters.scales()[0], parameters.scheme().codes());
            let zero = parameters.zero_points().first().copied().unwrap_or(0);
            let code = |x: f32| {
                let code = (x / scale).round_ties_even() as i32 + zero;
                i64::from(code.clamp(*codes.start(), *codes.end()) - zero)
            };
            let right = Array2::from_shape_fn((rows, outputs), |(row, output)| {
                let weights = tensor.codes();
                let sum: i64 = (0..inputs)
                    .map(|i| code(x[[row, i]]) * i64::from(weights[[output, i]]))
                    .sum();
                sum as f32 * scale * tensor.scales()[output]
            });
            assert!(same_bits(
                &in_every_pool(|| layer.forward(x).unwrap()),
                &right
            ));
        }
    }
}

#[test]
fn masks_integer_biases_and_empty_arrays() {
    let weights = numbers((6, 10), 10);
    let mask = Mask::from_fn((6, 10), |(o, i)| (o + i) % 3 == 0).unwrap();
    let tensor = Linear::new(8)
        .affine()
        .per_channel(Axis(0))
        .quantize_masked(&weights, &mask);
    let layer = QuantizedLinear::from_tensor(&tensor.unwrap(), None).unwrap();
    assert!(
        layer
            .dequantize()
            .indexed_iter()
            .all(|((o, i), &w)| (o + i) % 3 == 0 || w == 0.0)
    );

    let tensor = Linear::new(8)
        .per_channel(Axis(0))
        .quantize(&weights)
        .unwrap();
    let bias = Array1::from_elem(6, 0.25_f32);
    let stored = QuantizedLayer::new(tensor)
        .unwrap()
        .integer_bias(&bias, 0.01)
        .unwrap();
    let layer = QuantizedLinear::from_layer(&stored).unwrap();
    let y = layer.forward(&Array2::zeros((2, 10))).unwrap();
    assert!(y.iter().all(|y| (y - 0.25).abs() < 1e-3));

    for (rows, inputs, outputs) in [(0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)] {
        let bias = Array1::from_elem(outputs, 0.5_f32);
        let layer = QuantizedLinear::new(&Array2::zeros((outputs, inputs)), Some(&bias)).unwrap();
        let y = layer.forward(&Array2::zeros((rows, inputs))).unwrap();
        assert_eq!(y, Array2::from_elem((rows, outputs), 0.5));
    }
}

#[test]
fn a_layer_holds_what_its_format_says() {
    for (inputs, outputs) in [(768, 3072), (3072, 768)] {
        let weights = Array2::<f32>::ones((outputs, inputs));
        let tensor = Linear::new(8)
            .per_channel(Axis(0))
            .quantize(&weights)
            .unwrap();
        let layer = QuantizedLinear::from_tensor(&tensor, None).unwrap();
        assert!(
            layer.bytes() as f64 <= 1.01 * tensor.bytes() as f64,
            "{}",
            layer.bytes()
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let weights = array![[1.0_f32, 2.0], [3.0, 4.0]];
    let message = |error: Error| error.to_string();
    let refused = |tensor: &QuantizedTensor| {
        QuantizedLinear::from_tensor(tensor, None)
            .unwrap_err()
            .to_string()
    };
    let wrong = QuantizedLinear::new(&weights, Some(&array![1.0])).unwrap_err();
    assert_eq!(message(wrong), "1 numbers of a bias given, 2 needed");
    let wrong = QuantizedLinear::new(&weights, Some(&array![1.0, f32::NAN])).unwrap_err();
    assert_eq!(message(wrong), "bias [1] is NaN");
    let groups = Linear::new(8)
        .per_group(Axis(1), 1)
        .quantize(&weights)
        .unwrap();
    assert!(
        refused(&groups)
            .starts_with("weights must have one scale for the tensor or for each output")
    );
    let table = Codebook::nf4().quantize(&weights).unwrap();
    assert!(refused(&table).starts_with("weights must have integer codes of at most 8 bits"));
    let wide = Linear::new(16)
        .per_channel(Axis(0))
        .quantize(&weights)
        .unwrap();
    assert!(refused(&wide).starts_with("weights must have integer codes of at most 8 bits"));
    let flat = Linear::new(8).quantize(&array![1.0_f32]).unwrap();
    assert_eq!(
        refused(&flat),
        "weights must have shape outputs × inputs, these have [1]"
    );

    let layer = QuantizedLinear::new(&weights, None).unwrap();
    let y = layer.forward(&Array2::zeros((1, 3))).unwrap_err();
    assert_eq!(
        message(y),
        "shapes differ: input of a layer [1, 3], needed [1, 2]"
    );
    let mut out = Array2::zeros((2, 2));
    let y = layer.forward_into(&Array2::zeros((1, 2)), &mut out, &mut Scratch::default());
    assert_eq!(
        message(y.unwrap_err()),
        "shapes differ: output [2, 2], needed [1, 2]"
    );
    let y = layer
        .forward(&array![[0.0, 1.0], [2.0, f32::NAN]])
        .unwrap_err();
    assert_eq!(message(y), "activation [1, 1] is NaN");
    let y = layer
        .forward(&array![[f32::NEG_INFINITY, 1.0]])
        .unwrap_err();
    assert_eq!(message(y), "activation [0, 0] is -inf, must be finite");

    let fixed = |parameters| {
        layer
            .clone()
            .static_activations(&parameters)
            .unwrap_err()
            .to_string()
    };
    let scheme = Scheme::affine(8).unwrap();
    let two = Parameters::new(scheme, Granularity::PerChannel(Axis(1)), vec![1.0; 2]);
    assert_eq!(fixed(two), "2 scales of activations given, 1 needed");
    let none = Parameters::new(scheme, Granularity::PerTensor, vec![f32::NAN]);
    assert_eq!(fixed(none), "scale 0 must be positive and finite, got NaN");
    let beyond =
        Parameters::new(scheme, Granularity::PerTensor, vec![1.0]).with_zero_points(vec![200]);
    assert_eq!(
        fixed(beyond),
        "zero point [0] must lie in -128..=127, got 200"
    );
    let wide = Parameters::new(
        Scheme::affine(16).unwrap(),
        Granularity::PerTensor,
        vec![1.0],
    );
    assert!(fixed(wide).starts_with("activations must have integer codes of at most 8 bits"));
}
