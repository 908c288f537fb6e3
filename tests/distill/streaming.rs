//! Streaming distillation against its obvious twin, which forms all logits.

use ndarray::{Array1, Array2, Axis, ShapeBuilder};
use ndarray_rand::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rarefy::distill::{
    CrossEntropy, GradientBuffers, KlDivergence, Loss, LossValue, Output, OutputLayer,
    OutputLayerGradient, Reduction, StreamingBatch, StreamingDistillation, Target,
    TemperatureFactor,
};
use rarefy::{Error, Float};

/// A batch, and everything that may stand in it.
pub(crate) struct Case<F> {
    pub(crate) hidden: Array2<F>,
    pub(crate) projection: Array2<F>,
    pub(crate) bias: Array1<F>,
    pub(crate) taught: Array2<F>,
    pub(crate) teacher_projection: Array2<F>,
    pub(crate) teacher_bias: Array1<F>,
    pub(crate) labels: Vec<usize>,
    pub(crate) weights: Array1<F>,
}

/// Tokens, classes, width of the student, width of the teacher.
pub(crate) type Shape = (usize, usize, usize, usize);

impl<F: Float> Case<F> {
    pub(crate) fn new((tokens, classes, width, teacher_width): Shape) -> Self {
        let seed = (tokens * 1009 + classes * 31 + width) as u64;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut matrix = |shape, spread: f64| {
            Array2::from_shape_simple_fn(shape, || F::cast((random.random::<f64>() - 0.5) * spread))
        };
        let hidden = matrix((tokens, width), 2.0);
        let projection = matrix((classes, width), 3.0);
        let taught = matrix((tokens, teacher_width), 2.0);
        let teacher_projection = matrix((classes, teacher_width), 3.0);
        let bias = matrix((1, classes), 2.0).remove_axis(Axis(0));
        let teacher_bias = matrix((1, classes), 2.0).remove_axis(Axis(0));
        Self {
            hidden,
            projection,
            bias,
            taught,
            teacher_projection,
            teacher_bias,
            labels: (0..tokens).map(|token| token * 7 % classes).collect(),
            weights: Array1::from_shape_fn(tokens, |token| F::cast((token % 4) as f64 / 2.0)),
        }
    }

    pub(crate) fn student(&self) -> OutputLayer<'_, F> {
        OutputLayer::new(&self.hidden, &self.projection).bias(&self.bias)
    }

    pub(crate) fn teacher(&self) -> OutputLayer<'_, F> {
        OutputLayer::new(&self.taught, &self.teacher_projection).bias(&self.teacher_bias)
    }

    pub(crate) fn batch(&self) -> StreamingBatch<'_, F> {
        StreamingBatch::new(self.student())
            .teacher(self.teacher())
            .labels(&self.labels)
            .weights(&self.weights)
    }

    /// All logits, the losses over all of them, and products of whole matrices.
    fn twin(&self, soft: impl Loss<F>, hard: impl Loss<F>, weights: (f64, f64)) -> Whole<F> {
        let student = Output::from(self.hidden.dot(&self.projection.t()) + &self.bias);
        let teacher =
            Output::from(self.taught.dot(&self.teacher_projection.t()) + &self.teacher_bias);
        let target = Target::from(&teacher)
            .labels(&self.labels)
            .weights(&self.weights);
        let mut grad = student.zeros_like();
        let mut value = 0.0;
        let terms: [(&dyn Loss<F>, f64); 2] = [(&soft, weights.0), (&hard, weights.1)];
        for (loss, weight) in terms {
            let scale = F::cast(weight);
            let term = loss.accumulate(&student, target, scale, &mut grad).unwrap();
            value += weight * term.to_f64().unwrap();
        }
        let grad = grad.logits;
        // Rows of weight 0 may hold NaN, which 0 · NaN would let through.
        let read: Vec<usize> = (0..self.weights.len())
            .filter(|&token| self.weights[token] != F::zero())
            .collect();
        let read_grad = grad.select(Axis(0), &read);
        let projection = read_grad.t().dot(&self.hidden.select(Axis(0), &read));
        Whole {
            value: F::cast(value),
            hidden: grad.dot(&self.projection),
            projection,
            bias: grad.sum_axis(Axis(0)),
        }
    }
}

struct Whole<F> {
    value: F,
    hidden: Array2<F>,
    projection: Array2<F>,
    bias: Array1<F>,
}

const SHAPES: [Shape; 6] = [
    (1, 1, 1, 1),
    (2, 5, 3, 4),
    (37, 41, 6, 3),
    (300, 19, 5, 7),
    (70, 1500, 17, 9),
    (530, 300, 33, 20),
];

fn assert_close<F: Float>(ours: &[F], right: &[F], tolerance: f64, at: &str) {
    let number = |x: &F| x.to_f64().unwrap();
    let largest = right
        .iter()
        .fold(1e-3, |most: f64, x| most.max(number(x).abs()));
    assert_eq!(ours.len(), right.len(), "{at}");
    for (ours, right) in ours.iter().zip(right) {
        let error = (number(ours) - number(right)).abs();
        assert!(error <= tolerance * largest, "{error:e} of {largest}, {at}");
    }
}

