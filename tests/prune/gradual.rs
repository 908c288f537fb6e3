//! Gradual pruning under a loop of one's own: when, how much, what is masked, and going on later.

use ndarray::{Array1, Array2, ArrayRefD, array};
use rarefy::prelude::*;
use rarefy::prune::{Amount, GradualPruning, Magnitude, PruningState, SkipReason, Unstructured};
use rarefy::schedule::{Constant, Interval, Polynomial, Rounds};
use rarefy::{Error, Mask, Result};
use std::ops::ControlFlow;

fn magnitude(_: &str, amount: Amount) -> Unstructured<Magnitude> {
    Unstructured::new(Magnitude, amount)
}

/// Two tensors, momentum, and a pull towards a goal that changes from step to step.
#[derive(Clone, Debug, PartialEq)]
struct Training {
    matrix: Array2<f64>,
    bias: Array1<f64>,
    moments: Array2<f64>,
}

impl Training {
    fn new() -> Self {
        Self {
            matrix: Array2::from_shape_fn((12, 9), |(i, j)| ((i * 31 + j * 17) % 53) as f64 - 26.0),
            bias: Array1::from_iter((0..12).map(f64::from)),
            moments: Array2::zeros((12, 9)),
        }
    }

    fn step<P, Q>(&mut self, step: u64, pruning: &mut GradualPruning<Polynomial, P>)
    where
        P: Fn(&str, Amount) -> Q,
        Q: Pruner<f64>,
    {
        let goal = |i, j| ((i * 7 + j * 13 + step as usize * 5) % 47) as f64 - 23.0;
        let mut gradient =
            Array2::from_shape_fn((12, 9), |(i, j)| self.matrix[[i, j]] - goal(i, j));
        pruning.before_step("matrix", &mut gradient).unwrap();
        self.moments = &self.moments * 0.9 + &gradient;
        self.matrix = &self.matrix - &(&self.moments * 0.01);
        pruning
            .after_step("matrix", [&mut self.matrix, &mut self.moments])
            .unwrap();
        let mut tensors = [
            ("matrix", self.matrix.view_mut().into_dyn()),
            ("bias", self.bias.view_mut().into_dyn()),
        ];
        pruning.prune(step, &mut tensors).unwrap();
    }
}

/// What makes a pruner of magnitudes.
type Method = fn(&str, Amount) -> Unstructured<Magnitude>;

fn pruning() -> GradualPruning<Polynomial, Method> {
    GradualPruning::new(
        Interval::between(4..=40, 3).unwrap(),
        Polynomial::cubic(0.1, 0.8, 4..=40).unwrap(),
        magnitude as Method,
    )
    .except(["bias"])
}

#[test]
fn sparsity_follows_the_schedule_and_nothing_comes_back() {
    let (mut training, mut pruning) = (Training::new(), pruning());
    let cubic = Polynomial::cubic(0.1, 0.8, 4..=40).unwrap();
    let mut before = Mask::keep_all((12, 9)).unwrap();
    for step in 0..60 {
        training.step(step, &mut pruning);
        let due = (4..=40).contains(&step) && (step - 4) % 3 == 0;
        assert_eq!(pruning.due(step), due.then(|| cubic.at(step)));
        let Some(mask) = pruning.masks().get("matrix") else {
            assert!(step < 4);
            continue;
        };
        let last = step.min(40) - (step.min(40) - 4) % 3;
        assert_eq!(pruning.state().step, Some(last));
        let count = Amount::from(cubic.at(last)).count(108).unwrap();
        assert_eq!(mask.dropped(), count, "at {step}");
        assert_eq!(mask.and_not(&before).unwrap().kept(), 0, "at {step}");
        let zeros = training.matrix.iter().filter(|&&x| x == 0.0).count();
        assert_eq!(zeros, count, "at {step}");
        if !due {
            let moments = training.moments.iter().zip(mask.iter());
            assert!(moments.into_iter().all(|(&x, kept)| kept || x == 0.0));
        }
        before = mask.clone();
    }
    assert_eq!(before.dropped(), 86); // 0.8 · 108 = 86.4; step 40 is due
    assert!(!pruning.masks().contains_key("bias"));
    assert_eq!(training.bias, Training::new().bias);
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
    let (mut training, mut whole) = (Training::new(), pruning());
    (0..50).for_each(|step| training.step(step, &mut whole));
    for stop in [0, 3, 4, 5, 20, 41] {
        let (mut halves, mut first) = (Training::new(), pruning());
        (0..stop).for_each(|step| halves.step(step, &mut first));
        let saved: PruningState = first.state().clone();
        let mut second = pruning().resume(saved);
        (stop..50).for_each(|step| halves.step(step, &mut second));
        assert_eq!(halves, training, "stopped before {stop}");
        assert_eq!(second.state(), whole.state(), "stopped before {stop}");
    }
}

