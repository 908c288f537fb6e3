//! KL divergence and cross-entropy of attention distributions.

use super::feature::Sides;
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::mask::{Left, mask_settings};
use super::row_divergence::row_divergence;
use crate::distill::loss::Reduction;
use crate::error::Result;
use crate::float::Float;
use ndarray::Array2;

/// What is measured between two attention distributions. The gradient is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttentionMeasure {
    /// KL(teacher‖student): zero where they agree.
    #[default]
    KlDivergence,
    /// KL(teacher‖student) and the teacher's entropy.
    CrossEntropy,
}

/// KL divergence or cross-entropy between attention distributions of student and teacher.
///
/// ```text
/// p = softmax(a_teacher),  q = softmax(a_student)        over the keys that are not masked
/// value = Σᵢ wᵢ · KL(pᵢ‖qᵢ) / N      or      Σᵢ wᵢ · (−Σⱼ pᵢⱼ · ln qᵢⱼ) / N
/// ∂ value / ∂ a_student,i = wᵢ · (qᵢ − pᵢ) / N
/// ```
///
/// over features of shape `[batch, heads, queries, keys]` (any number of axes between the first and
/// the last two) that hold *scores before the softmax*. Where a model gives probabilities, their
/// logarithm will do: its softmax are the probabilities. MobileBERT, Sun et al. 2020,
/// <https://arxiv.org/abs/2004.02984>.
///
/// A masked entry is skipped: neither read nor multiplied by zero. Its key has probability 0 on both
/// sides. A query all of whose keys are masked is skipped and does not count in N.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same shape |
/// | [`measure`](Self::measure) | divergence or cross-entropy | divergence | |
/// | [`key_mask`](Self::key_mask) | keys to leave out | none | a feature of 0 and 1 |
/// | [`query_mask`](Self::query_mask) | queries to leave out | none | a feature of 0 and 1 |
/// | [`masked_at_or_below`](Self::masked_at_or_below) | scores to leave out | none | not NaN |
/// | [`reduction`](Self::reduction) | N, where a row is a query | queries compared | [`Reduction`] |
///
/// Row weights: for any number of leading axes, all but the last.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{AttentionKl, Loss, Output, Target};
///
/// let logits = Array2::<f64>::zeros((1, 1));
/// let student = Output::from(logits.clone()).with_feature("a", array![[[0.0, 0.0, -1e4]]]);
/// let teacher = Output::from(logits).with_feature("a", array![[[1.0, 0.0, -1e4]]]);
/// let loss = AttentionKl::new("a", "a").masked_at_or_below(-1e3);
/// let loss = loss.evaluate(&student, Target::from(&teacher))?;
/// assert!((loss.value - 0.110_944).abs() < 1e-6);
/// assert!((loss.grad.features["a"][[0, 0, 0]] + 0.231_059).abs() < 1e-6);
/// assert_eq!(loss.grad.features["a"][[0, 0, 2]], 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Where everything is masked there is no mean: [`Error::NoWeight`](crate::Error::NoWeight).
/// A score of −∞ that is not masked is [`Error::Infinite`](crate::Error::Infinite).
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionKl {
    student: String,
    teacher: String,
    measure: AttentionMeasure,
    left: Left,
    reduction: Reduction,
}

impl AttentionKl {
    /// The mean of the divergence over all queries.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            measure: AttentionMeasure::KlDivergence,
            left: Left::default(),
            reduction: Reduction::MeanOverRows,
        }
    }

    /// The same with another measure.
    #[must_use]
    pub const fn measure(mut self, measure: AttentionMeasure) -> Self {
        self.measure = measure;
        self
    }

    mask_settings!();

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

impl Inner for AttentionKl {
    const NAME: &'static str = "attention kl";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let names = (self.student.as_str(), self.teacher.as_str());
        let maps = self.left.read(sides, names, self.reduction)?;
        let keys = maps.keys;
        let mut grads = Vec::new();
        let (mut grad, mut scratch) = (vec![0.0; keys], vec![0.0; keys]);
        let mut value = 0.0;
        for (row, &share) in maps.shares.iter().enumerate() {
            if share == 0.0 {
                grads.extend(std::iter::repeat_n(0.0, keys));
                continue;
            }
            let range = row * keys..(row + 1) * keys;
            let compared = &maps.compared[range.clone()];
            let (student, teacher) = (&maps.student[range.clone()], &maps.teacher[range]);
            let keeps = |key: usize| compared[key];
            let found = row_divergence(student, teacher, keeps, &mut grad, &mut scratch);
            value += share
                * match self.measure {
                    AttentionMeasure::KlDivergence => found.kl,
                    AttentionMeasure::CrossEntropy => found.kl + found.entropy,
                };
            grads.extend(grad.iter().map(|g| share * g));
        }
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let mut all = Array2::zeros((maps.shares.len(), keys));
        all.iter_mut().zip(grads).for_each(|(to, from)| *to = from);
        Ok(Found::new(value, &self.student, all))
    }
}

inner_loss!(AttentionKl);
