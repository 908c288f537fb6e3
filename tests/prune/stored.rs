//! Weights stored in 16 bits: the mask is that of the weights widened to f32.

use half::{bf16, f16};
use ndarray::{Array2, Axis, array};
use rarefy::Error;
use rarefy::prelude::*;
use rarefy::prune::{
    Magnitude, NanRule, Rules, Scope, StoredWeight, TieRule, Unstructured, l1_unstructured_stored,
};
use rayon::ThreadPoolBuilder;

fn weights<S: StoredWeight>(rows: usize, columns: usize, store: fn(f32) -> S) -> Array2<S> {
    let mut state = 7_u64;
    Array2::from_shape_simple_fn((rows, columns), || {
        let mut sum = 0.0;
        for _ in 0..4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            sum += (state >> 40) as f32 / (1 << 24) as f32 - 0.5;
        }
        store(sum)
    })
}

fn check<S: StoredWeight + PartialEq>(store: fn(f32) -> S) {
    let rules = [
        Rules::new(),
        Rules::new().ties(TieRule::AllTied),
        Rules::new().ties(TieRule::NoneTied),
        Rules::new().nan(NanRule::Smallest),
    ];
    let rows_alone = Scope::Slices {
        axis: Axis(0),
        together: 1,
    };
    // The last is sampled, the others counted.
    for (rows, columns) in [(0, 3), (1, 1), (7, 30), (500, 700)] {
        let weights = weights(rows, columns, store);
        let wide = weights.mapv(S::single);
        for amount in [0.0, 0.3, 0.5, 0.9, 1.0] {
            for rules in rules {
                for scope in [Scope::Tensor, rows_alone] {
                    let method = Unstructured::new(Magnitude, amount)
                        .rules(rules)
                        .scope(scope);
                    let mask = method.mask_stored(&weights).unwrap();
                    assert_eq!(
                        mask,
                        method.mask(&wide).unwrap(),
                        "{amount} {rules:?} {scope:?}"
                    );
                    let turned = method.mask_stored(&weights.t()).unwrap();
                    assert_eq!(turned, method.mask(&wide.t()).unwrap());
                }
            }
            let mut pruned = weights.clone();
            let mask = l1_unstructured_stored(&mut pruned, amount).unwrap();
            for ((before, after), kept) in weights.iter().zip(&pruned).zip(mask.iter()) {
                let right = if kept { before.single() } else { 0.0 };
                assert_eq!(after.single().to_bits(), right.to_bits());
            }
        }
        let masks = [1, 2, 3, 16].map(|threads| {
            let pool = ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                Unstructured::new(Magnitude, 0.4)
                    .mask_stored(&weights)
                    .unwrap()
            })
        });
        assert!(masks.iter().all(|mask| *mask == masks[0]));
    }
}

#[test]
fn f16_is_pruned_as_its_f32() {
    check(f16::from_f32);
}

#[test]
fn bf16_is_pruned_as_its_f32() {
    check(bf16::from_f32);
}

#[test]
fn nan_is_an_error_with_its_index_and_infinity_the_largest() {
    let mut weights = array![[1.0_f32, f32::INFINITY], [f32::NAN, -4.0]].mapv(f16::from_f32);
    let before = weights.mapv(f16::to_bits);
    let error = l1_unstructured_stored(&mut weights, 0.5).unwrap_err();
    assert!(
        matches!(&error, Error::NotANumber { index, .. } if *index == [1, 0]),
        "{error}"
    );
    assert_eq!(weights.mapv(f16::to_bits), before);
    weights[[1, 0]] = f16::from_f32(-0.0);
    l1_unstructured_stored(&mut weights, 0.75).unwrap();
    let right = array![[0.0, f32::INFINITY], [0.0, 0.0]];
    assert_eq!(weights.mapv(f32::from), right);
    assert_eq!(
        weights[[1, 0]].to_bits(),
        0,
        "a zero that is written is +0.0"
    );
    let error = l1_unstructured_stored(&mut weights, 5_usize).unwrap_err();
    assert!(matches!(error, Error::CountOutOfRange { .. }), "{error}");
}
