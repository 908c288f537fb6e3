//! KL divergence to a teacher's likeliest classes and one bucket for all the others.

use super::reduction::Shares;
use super::top_k::check_top_k;
use super::{Loss, LossValue, Reduction};
use crate::distill::faults::error_of;
use crate::distill::{Output, Target, TopKTarget};
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::divergence::{FaultyRow, Store};
use crate::kernels::real::Real;
use crate::kernels::tail::TailRows;
use ndarray::{Array2, ArrayRef2};
use std::borrow::Cow;

const NAME: &str = "tail bucket divergence";

/// Forward KL divergence to a teacher's k likeliest classes and the sum of all the others.
///
/// ```text
/// p_tail = 1 − Σ p_c,   q_tail = Σ q_c over the other classes,   q = softmax(z_student)
/// valueᵢ = Σ_c p_c · (ln p_c − ln q_c) + p_tail · (ln p_tail − ln q_tail)
/// ∂ valueᵢ / ∂ z_c = q_c − p_c for the k classes, (q_tail − p_tail) · q_c / q_tail for the others
/// ```
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | [`reduction`](Self::reduction) | what the sum over rows is divided by | the number of rows | [`Reduction`] |
///
/// It is never more than [`KlDivergence`](super::KlDivergence) over all classes, because to sum
/// classes is to forget something, and it is equal to that with k = all classes. The other classes
/// are pushed up or down together, each in proportion to what the student gives it.
///
/// There is no temperature: p_tail at another temperature than 1 depends on each of the classes that
/// the target no longer has. [`TopKDivergence`](super::TopKDivergence) has one.
///
/// The student's tail is summed, not taken from 1, and keeps its digits however small it is. The
/// teacher's is −expm1(ln Σ p), as exact as its log-probabilities are. Where it is at most 16 units of
/// the last place of 1 (2e-6 in f32, 4e-15 in f64), or k is all classes, there is none, and the k
/// probabilities are divided by their sum.
///
/// A student's logit of −∞ for a class that the teacher gives a probability makes the value +∞; so does
/// a student that masks every other class where the teacher's tail is not 0 (the first of them is
/// named). Asking for the gradient is an error then.
///
/// That grouping never adds to a divergence: Kullback and Leibler 1951,
/// <https://doi.org/10.1214/aoms/1177729694>.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{Loss, Output, TailBucketDivergence, Target, TopKTarget};
///
/// let teacher = array![[0.5_f64, 0.25]].mapv(f64::ln);
/// let target = TopKTarget::new(4, array![[2, 0]], teacher)?;
/// let student = Output::from(array![[0.0, 0.0, 0.0, 0.0]]);
/// let loss = TailBucketDivergence::new().evaluate(&student, Target::new().top_k(&target))?;
/// // ½ ln 2 + ¼ ln 1 + ¼ ln ½
/// assert!((loss.value - 0.25 * 2.0_f64.ln()).abs() < 1e-12);
/// assert!((loss.grad.logits[[0, 2]] + 0.25).abs() < 1e-12);
/// assert!((loss.grad.logits[[0, 1]] - 0.125).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::MissingTarget`]: the target has no top-k classes.
/// * [`Error::ShapeMismatch`]: they are of another number of rows or classes than the student's logits.
/// * [`Error::NoLogits`]: no rows or no classes.
/// * [`Error::NotANumber`], [`Error::Infinite`]: a student logit is NaN or +∞.
/// * [`Error::MaskedRow`]: every student logit of a row is −∞.
/// * [`Error::InfiniteLoss`]: see above.
/// * [`Error::WrongCount`], [`Error::RowWeightOutOfRange`], [`Error::NoWeight`],
///   [`Error::NumberOutOfRange`]: weights of rows, or what the loss is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TailBucketDivergence {
    reduction: Reduction,
}

/// Student, target and what each row counts.
struct Batch<'a, F: Float> {
    student: Cow<'a, [F]>,
    indices: Cow<'a, [u32]>,
    log_probabilities: Cow<'a, [F]>,
    classes: usize,
    k: usize,
    shares: Vec<f64>,
    reads: Vec<bool>,
}

