//! Laws of masks: what they do to arrays, and pruning under one.

use crate::inputs::{
    ALL_VALUES, SHAPES, Values, array, each_layout, generator, same_in_every_pool,
};
use ndarray::{ArrayD, IxDyn};
use ndarray_rand::rand::Rng;
use rarefy::prune::{
    Amount, Magnitude, Unstructured, compound, regrow_at_random, regrow_by_gradient,
};
use rarefy::{Float, Mask};

fn random(shape: &[usize], seed: u64) -> Mask {
    let mut random = generator(seed);
    Mask::from_fn(IxDyn(shape), |_| random.random::<bool>()).unwrap()
}

fn bits<F: Float>(array: &ArrayD<F>) -> Vec<(bool, F)> {
    array.iter().map(|&x| (x.is_sign_negative(), x)).collect()
}

fn check<F: Float>() {
    for shape in SHAPES {
        let mask = random(shape, 4);
        for values in ALL_VALUES {
            let weights: ArrayD<F> = array(shape, values);
            let stored = weights.mapv(|weight| weight + F::one());
            let mut applied = weights.clone();
            mask.apply(&mut applied).unwrap();
            for ((applied, weight), kept) in applied.iter().zip(&weights).zip(mask.iter()) {
                let right = if kept { *weight } else { F::zero() };
                assert!(*applied == right && (kept || applied.is_sign_positive()));
            }
            let mut both = [weights.clone(), stored.clone()];
            let [a, b] = &mut both;
            mask.apply_all([a, b]).unwrap();
            assert_eq!(bits(&both[0]), bits(&applied));
            let mut restored = applied.clone();
            mask.restore(&mut restored, &weights).unwrap();
            assert_eq!(bits(&restored), bits(&weights), "undone");
            let mut rewound = weights.clone();
            mask.rewind(&mut rewound, &stored).unwrap();
            assert_eq!(bits(&rewound), bits(&both[1]), "rewound");
            mask.apply(&mut rewound).unwrap();
            assert_eq!(bits(&rewound), bits(&both[1]), "once is enough");

            let half = Unstructured::new(Magnitude, 0.5);
            let mut pruned = weights.clone();
            let smaller = compound(&half, &mut pruned, &mask).unwrap();
            let gone = Amount::from(0.5).count(mask.kept()).unwrap();
            assert_eq!(smaller.kept(), mask.kept() - gone);
            assert_eq!(
                smaller.and_not(&mask).unwrap().kept(),
                0,
                "nothing comes back"
            );
            let mut grown = weights.clone();
            let regrown = regrow_by_gradient(&mut grown, &mask, &stored, 0.3).unwrap();
            assert_eq!(regrown.mask.kept(), mask.kept());
            each_layout(&weights, |layout, view| {
                let mut moved = view.to_owned();
                mask.apply(&mut moved).unwrap();
                assert_eq!(bits(&moved), bits(&applied), "{layout}");
                let mut moved = view.to_owned();
                assert_eq!(
                    compound(&half, &mut moved, &mask).unwrap(),
                    smaller,
                    "{layout}"
                );
                assert_eq!(bits(&moved), bits(&pruned), "{layout}");
                let mut moved = view.to_owned();
                assert_eq!(
                    regrow_by_gradient(&mut moved, &mask, &stored, 0.3).unwrap(),
                    regrown,
                    "{layout}"
                );
                assert_eq!(bits(&moved), bits(&grown), "{layout}");
            });
        }
    }
}

#[test]
fn f32_masks_obey() {
    check::<f32>();
}

#[test]
fn f64_masks_obey() {
    check::<f64>();
}

#[test]
fn masks_are_an_algebra() {
    for shape in SHAPES {
        let [a, b, c] = [1, 2, 3].map(|seed| random(shape, seed));
        let (all, none) = (
            Mask::keep_all(IxDyn(shape)).unwrap(),
            Mask::drop_all(IxDyn(shape)),
        );
        let none = none.unwrap();
        assert_eq!(a.not().not(), a);
        assert_eq!(a.and(&all).unwrap(), a);
        assert_eq!(a.or(&none).unwrap(), a);
        assert_eq!(a.and(&b).unwrap().not(), a.not().or(&b.not()).unwrap());
        assert_eq!(a.and_not(&b).unwrap(), a.and(&b.not()).unwrap());
        let xor = a.or(&b).unwrap().and_not(&a.and(&b).unwrap()).unwrap();
        assert_eq!(a.xor(&b).unwrap(), xor);
        let left = a.and(&b.or(&c).unwrap()).unwrap();
        let right = a.and(&b).unwrap().or(&a.and(&c).unwrap()).unwrap();
        assert_eq!(left, right);
        assert_eq!(
            a.kept() + b.kept(),
            a.and(&b).unwrap().kept() + a.or(&b).unwrap().kept()
        );
    }
}

#[test]
fn any_number_of_threads_does_the_same() {
    let shape = [700, 501];
    let mask = random(&shape, 8);
    for values in [Values::Distinct, Values::Ties] {
        let weights: ArrayD<f32> = array(&shape, values);
        let stored = weights.mapv(|weight| weight * 0.5 - 1.0);
        same_in_every_pool(|| {
            let mut arrays = [(); 3].map(|()| weights.clone());
            let [a, b, c] = &mut arrays;
            mask.apply_all([a, b]).unwrap();
            mask.restore(c, &stored).unwrap();
            let half = Unstructured::new(Magnitude, 0.5);
            let mut pruned = weights.clone();
            let left = compound(&half, &mut pruned, &mask).unwrap();
            let mut moved = weights.clone();
            let grown = regrow_by_gradient(&mut moved, &mask, &stored, 0.3).unwrap();
            let random = regrow_at_random(&mut moved, &grown.mask, 0.3, 5).unwrap();
            let arrays = arrays.map(|array| bits(&array));
            (arrays, bits(&pruned), bits(&moved), left, grown, random)
        });
    }
}
