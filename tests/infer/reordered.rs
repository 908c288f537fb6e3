//! A layer with its inputs in another order gives what the layer inside gives for sorted inputs.

use crate::{in_every_pool, numbers};
use ndarray::{Array2, Axis, s};
use rarefy::infer::{
    Activations, DenseLinear, GroupedLinear, Layer, QuantizedLinear, Reordered, Scratch,
};

const INPUTS: usize = 96;

/// Each input once, far from its place.
fn order() -> Vec<usize> {
    (0..INPUTS).map(|place| (place * 35 + 7) % INPUTS).collect()
}

fn same<L: Layer + Clone>(layer: &L) {
    let reordered = Reordered::new(layer.clone(), order()).unwrap();
    assert_eq!(reordered.bytes(), layer.bytes() + 8 * INPUTS);
    assert_eq!(
        (reordered.inputs(), reordered.outputs()),
        (INPUTS, layer.outputs())
    );
    assert_eq!(reordered.order(), order());
    for rows in [0, 1, 3, 40] {
        let x = numbers((rows, INPUTS), 3);
        let right = layer.forward(&x.select(Axis(1), &order())).unwrap();
        assert_eq!(in_every_pool(|| reordered.forward(&x).unwrap()), right);
        // Columns that lie apart.
        let wide = Array2::from_shape_fn((rows, 2 * INPUTS), |(i, j)| x[[i, j / 2]]);
        assert_eq!(reordered.forward(&wide.slice(s![.., ..;2])).unwrap(), right);
    }
}

#[test]
fn layers_of_every_kind_compute_as_if_inputs_were_sorted() {
    let weights = numbers((33, INPUTS), 1);
    for activations in [Activations::Int8, Activations::Int16] {
        same(
            &GroupedLinear::new(&weights, 4, 32, None)
                .unwrap()
                .activations(activations),
        );
    }
    same(&QuantizedLinear::new(&weights, None).unwrap());
    same(&DenseLinear::new(&weights, None).unwrap());
}

#[test]
fn a_scratch_serves_orders_inside_orders() {
    let layer = GroupedLinear::new(&numbers((32, INPUTS), 1), 4, 32, None).unwrap();
    let inner = Reordered::new(layer.clone(), order()).unwrap();
    let outer = Reordered::new(inner, order()).unwrap();
    let x = numbers((5, INPUTS), 2);
    let right = layer.forward(&x.select(Axis(1), &order()).select(Axis(1), &order()));
    let (mut out, mut scratch) = (Array2::zeros((5, 32)), Scratch::default());
    outer.forward_into(&x, &mut out, &mut scratch).unwrap();
    assert_eq!(out, right.unwrap());
    let bytes = scratch.bytes();
    assert!(bytes >= 2 * 4 * 5 * INPUTS);
    for _ in 0..3 {
        outer.forward_into(&x, &mut out, &mut scratch).unwrap();
        assert_eq!(scratch.bytes(), bytes);
    }
}

#[test]
fn what_is_no_order_is_refused() {
    let layer = GroupedLinear::new(&numbers((8, INPUTS), 1), 4, 32, None).unwrap();
    let error = |order: Vec<usize>| {
        Reordered::new(layer.clone(), order)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error(vec![0; 95]), "95 inputs of an order given, 96 needed");
    let right = |position: usize, input: usize| {
        format!(
            "position {position} of the order must name an input in 0..96 that none before it names, got {input}"
        )
    };
    let mut twice = order();
    twice[9] = twice[4];
    assert_eq!(error(twice.clone()), right(9, twice[4]));
    twice[2] = 96;
    assert_eq!(error(twice), right(2, 96));
}

#[test]
fn inputs_that_are_no_numbers_are_named_by_their_own_place() {
    let layer = GroupedLinear::new(&numbers((8, INPUTS), 1), 4, 32, None).unwrap();
    let layer = Reordered::new(layer, order()).unwrap();
    let mut x = numbers((2, INPUTS), 2);
    let mut scratch = Scratch::default();
    x[[1, 5]] = f32::NAN;
    let mut out = Array2::zeros((2, 8));
    let error = layer.forward_into(&x, &mut out, &mut scratch).unwrap_err();
    assert_eq!(error.to_string(), "input [1, 5] is NaN");
    assert!(scratch.bytes() > 0, "the buffer is kept");
    let error = layer
        .forward(&x.slice(s![.., 1..]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("[2, 95]"), "{error}");
    x[[1, 5]] = 0.0;
    assert!(
        layer
            .forward_into(&x, &mut out.slice_mut(s![.., 1..]), &mut scratch)
            .is_err()
    );
}
