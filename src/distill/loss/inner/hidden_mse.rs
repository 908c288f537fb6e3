//! Mean squared error of hidden states.

use super::feature::Sides;
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::projection::{Projection, projection_settings};
use crate::distill::loss::Reduction;
use crate::error::Result;
use crate::float::Float;
use ndarray::Zip;

/// Mean squared error between a hidden state of the student and one of the teacher.
///
/// ```text
/// yᵢ = sᵢ · P + b                          (P and b if asked for; else yᵢ = sᵢ)
/// value = Σᵢ wᵢ · |yᵢ − tᵢ|² / N
/// ∂ value / ∂ yᵢ = 2 · wᵢ · (yᵢ − tᵢ) / N
/// ```
///
/// with sᵢ and tᵢ the vectors along the last axis of the two features, shape `[.., width]`. FitNets,
/// Romero et al. 2015, <https://arxiv.org/abs/1412.6550>; TinyBERT, Jiao et al. 2020,
/// <https://arxiv.org/abs/1909.10351>.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same leading axes |
/// | [`projection`](Self::projection) | a learned matrix P | none | `[student width, teacher width]` |
/// | [`bias`](Self::bias) | a learned vector b | none | `[teacher width]` |
/// | [`reduction`](Self::reduction) | N | rows · teacher width | [`Reduction`] |
///
/// Row weights: for any number of leading axes, all but the last.
///
/// *The learned projection.* This crate owns no parameters, so P is yours, and it travels as what it
/// is to the loss: a named part of the student's output. Put it into
/// [`Output::features`](crate::distill::Output::features) in `forward`, and take its gradient from
/// the same name in `backward`.
///
/// PyTorch: `mse_loss(student @ P + b, teacher)`.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{HiddenMse, Loss, Output, Target};
///
/// let logits = Array2::<f64>::zeros((2, 1));
/// let student = Output::from(logits.clone())
///     .with_feature("layer 1", array![[1.0], [2.0]])
///     .with_feature("proj", array![[1.0, -1.0]]);
/// let teacher = Output::from(logits).with_feature("layer 4", array![[1.0, 0.0], [2.0, 0.0]]);
/// let loss = HiddenMse::new("layer 1", "layer 4").projection("proj");
/// let loss = loss.evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, (1.0 + 4.0) / 4.0);
/// assert_eq!(loss.grad.features["layer 1"], array![[0.5], [1.0]].into_dyn());
/// assert_eq!(loss.grad.features["proj"], array![[0.0, -2.5]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenMse {
    student: String,
    teacher: String,
    projection: Projection,
    reduction: Reduction,
}

impl HiddenMse {
    /// The mean over all elements of the teacher's feature.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            projection: Projection::default(),
            reduction: Reduction::MeanOverElements,
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

impl Inner for HiddenMse {
    const NAME: &'static str = "hidden mse";

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
        let projected = self.projection.apply(sides, student.shared(&shares)?)?;
        let mut difference = &projected.rows - &teacher.shared(&shares)?;
        let mut value = 0.0;
        for (mut row, &share) in difference.rows_mut().into_iter().zip(&shares) {
            if share == 0.0 {
                // A bias makes it other than 0.
                row.fill(0.0);
                continue;
            }
            value += share * row.dot(&row);
            if want == Want::Gradient {
                Zip::from(&mut row).for_each(|d| *d *= 2.0 * share);
            }
        }
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let grads = self.projection.back(&self.student, &projected, difference);
        Ok(Found { value, grads })
    }
}

inner_loss!(HiddenMse);
