//! Pruning never copies the tensor: an allocator counts.

use crate::counting::{alone, held_during};
use ndarray::{Array2, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::Normal;
use rand_chacha::ChaCha8Rng;
use rarefy::prelude::*;
use rarefy::prune::{Aggregate, Magnitude, SemiStructured, Structured, Taylor, Unstructured};

const SHAPE: (usize, usize) = (2048, 2048);
const LEN: usize = SHAPE.0 * SHAPE.1;

/// Tensors of many kinds: what a selection meets in networks, and what it finds hard.
fn tensors() -> Vec<(&'static str, Array2<f32>)> {
    let normal = Normal::new(0.0, 0.02).unwrap();
    let normal = Array2::random_using(SHAPE, normal, &mut ChaCha8Rng::seed_from_u64(1));
    let place = |(i, j): (usize, usize)| i * SHAPE.1 + j;
    let hashed = move |at| (place(at) as u32).wrapping_mul(2_654_435_761) >> 8;
    vec![
        ("all equal", Array2::from_elem(SHAPE, 0.5)),
        (
            "four values",
            Array2::from_shape_fn(SHAPE, |at| (hashed(at) % 4) as f32 - 1.5),
        ),
        (
            "90 % zeros",
            Array2::from_shape_fn(SHAPE, |at| match hashed(at) % 10 {
                0 => normal[at],
                _ => 0.0,
            }),
        ),
        (
            "sorted",
            Array2::from_shape_fn(SHAPE, |at| place(at) as f32 / LEN as f32),
        ),
        (
            "255 levels",
            normal.mapv(|weight| (weight * 2000.0).clamp(-127.0, 127.0).round()),
        ),
        ("normal", normal),
    ]
}

/// At most 4 % of the tensor and a megabyte, beside the mask.
fn check(name: &str, weights: &Array2<f32>, pruner: &dyn Pruner<f32>) {
    let mask = LEN / 8;
    let most = mask + LEN * size_of::<f32>() / 25 + (1 << 20);
    // Threads make what they keep for good the first time that they have work.
    pruner.mask(weights).unwrap();
    let mut pruned = weights.clone();
    let held = held_during(|| pruner.mask(weights).unwrap());
    assert!(held >= mask, "{held} bytes: the mask is among them");
    assert!(held <= most, "{held} of {most} bytes, {name}, {pruner:?}");
    let held = held_during(|| pruner.prune(&mut pruned).unwrap());
    assert!(held <= most, "{held} of {most} bytes in place, {name}");
}

#[test]
fn what_is_held_is_the_mask_and_little_more() {
    let _alone = alone();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3);
    pool.build().unwrap().install(|| {
        for (name, weights) in tensors() {
            for amount in [0.5, 0.9] {
                check(name, &weights, &Unstructured::new(Magnitude, amount));
            }
            if name != "normal" && name != "all equal" {
                continue;
            }
            let factors = weights.mapv(|weight| 1.0 - weight);
            let by_product = Unstructured::new(Taylor::new(&factors), 0.5);
            check(name, &weights, &by_product);
            for (keep, of) in [(2, 4), (8, 16)] {
                let groups = SemiStructured::new(Magnitude, keep, of, Axis(1));
                check(name, &weights, &groups);
            }
            for axis in [Axis(0), Axis(1)] {
                let slices = Structured::new(Magnitude, 0.5, axis);
                check(name, &weights, &slices.aggregate(Aggregate::Norm(2.0)));
            }
        }
    });
}