#[test]
fn what_happened_is_a_value() {
    let mut pruning = GradualPruning::new(
        Interval::starting(0, 1).unwrap(),
        |step: u64| if step == 0 { 0.5 } else { 0.25 },
        magnitude,
    )
    .except(["head"]);
    let mut weights = array![1.0_f32, 2.0, 3.0, 4.0];
    let (mut head, mut none) = (weights.clone(), Array1::<f32>::zeros(0));
    let mut run = |step| {
        let mut tensors = [
            ("head", head.view_mut().into_dyn()),
            ("w", weights.view_mut().into_dyn()),
            ("none", none.view_mut().into_dyn()),
        ];
        pruning.prune(step, &mut tensors).unwrap().unwrap()
    };
    let pruned = run(0);
    assert_eq!((pruned.step, pruned.sparsity), (0, 0.5));
    let [tensor] = &*pruned.tensors else {
        unreachable!("one tensor is pruned")
    };
    assert_eq!((&*tensor.name, tensor.kept, tensor.dropped), ("w", 2, 2));
    assert_eq!((tensor.newly_dropped, tensor.newly_kept), (2, 0));
    let skipped: Vec<_> = pruned
        .skipped
        .iter()
        .map(|s| (&*s.name, s.reason))
        .collect();
    let right = [("head", SkipReason::Excepted), ("none", SkipReason::Empty)];
    assert_eq!(skipped, right);
    // A schedule that falls sets weights free; they start at 0.
    let pruned = run(1);
    assert_eq!(
        (
            pruned.tensors[0].newly_dropped,
            pruned.tensors[0].newly_kept
        ),
        (0, 1)
    );
    assert_eq!(weights, array![0.0, 0.0, 3.0, 4.0]);
}

#[test]
fn methods_that_correct_weights_are_heard() {
    /// Drops the first weight and adds it to the last.
    #[derive(Debug)]
    struct Correcting;
    impl Pruner<f64> for Correcting {
        fn mask_dyn(&self, weights: &ArrayRefD<f64>) -> Result<Mask> {
            Mask::from_fn(weights.len(), |place| place != 0)
        }

        fn prune_dyn(&self, weights: &mut ArrayRefD<f64>) -> Result<Mask> {
            let last = weights.len() - 1;
            weights[[last]] += weights[[0]];
            weights[[0]] = 0.0;
            self.mask_dyn(weights)
        }
    }
    let when = Interval::starting(0, 1).unwrap();
    let sparsity = Constant::new(0.3).unwrap();
    let mut pruning = GradualPruning::new(when, sparsity, |_: &str, _: Amount| Correcting);
    let mut weights = array![1.0, 2.0, 3.0];
    let mut tensors = [("w", weights.view_mut().into_dyn())];
    pruning.prune(0, &mut tensors).unwrap();
    assert_eq!(weights, array![0.0, 2.0, 4.0]);
}

#[test]
fn errors_and_stops_change_nothing() {
    let when = Interval::starting(0, 1).unwrap();
    let first = array![1.0, 2.0, 3.0, 4.0];
    let broken = array![1.0, f64::NAN];
    let run = |sparsity: f64, names: [&str; 2], second: &Array1<f64>, stop: usize| {
        let mut pruning = GradualPruning::new(when, move |_: u64| sparsity, magnitude);
        let (mut a, mut b) = (first.clone(), second.clone());
        let mut tensors = [
            (names[0], a.view_mut().into_dyn()),
            (names[1], b.view_mut().into_dyn()),
        ];
        let error = pruning
            .prune_watched(0, &mut tensors, |progress| {
                if progress.done == stop {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .unwrap_err();
        assert_eq!(a, first);
        assert_eq!(pruning.state(), &PruningState::default());
        error
    };
    let text = |error: Error| error.to_string();
    let error = run(0.5, ["a", "b"], &broken, 9);
    assert_eq!(text(error), "tensor \"b\": weight [1] is NaN");
    let error = run(1.5, ["a", "b"], &first, 9);
    let amount = "tensor \"a\": amount must lie in 0..=1, got 1.5";
    assert_eq!(text(error), amount);
    let error = run(0.5, ["a", "a"], &first, 9);
    assert_eq!(text(error), "two tensors are named \"a\"");
    let error = run(0.5, ["a", "b"], &first, 1);
    assert!(matches!(error, Error::Interrupted { done: 1, total: 2 }));

    let mut pruning = GradualPruning::new(when, |_: u64| 0.5, magnitude);
    let mut weights = first.clone();
    let mut tensors = [("a", weights.view_mut().into_dyn())];
    pruning.prune(0, &mut tensors).unwrap();
    let error = pruning.before_step("a", &mut array![1.0, 2.0]).unwrap_err();
    let shapes = "tensor \"a\": shapes differ: mask [4], array [2]";
    assert_eq!(text(error), shapes);
    let mut gradient = array![1.0, 2.0];
    pruning.before_step("unknown", &mut gradient).unwrap();
    assert_eq!(gradient, array![1.0, 2.0]);
}

#[test]
fn rounds_of_what_is_left_are_the_shares_of_the_whole() {
    // Compound pruning by the share of each round, and pruning to the schedule of the whole.
    let rounds = Rounds::new(0.9, 5).unwrap();
    let start = Array1::from_iter((0..1000).map(|i| f64::from(i * 7919 % 1000 + 1)));
    let mut mask = Mask::keep_all(1000).unwrap();
    let mut weights = start;
    let round = Unstructured::new(Magnitude, rounds.each());
    for number in 1..=5 {
        mask = rarefy::prune::compound(&round, &mut weights, &mask).unwrap();
        let whole = (rounds.at(number) * 1000.0).round_ties_even() as usize;
        assert!(mask.dropped().abs_diff(whole) <= 1, "round {number}");
    }
    assert_eq!(mask.dropped(), 900);
}