impl TailBucketDivergence {
    /// The divergence averaged over rows.
    pub const fn new() -> Self {
        Self {
            reduction: Reduction::MeanOverRows,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    fn batch<'a, F: Float>(
        &self,
        student: &'a ArrayRef2<F>,
        top_k: &'a TopKTarget<F>,
        target: Target<'_, F>,
    ) -> Result<Batch<'a, F>> {
        check_top_k(student, top_k)?;
        let Shares { shares, reads } = self.reduction.shares(student.dim(), target, |_| false)?;
        Ok(Batch {
            shares,
            reads,
            student: array::elements(student),
            indices: array::elements(top_k.indices()),
            log_probabilities: array::elements(top_k.log_probabilities()),
            classes: top_k.classes(),
            k: top_k.k(),
        })
    }
}

impl<F: Float> Batch<'_, F> {
    fn rows(&self) -> TailRows<'_, F> {
        TailRows {
            student: &self.student,
            classes: self.classes,
            indices: &self.indices,
            log_probabilities: &self.log_probabilities,
            k: self.k,
        }
    }

    fn reads(&self) -> impl Fn(usize) -> bool + Sync + '_ {
        |row| self.reads[row]
    }

    fn sum(&self, values: &[f64]) -> F {
        // A row of weight 0 has value 0, never infinity, so nothing becomes NaN here.
        let pairs = values.iter().zip(&self.shares);
        F::cast(pairs.map(|(value, share)| value * share).sum())
    }

    fn value(&self) -> Result<F> {
        let values = self.rows().values(self.reads());
        Ok(self.sum(&values.map_err(|faulty| self.error(faulty))?))
    }

    /// `scale` times the gradient, into `grad` or onto it.
    fn gradient(&self, scale: F, store: Store, grad: &mut ArrayRef2<F>) -> Result<F> {
        let scale = scale.widen();
        let factors: Vec<f64> = self.shares.iter().map(|share| share * scale).collect();
        let values = array::update(grad, |grad| {
            self.rows().gradient(&factors, self.reads(), store, grad)
        });
        Ok(self.sum(&values.map_err(|faulty| self.error(faulty))?))
    }

    fn error(&self, faulty: FaultyRow) -> Error {
        // A target's numbers were checked when it was made.
        let first = faulty.row * self.classes;
        error_of(faulty, |_, class| self.student[first + class].widen())
    }
}

impl<F: Float> Loss<F> for TailBucketDivergence {
    fn evaluate(&self, student: &Output<F>, target: Target<'_, F>) -> Result<LossValue<F>> {
        let batch = self.batch(&student.logits, target.need_top_k(NAME)?, target)?;
        let mut grad = Array2::zeros(student.logits.raw_dim());
        let value = batch.gradient(F::one(), Store::Write, &mut grad)?;
        let grad = student.like(grad);
        Ok(LossValue { value, grad })
    }

    fn evaluate_into(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
        grad: &mut Output<F>,
    ) -> Result<F> {
        grad.check_like(student)?;
        let batch = self.batch(&student.logits, target.need_top_k(NAME)?, target)?;
        for feature in grad.features.values_mut() {
            feature.fill(F::zero());
        }
        batch.gradient(F::one(), Store::Write, &mut grad.logits)
    }

    fn accumulate(
        &self,
        student: &Output<F>,
        target: Target<'_, F>,
        scale: F,
        grad: &mut Output<F>,
    ) -> Result<F> {
        grad.check_like(student)?;
        let batch = self.batch(&student.logits, target.need_top_k(NAME)?, target)?;
        batch.gradient(scale, Store::Add, &mut grad.logits)
    }

    fn value(&self, student: &Output<F>, target: Target<'_, F>) -> Result<F> {
        self.batch(&student.logits, target.need_top_k(NAME)?, target)?
            .value()
    }
}
