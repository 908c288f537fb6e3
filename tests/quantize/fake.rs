//! Training through quantization: it is codes and back, and what scales learn is what differences say.

use ndarray::{Array1, Array2, Axis, ShapeBuilder, array};
use rarefy::Error;
use rarefy::prelude::*;
use rarefy::quantize::{
    FakeQuantizer, Granularity, Linear, Lsq, NonFinite, Pact, Parameters, PhasedQuantizer, Profile,
    QuantizationPhase, Rounding, Scheme,
};

fn weights(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 7919 + j * 104_729) % 10_007) as f64 * 1e-3 - 5.0
    })
}

#[test]
fn fake_is_codes_and_back() {
    let weights = weights(13, 37);
    let profiles = [
        Profile::Rarefy,
        Profile::Torch,
        Profile::Torchao,
        Profile::Onnx,
        Profile::CompressedTensors,
    ];
    let roundings = [
        Rounding::HalfEven,
        Rounding::HalfAway,
        Rounding::Stochastic { seed: 3 },
    ];
    for profile in profiles {
        for rounding in roundings {
            for bits in [2, 4, 8, 16] {
                for linear in [
                    Linear::new(bits),
                    Linear::new(bits).affine().per_channel(Axis(1)),
                    Linear::new(bits).affine().unsigned().per_group(Axis(1), 8),
                ] {
                    let linear = linear.profile(profile).rounding(rounding);
                    let fitted = linear.quantize(&(&weights * 0.7)).unwrap();
                    let parameters = fitted.parameters().clone();
                    let fake = linear.fake_quantizer(parameters.clone());
                    let single = weights.mapv(|x| x as f32);
                    let right = linear.quantize_with(&weights, &parameters).unwrap();
                    assert_eq!(
                        fake.forward(&weights).unwrap().into_dyn(),
                        right.dequantize::<f64>()
                    );
                    let right = linear.quantize_with(&single, &parameters).unwrap();
                    let right = right.dequantize::<f32>();
                    // Whatever lies how in memory.
                    let mut columns = single.t().as_standard_layout().into_owned();
                    let mut view = columns.view_mut().reversed_axes();
                    fake.forward_in_place(&mut view).unwrap();
                    assert_eq!(view.into_dyn(), right);
                    let mut to = Array2::zeros((13, 37).f());
                    fake.forward_into(&single.view(), &mut to).unwrap();
                    assert_eq!(to.into_dyn(), right);
                }
            }
        }
    }
}

#[test]
fn the_gradient_passes_where_nothing_was_cut_off() {
    let weights = weights(9, 40);
    let linear = Linear::new(4).affine().per_channel(Axis(0));
    let parameters = linear.parameters(&[(-2.0, 3.0); 9]).unwrap();
    let fake = linear.fake_quantizer(parameters);
    let rounded = fake.forward(&weights).unwrap();
    let (least, most) = (
        rounded.fold(0.0, |a, &b| b.min(a)),
        rounded.fold(0.0, |a, &b| b.max(a)),
    );
    let gradient = Array2::from_shape_fn((9, 40), |(i, j)| (i + 2 * j) as f64 - 17.5);
    let mut passed = Array2::from_elem((9, 40), 7.0);
    fake.backward_into(&weights, &gradient, &mut passed)
        .unwrap();
    let half = f64::from(fake.parameters().scales()[0]) / 2.0;
    for ((&x, &g), &passed) in weights.iter().zip(&gradient).zip(&passed) {
        let inside = x > least - half && x < most + half;
        assert_eq!(passed, if inside { g } else { 0.0 }, "{x}");
    }
    let mut sum = Array2::from_elem((9, 40), 7.0);
    fake.accumulate_backward(&weights, &gradient, &mut sum)
        .unwrap();
    assert_eq!(sum, &passed + 7.0);
}

