//! The angle between hidden states.

use super::feature::Sides;
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::projection::{Projection, projection_settings};
use super::units::Units;
use crate::distill::loss::Reduction;
use crate::error::Result;
use crate::float::Float;

/// One minus the cosine between hidden states of student and teacher.
///
/// ```text
/// yᵢ = sᵢ · P + b                          (P and b if asked for; else yᵢ = sᵢ)
/// value = Σᵢ wᵢ · (1 − yᵢ · tᵢ / (|yᵢ| |tᵢ|)) / N
/// ```
///
/// with sᵢ and tᵢ the vectors along the last axis of the two features, shape `[.., width]`.
/// DistilBERT, Sanh et al. 2019, <https://arxiv.org/abs/1910.01108>.
///
/// Where both vectors are zero a row's value is 0, where one of them is it is 1, and its gradient is
/// 0 in both cases.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same leading axes |
/// | [`projection`](Self::projection) | a learned matrix P, as for [`HiddenMse`](super::HiddenMse) | none | `[student width, teacher width]` |
/// | [`bias`](Self::bias) | a learned vector b | none | `[teacher width]` |
/// | [`reduction`](Self::reduction) | N | number of rows | [`Reduction`] |
///
/// Row weights: for any number of leading axes, all but the last.
///
/// PyTorch: `cosine_embedding_loss(student, teacher, ones(rows))`, which adds a small number to norms.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{HiddenCosine, Loss, Output, Target};
///
/// let logits = Array2::<f64>::zeros((2, 1));
/// let student = Output::from(logits.clone()).with_feature("h", array![[2.0, 0.0], [0.0, 1.0]]);
/// let teacher = Output::from(logits).with_feature("h", array![[9.0, 0.0], [3.0, 0.0]]);
/// let loss = HiddenCosine::new("h", "h").evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, (0.0 + 1.0) / 2.0);
/// assert_eq!(loss.grad.features["h"], array![[0.0, 0.0], [-0.5, 0.0]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenCosine {
    student: String,
    teacher: String,
    projection: Projection,
    reduction: Reduction,
}

impl HiddenCosine {
    /// The mean over all vectors.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            projection: Projection::default(),
            reduction: Reduction::MeanOverRows,
        }
    }

    projection_settings!();

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

impl Inner for HiddenCosine {
    const NAME: &'static str = "hidden cosine";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let must = "have a last axis and one before it, none empty";
        let student = sides.student(&self.student)?.need_axes(2, must)?;
        let teacher = sides.teacher(&self.teacher)?.need_axes(2, must)?;
        let leading = student.shape().len() - 1;
        student.same_leading(&teacher, leading)?;
        let width = self.projection.width(sides, student.width())?;
        if teacher.shape().len() != leading + 1 || teacher.width() != width {
            return Err(student.differs(&teacher));
        }
        let weights = sides.row_weights(student.shape(), leading)?;
        let shape = (student.rows(leading), width);
        let shares = self.reduction.counted_shares(shape, weights.as_ref())?;
        let mut projected = self.projection.apply(sides, student.shared(&shares)?)?;
        let ours = Units::new(std::mem::take(&mut projected.rows));
        let theirs = Units::new(teacher.shared(&shares)?);
        let distances = ours.cosine_distances(&theirs);
        let value = distances.iter().zip(&shares).map(|(d, share)| d * share);
        let value = value.sum();
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let grad = ours.cosine_gradient(&theirs, &shares);
        let grads = self.projection.back(&self.student, &projected, grad);
        Ok(Found { value, grads })
    }
}

inner_loss!(HiddenCosine);
