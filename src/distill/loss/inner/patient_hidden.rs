//! Patient distillation: normalised hidden states of the first position.

use super::feature::{Feature, Sides};
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::units::Units;
use crate::distill::loss::Reduction;
use crate::error::Result;
use crate::float::Float;
use ndarray::{Array2, s};

/// Patient knowledge distillation: the squared distance of normalised hidden states.
///
/// ```text
/// value = Σᵢ wᵢ · |sᵢ / |sᵢ| − tᵢ / |tᵢ||² / N
/// ```
///
/// with sᵢ and tᵢ the vectors of example i: features of shape `[batch, width]`, or the first position
/// of features of shape `[batch, time, width]`, where BERT has its summary. No other position is read.
/// Sun et al. 2019, <https://arxiv.org/abs/1908.09355>, sums over examples; the default here is the
/// mean over them. A loss for each pair of layers, in a [`WeightedSum`](super::super::WeightedSum), is
/// the whole method.
///
/// A zero vector stays zero and has gradient 0.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same batch and width |
/// | [`reduction`](Self::reduction) | N, where a row is an example | number of examples | [`Reduction`] |
///
/// Row weights: one an example.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{Loss, Output, PatientHidden, Target};
///
/// let logits = Array2::<f64>::zeros((1, 1));
/// let student = Output::from(logits.clone()).with_feature("h", array![[[2.0, 0.0], [7.0, 7.0]]]);
/// let teacher = Output::from(logits).with_feature("h", array![[0.0, 3.0]]);
/// let loss = PatientHidden::new("h", "h").evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, 2.0);
/// assert_eq!(loss.grad.features["h"], array![[[0.0, -1.0], [0.0, 0.0]]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct PatientHidden {
    student: String,
    teacher: String,
    reduction: Reduction,
}

impl PatientHidden {
    /// The mean over examples.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            reduction: Reduction::MeanOverRows,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

impl Inner for PatientHidden {
    const NAME: &'static str = "patient hidden";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let must = "have shape [batch, width] or [batch, time, width], none empty";
        let student = sides.student(&self.student)?.need_axes(2, must)?;
        let teacher = sides.teacher(&self.teacher)?.need_axes(2, must)?;
        for feature in [&student, &teacher] {
            if feature.shape().len() > 3 {
                return Err(feature.unfit(must));
            }
        }
        let (examples, width) = (student.shape()[0], student.width());
        if (teacher.shape()[0], teacher.width()) != (examples, width) {
            return Err(student.differs(&teacher));
        }
        let weights = sides.row_weights(student.shape(), 1)?;
        let shares = self
            .reduction
            .counted_shares((examples, width), weights.as_ref())?;
        let first = |feature: Feature<'_, F>| -> Result<Units> {
            let reads = |row: usize, column| shares[row] != 0.0 && column < width;
            let rows = feature.matrix(examples, reads)?;
            Ok(Units::new(rows.slice(s![.., ..width]).to_owned()))
        };
        let (ours, theirs) = (first(student)?, first(teacher)?);
        let mut difference = &ours.rows - &theirs.rows;
        let mut value = 0.0;
        for (mut row, &share) in difference.rows_mut().into_iter().zip(&shares) {
            if share != 0.0 {
                value += share * row.dot(&row);
            }
            row.mapv_inplace(|d| 2.0 * share * d);
        }
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let length = student.array().len() / examples;
        let mut grad = Array2::zeros((examples, length));
        let firsts = s![.., ..width];
        grad.slice_mut(firsts).assign(&ours.pull_back(difference));
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(PatientHidden);
