//! Logits stored in 16 bits: the bits that come out are those of the logits widened to f32 before.

use half::{bf16, f16};
use ndarray::{Array1, Array2, ArrayRef2, array};
use rarefy::distill::{
    AlphaDivergence, CrossEntropy, DecoupledKl, JensenShannon, KlDivergence, Logit, LogitMse, Loss,
    LossValue, Output, Reduction, ReverseKlDivergence, SigmoidKl, SkewedKl, SkewedReverseKl,
    Target, TeacherForm, TotalVariation,
};
use rarefy::{Error, Result};

/// A type of logits, from and to f32.
trait Stored: Logit {
    fn store(value: f32) -> Self;
    fn wide(self) -> f32;
}

macro_rules! stored {
    ($type:ty, $store:expr, $wide:expr) => {
        impl Stored for $type {
            fn store(value: f32) -> Self {
                $store(value)
            }

            fn wide(self) -> f32 {
                $wide(self)
            }
        }
    };
}

stored!(f32, |x| x, |x| x);
stored!(f16, f16::from_f32, f16::to_f32);
stored!(bf16, bf16::from_f32, bf16::to_f32);

/// The methods for stored logits as a trait, which losses without a teacher have too.
trait StoredLoss: Loss<f32> {
    fn whole<S: Logit, T: Logit>(
        &self,
        student: &ArrayRef2<S>,
        teacher: &ArrayRef2<T>,
        target: Target<'_, f32>,
    ) -> Result<LossValue<f32, Array2<f32>>>;

    /// Everything but `whole`: written, added to `grad`, the value, the rows.
    fn parts<S: Logit, T: Logit>(
        &self,
        student: &ArrayRef2<S>,
        teacher: &ArrayRef2<T>,
        target: Target<'_, f32>,
        grad: [&mut Array2<f32>; 2],
    ) -> Result<([f32; 3], Array1<f64>)>;

