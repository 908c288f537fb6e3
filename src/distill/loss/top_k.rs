//! KL divergence to a teacher's likeliest classes, the others forgotten on both sides.
//!
//! What is conditional on a set depends on the logits of the set alone. So the student's are gathered
//! and the rest is the ordinary divergence over k classes.

use super::logits::Logits;
use super::rows::{Against, Batch, check_not_empty};
use super::settings::{Settings, settings};
use super::{Loss, LossValue, TemperatureFactor};
use crate::distill::{Output, Target, TopKTarget};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::divergence::{Given, Kind, Store};
use crate::kernels::top_k::gather;
use crate::shape;
use ndarray::{Array2, ArrayRef1, ArrayRef2};

const NAME: &str = "top-k divergence";

/// Forward KL divergence to a teacher's likeliest classes, given that it is one of them.
///
/// ```text
/// over the k classes c of row i:   p = softmax(log p_teacher / T),   q = softmax(z_student / T)
/// valueᵢ = T² · Σ_c p_ic · (ln p_ic − ln q_ic)
/// ∂ valueᵢ / ∂ z_ic = T · (q_ic − p_ic),   0 for every other class
/// ```
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | logits and log-probabilities are divided by it | none | positive, finite |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`](super::Reduction) |
///
/// Only k logits of a row are read, so what the student says of the other classes, NaN too, does not
/// matter: nothing teaches it that they are unlikely. [`TailBucketDivergence`](super::TailBucketDivergence)
/// does; so does a mix with [`CrossEntropy`](super::CrossEntropy). Any temperature is exact, because
/// the constant between logits and log-probabilities falls out. With k = all classes it is
/// [`KlDivergence`](super::KlDivergence).
///
/// Masked classes are as there: a student's logit of −∞ for a class that the teacher gives a
/// probability makes the value +∞, and its gradient an error that names row and class.
/// [`Reduction::MeanOverElements`](super::Reduction::MeanOverElements) divides by rows · all classes.
///
/// Hinton, Vinyals and Dean 2015, <https://arxiv.org/abs/1503.02531>. That targets cut off so are
/// biased, because their share of the rest is given to the few, is in Anshumann et al. 2025,
/// <https://arxiv.org/abs/2503.16870>.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{Loss, Output, Target, TopKDivergence, TopKTarget};
///
/// let teacher = array![[2.0_f64, -5.0, 0.0, -5.0]];
/// let student = Output::from(array![[0.0_f64, 7.0, 0.0, -7.0]]);
/// let target = TopKTarget::from_logits(&teacher, 2)?;
/// let loss = TopKDivergence::new(2.0).evaluate(&student, Target::new().top_k(&target))?;
/// assert!((loss.value - 0.443_776).abs() < 1e-6);
/// assert_eq!(loss.grad.logits[[0, 1]], 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::MissingTarget`]: the target has no top-k classes.
/// * [`Error::ShapeMismatch`]: they are of another number of rows or classes than the student's logits.
/// * [`Error::TemperatureOutOfRange`]: T is not in the range of [`KlDivergence`](super::KlDivergence).
/// * [`Error::NoLogits`]: no rows or no classes.
/// * [`Error::NotANumber`], [`Error::Infinite`]: a student logit of one of the k classes is NaN or +∞.
/// * [`Error::MaskedRow`]: all the student's logits of the k classes are −∞.
/// * [`Error::InfiniteLoss`]: see above.
/// * [`Error::WrongCount`], [`Error::RowWeightOutOfRange`], [`Error::NoWeight`],
///   [`Error::NumberOutOfRange`]: weights of rows, or what the loss is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopKDivergence {
    settings: Settings,
}

impl TopKDivergence {
    /// The divergence at this temperature, averaged over rows, times T².
    pub const fn new(temperature: f64) -> Self {
        Self {
            settings: Settings::new(temperature),
        }
    }

    /// The value and its gradient by the logits of the k classes alone, of shape `[rows, k]`.
    ///
    /// Entry `[i, j]` of the gradient belongs to student logit `[i, target.indices()[[i, j]]]`; it is 0
    /// for all others. No array of the size of the logits is written, so this costs k and not the
    /// number of classes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::distill::{TopKDivergence, TopKTarget};
    ///
    /// let target = TopKTarget::from_logits(&array![[9.0_f32, 0.0, 0.0, 9.0]], 2)?;
    /// let student = array![[0.0_f32, 5.0, -3.0, 1.0]];
    /// let loss = TopKDivergence::new(1.0).evaluate_sparse(&student, &target, None)?;
    /// assert_eq!(target.indices(), array![[0, 3]]);
    /// assert!((loss.grad[[0, 1]] - 0.231_058).abs() < 1e-6);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`TopKDivergence`].
    pub fn evaluate_sparse<F: Float>(
        &self,
        student: &ArrayRef2<F>,
        target: &TopKTarget<F>,
        weights: Option<&ArrayRef1<F>>,
    ) -> Result<LossValue<F, Array2<F>>> {
        let mut rows = Target::new();
        rows.weights = weights;
        self.sparse(student, target, rows, F::one())
    }

