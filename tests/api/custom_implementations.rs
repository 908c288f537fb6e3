//! A user's own methods, written outside the crate with algorithms of their own, go through the same
//! drivers as ours: as concrete types, behind references, boxed as `dyn`, and in lists.

use approx::assert_abs_diff_eq;
use ndarray::{Array1, Array2, Array3, ArrayD, ArrayRef1, ArrayRef2, ArrayRefD, Axis, array, s};
use rarefy::distill::{
    CrossEntropy, Distiller, KlDivergence, Loss, LossValue, Output, Student, Target, Teacher,
    WeightedSum,
};
use rarefy::infer::speed::SpeedTest;
use rarefy::infer::{DenseLinear, QuantizedLinear, Scratch};
use rarefy::prelude::*;
use rarefy::prune::{Magnitude, Unstructured};
use rarefy::quantize::{Granularity, Linear, Parameters, QuantizedTensor, Scheme};
use rarefy::schedule::Polynomial;
use rarefy::{Error, Float, Mask, Result};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// Keeps the first weight of every `every` in memory order of the first axis.
#[derive(Debug)]
struct Comb {
    every: usize,
}

impl<F: Float> Pruner<F> for Comb {
    fn mask_dyn(&self, weights: &ArrayRefD<F>) -> Result<Mask> {
        let mut place = 0;
        Ok(Mask::from_array(&weights.mapv(|_| {
            place += 1;
            (place - 1) % self.every == 0
        })))
    }
}

/// Drops what is below the mean magnitude, and makes up for it by scaling what stays.
#[derive(Debug)]
struct ScaledUp;

impl Pruner<f32> for ScaledUp {
    fn mask_dyn(&self, weights: &ArrayRefD<f32>) -> Result<Mask> {
        let mean = weights.mapv(f32::abs).mean().unwrap_or(0.0);
        Ok(Mask::from_array(
            &weights.mapv(|weight| weight.abs() >= mean),
        ))
    }

    fn prune_dyn(&self, weights: &mut ArrayRefD<f32>) -> Result<Mask> {
        let mask = self.mask_dyn(weights)?;
        let before = weights.mapv(f32::abs).sum();
        mask.apply(weights)?;
        let after = weights.mapv(f32::abs).sum();
        weights.mapv_inplace(|weight| weight * before / after);
        Ok(mask)
    }
}

/// Weights count by their distance from the mean of their row.
#[derive(Debug)]
struct Unusual;

impl<F: Float> Importance<F> for Unusual {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        let last = Axis(weights.ndim() - 1);
        let mut scores = weights.to_owned();
        for mut row in scores.lanes_mut(last) {
            let mean = row.mean().unwrap_or(F::zero());
            row.mapv_inplace(|weight| (weight - mean).abs());
        }
        Ok(scores)
    }
}

/// Affine codes of four bits for each row: the range from its smallest to its largest weight.
#[derive(Debug)]
struct RowRanges;

impl<F: Float> Quantizer<F> for RowRanges {
    fn quantize_dyn(&self, weights: &ArrayRefD<F>) -> Result<QuantizedTensor> {
        let wide = weights.mapv(|weight| weight.to_f64().unwrap_or(f64::NAN));
        let mut codes = ArrayD::zeros(weights.shape());
        let (mut scales, mut zero_points) = (Vec::new(), Vec::new());
        for (row, mut codes) in wide.outer_iter().zip(codes.outer_iter_mut()) {
            let low = row.iter().copied().fold(0.0, f64::min);
            let high = row.iter().copied().fold(0.0, f64::max);
            let scale = ((high - low) / 15.0).max(1e-30);
            let zero_point = (-8.0 - low / scale).round();
            codes.zip_mut_with(&row, |code, weight| {
                *code = (weight / scale + zero_point).round().clamp(-8.0, 7.0) as i32;
            });
            scales.push(scale as f32);
            zero_points.push(zero_point as i32);
        }
        let rows = Granularity::PerChannel(Axis(0));
        let parameters = Parameters::new(Scheme::affine(4)?, rows, scales);
        QuantizedTensor::from_codes(&codes, parameters.with_zero_points(zero_points))
    }
}

/// Squared distance of the logits, and of one feature, from the teacher's.
#[derive(Debug)]
struct Hint {
    feature: &'static str,
}