    fn rows(&self, student: &Output<f32>, target: Target<'_, f32>) -> Result<Array1<f64>>;
}

macro_rules! stored_loss {
    ($type:ty $(, $teacher:ident)?) => {
        #[allow(unused_variables, reason = "not every loss has a teacher")]
        impl StoredLoss for $type {
            fn whole<S: Logit, T: Logit>(
                &self,
                student: &ArrayRef2<S>,
                teacher: &ArrayRef2<T>,
                target: Target<'_, f32>,
            ) -> Result<LossValue<f32, Array2<f32>>> {
                $(let $teacher = teacher;)?
                self.evaluate_stored(student, $($teacher,)? target)
            }

            fn parts<S: Logit, T: Logit>(
                &self,
                student: &ArrayRef2<S>,
                teacher: &ArrayRef2<T>,
                target: Target<'_, f32>,
                [written, added]: [&mut Array2<f32>; 2],
            ) -> Result<([f32; 3], Array1<f64>)> {
                $(let $teacher = teacher;)?
                let values = [
                    self.accumulate_stored(student, $($teacher,)? target, 0.5, added)?,
                    self.evaluate_stored_into(student, $($teacher,)? target, written)?,
                    self.value_stored(student, $($teacher,)? target)?,
                ];
                Ok((values, self.per_row_stored(student, $($teacher,)? target)?))
            }

            fn rows(&self, student: &Output<f32>, target: Target<'_, f32>) -> Result<Array1<f64>> {
                self.per_row(student, target)
            }
        }
    };
}

stored_loss!(AlphaDivergence, theirs);
stored_loss!(CrossEntropy);
stored_loss!(DecoupledKl, theirs);
stored_loss!(JensenShannon, theirs);
stored_loss!(KlDivergence, theirs);
stored_loss!(LogitMse, theirs);
stored_loss!(ReverseKlDivergence, theirs);
stored_loss!(SigmoidKl, theirs);
stored_loss!(SkewedKl, theirs);
stored_loss!(SkewedReverseKl, theirs);
stored_loss!(TotalVariation, theirs);

/// What is tried on every loss.
trait Check {
    fn check<L: StoredLoss>(&mut self, loss: &L);
}

fn each_loss(check: &mut impl Check) {
    for t in [1.0, 3.0, 50.0] {
        check.check(&AlphaDivergence::new(t));
        check.check(&DecoupledKl::new(t));
        check.check(&JensenShannon::new(t).beta(0.3));
        check.check(&KlDivergence::new(t));
        check.check(&KlDivergence::new(t).reduction(Reduction::MeanOverWeights));
        check.check(&ReverseKlDivergence::new(t));
        check.check(&SigmoidKl::new(t));
        check.check(&SkewedKl::new(t));
        check.check(&SkewedReverseKl::new(t));
        check.check(&TotalVariation::new(t));
    }
    check.check(&LogitMse::new());
    check.check(&CrossEntropy::new());
    check.check(&CrossEntropy::new().label_smoothing(0.1).ignore_index(2));
}

fn noise<S: Stored>(rows: usize, classes: usize, seed: u64, spread: f32) -> Array2<S> {
    let mut state = seed * 2 + 1;
    Array2::from_shape_simple_fn((rows, classes), || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        S::store(((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * spread)
    })
}

fn wide<S: Stored>(logits: &Array2<S>) -> Output<f32> {
    Output::from(logits.mapv(S::wide))
}

struct Batch<S, T> {
    student: Array2<S>,
    teacher: Array2<T>,
    labels: Vec<usize>,
    weights: Array1<f32>,
    mask: Vec<bool>,
    threads: usize,
}

impl<S: Stored, T: Stored> Batch<S, T> {
    fn new(rows: usize, classes: usize, spread: f32) -> Self {
        Self {
            student: noise(rows, classes, 1, spread),
            teacher: noise(rows, classes, 2, spread),
            labels: (0..rows).map(|row| row % classes).collect(),
            weights: (0..rows).map(|row| ((row + 1) % 3) as f32 / 2.0).collect(),
            mask: (0..rows).map(|row| row % 5 != 4).collect(),
            threads: 1,
        }
    }

    fn target(&self) -> Target<'_, f32> {
        Target::new()
            .labels(&self.labels)
            .weights(&self.weights)
            .mask(&self.mask)
    }
}

impl<S: Stored, T: Stored> Check for Batch<S, T> {
    fn check<L: StoredLoss>(&mut self, loss: &L) {
        let at = format!("{loss:?}, {} threads", self.threads);
        let (student, teacher) = (wide(&self.student), wide(&self.teacher));
        let with = self.target().teacher(&teacher);
        let right = loss.evaluate(&student, with).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
        pool.build().unwrap().install(|| {
            let ours = loss.whole(&self.student, &self.teacher, self.target());
            let ours = ours.unwrap();
            assert_eq!(ours.value.to_bits(), right.value.to_bits(), "{at}");
            assert_eq!(ours.grad, right.grad.logits, "{at}");

            let mut written = Array2::from_elem(self.student.raw_dim(), f32::NAN);
            let mut added = Array2::from_elem(self.student.raw_dim(), 0.25);
            let mut right_added = Output::from(added.clone());
            let grad = [&mut written, &mut added];
            let parts = loss.parts(&self.student, &self.teacher, self.target(), grad);
            let (values, rows) = parts.unwrap();
            assert_eq!(values, [right.value; 3], "{at}");
            assert_eq!(written, right.grad.logits, "{at}");
            let again = loss.accumulate(&student, with, 0.5, &mut right_added);
            assert_eq!(again.unwrap(), right.value, "{at}");
            assert_eq!(added, right_added.logits, "{at}");
            assert_eq!(rows, loss.rows(&student, with).unwrap(), "{at}");
        });
    }
}

#[test]
fn bits_are_those_of_widened_logits_for_every_loss_and_pair_of_types() {
    fn check<S: Stored, T: Stored>() {
        for (rows, classes, spread) in [(1, 1, 4.0), (6, 5, 8.0), (7, 67, 1e-4)] {
            each_loss(&mut Batch::<S, T>::new(rows, classes, spread));
        }
    }
    check::<f16, f16>();
    check::<bf16, bf16>();
    check::<bf16, f16>();
    check::<f16, bf16>();
    check::<f32, bf16>();
    check::<f16, f32>();
    check::<f32, f32>();
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let mut batch = Batch::<bf16, f16>::new(150, 1001, 12.0);
    for threads in [1, 2, 3, 16] {
        batch.threads = threads;
        batch.check(&KlDivergence::new(2.0));
        batch.check(&JensenShannon::new(50.0));
        batch.check(&CrossEntropy::new());
    }
}

#[test]
fn masked_classes_stay_masked() {
    let mut batch = Batch::<bf16, f16>::new(6, 5, 8.0);
    for row in 0..6 {
        batch.teacher[[row, (row + 1) % 5]] = f16::NEG_INFINITY;
        batch.student[[row, (row + 1) % 5]] = bf16::NEG_INFINITY;
    }
    batch.check(&KlDivergence::new(2.0));
    batch.check(&JensenShannon::new(1.0));
    batch.check(&CrossEntropy::new());

    let (student, teacher) = (array![[bf16::NEG_INFINITY; 3]], array![[f16::ONE; 3]]);
    let error = KlDivergence::new(1.0).value_stored(&student, &teacher, Target::new());
    let text = "every logit of student row 0 is -inf, at least one must be finite";
    assert_eq!(error.unwrap_err().to_string(), text);
}

#[test]
fn a_temperature_for_each_row_and_a_form_of_the_teacher_go_the_same_way() {
    let batch = Batch::<f16, bf16>::new(4, 9, 6.0);
    let (student, teacher) = (wide(&batch.student), wide(&batch.teacher));
    let temperatures = array![0.5, 1.0, 7.0, 64.0];
    let target = batch.target().temperatures(&temperatures);
    let loss = KlDivergence::new(1.0).teacher_form(TeacherForm::LogProbabilities);
    let right = loss.evaluate(&student, target.teacher(&teacher)).unwrap();
    let ours = loss.evaluate_stored(&batch.student, &batch.teacher, target);
    let ours = ours.unwrap();
    assert_eq!((ours.value, ours.grad), (right.value, right.grad.logits));
}

#[test]
fn any_layout_is_its_contiguous_copy() {
    let batch = Batch::<bf16, f16>::new(6, 5, 8.0);
    let loss = KlDivergence::new(2.0);
    let right = loss.evaluate_stored(&batch.student, &batch.teacher, batch.target());
    let right = right.unwrap();
    let student = batch.student.t().as_standard_layout().into_owned();
    let teacher = batch.teacher.t().as_standard_layout().into_owned();
    let (student, teacher) = (student.t(), teacher.t());
    let ours = loss.evaluate_stored(&student, &teacher, batch.target());
    assert_eq!(ours.unwrap(), right);
    let mut grad = Array2::zeros((5, 6)).reversed_axes();
    let value = loss.evaluate_stored_into(&student, &teacher, batch.target(), &mut grad);
    assert_eq!((value.unwrap(), grad), (right.value, right.grad));
}

#[test]
fn errors_name_row_and_class_and_leave_the_gradient_alone() {
    let good = array![[f16::ZERO, f16::ONE, f16::ONE], [f16::ONE; 3]];
    let loss = KlDivergence::new(1.0);
    let with = |class: usize, value: f16| {
        let mut bad = good.clone();
        bad[[1, class]] = value;
        bad
    };
    let none = Target::new();
    for (student, teacher, text) in [
        (
            with(2, f16::NAN),
            good.clone(),
            "student logit [1, 2] is NaN",
        ),
        (
            with(0, f16::INFINITY),
            good.clone(),
            "student logit [1, 0] is inf, must be finite",
        ),
        (
            good.clone(),
            with(1, f16::NAN),
            "teacher logit [1, 1] is NaN",
        ),
        (
            with(1, f16::NEG_INFINITY),
            good.clone(),
            "the loss of row 1 is infinite: class 1 is possible for the other side and has a student \
             logit of -inf",
        ),
    ] {
        let mut grad = Array2::from_elem((2, 3), 7.0);
        let error = loss.accumulate_stored(&student, &teacher, none, 1.0, &mut grad);
        assert_eq!(error.unwrap_err().to_string(), text);
        assert_eq!(grad, Array2::from_elem((2, 3), 7.0), "{text}");
        let error = loss.evaluate_stored(&student, &teacher, none);
        assert_eq!(error.unwrap_err().to_string(), text);
    }
    // Where the value is infinite, it is one.
    let masked = with(1, f16::NEG_INFINITY);
    assert_eq!(
        loss.value_stored(&masked, &good, none).unwrap(),
        f32::INFINITY
    );

    let other = Array2::from_elem((2, 4), bf16::ONE);
    let error = loss.evaluate_stored(&good, &other, none).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    let mut grad = Array2::zeros((2, 4));
    let error = loss.evaluate_stored_into(&good, &good, none, &mut grad);
    assert!(matches!(error, Err(Error::ShapeMismatch { .. })));
    let empty = Array2::from_elem((0, 3), f16::ZERO);
    let error = loss.value_stored(&empty, &empty, none).unwrap_err();
    assert!(matches!(error, Error::NoLogits { .. }), "{error}");
    let error = CrossEntropy::new().value_stored(&good, none).unwrap_err();
    assert!(matches!(error, Error::MissingTarget { .. }), "{error}");
    let error = CrossEntropy::new().value_stored(&good, none.labels(&[0, 3]));
    assert!(matches!(error, Err(Error::LabelOutOfRange { row: 1, .. })));
    let error = KlDivergence::new(0.0).value_stored(&good, &good, none);
    assert!(matches!(error, Err(Error::TemperatureOutOfRange { .. })));
}

#[test]
fn a_row_that_is_not_read_may_hold_anything() {
    let student = array![[f16::ZERO, f16::ONE], [f16::NAN; 2]];
    let weights = array![1.0, 0.0];
    let target = Target::new().weights(&weights);
    let loss = KlDivergence::new(1.0).evaluate_stored(&student, &student, target);
    let loss = loss.unwrap();
    assert_eq!((loss.value, loss.grad), (0.0, Array2::zeros((2, 2))));
}
