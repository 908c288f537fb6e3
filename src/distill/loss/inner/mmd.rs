//! Maximum mean discrepancy of channels: neuron selectivity transfer.

use super::feature::{Feature, Sides, number};
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::units::Units;
use crate::distill::loss::Reduction;
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::{Array2, Axis, s};

/// The kernel by which channels are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum MmdKernel {
    /// x · y: the distance of the mean channels.
    Linear,
    /// (x · y + offset) to the power of degree.
    Polynomial {
        /// The degree, 1 or more.
        degree: i32,
        /// What is added, finite.
        offset: f64,
    },
}

impl MmdKernel {
    fn check(self) -> Result<()> {
        match self {
            Self::Polynomial { degree, .. } if degree < 1 => Err(Error::NumberOutOfRange {
                what: "degree of the kernel",
                must: "at least 1",
                value: degree.into(),
            }),
            Self::Polynomial { offset, .. } if !offset.is_finite() => {
                Err(Error::NumberOutOfRange {
                    what: "offset of the kernel",
                    must: "finite",
                    value: offset,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Maximum mean discrepancy between the channels of student and teacher.
///
/// ```text
/// s_c, t_c = the activations of channel c at all places, divided by their norm
/// mmdᵢ = mean k(s, s′) + mean k(t, t′) − 2 · mean k(s, t)         over all pairs of channels
/// value = Σᵢ wᵢ · mmdᵢ / N                                       over examples i
/// ```
///
/// over features of shape `[batch, channels, ..]`: student and teacher may differ in channels, not in
/// the places behind them. Huang and Wang 2017, <https://arxiv.org/abs/1707.01219>; the polynomial
/// kernel of degree 2 without offset is theirs that did best, and the default. It is the (squared)
/// discrepancy, averaged over pairs of channels with themselves included, then over examples.
///
/// A channel of zeros stays zero and has gradient 0.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same batch and places |
/// | [`kernel`](Self::kernel) | k | (x · y)² | [`MmdKernel`] |
/// | [`reduction`](Self::reduction) | N, where a row is an example and an element a place | number of examples | [`Reduction`] |
///
/// Row weights: one an example.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{Loss, Mmd, Output, Target};
///
/// let logits = Array2::<f64>::zeros((1, 1));
/// let student = Output::from(logits.clone()).with_feature("map", array![[[1.0, 0.0]]]);
/// let teacher = Output::from(logits).with_feature("map", array![[[0.0, 2.0], [0.0, 5.0]]]);
/// let loss = Mmd::new("map", "map").evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, 1.0 + 1.0 - 2.0 * 0.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct Mmd {
    student: String,
    teacher: String,
    kernel: MmdKernel,
    reduction: Reduction,
}

impl Mmd {
    /// With the kernel (x · y)², the mean over examples.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        let (degree, offset) = (2, 0.0);
        Self {
            student: student.into(),
            teacher: teacher.into(),
            kernel: MmdKernel::Polynomial { degree, offset },
            reduction: Reduction::MeanOverRows,
        }
    }

    /// The same with another kernel.
    #[must_use]
    pub const fn kernel(mut self, kernel: MmdKernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The discrepancy of two sets of units, and its gradient with respect to the first.
    fn discrepancy(&self, ours: &Array2<f64>, theirs: &Array2<f64>) -> (f64, Array2<f64>) {
        let (our_count, their_count) = (number(ours.nrows()), number(theirs.nrows()));
        match self.kernel {
            MmdKernel::Linear => {
                let difference =
                    ours.sum_axis(Axis(0)) / our_count - theirs.sum_axis(Axis(0)) / their_count;
                let grad = &difference * (2.0 / our_count);
                let every = grad.broadcast(ours.raw_dim()).map(|g| g.to_owned());
                (difference.dot(&difference), every.unwrap_or_default())
            }
            MmdKernel::Polynomial { degree, offset } => {
                let products = |a: &Array2<f64>, b: &Array2<f64>| a.dot(&b.t()) + offset;
                let mean = |p: &Array2<f64>| {
                    p.iter().map(|p| p.powi(degree)).sum::<f64>() / number(p.len())
                };
                let (same, cross) = (products(ours, ours), products(ours, theirs));
                let value = mean(&same) + mean(&products(theirs, theirs)) - 2.0 * mean(&cross);
                let slope = |p: f64| f64::from(degree) * p.powi(degree - 1);
                let attracted = same.mapv(slope).dot(ours) * (2.0 / (our_count * our_count));
                let repelled = cross.mapv(slope).dot(theirs) * (2.0 / (our_count * their_count));
                (value.max(0.0), attracted - repelled)
            }
        }
    }
}

impl Inner for Mmd {
    const NAME: &'static str = "mmd";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        self.kernel.check()?;
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
        let channels = |feature: Feature<'_, F>| {
            let each = feature.shape()[1];
            let reads = |row: usize, _| shares[row / each] != 0.0;
            feature.matrix(examples * each, reads).map(Units::new)
        };
        let (ours, theirs) = (ours[1], theirs[1]);
        let (student, teacher) = (channels(student)?, channels(teacher)?);
        let mut by_unit = Array2::zeros(student.rows.raw_dim());
        let mut value = 0.0;
        for (example, &share) in shares.iter().enumerate() {
            if share == 0.0 {
                continue;
            }
            let our = s![example * ours..(example + 1) * ours, ..];
            let their = s![example * theirs..(example + 1) * theirs, ..];
            let (found, grad) = self.discrepancy(
                &student.rows.slice(our).to_owned(),
                &teacher.rows.slice(their).to_owned(),
            );
            value += share * found;
            by_unit.slice_mut(our).assign(&(grad * share));
        }
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let grad = student.pull_back(by_unit);
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(Mmd);