    fn sparse<F: Float>(
        &self,
        student: &ArrayRef2<F>,
        top_k: &TopKTarget<F>,
        target: Target<'_, F>,
        scale: F,
    ) -> Result<LossValue<F, Array2<F>>> {
        let mut grad = Array2::zeros(top_k.indices().raw_dim());
        let value = self.with_batch(student, top_k, target, |batch| {
            batch.gradient(scale, Store::Write, &mut grad)
        })?;
        Ok(LossValue { value, grad })
    }

    fn with_batch<F: Float, R>(
        &self,
        student: &ArrayRef2<F>,
        top_k: &TopKTarget<F>,
        target: Target<'_, F>,
        work: impl FnOnce(&Batch<'_, F>) -> Result<R>,
    ) -> Result<R> {
        let temperatures = self.settings.temperatures(student.nrows(), target)?;
        check_top_k(student, top_k)?;
        let shares = self
            .settings
            .reduction
            .shares(student.dim(), target, |_| false)?;
        let gathered = gathered(student, top_k)?;
        let against = Against::Teacher {
            kind: Kind::Forward,
            numbers: Logits::Own(top_k.log_probabilities()).numbers(),
            given: Given::Logits,
        };
        let squared = self.settings.factor == TemperatureFactor::Squared;
        let batch = Batch::new(
            Logits::Own(&gathered),
            against,
            shares,
            &temperatures,
            squared,
        )?;
        work(&batch).map_err(|error| by_class(error, top_k))
    }
}

settings!(TopKDivergence,);

/// Fails unless the target is for logits of this shape, and there are any.
pub(super) fn check_top_k<F: Float>(student: &ArrayRef2<F>, target: &TopKTarget<F>) -> Result<()> {
    let shape = [target.rows(), target.classes()];
    shape::check_same("top-k target", &shape, "student logits", student.shape())?;
    check_not_empty(student.dim())
}

/// The student's logits of the k classes of each row.
fn gathered<F: Float>(student: &ArrayRef2<F>, target: &TopKTarget<F>) -> Result<Array2<F>> {
    let indices = target.indices();
    let shape = indices.dim();
    let logits = match (student.as_slice(), indices.as_slice()) {
        (Some(logits), Some(indices)) => gather(logits, target.classes(), indices, target.k()),
        _ => indices
            .indexed_iter()
            .map(|((row, _), &class)| student[[row, class as usize]])
            .collect(),
    };
    Array2::from_shape_vec(shape, logits).map_err(|_| Error::ShapeOverflow {
        shape: vec![shape.0, shape.1],
    })
}

/// An error about one of k gathered logits, in terms of the classes that they are of.
fn by_class<F: Float>(error: Error, target: &TopKTarget<F>) -> Error {
    let class_of = |row: usize, place: usize| {
        let class = target.indices().get([row, place]);
        class.map_or(place, |&class| class as usize)
    };
    let named = |index: Vec<usize>| match index[..] {
        [row, place] => vec![row, class_of(row, place)],
        _ => index,
    };
    match error {
        Error::NotANumber { what, index } => {
            let index = named(index);
            Error::NotANumber { what, index }
        }
        Error::Infinite { what, index, value } => {
            let index = named(index);
            Error::Infinite { what, index, value }
        }
        Error::MaskedRow { row, .. } => {
            let side = "student top-k";
            Error::MaskedRow { side, row }
        }
        Error::InfiniteLoss { side, row, class } => {
            let class = class_of(row, class);
            Error::InfiniteLoss { side, row, class }
        }
        error => error,
    }
}

fn scatter<F: Float>(onto: &mut Array2<F>, grad: &Array2<F>, target: &TopKTarget<F>) {
    for (((row, _), &class), &g) in target.indices().indexed_iter().zip(grad) {
        onto[[row, class as usize]] += g;
    }
}

impl<F: Float> Loss<F> for TopKDivergence {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        let top_k = target.need_top_k(NAME)?;
        let sparse = self.sparse(&student.logits, top_k, target, F::one())?;
        let mut grad = student.zeros_like();
        scatter(&mut grad.logits, &sparse.grad, top_k);
        let value = sparse.value;
        Ok(LossValue { value, grad })
    }

    fn accumulate(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
        scale: F,
        grad: &mut Output<F>,
    ) -> Result<F> {
        grad.check_like(student)?;
        let top_k = target.need_top_k(NAME)?;
        let sparse = self.sparse(&student.logits, top_k, target, scale)?;
        scatter(&mut grad.logits, &sparse.grad, top_k);
        Ok(sparse.value)
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        let top_k = target.need_top_k(NAME)?;
        self.with_batch(&student.logits, top_k, target, |batch| batch.value())
    }
}
