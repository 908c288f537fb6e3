//! Similarity-preserving distillation: which examples excite the same activations.

use super::feature::{Sides, number, spread};
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::pairs::from_products;
use super::units::Units;
use crate::error::Result;
use crate::float::Float;

/// Similarity-preserving distillation: the squared distance of normalised similarities of examples.
///
/// ```text
/// G = X · Xᵀ, each row divided by its norm                             of each side
/// value = 1 / n² · |G_student − G_teacher|²                           (squared Frobenius norm)
/// ```
///
/// over features of shape `[batch, ..]`, each example flattened into a row of X; n is the number of
/// examples. Student and teacher may differ in all but the batch. Tung and Mori 2019,
/// <https://arxiv.org/abs/1907.09682>, with their mean over all n² elements.
///
/// An example of zeros has a row of zeros in G, and gradient 0.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same batch |
///
/// Row weights: one an example. An example of weight 0 is left out; any other weight counts as one.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{Loss, Output, SimilarityPreserving, Target};
///
/// let logits = Array2::<f64>::zeros((2, 1));
/// let student = Output::from(logits.clone()).with_feature("h", array![[1.0, 0.0], [0.0, 1.0]]);
/// let teacher = Output::from(logits).with_feature("h", array![[3.0], [-3.0]]);
/// let loss = SimilarityPreserving::new("h", "h").evaluate(&student, Target::from(&teacher))?;
/// assert!((loss.value - (1.0 - 0.5_f64.sqrt())).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarityPreserving {
    student: String,
    teacher: String,
}

impl SimilarityPreserving {
    /// The mean over all pairs.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
        }
    }
}

impl Inner for SimilarityPreserving {
    const NAME: &'static str = "similarity preserving";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let must = "have axes [batch, ..], none empty";
        let student = sides.student(&self.student)?.need_axes(2, must)?;
        let teacher = sides.teacher(&self.teacher)?.need_axes(2, must)?;
        student.same_leading(&teacher, 1)?;
        let batch = student.shape()[0];
        let examples = sides.examples(batch)?;
        let rows = student.chosen(&examples)?;
        let theirs = teacher.chosen(&examples)?;
        let ours = Units::new(rows.dot(&rows.t()));
        let theirs = Units::new(theirs.dot(&theirs.t()));
        let difference = &ours.rows - &theirs.rows;
        let share = number(examples.len() * examples.len()).max(1.0).recip();
        let value = share * difference.iter().map(|d| d * d).sum::<f64>();
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let m = ours.pull_back(difference * (2.0 * share));
        let grad = spread(from_products(&m, &rows), &examples, batch);
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(SimilarityPreserving);
