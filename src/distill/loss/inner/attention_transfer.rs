//! Attention transfer: where the activations of a convolution are large.

use super::feature::Sides;
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::units::Units;
use crate::distill::loss::Reduction;
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::{Array2, ArrayRef2};

/// Attention transfer: the squared distance of normalised maps of activity.
///
/// ```text
/// mᵢⱼ = Σ_c |aᵢ_cⱼ|ᵖ                        the activity of example i at place j, over channels c
/// value = Σᵢ wᵢ · |m_student,i / |m_student,i| − m_teacher,i / |m_teacher,i||² / N
/// ```
///
/// over features of shape `[batch, channels, ..]`: student and teacher may differ in channels, not in
/// the places behind them. Zagoruyko and Komodakis 2017, <https://arxiv.org/abs/1612.03928>. The paper
/// writes the norm without its square and a factor β/2; its authors' code squares and takes the mean
/// over examples and places, as here by default.
///
/// An example without any activity has a map of zeros, and gradient 0.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same batch and places |
/// | [`power`](Self::power) | p | 2 | 1 and above, finite |
/// | [`reduction`](Self::reduction) | N, where a row is an example and an element a place | examples · places | [`Reduction`] |
///
/// Row weights: one an example. At p = 1 the gradient of |a| at 0 is 0.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{AttentionTransfer, Loss, Output, Target};
///
/// let logits = Array2::<f64>::zeros((1, 1));
/// let student = Output::from(logits.clone()).with_feature("map", array![[[1.0, 0.0]]]);
/// let teacher = Output::from(logits).with_feature("map", array![[[0.0, 1.0], [0.0, 5.0]]]);
/// let loss = AttentionTransfer::new("map", "map").evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, (1.0 + 1.0) / 2.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionTransfer {
    student: String,
    teacher: String,
    power: f64,
    reduction: Reduction,
}

impl AttentionTransfer {
    /// Of squared activations, the mean over examples and places.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        Self {
            student: student.into(),
            teacher: teacher.into(),
            power: 2.0,
            reduction: Reduction::MeanOverElements,
        }
    }

    /// The same with another power of the magnitudes.
    #[must_use]
    pub const fn power(mut self, power: f64) -> Self {
        self.power = power;
        self
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    fn maps(&self, activations: &ArrayRef2<f64>, places: usize) -> Units {
        let mut maps = Array2::zeros((activations.nrows(), places));
        for (mut map, row) in maps.rows_mut().into_iter().zip(activations.rows()) {
            for (index, activation) in row.iter().enumerate() {
                map[index % places] += self.raised(activation.abs(), self.power);
            }
        }
        Units::new(maps)
    }

    fn raised(&self, magnitude: f64, power: f64) -> f64 {
        // The usual case, exactly and without a logarithm.
        if self.power == 2.0 {
            return if power == 2.0 {
                magnitude * magnitude
            } else {
                magnitude
            };
        }
        magnitude.powf(power)
    }
}

impl Inner for AttentionTransfer {
    const NAME: &'static str = "attention transfer";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        let power = self.power;
        if !(power >= 1.0 && power.is_finite()) {
            return Err(Error::NumberOutOfRange {
                what: "power",
                must: "at least 1 and finite",
                value: power,
            });
        }
        let must = "have axes [batch, channels, ..], none empty";
        let student = sides.student(&self.student)?.need_axes(2, must)?;
        let teacher = sides.teacher(&self.teacher)?.need_axes(2, must)?;
        let (ours, theirs) = (student.shape(), teacher.shape());
        if ours[0] != theirs[0] || ours[2..] != theirs[2..] {
            return Err(student.differs(&teacher));
        }
        let (examples, places) = (ours[0], ours[2..].iter().product());
        let weights = sides.row_weights(ours, 1)?;
        let shares = self
            .reduction
            .counted_shares((examples, places), weights.as_ref())?;
        let activations = student.shared(&shares)?;
        let student = self.maps(&activations, places);
        let teacher = self.maps(&teacher.shared(&shares)?, places);
        let mut difference = &student.rows - &teacher.rows;
        let mut value = 0.0;
        for (mut row, &share) in difference.rows_mut().into_iter().zip(&shares) {
            value += share * row.dot(&row);
            row.mapv_inplace(|d| 2.0 * share * d);
        }
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let by_map = student.pull_back(difference);
        let mut grad = activations;
        for (mut row, by_map) in grad.rows_mut().into_iter().zip(by_map.rows()) {
            for (index, activation) in row.iter_mut().enumerate() {
                let magnitude = activation.abs();
                let slope = if magnitude == 0.0 {
                    0.0
                } else {
                    power * self.raised(magnitude, power - 1.0) * activation.signum()
                };
                *activation = by_map[index % places] * slope;
            }
        }
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(AttentionTransfer);