impl<F: Float> Loss<F> for Hint {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        let teacher = target.need_teacher("hint")?;
        let logits = &student.logits - &teacher.logits;
        let feature = &student.features[self.feature] - &teacher.features[self.feature];
        let half = F::cast(0.5);
        let squares = |sum: F, &d: &F| sum + half * d * d;
        let value = feature
            .iter()
            .fold(logits.iter().fold(F::zero(), squares), squares);
        let grad = Output::from(logits).with_feature(self.feature, feature);
        Ok(LossValue { value, grad })
    }
}

/// A batch that borrows its rows from a data set.
struct Batch<'a> {
    rows: &'a ArrayRef1<f32>,
}

/// The right answer, with confidence.
struct Oracle;

impl Teacher<f32, Batch<'_>> for Oracle {
    fn teach(&self, input: &Batch<'_>) -> Result<Output<f32>> {
        let sign = input.rows.mapv(|x| if x > 0.0 { 4.0 } else { -4.0 });
        let logits = ndarray::stack(Axis(1), &[sign.view(), (-&sign).view()]);
        Ok(Output::from(logits.map_err(Error::external)?).with_feature("x", input.rows.to_owned()))
    }
}

/// Logits (a·x, b·x), trained by plain gradient descent.
struct Line {
    weights: Array1<f32>,
    last_input: Array1<f32>,
}

impl Line {
    fn new() -> Self {
        Self {
            weights: array![-0.1, 0.3],
            last_input: Array1::zeros(0),
        }
    }
}

impl Student<f32, Batch<'_>> for Line {
    fn forward(&mut self, input: &Batch<'_>) -> Result<Output<f32>> {
        self.last_input = input.rows.to_owned();
        let outer = |a: &Array1<f32>| a.view().insert_axis(Axis(1)).to_owned();
        let logits = outer(&self.last_input).dot(&self.weights.view().insert_axis(Axis(0)));
        Ok(Output::from(logits).with_feature("x", &self.last_input * self.weights[0]))
    }

    fn backward(&mut self, grad: &Output<f32>) -> Result<()> {
        let mut of_weights = grad.logits.t().dot(&self.last_input);
        if let Some(of_feature) = grad.features.get("x") {
            let of_feature = of_feature
                .view()
                .into_dimensionality()
                .map_err(Error::external)?;
            of_weights[0] += self.last_input.dot::<ArrayRef1<f32>>(&of_feature);
        }
        self.weights.scaled_add(-0.05, &of_weights);
        Ok(())
    }
}

fn data() -> Array1<f32> {
    Array1::from_iter((0..40).map(|i| (i as f32 - 19.5) / 10.0))
}

#[test]
fn pruners_concrete_boxed_and_shared() {
    let list: Vec<Box<dyn Pruner<f32>>> = vec![
        Box::new(Comb { every: 3 }),
        Box::new(ScaledUp),
        Box::new(Unstructured::new(Unusual, 0.5)),
        Box::new(Unstructured::new(Magnitude, 4_usize)),
        Box::new(Arc::new(Comb { every: 2 })),
    ];
    let original = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 12 + j * 4 + k) as f32 - 7.5);
    let kept: Vec<usize> = list
        .iter()
        .map(|pruner| {
            let mut weights = original.clone();
            let mask = pruner
                .prune(&mut weights.slice_mut(s![.., ..;-1, ..]))
                .unwrap();
            assert_eq!(mask.shape(), [2, 3, 4]);
            mask.kept()
        })
        .collect();
    assert_eq!(kept, [8, 10, 12, 20, 12]);
    assert_eq!(
        PrunerExt::<f64>::mask(&Comb { every: 3 }, &array![1.0, 2.0])
            .unwrap()
            .kept(),
        1
    );
}

#[test]
fn a_pruner_that_corrects_what_stays_does_so_behind_a_box_too() {
    let original = array![[1.0_f32, -1.0], [3.0, -3.0]];
    let mut concrete = original.clone();
    let mask = ScaledUp.prune(&mut concrete).unwrap();
    assert_eq!(concrete, array![[0.0, 0.0], [4.0, -4.0]]);
    let boxed: Box<dyn Pruner<f32>> = Box::new(ScaledUp);
    let borrowed: &dyn Pruner<f32> = &boxed;
    let mut through = original;
    assert_eq!(borrowed.prune(&mut through).unwrap(), mask);
    assert_eq!(through, concrete);
}

