//! Relational distillation by angles.

use super::feature::{Sides, number, spread};
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::pairs::{from_squared_distances, huber, squared_distances};
use super::units::inverse;
use crate::error::Result;
use crate::float::Float;
use ndarray::Array2;

/// Relational distillation by angles: Huber's function of the angles that examples make.
///
/// ```text
/// ψᵢⱼₖ = cos of the angle at xⱼ between xᵢ and xₖ                     of each side
/// value = 1 / n³ · Σᵢⱼₖ h(ψ_student,ijk − ψ_teacher,ijk),   h(x) = x²/2 up to |x| = 1, then |x| − ½
/// ```
///
/// over features of shape `[batch, ..]`, each example flattened; n is the number of examples. Student
/// and teacher may differ in all but the batch. Park et al. 2019, <https://arxiv.org/abs/1904.05068>,
/// sums over triples; their code takes the mean over all n³ of them, as here.
///
/// Where xⱼ coincides with xᵢ or xₖ there is no angle: ψ is 0 and so is its gradient.
///
/// Angles come from distances by the law of cosines, so the time is n³ + n² · width and memory n².
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
/// use rarefy::distill::{Loss, Output, RelationalAngle, Target};
///
/// let logits = Array2::<f64>::zeros((3, 1));
/// let right = array![[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]];
/// let student = Output::from(logits.clone()).with_feature("h", right);
/// let teacher = Output::from(logits).with_feature("h", array![[1.0], [0.0], [-1.0]]);
/// let loss = RelationalAngle::new("h", "h").evaluate(&student, Target::from(&teacher))?;
/// assert!(loss.value > 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct RelationalAngle {
    student: String,
    teacher: String,
}

impl RelationalAngle {
    /// The mean over all triples.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
        }
    }
}

/// Squared distances, and inverses of distances: 0 for points that coincide.
struct Triangles {
    squares: Array2<f64>,
    inverses: Array2<f64>,
}

impl Triangles {
    fn new(rows: &Array2<f64>) -> Self {
        let squares = squared_distances(rows);
        let inverses = squares.mapv(|square| inverse(square.sqrt()));
        Self { squares, inverses }
    }

    /// The cosine at j between i and k.
    fn cosine(&self, i: usize, j: usize, k: usize) -> f64 {
        let (a, b) = (self.inverses[[j, i]], self.inverses[[j, k]]);
        // Products of two factors each, so that neither leaves the range.
        let squares = self.squares[[j, i]] + self.squares[[j, k]] - self.squares[[i, k]];
        0.5 * (squares * a) * b
    }
}

impl Inner for RelationalAngle {
    const NAME: &'static str = "relational angle";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let must = "have axes [batch, ..], none empty";
        let student = sides.student(&self.student)?.need_axes(2, must)?;
        let teacher = sides.teacher(&self.teacher)?.need_axes(2, must)?;
        student.same_leading(&teacher, 1)?;
        let batch = student.shape()[0];
        let examples = sides.examples(batch)?;
        let rows = student.chosen(&examples)?;
        let ours = Triangles::new(&rows);
        let theirs = Triangles::new(&teacher.chosen(&examples)?);
        let count = examples.len();
        let share = number(count * count * count).max(1.0).recip();
        let mut m = Array2::zeros((count, count));
        let mut sum = 0.0;
        for j in 0..count {
            for i in 0..count {
                // i = k is an angle of nothing, or none where the points coincide.
                let is_angle = |side: &Triangles| side.inverses[[j, i]] != 0.0;
                if is_angle(&ours) != is_angle(&theirs) {
                    sum += huber(1.0).0;
                }
                for k in 0..i {
                    // (i, j, k) and (k, j, i).
                    let cosine = ours.cosine(i, j, k);
                    let (height, slope) = huber(cosine - theirs.cosine(i, j, k));
                    sum += 2.0 * height;
                    if want == Want::Gradient {
                        let slope = 2.0 * share * slope;
                        let (a, b) = (ours.inverses[[j, i]], ours.inverses[[j, k]]);
                        m[[j, i]] += slope * 0.5 * a * (b - cosine * a);
                        m[[j, k]] += slope * 0.5 * b * (a - cosine * b);
                        m[[i, k]] -= slope * 0.5 * a * b;
                    }
                }
            }
        }
        let value = share * sum;
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let grad = from_squared_distances(&m, &rows);
        let grad = spread(grad, &examples, batch);
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(RelationalAngle);