#[test]
fn ends_are_inside() {
    let parameters = Parameters::new(
        Scheme::symmetric(4).unwrap(),
        Granularity::PerTensor,
        vec![1.0],
    );
    let fake = FakeQuantizer::new(parameters);
    // Half a step beyond the last code rounds to the even code outside; less does not.
    let x = array![
        7.0,
        7.4999,
        7.5,
        -7.0,
        -7.4999,
        -7.5,
        f64::INFINITY,
        f64::NAN
    ];
    let mut gradient = Array1::from_elem(8, 1.0);
    fake.backward_in_place(&x, &mut gradient).unwrap();
    assert_eq!(gradient, array![1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
}

/// Σ g · y, with y the quantized values.
fn loss(lsq: &Lsq, weights: &Array2<f64>, gradient: &Array2<f64>) -> f64 {
    (&lsq.forward(weights).unwrap() * gradient).sum()
}

#[test]
fn scales_learn_what_central_differences_say() {
    // The straight-through estimator takes ∂y/∂s as if x/s were not rounded again: with rounding held still, y has the
    // slope of the code. So the sum over what is cut off, whose codes do not move, is what differences can see; inside,
    // they see the code too, and the term −x/s is that of the estimator.
    let weights = weights(6, 50);
    let gradient = Array2::from_shape_fn((6, 50), |(i, j)| ((i * 5 + j) % 11) as f64 - 4.0);
    let scheme = Scheme::affine(3).unwrap();
    let scale = 0.813_f32;
    let make = |scale: f32| {
        let parameters = Parameters::new(scheme, Granularity::PerTensor, vec![scale]);
        Lsq::new(parameters.with_zero_points(vec![1])).gradient_factor(1.0)
    };
    let lsq = make(scale);
    let mut passed = gradient.clone();
    let learned = lsq.backward_in_place(&weights, &mut passed).unwrap();
    // Steps so small that no code changes, and exact in f32.
    let step = scale * 2.0_f32.powi(-12);
    let (up, down) = (make(scale + step), make(scale - step));
    let codes = |lsq: &Lsq| {
        let q = Linear::new(3)
            .quantize_with(&weights, lsq.parameters())
            .unwrap();
        q.codes()
    };
    assert_eq!(codes(&up), codes(&down));
    let width = f64::from(up.scales()[0]) - f64::from(down.scales()[0]);
    let slope = (loss(&up, &weights, &gradient) - loss(&down, &weights, &gradient)) / width;
    let estimator: f64 = (&passed * &weights).sum() / f64::from(scale);
    let off = learned.scales()[0] - (slope - estimator);
    assert!(
        off.abs() < 1e-6 * slope.abs(),
        "{} and {slope}",
        learned.scales()[0]
    );
    // A zero point moves what is cut off, by a whole step.
    let cut: f64 = (&gradient - &passed).sum();
    let right = -f64::from(scale) * cut;
    assert!((learned.zero_points()[0] - right).abs() < 1e-9 * right.abs());
}

#[test]
fn training_a_scale_lowers_the_error() {
    let weights = weights(16, 64).mapv(|x| x as f32);
    let scheme = Scheme::symmetric_full_range(3).unwrap();
    let per_row = Granularity::PerChannel(Axis(0));
    let mut lsq = Lsq::from_weights(&weights, scheme, per_row)
        .unwrap()
        .gradient_factor(1.0);
    let error = |lsq: &Lsq| {
        let off = lsq.forward(&weights).unwrap() - &weights;
        off.mapv(|x| f64::from(x).powi(2)).sum()
    };
    let before = error(&lsq);
    for _ in 0..200 {
        let mut gradient = lsq.forward(&weights).unwrap() - &weights;
        let learned = lsq.backward_in_place(&weights, &mut gradient).unwrap();
        let pairs = lsq.scales().iter().zip(learned.scales());
        let scales: Vec<f32> = pairs.map(|(s, g)| s - 2e-4 * *g as f32).collect();
        lsq.set(&scales, &[]).unwrap();
    }
    assert!(error(&lsq) < 0.97 * before, "{} from {before}", error(&lsq));
}

#[test]
fn lsq_starts_as_the_paper_says_and_takes_steps() {
    let weights = array![[1.0_f32, -3.0], [0.5, 0.0]];
    let per_row = Granularity::PerChannel(Axis(0));
    let scheme = Scheme::symmetric(4).unwrap();
    let lsq = Lsq::from_weights(&weights, scheme, per_row).unwrap();
    let root = 7.0_f64.sqrt();
    assert_eq!(lsq.scales(), [(4.0 / root) as f32, (0.5 / root) as f32]);
    assert_eq!(lsq.parameters().zero_points(), [0_i32; 0]);
    let unsigned = Scheme::unsigned(4).unwrap();
    let mut lsq = Lsq::from_weights(&weights, unsigned, per_row).unwrap();
    assert_eq!(lsq.parameters().zero_points(), [8, 8]);
    lsq.set(&[-0.5, 2.0], &[3.5, 99.0]).unwrap();
    assert_eq!(lsq.scales(), [f32::MIN_POSITIVE, 2.0]);
    assert_eq!(
        (lsq.zero_points(), lsq.parameters().zero_points()),
        (&[3.5, 15.0][..], &[4, 15][..])
    );
    let before = lsq.clone();
    assert!(matches!(
        lsq.set(&[1.0], &[0.0, 0.0]),
        Err(Error::WrongCount {
            given: 1,
            expected: 2,
            ..
        })
    ));
    assert!(matches!(
        lsq.set(&[1.0, f32::NAN], &[0.0, 0.0]),
        Err(Error::ScaleOutOfRange { index: 1, .. })
    ));
    assert!(matches!(
        lsq.set(&[1.0, 1.0], &[0.0, f32::NAN]),
        Err(Error::NumberOutOfRange { .. })
    ));
    assert_eq!(lsq, before);
    let huge = array![[1e300_f64]];
    let error = Lsq::from_weights(&huge, scheme, Granularity::PerTensor);
    assert!(matches!(
        error,
        Err(Error::ScaleOverflow { channel: 0, .. })
    ));
    let bad = Lsq::from_weights(&array![1.0, f32::NAN], scheme, Granularity::PerTensor);
    assert!(matches!(bad, Err(Error::NotANumber { index, .. }) if index == [1]));
}

#[test]
fn pact_is_a_clamp_between_zero_and_its_limit() {
    let x = weights(10, 30);
    for bits in [1, 2, 4, 8] {
        let pact = Pact::new(bits, 2.5).unwrap();
        let steps = f64::from((1 << bits) - 1);
        let y = pact.forward(&x).unwrap();
        for (&x, &y) in x.iter().zip(&y) {
            let right = (x.clamp(0.0, 2.5) * steps / 2.5).round_ties_even() * 2.5 / steps;
            assert!(
                (y - right).abs() < 1e-6,
                "{x} at {bits} bits: {y} and {right}"
            );
        }
        let gradient = Array2::from_shape_fn((10, 30), |(i, j)| (i * 3 + j) as f64 - 20.0);
        let mut passed = gradient.clone();
        let slope = pact.backward_in_place(&x, &mut passed).unwrap();
        let mut right = 0.0;
        for ((&x, &g), &passed) in x.iter().zip(&gradient).zip(&passed) {
            assert_eq!(passed, if (0.0..2.5).contains(&x) { g } else { 0.0 });
            right += if x >= 2.5 { g } else { 0.0 };
        }
        assert_eq!(slope, right);
    }
    for limit in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-44] {
        let error = Pact::new(4, limit);
        assert!(
            matches!(error, Err(Error::NumberOutOfRange { .. })),
            "{limit}"
        );
    }
    assert!(matches!(
        Pact::new(9, 1.0),
        Err(Error::BitsOutOfRange { .. })
    ));
}

#[test]
fn what_is_not_finite_is_an_error_before_anything_is_written() {
    let scheme = Scheme::symmetric(4).unwrap();
    let parameters = || Parameters::new(scheme, Granularity::PerTensor, vec![0.5]);
    let fake = FakeQuantizer::new(parameters());
    let mut x = Array2::from_elem((300, 300), 0.3_f32);
    x[[200, 7]] = f32::NEG_INFINITY;
    x[[250, 1]] = f32::NAN;
    let before = x.clone();
    let error = fake.forward_in_place(&mut x).unwrap_err();
    assert_eq!(error.to_string(), "value [200, 7] is -inf, must be finite");
    let same = |a: &Array2<f32>, b: &Array2<f32>| a.mapv(f32::to_bits) == b.mapv(f32::to_bits);
    assert!(same(&x, &before));
    let mut to = Array2::from_elem((300, 300), 9.0);
    assert!(fake.forward_into(&x, &mut to).is_err());
    assert!(to.iter().all(|&to| to == 9.0));

    let clamped = FakeQuantizer::new(parameters()).non_finite(NonFinite::Clamp);
    let y = clamped.forward(&x).unwrap();
    assert_eq!((y[[200, 7]], y[[250, 1]], y[[0, 0]]), (-3.5, 0.0, 0.5));
    let kept = FakeQuantizer::new(parameters()).non_finite(NonFinite::Propagate);
    let y = kept.forward(&x).unwrap();
    assert!(y[[200, 7]] == -3.5 && y[[250, 1]].is_nan() && y[[0, 0]] == 0.5);
    // Scales learn nothing from NaN, and from infinity what they learn from any value that is cut off.
    let lsq = Lsq::new(parameters()).gradient_factor(1.0);
    let mut gradient = array![1.0_f32, 2.0, 4.0];
    let learned = lsq
        .backward_in_place(&array![f32::NAN, f32::INFINITY, 0.5], &mut gradient)
        .unwrap();
    assert_eq!(
        (gradient, learned.scales()),
        (array![0.0, 0.0, 4.0], &[14.0][..])
    );

    let codes = Linear::new(4).non_finite(NonFinite::Propagate);
    assert!(matches!(
        codes.quantize(&array![1.0_f32]),
        Err(Error::NoCodeForNan)
    ));
    let with = codes.quantize_with(&array![1.0_f32], &parameters());
    assert!(matches!(with, Err(Error::NoCodeForNan)));
}

#[test]
fn parameters_and_shapes_must_fit() {
    let scheme = Scheme::symmetric(4).unwrap();
    let per_row = Granularity::PerChannel(Axis(0));
    let fake = FakeQuantizer::new(Parameters::new(scheme, per_row, vec![0.5, 1.0]));
    let x = Array2::<f32>::zeros((3, 2));
    assert!(matches!(
        fake.forward(&x),
        Err(Error::WrongCount {
            given: 2,
            expected: 3,
            ..
        })
    ));
    let x = Array2::<f32>::zeros((2, 3));
    let mut other = Array2::<f32>::ones((3, 2));
    for error in [
        fake.forward_into(&x, &mut other),
        fake.backward_in_place(&x, &mut other),
        fake.backward_into(&x, &x, &mut other),
        fake.backward_into(&x, &Array2::zeros((2, 2)), &mut other),
        Lsq::new(fake.parameters().clone())
            .backward_in_place(&x, &mut other)
            .map(drop),
        Pact::new(4, 1.0)
            .unwrap()
            .backward_in_place(&x, &mut other)
            .map(drop),
    ] {
        assert!(
            matches!(error, Err(Error::ShapeMismatch { .. })),
            "{error:?}"
        );
    }
    assert_eq!(other, Array2::<f32>::ones((3, 2)));
    let bad = FakeQuantizer::new(Parameters::new(
        scheme,
        Granularity::PerTensor,
        vec![f32::NAN],
    ));
    assert!(matches!(
        bad.forward(&x),
        Err(Error::ScaleOutOfRange { index: 0, .. })
    ));
    // Nothing, and a scalar.
    let none = FakeQuantizer::new(Parameters::new(scheme, per_row, vec![]));
    assert_eq!(
        none.forward(&Array2::<f64>::zeros((0, 3))).unwrap().dim(),
        (0, 3)
    );
    let one = FakeQuantizer::new(Parameters::new(scheme, Granularity::PerTensor, vec![0.5]));
    assert_eq!(one.forward(&ndarray::arr0(0.7_f64)).unwrap()[()], 0.5);
}

#[test]
fn the_pool_changes_no_bit() {
    let weights = weights(300, 700).mapv(|x| x as f32 * 1.37);
    let gradient = weights.mapv(|x| (x * 17.0).sin());
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let scheme = Scheme::affine(4).unwrap();
            let mut all = Vec::new();
            for granularity in [
                Granularity::PerTensor,
                Granularity::PerChannel(Axis(0)),
                Granularity::PerChannel(Axis(1)),
                Granularity::PerGroup {
                    axis: Axis(1),
                    size: 32,
                },
            ] {
                let lsq = Lsq::from_weights(&weights, scheme, granularity).unwrap();
                let forward = lsq.forward(&weights).unwrap();
                let mut passed = gradient.clone();
                let learned = lsq.backward_in_place(&weights, &mut passed).unwrap();
                all.push((lsq.scales().to_vec(), forward, passed, learned));
            }
            let mut passed = gradient.clone();
            let slope = Pact::new(4, 3.0)
                .unwrap()
                .backward_in_place(&weights, &mut passed)
                .unwrap();
            (all, passed, slope.to_bits())
        })
    };
    let right = run(1);
    for threads in [2, 3, 16] {
        assert!(run(threads) == right, "{threads} threads");
    }
}