#[test]
fn importances_of_the_users_rank_in_our_pattern() {
    let weights = array![[10.0, 11.0, 12.0], [-1.0, 5.0, -1.0]];
    let concrete = Unstructured::new(Unusual, 0.5).mask(&weights).unwrap();
    // Distances from the row's mean are 1, 0, 1 and 2, 4, 2.
    let right = array![[false, false, false], [true, true, true]];
    assert_eq!(concrete, Mask::from_array(&right));
    let boxed: Box<dyn Importance<f64>> = Box::new(Unusual);
    assert_eq!(
        Unstructured::new(boxed, 0.5).mask(&weights).unwrap(),
        concrete
    );
    let shared: Arc<dyn Importance<f64>> = Arc::new(Unusual);
    assert_eq!(
        Unstructured::new(&shared, 0.5).mask(&weights).unwrap(),
        concrete
    );
}

#[test]
fn quantizers_of_the_users_make_the_same_tensors() {
    let weights = Array2::from_shape_fn((3, 50), |(i, j)| (i as f32 - 1.5) * j as f32 * 0.1);
    let list: Vec<Box<dyn Quantizer<f32>>> = vec![Box::new(RowRanges), Box::new(Linear::new(4))];
    for quantizer in &list {
        let q = quantizer.quantize(&weights.view()).unwrap();
        assert_eq!((q.shape(), q.packed().len()), (&[3, 50][..], 75));
        let restored = q.dequantize::<f32>();
        let largest_step = q.scales().iter().copied().fold(0.0, f32::max);
        for (x, y) in weights.iter().zip(&restored) {
            assert!(
                (x - y).abs() <= largest_step * 0.5001,
                "{x} became {y} by {quantizer:?}"
            );
        }
    }
    let q = RowRanges.quantize(&weights).unwrap();
    assert_eq!(q.zero_points().len(), 3);
    assert_eq!(q.dequantize::<f64>()[[1, 0]], 0.0);
}

#[test]
fn losses_of_the_users_mix_with_ours() {
    let teacher = Output::from(array![[1.0, 0.0]]).with_feature("x", array![2.0]);
    let student = Output::from(array![[0.0, 0.0]]).with_feature("x", array![5.0]);
    let target = Target::from(&teacher).labels(&[0]);
    let hint: Box<dyn Loss<f64>> = Box::new(Hint { feature: "x" });
    assert_eq!(hint.value(&student, target).unwrap(), 5.0);
    let mix = WeightedSum::new()
        .with("hint", 2.0, hint)
        .with("hard", 1.0, CrossEntropy::new())
        .with("off", 0.0, KlDivergence::new(f64::NAN));
    let loss = mix.evaluate(&student, target).unwrap();
    assert_abs_diff_eq!(loss.value, 10.0 + 2.0_f64.ln(), epsilon = 1e-12);
    assert_eq!(loss.grad.logits, array![[-2.0 - 0.5, 0.5]]);
    assert_eq!(loss.grad.features["x"], array![6.0].into_dyn());
    assert_eq!(
        mix.terms().map(|(name, _)| name).collect::<Vec<_>>(),
        ["hint", "hard", "off"]
    );
    assert_eq!(mix, mix.clone());
    assert_ne!(mix, WeightedSum::new());
}

#[test]
fn networks_of_the_users_train_in_our_distiller() {
    let data = data();
    let batches: Vec<Batch<'_>> = vec![Batch { rows: &data }];
    let losses: Vec<Box<dyn Loss<f32>>> = vec![
        Box::new(KlDivergence::new(2.0)),
        Box::new(WeightedSum::new().with("soft", 1.0, KlDivergence::new(1.0))),
    ];
    for loss in losses {
        let distiller = Distiller::new(loss);
        let teacher: Box<dyn for<'a> Teacher<f32, Batch<'a>>> = Box::new(Oracle);
        let mut student: Box<dyn for<'a> Student<f32, Batch<'a>>> = Box::new(Line::new());
        let mut history = Vec::new();
        for _ in 0..60 {
            for batch in &batches {
                let target = Target::new();
                history.push(
                    distiller
                        .step(&*teacher, &mut *student, batch, target)
                        .unwrap(),
                );
            }
        }
        assert!(history[59] < 0.5 * history[0], "{history:?}");
    }
}

#[test]
fn stored_outputs_of_a_teacher_teach_as_the_teacher_does() {
    let data = data();
    let batch = Batch { rows: &data };
    let distiller = Distiller::new(KlDivergence::new(1.5));
    let (mut live, mut stored) = (Line::new(), Line::new());
    let output = Oracle.teach(&batch).unwrap();
    for _ in 0..5 {
        let a = distiller
            .step(&Oracle, &mut live, &batch, Target::new())
            .unwrap();
        let b = distiller
            .learn(&mut stored, &batch, Target::from(&output))
            .unwrap();
        assert_eq!(a, b);
    }
    assert_eq!(live.weights, stored.weights);
    let twice = distiller.step(&Oracle, &mut live, &batch, Target::from(&output));
    assert!(matches!(twice, Err(Error::TeacherGivenTwice)));
}

