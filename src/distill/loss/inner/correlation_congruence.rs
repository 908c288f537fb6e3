//! Correlation congruence: a kernel between examples.

use super::feature::{Sides, number, spread};
use super::found::{Found, Inner, Want, feature_errors, inner_loss};
use super::pairs::from_products;
use super::units::Units;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;

/// The kernel by which examples are compared: a function of the cosine c of two of them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CongruenceKernel {
    /// c itself.
    Bilinear,
    /// exp(−γ · |x − y|²) = exp(−2γ · (1 − c)) of the normalised vectors.
    Gaussian {
        /// γ, positive and finite.
        gamma: f64,
    },
    /// The Taylor series of the same in c, up to this power: exp(−2γ) · Σ_p (2γ · c)ᵖ / p!.
    GaussianTaylor {
        /// γ, positive and finite.
        gamma: f64,
        /// The last power.
        order: u8,
    },
}

impl CongruenceKernel {
    fn check(self) -> Result<()> {
        match self {
            Self::Gaussian { gamma } | Self::GaussianTaylor { gamma, .. }
                if !(gamma > 0.0 && gamma.is_finite()) =>
            {
                Err(Error::NumberOutOfRange {
                    what: "gamma of the kernel",
                    must: "positive and finite",
                    value: gamma,
                })
            }
            _ => Ok(()),
        }
    }

    fn value(self, cosine: f64) -> f64 {
        match self {
            Self::Bilinear => cosine,
            Self::Gaussian { gamma } => (2.0 * gamma * (cosine - 1.0)).exponential(),
            Self::GaussianTaylor { gamma, order } => series(gamma, cosine, order),
        }
    }

    fn slope(self, cosine: f64) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Gaussian { gamma } => 2.0 * gamma * self.value(cosine),
            // The derivative of the series is the series that ends one power earlier.
            Self::GaussianTaylor { order: 0, .. } => 0.0,
            Self::GaussianTaylor { gamma, order } => 2.0 * gamma * series(gamma, cosine, order - 1),
        }
    }
}

fn series(gamma: f64, cosine: f64, order: u8) -> f64 {
    let step = 2.0 * gamma * cosine;
    let mut sum = 1.0;
    for power in (1..=order).rev() {
        sum = 1.0 + sum * step / f64::from(power);
    }
    (-2.0 * gamma).exponential() * sum
}

/// Correlation congruence: the mean squared error of a kernel between all pairs of examples.
///
/// ```text
/// Cᵢⱼ = k(xᵢ / |xᵢ|, xⱼ / |xⱼ|)                                        of each side
/// value = 1 / n² · Σᵢⱼ (C_student,ij − C_teacher,ij)²
/// ```
///
/// over features of shape `[batch, ..]`, each example flattened; n is the number of examples. Student
/// and teacher may differ in all but the batch. Peng et al. 2019, <https://arxiv.org/abs/1904.01802>,
/// with their mean over all n² pairs and their kernel: the Gaussian with γ = 0.4 as a Taylor series up
/// to the square.
///
/// The cosine with a zero vector is 0, and the gradient there is 0.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `student`, `teacher` | names of the two features | none | same batch |
/// | [`kernel`](Self::kernel) | k | Taylor series, γ = 0.4, order 2 | [`CongruenceKernel`] |
///
/// Row weights: one an example. An example of weight 0 is left out; any other weight counts as one.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::{CongruenceKernel, CorrelationCongruence, Loss, Output, Target};
///
/// let logits = Array2::<f64>::zeros((2, 1));
/// let student = Output::from(logits.clone()).with_feature("h", array![[1.0, 0.0], [0.0, 1.0]]);
/// let teacher = Output::from(logits).with_feature("h", array![[3.0], [-3.0]]);
/// let loss = CorrelationCongruence::new("h", "h").kernel(CongruenceKernel::Bilinear);
/// let loss = loss.evaluate(&student, Target::from(&teacher))?;
/// assert_eq!(loss.value, (1.0 + 1.0) / 4.0);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
#[doc = feature_errors!()]
#[derive(Clone, Debug, PartialEq)]
pub struct CorrelationCongruence {
    student: String,
    teacher: String,
    kernel: CongruenceKernel,
}

impl CorrelationCongruence {
    /// The mean over all pairs, with the kernel of the paper.
    pub fn new(student: impl Into<String>, teacher: impl Into<String>) -> Self {
        let (gamma, order) = (0.4, 2);
        Self {
            student: student.into(),
            teacher: teacher.into(),
            kernel: CongruenceKernel::GaussianTaylor { gamma, order },
        }
    }

    /// The same with another kernel.
    #[must_use]
    pub const fn kernel(mut self, kernel: CongruenceKernel) -> Self {
        self.kernel = kernel;
        self
    }
}

impl Inner for CorrelationCongruence {
    const NAME: &'static str = "correlation congruence";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        self.kernel.check()?;
        let must = "have axes [batch, ..], none empty";
        let student = sides.student(&self.student)?.need_axes(2, must)?;
        let teacher = sides.teacher(&self.teacher)?.need_axes(2, must)?;
        student.same_leading(&teacher, 1)?;
        let batch = student.shape()[0];
        let examples = sides.examples(batch)?;
        let ours = Units::new(student.chosen(&examples)?);
        let theirs = Units::new(teacher.chosen(&examples)?);
        let cosines = ours.rows.dot(&ours.rows.t());
        let their_cosines = theirs.rows.dot(&theirs.rows.t());
        let kernel = self.kernel;
        let difference =
            cosines.mapv(|c| kernel.value(c)) - their_cosines.mapv(|c| kernel.value(c));
        let share = number(examples.len() * examples.len()).max(1.0).recip();
        let value = share * difference.iter().map(|d| d * d).sum::<f64>();
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        let m = difference * cosines.mapv(|c| kernel.slope(c)) * (2.0 * share);
        let grad = ours.pull_back(from_products(&m, &ours.rows));
        let grad = spread(grad, &examples, batch);
        Ok(Found::new(value, &self.student, grad))
    }
}

inner_loss!(CorrelationCongruence);