fn elements<F: Float, D: ndarray::Dimension>(array: &ndarray::Array<F, D>) -> Vec<F> {
    array.iter().copied().collect()
}

/// The smallest budget that does.
fn least<F: Float>(loss: StreamingDistillation, case: &Case<F>) -> usize {
    match loss.memory_budget(0).evaluate(case.batch()) {
        Err(Error::BudgetTooSmall { budget: 0, least }) => least,
        other => panic!("no budget and {:?}", other.map(|loss| loss.value)),
    }
}

fn check_twin<F: Float>(tolerance: f64) {
    let one = TemperatureFactor::One;
    let settings = [
        (1.0, (1.0, 0.0), TemperatureFactor::Squared, Reduction::Sum),
        (
            2.0,
            (0.7, 0.3),
            TemperatureFactor::Squared,
            Reduction::MeanOverRows,
        ),
        (3.0, (0.5, 2.0), one, Reduction::MeanOverWeights),
        (2.0, (0.0, 1.0), one, Reduction::MeanOverElements),
        (0.7, (0.0, 0.0), one, Reduction::DividedBy(9.0)),
    ];
    for shape in SHAPES {
        let mut case = Case::<F>::new(shape);
        for (temperature, weights, factor, reduction) in settings {
            if shape.0 == 1 {
                case.weights[0] = F::cast(0.5);
            }
            let at = format!("{shape:?}, T {temperature}, {weights:?}, {reduction:?}");
            let soft = KlDivergence::new(temperature)
                .temperature_factor(factor)
                .reduction(reduction);
            let hard = CrossEntropy::new().reduction(reduction);
            let right = case.twin(soft, hard, weights);
            let loss = StreamingDistillation::new(temperature)
                .temperature_factor(factor)
                .reduction(reduction)
                .term_weights(weights.0, weights.1);
            let least = least(loss, &case);
            for budget in [least, least + least / 2, 48 << 20] {
                let at = format!("{at}, {budget} bytes");
                let loss = loss.memory_budget(budget);
                let LossValue { value, grad } = loss.evaluate(case.batch()).unwrap();
                assert_close(&[value], &[right.value], tolerance, &at);
                assert_close(
                    &elements(&grad.hidden),
                    &elements(&right.hidden),
                    tolerance,
                    &at,
                );
                assert_close(
                    &elements(&grad.projection),
                    &elements(&right.projection),
                    tolerance,
                    &at,
                );
                let bias = grad.bias.unwrap();
                assert_close(&elements(&bias), &elements(&right.bias), tolerance, &at);
                let alone = loss.value(case.batch()).unwrap();
                assert_close(&[alone], &[value], 1e-6, &at);
            }
        }
    }
}

#[test]
fn f32_agrees_with_all_logits_at_once() {
    check_twin::<f32>(2e-5);
}

#[test]
fn f64_agrees_with_all_logits_at_once() {
    check_twin::<f64>(1e-12);
}

#[test]
fn gradients_agree_with_central_differences() {
    let mut case = Case::<f64>::new((5, 7, 3, 2));
    let loss = StreamingDistillation::new(2.0).term_weights(0.6, 0.4);
    let grad = loss.evaluate(case.batch()).unwrap().grad;
    let step = 1e-5;
    let mut differences = |part: fn(&mut Case<f64>) -> &mut [f64], right: Vec<f64>| {
        for (place, right) in right.into_iter().enumerate() {
            let at = part(&mut case)[place];
            let mut moved = |by| {
                part(&mut case)[place] = at + by;
                loss.value(case.batch()).unwrap()
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            part(&mut case)[place] = at;
            assert!((difference - right).abs() < 1e-8, "{difference} {right}");
        }
    };
    differences(
        |case| case.hidden.as_slice_mut().unwrap(),
        elements(&grad.hidden),
    );
    differences(
        |case| case.projection.as_slice_mut().unwrap(),
        elements(&grad.projection),
    );
    differences(
        |case| case.bias.as_slice_mut().unwrap(),
        elements(&grad.bias.unwrap()),
    );
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let case = Case::<f32>::new((530, 700, 33, 20));
    let loss = StreamingDistillation::new(2.0)
        .term_weights(0.5, 0.5)
        .memory_budget(3 << 20);
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| loss.evaluate(case.batch()).unwrap())
    };
    let first = in_pool(1);
    for threads in [2, 3, 16] {
        assert!(in_pool(threads) == first, "{threads} threads");
    }
}