#[test]
fn phases_follow_the_steps() {
    let mut phased = PhasedQuantizer::new(Linear::new(8).affine(), 2, 4);
    let phases: Vec<QuantizationPhase> = (0..6).map(|step| phased.phase(step)).collect();
    use QuantizationPhase::{Frozen, Observe, Train};
    assert_eq!(phases, [Observe, Observe, Train, Train, Frozen, Frozen]);
    let x = array![-1.0_f32, 0.3, 1.55];
    let mut y = x.clone();
    assert!(phased.forward_in_place(2, &mut y).is_err() && phased.convert(&x).is_err());
    assert_eq!(phased.parameters(), None);
    for step in 0..6 {
        let mut asked = false;
        phased
            .observe(step, || {
                asked = true;
                [(-0.5 * step as f64, 1.0)]
            })
            .unwrap();
        assert_eq!(asked, step < 4);
        let mut y = x.clone();
        phased.forward_in_place(step, &mut y).unwrap();
        assert_eq!(y == x, step < 2, "step {step}");
        let mut gradient = array![1.0_f32, 1.0, 1.0];
        phased.backward_in_place(step, &x, &mut gradient).unwrap();
        assert_eq!(
            gradient,
            if step < 2 {
                array![1.0, 1.0, 1.0]
            } else {
                array![1.0, 1.0, 0.0]
            }
        );
    }
    assert!(phased.observe(0, || [(1.0, -1.0)]).is_err());
    let mut y = x.clone();
    phased.forward_in_place(5, &mut y).unwrap();
    assert_eq!(
        phased.convert(&x).unwrap().dequantize::<f32>(),
        y.into_dyn()
    );
    // Frozen from the start: asked once.
    let mut frozen = PhasedQuantizer::new(Linear::new(8), 0, 0);
    frozen.observe(9, || vec![(-1.0, 1.0)]).unwrap();
    frozen
        .observe(10, || -> Vec<(f64, f64)> { panic!("not asked") })
        .unwrap();
}
