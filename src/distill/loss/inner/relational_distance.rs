//! Relational distillation by distances.

use super::feature::{Sides, number, spread};
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::pairs::{from_squared_distances, huber, squared_distances};
use super::units::inverse;
use crate::error::Result;
use crate::float::Float;
use ndarray::{Array2, Zip};

/// Relational distillation by distances: Huber's function of how far examples are from each other.
///
/// ```text
/// ψᵢⱼ = |xᵢ − xⱼ| / μ,   μ = the mean of |xᵢ − xⱼ| over all i ≠ j        of each side
/// value = 1 / n² · Σᵢⱼ h(ψ_student,ij − ψ_teacher,ij),   h(x) = x²/2 up to |x| = 1, then |x| − ½
/// ```
///
/// over features of shape `[batch, ..]`, each example flattened; n is the number of examples. Student
/// and teacher may differ in all but the batch. Park et al. 2019, <https://arxiv.org/abs/1904.05068>,
/// sums over pairs; their code takes the mean over all n² of them (i = j adds 0), as here. The
/// gradient goes through μ as well.
///
/// Examples that coincide have distance 0 and no direction: they push nobody. Where all coincide, or
/// there is one only, ψ is 0.
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
/// use rarefy::distill::{Loss, Output, RelationalDistance, Target};
///
/// let logits = Array2::<f64>::zeros((3, 1));
/// let student = Output::from(logits.clone()).with_feature("h", array![[0.0], [1.0], [2.0]]);
/// let teacher = Output::from(logits).with_feature("h", array![[8.0, 0.0], [4.0, 0.0], [0.0, 0.0]]);
/// let loss = RelationalDistance::new("h", "h").evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, 0.0, "the same up to a scale and a turn");
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct RelationalDistance {
    student: String,
    teacher: String,
}

impl RelationalDistance {
    /// The mean over all pairs.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
        }
    }
}

/// Distances divided by their mean over different examples, and that mean.
fn scaled(rows: &Array2<f64>) -> (Array2<f64>, f64) {
    let distances = squared_distances(rows).mapv_into(f64::sqrt);
    let count = rows.nrows();
    let pairs = count * count.saturating_sub(1);
    let mean = distances.sum() / number(pairs.max(1));
    let scale = inverse(mean);
    (distances * scale, mean)
}

impl Inner for RelationalDistance {
    const NAME: &'static str = "relational distance";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let must = "have axes [batch, ..], none empty";
        let student = sides.student(&self.student)?.need_axes(2, must)?;
        let teacher = sides.teacher(&self.teacher)?.need_axes(2, must)?;
        student.same_leading(&teacher, 1)?;
        let batch = student.shape()[0];
        let examples = sides.examples(batch)?;
        let rows = student.chosen(&examples)?;
        let (ours, mean) = scaled(&rows);
        let (theirs, _) = scaled(&teacher.chosen(&examples)?);
        let count = examples.len();
        let share = number(count * count).max(1.0).recip();
        let apart = &ours - &theirs;
        let value = share * apart.iter().map(|&x| huber(x).0).sum::<f64>();
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        // By ψ, then by the distance, which is also in μ, then by its square.
        let mut m = apart.mapv_into(|x| share * huber(x).1);
        let pairs = number(count * count.saturating_sub(1)).max(1.0);
        let through_mean = m.iter().zip(&ours).map(|(m, psi)| m * psi).sum::<f64>() / pairs;
        let scale = inverse(mean);
        Zip::from(&mut m).and(&ours).for_each(|m, &psi| {
            let distance = psi * mean;
            *m = (*m - through_mean) * scale * 0.5 * inverse(distance);
        });
        let grad = from_squared_distances(&m, &rows);
        let grad = spread(grad, &examples, batch);
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(RelationalDistance);
