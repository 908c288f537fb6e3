//! Mean squared error of attention scores.

use super::feature::Sides;
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::mask::{Left, mask_settings};
use crate::distill::loss::Reduction;
use crate::error::Result;
use crate::float::Float;
use ndarray::Array2;

/// Mean squared error between attention maps of student and teacher.
///
/// ```text
/// value = Σ w · (a_student − a_teacher)² / N       over all entries that are not masked
/// ∂ value / ∂ a_student = 2 · w · (a_student − a_teacher) / N
/// ```
///
/// over features of shape `[batch, heads, queries, keys]` (any number of axes between the first and
/// the last two). TinyBERT compares the scores before their softmax, Jiao et al. 2020,
/// <https://arxiv.org/abs/1909.10351>; probabilities are compared just so.
///
/// A masked entry is skipped: neither read nor multiplied by zero. It has gradient 0 and does not
/// count in N.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same shape |
/// | [`key_mask`](Self::key_mask) | keys to leave out | none | a feature of 0 and 1 |
/// | [`query_mask`](Self::query_mask) | queries to leave out | none | a feature of 0 and 1 |
/// | [`masked_at_or_below`](Self::masked_at_or_below) | scores to leave out | none | not NaN |
/// | [`reduction`](Self::reduction) | N, where a row is a query | entries compared | [`Reduction`] |
///
/// Row weights: for any number of leading axes, all but the last.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{AttentionMse, Loss, Output, Target};
///
/// let logits = Array2::<f64>::zeros((1, 1));
/// let student = Output::from(logits.clone()).with_feature("a", array![[[1.0, 2.0, 5.0]]]);
/// let teacher = Output::from(logits)
///     .with_feature("a", array![[[1.0, 4.0, f64::NEG_INFINITY]]])
///     .with_feature("mask", array![[1.0, 1.0, 0.0]]);
/// let loss = AttentionMse::new("a", "a").key_mask("mask");
/// let loss = loss.evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, (0.0 + 4.0) / 2.0);
/// assert_eq!(loss.grad.features["a"], array![[[0.0, -2.0, 0.0]]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Where everything is masked there is no mean: [`Error::NoWeight`](crate::Error::NoWeight).
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionMse {
    student: String,
    teacher: String,
    left: Left,
    reduction: Reduction,
}

impl AttentionMse {
    /// The mean over all entries that are not masked.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            left: Left::default(),
            reduction: Reduction::MeanOverElements,
        }
    }

    mask_settings!();

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

impl Inner for AttentionMse {
    const NAME: &'static str = "attention mse";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let names = (self.student.as_str(), self.teacher.as_str());
        let maps = self.left.read(sides, names, self.reduction)?;
        let gradient = want == Want::Gradient;
        let (rows, keys) = (maps.shares.len(), maps.keys);
        let mut grad = Array2::zeros(if gradient { (rows, keys) } else { (0, keys) });
        let mut value = 0.0;
        for (row, &share) in maps.shares.iter().enumerate() {
            let mut sum = 0.0;
            for key in 0..keys {
                let place = row * keys + key;
                if !maps.compared[place] {
                    continue;
                }
                let difference = maps.student[place] - maps.teacher[place];
                sum += difference * difference;
                if gradient {
                    grad[[row, key]] = 2.0 * share * difference;
                }
            }
            value += share * sum;
        }
        if !gradient {
            return Ok(Found::value(value));
        }
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(AttentionMse);