/// Fails, and counts what was asked of it.
struct Broken {
    asked: RefCell<Vec<&'static str>>,
}

#[derive(Debug, thiserror::Error)]
#[error("out of chalk")]
struct OutOfChalk;

impl Teacher<f32, ()> for Broken {
    fn teach(&self, (): &()) -> Result<Output<f32>> {
        self.asked.borrow_mut().push("teach");
        Err(Error::external(OutOfChalk))
    }
}

impl Student<f32, ()> for Broken {
    fn forward(&mut self, (): &()) -> Result<Output<f32>> {
        self.asked.borrow_mut().push("forward");
        Ok(Output::from(Array2::zeros((1, 1))))
    }

    fn backward(&mut self, _: &Output<f32>) -> Result<()> {
        self.asked.borrow_mut().push("backward");
        Ok(())
    }
}

#[test]
fn failures_of_the_users_pass_through_and_nothing_is_learned() {
    let broken = || Broken {
        asked: RefCell::default(),
    };
    let (teacher, mut student) = (broken(), broken());
    let distiller = Distiller::new(KlDivergence::new(1.0));
    let error = distiller
        .step(&teacher, &mut student, &(), Target::new())
        .unwrap_err();
    assert!(error.downcast_ref::<OutOfChalk>().is_some());
    assert_eq!(error.to_string(), "out of chalk");
    assert_eq!(
        error
            .in_tensor("w")
            .downcast_ref::<OutOfChalk>()
            .map(|_| ()),
        Some(())
    );
    assert!(student.asked.borrow().is_empty());
    let error = distiller
        .learn(&mut student, &(), Target::new())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "kl divergence needs a target with teacher output"
    );
    assert_eq!(*student.asked.borrow(), ["forward"]);
}

/// Cools down by halves: a schedule that is a type of the user's.
struct Halving;

impl Schedule for Halving {
    fn at(&self, step: u64) -> f64 {
        0.5_f64.powi(i32::try_from(step).unwrap_or(i32::MAX))
    }
}

#[test]
fn schedules_of_the_users_drive_our_methods() {
    let ours = Polynomial::cubic(0.0, 0.75, 0..=4).unwrap();
    let closure = |step: u64| 0.1 * step as f64;
    let boxed: Box<dyn Schedule> = Box::new(Halving);
    let schedules: [&dyn Schedule; 4] = [&ours, &Halving, &closure, &*boxed];
    let weights = Array1::from_iter((1..=64).map(f64::from));
    let dropped = schedules.map(|schedule| {
        let pruner = Unstructured::new(Magnitude, schedule.at(4));
        pruner.mask(&weights).unwrap().dropped()
    });
    assert_eq!(dropped, [48, 4, 26, 4]);
}

/// A layer whose weights are all equal.
#[derive(Debug)]
struct Mean {
    inputs: usize,
}

impl Layer for Mean {
    fn inputs(&self) -> usize {
        self.inputs
    }
    fn outputs(&self) -> usize {
        1
    }
    fn bytes(&self) -> usize {
        0
    }
    fn forward_into(
        &self,
        x: &ArrayRef2<f32>,
        out: &mut ArrayRef2<f32>,
        _: &mut Scratch,
    ) -> Result<()> {
        let sums = x.sum_axis(Axis(1)).insert_axis(Axis(1));
        out.assign(&(sums / self.inputs as f32));
        Ok(())
    }
}

#[test]
fn layers_of_the_users_compute_next_to_ours() {
    let weights = Array2::from_elem((1, 4), 0.25_f32);
    let layers: [Box<dyn Layer>; 3] = [
        Box::new(Mean { inputs: 4 }),
        Box::new(DenseLinear::new(&weights, None).unwrap()),
        Box::new(QuantizedLinear::new(&weights, None).unwrap()),
    ];
    for layer in &layers {
        let y = layer.forward(&array![[1.0, 2.0, 3.0, 6.0]]).unwrap();
        assert_abs_diff_eq!(y[[0, 0]], 3.0, epsilon = 0.02);
    }
    let test = SpeedTest::new().budget(Duration::from_millis(1));
    let speed = test.measure(&*layers[0], &*layers[1]).unwrap();
    assert!(speed.ratio() > 0.0);
}
