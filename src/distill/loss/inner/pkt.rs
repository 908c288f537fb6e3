//! Probabilistic knowledge transfer: who is whose neighbour.

use super::feature::{Sides, number, spread};
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::pairs::from_products;
use super::units::Units;
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::{Array2, Zip};

/// Probabilistic knowledge transfer: KL divergence of how likely each example picks each other one.
///
/// ```text
/// Kᵢⱼ = (cos(xᵢ, xⱼ) + 1) / 2 + ε
/// pᵢⱼ = Kᵢⱼ / Σ_{k ≠ i} Kᵢₖ   for j ≠ i                                of each side
/// value = 1 / n · Σᵢ Σ_{j ≠ i} p_teacher,ij · ln(p_teacher,ij / p_student,ij)
/// ```
///
/// over features of shape `[batch, ..]`, each example flattened; n is the number of examples. Student
/// and teacher may differ in all but the batch. Passalis and Tefas 2018,
/// <https://arxiv.org/abs/1803.10837>, sums over examples; here it is the mean over them. Their code
/// leaves i = j in and takes the mean over n² elements.
///
/// ε keeps the divergence finite where vectors are opposite. The cosine with a zero vector is 0, and
/// the gradient there is 0.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same batch |
/// | [`epsilon`](Self::epsilon) | ε | 1e-7 | positive, finite |
///
/// Row weights: one an example. An example of weight 0 is left out; any other weight counts as one.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{Loss, Output, Pkt, Target};
///
/// let logits = Array2::<f64>::zeros((3, 1));
/// let student = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
/// let student = Output::from(logits.clone()).with_feature("h", student);
/// let teacher = Output::from(logits).with_feature("h", array![[1.0], [2.0], [-1.0]]);
/// let loss = Pkt::new("h", "h").evaluate(&student, Target::from(&teacher))?;
/// assert!(loss.value > 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct Pkt {
    student: String,
    teacher: String,
    epsilon: f64,
}

impl Pkt {
    /// The mean over examples.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            epsilon: 1e-7,
        }
    }

    /// The same with another number added to each similarity.
    #[must_use]
    pub const fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Similarities and probabilities, both 0 on the diagonal.
    fn picks(&self, units: &Units) -> (Array2<f64>, Array2<f64>) {
        let mut similar = units.rows.dot(&units.rows.t());
        // Rounding may bring a cosine below −1.
        similar.mapv_inplace(|cosine| (cosine.max(-1.0) + 1.0) * 0.5 + self.epsilon);
        similar.diag_mut().fill(0.0);
        let mut likely = similar.clone();
        for mut row in likely.rows_mut() {
            let total = row.sum();
            if total > 0.0 {
                row.mapv_inplace(|similar| similar / total);
            }
        }
        (similar, likely)
    }
}

impl Inner for Pkt {
    const NAME: &'static str = "pkt";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(Error::NumberOutOfRange {
                what: "epsilon",
                must: "positive and finite",
                value: self.epsilon,
            });
        }
        let must = "have axes [batch, ..], none empty";
        let student = sides.student(&self.student)?.need_axes(2, must)?;
        let teacher = sides.teacher(&self.teacher)?.need_axes(2, must)?;
        student.same_leading(&teacher, 1)?;
        let batch = student.shape()[0];
        let examples = sides.examples(batch)?;
        let ours = Units::new(student.chosen(&examples)?);
        let theirs = Units::new(teacher.chosen(&examples)?);
        let (similar, q) = self.picks(&ours);
        let (_, p) = self.picks(&theirs);
        let share = number(examples.len()).max(1.0).recip();
        let mut value = 0.0;
        for (p, q) in p.rows().into_iter().zip(q.rows()) {
            let others = p.iter().zip(q).filter(|(p, _)| **p > 0.0);
            // A divergence is not negative; its rounding error may be.
            value += share * others.map(|(p, q)| p * (p / q).ln()).sum::<f64>().max(0.0);
        }
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let mut m = q;
        Zip::from(&mut m)
            .and(&p)
            .and(&similar)
            .for_each(|m, &p, &similar| {
                // The diagonal has no similarity, and no part in anything.
                let by_similarity = if similar > 0.0 {
                    (*m - p) / similar
                } else {
                    0.0
                };
                *m = 0.5 * share * by_similarity;
            });
        let grad = ours.pull_back(from_products(&m, &ours.rows));
        let grad = spread(grad, &examples, batch);
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(Pkt);