#[test]
fn memory_order_does_not_matter_and_only_what_is_asked_for_is_written() {
    let case = Case::<f64>::new((70, 90, 11, 8));
    let loss = StreamingDistillation::new(2.0).memory_budget(4 << 20);
    let plain = loss.evaluate(case.batch()).unwrap();
    let fortran = |array: &Array2<f64>| {
        let mut other = Array2::zeros(array.raw_dim().f());
        other.assign(array);
        other
    };
    let (hidden, projection) = (fortran(&case.hidden), fortran(&case.projection));
    let student = OutputLayer::new(&hidden, &projection).bias(&case.bias);
    let mut batch = case.batch();
    batch.student = student;
    assert_eq!(loss.evaluate(batch).unwrap(), plain);

    let mut grad = Array2::from_elem((11, 70), f64::NAN).reversed_axes();
    let value = loss.evaluate_into(batch, GradientBuffers::new().hidden(&mut grad));
    assert_eq!((value.unwrap(), grad), (plain.value, plain.grad.hidden));
    let mut grad = Array2::from_elem((11, 90), f64::NAN).reversed_axes();
    let value = loss.evaluate_into(batch, GradientBuffers::new().projection(&mut grad));
    assert_eq!((value.unwrap(), grad), (plain.value, plain.grad.projection));
    let mut grad = Array1::from_elem(90, f64::NAN);
    let value = loss.evaluate_into(batch, GradientBuffers::new().bias(&mut grad));
    assert_eq!((value.unwrap(), Some(grad)), (plain.value, plain.grad.bias));
}

#[test]
fn a_token_of_weight_zero_is_not_read() {
    let mut case = Case::<f32>::new((40, 23, 5, 4));
    let loss = StreamingDistillation::new(2.0).term_weights(0.5, 0.5);
    let before = loss.evaluate(case.batch()).unwrap();
    for token in (0..40).step_by(4) {
        case.hidden.row_mut(token).fill(f32::NAN);
        case.taught.row_mut(token).fill(f32::INFINITY);
    }
    let after = loss.evaluate(case.batch()).unwrap();
    assert_eq!(after, before);
    assert!(after.grad.hidden.row(4).iter().all(|&g| g == 0.0));

    case.weights.fill(0.0);
    let nothing = loss.evaluate(case.batch()).unwrap();
    let OutputLayerGradient {
        hidden, projection, ..
    } = nothing.grad;
    assert!(nothing.value == 0.0 && hidden.iter().chain(&projection).all(|&g| g == 0.0));
    let mut grad = Array2::from_elem((23, 5), f32::NAN);
    loss.evaluate_into(case.batch(), GradientBuffers::new().projection(&mut grad))
        .unwrap();
    assert!(grad.iter().all(|&g| g == 0.0));
}

#[test]
fn a_bias_of_minus_infinity_masks_a_class() {
    let mut case = Case::<f64>::new((9, 12, 4, 3));
    let loss = StreamingDistillation::new(2.0);
    let none = f64::NEG_INFINITY;
    case.teacher_bias[5] = none;
    let some = loss.evaluate(case.batch()).unwrap();
    assert!(some.value.is_finite() && some.grad.bias.unwrap()[5] > 0.0);
    case.bias[5] = none;
    let right = case.twin(KlDivergence::new(2.0), CrossEntropy::new(), (1.0, 0.0));
    let both = loss.evaluate(case.batch()).unwrap();
    assert!((both.value - right.value).abs() < 1e-12);
    assert!(both.grad.projection.row(5).iter().all(|&g| g == 0.0));
    case.bias[3] = none;
    assert_eq!(loss.value(case.batch()).unwrap(), f64::INFINITY);
    let error = loss.evaluate(case.batch()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the loss of row 1 is infinite: class 3 is possible for the other side and has a student logit \
         of -inf",
        "row 0 weighs nothing"
    );
    case.bias.fill(none);
    let error = loss.value(case.batch()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MaskedRow {
                side: "student",
                row: 1
            }
        ),
        "{error}"
    );
}

#[test]
fn a_language_model_without_labels_or_without_teacher() {
    let case = Case::<f64>::new((9, 12, 4, 3));
    let batch = StreamingBatch::new(case.student()).weights(&case.weights);
    let soft = StreamingDistillation::new(2.0);
    let hard = soft.term_weights(0.0, 1.0);
    let error = |loss: StreamingDistillation| loss.value(batch).unwrap_err().to_string();
    assert_eq!(
        error(soft),
        "streaming distillation needs a target with teacher"
    );
    assert_eq!(
        error(hard),
        "streaming distillation needs a target with labels"
    );
    assert!(soft.value(batch.teacher(case.teacher())).is_ok());
    assert!(hard.value(batch.labels(&case.labels)).is_ok());
    assert_eq!(soft.term_weights(0.0, 0.0).value(batch).unwrap(), 0.0);
    let same = batch.teacher(case.student());
    assert_eq!(soft.value(same).unwrap(), 0.0);
}

#[test]
fn logits_are_the_product_and_the_bias() {
    let case = Case::<f64>::new((9, 12, 4, 3));
    let right = case.hidden.dot(&case.projection.t()) + &case.bias;
    let ours = case.student().logits().unwrap();
    assert_close(&elements(&ours), &elements(&right), 1e-14, "logits");
}

#[test]
fn hidden_states_of_no_width_have_logits_of_bias_alone() {
    let case = Case::<f64>::new((6, 8, 0, 0));
    let grad = StreamingDistillation::new(1.0)
        .evaluate(case.batch())
        .unwrap()
        .grad;
    assert_eq!((grad.hidden.dim(), grad.projection.dim()), ((6, 0), (8, 0)));
    assert!(grad.bias.unwrap().iter().any(|&g| g != 0.0));
}
