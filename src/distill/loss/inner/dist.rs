//! DIST: correlations of predictions within and between examples.

use super::feature::{Sides, number, spread};
use super::found::{Found, Inner, Part, Want, inner_loss};
use super::units::Units;
use crate::distill::loss::TemperatureFactor;
use crate::distill::loss::check_temperature;
use crate::distill::loss::rows::check_not_empty;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{Array2, ArrayRef2, Axis};

/// DIST: one minus Pearson's correlation of the predictions, by example and by class.
///
/// ```text
/// p = softmax(z / T)                                                 of each side
/// inter = 1 / rows · Σᵢ (1 − ρ(p_student of example i, p_teacher of example i))
/// intra = 1 / classes · Σ_c (1 − ρ(p_student of class c, p_teacher of class c))
/// value = T² · (β · inter + γ · intra)
/// ```
///
/// over the *logits* of both outputs, `[rows, classes]`. Huang et al. 2022,
/// <https://arxiv.org/abs/2205.10536>, whose code adds a small number to norms. T² is from that code,
/// too; [`temperature_factor`](Self::temperature_factor) leaves it out.
///
/// Where all numbers of a vector are equal it has no correlation: ρ counts as 1 if that is so on both
/// sides and as 0 if on one, and the gradient is 0. That is how one class, and one row, end.
///
/// A logit of −∞ is a class that is masked; it has probability 0 and gradient 0.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both logits are divided by it | none | positive, finite |
/// | [`temperature_factor`](Self::temperature_factor) | multiply value and gradient by T²? | yes | |
/// | [`inter`](Self::inter) β | weight of the correlation within examples | 1 | finite |
/// | [`intra`](Self::intra) γ | weight of the correlation within classes | 1 | finite |
///
/// Row weights: a row of weight 0 is left out; any other weight counts as one.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{Dist, Loss, Output, Target};
///
/// let student = Output::from(array![[1.0_f64, 2.0, 0.0], [3.0, 0.0, 1.0]]);
/// let teacher = Output::from(array![[2.0, 4.0, 0.0], [6.0, 0.0, 2.0]]);
/// let loss = Dist::new(1.0).evaluate(&student, Target::from(&teacher))?;
/// assert!(loss.value > 0.0 && loss.value < 0.1);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::TemperatureOutOfRange`]: T is zero, negative, infinite or NaN.
/// * [`Error::NumberOutOfRange`]: β or γ is infinite or NaN.
/// * [`Error::ShapeMismatch`]: teacher and student logits have different shapes.
/// * [`Error::NoLogits`]: no rows or no classes.
/// * [`Error::NotANumber`], [`Error::Infinite`]: a logit is NaN or +∞.
/// * [`Error::MaskedRow`]: every logit of a row is −∞.
/// * [`Error::WrongCount`], [`Error::RowWeightOutOfRange`]: weights of rows.
/// * [`Error::Feature`]: the result does not fit the float.
/// * [`Error::MissingTarget`]: the target has no teacher output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dist {
    temperature: f64,
    factor: TemperatureFactor,
    inter: f64,
    intra: f64,
}

impl Dist {
    /// Both correlations with weight 1 at this temperature, times T².
    pub const fn new(temperature: f64) -> Self {
        Self {
            temperature,
            factor: TemperatureFactor::Squared,
            inter: 1.0,
            intra: 1.0,
        }
    }

    /// The same with another weight of the correlation within each example.
    #[must_use]
    pub const fn inter(mut self, weight: f64) -> Self {
        self.inter = weight;
        self
    }

    /// The same with another weight of the correlation within each class.
    #[must_use]
    pub const fn intra(mut self, weight: f64) -> Self {
        self.intra = weight;
        self
    }

    /// The same with or without T².
    #[must_use]
    pub const fn temperature_factor(mut self, factor: TemperatureFactor) -> Self {
        self.factor = factor;
        self
    }

    fn check(&self) -> Result<()> {
        let temperature = self.temperature;
        check_temperature::<f64>(temperature)?;
        for (what, value) in [("weight inter", self.inter), ("weight intra", self.intra)] {
            if !value.is_finite() {
                let must = "finite";
                return Err(Error::NumberOutOfRange { what, must, value });
            }
        }
        Ok(())
    }

    /// The softmax of the chosen rows at the temperature.
    fn probabilities<F: Float>(
        &self,
        logits: &ArrayRef2<F>,
        rows: &[usize],
        (side, what): (&'static str, &'static str),
    ) -> Result<Array2<f64>> {
        let mut probabilities = Array2::zeros((rows.len(), logits.ncols()));
        for (mut to, &row) in probabilities.rows_mut().into_iter().zip(rows) {
            let mut most = f64::NEG_INFINITY;
            for (class, &logit) in logits.row(row).iter().enumerate() {
                let (value, index) = (logit.widen(), vec![row, class]);
                if value.is_nan() {
                    return Err(Error::NotANumber { what, index });
                }
                if value == f64::INFINITY {
                    return Err(Error::Infinite { what, index, value });
                }
                most = most.max(value);
            }
            if most == f64::NEG_INFINITY {
                return Err(Error::MaskedRow { side, row });
            }
            for (to, &logit) in to.iter_mut().zip(logits.row(row)) {
                *to = ((logit.widen() - most) / self.temperature).exponential();
            }
            let total = to.sum();
            to.mapv_inplace(|e| e / total);
        }
        Ok(probabilities)
    }
}

/// Each row less its mean, as units; exactly zero where all its numbers are equal.
fn centred(mut rows: Array2<f64>) -> Units {
    for mut row in rows.rows_mut() {
        let first = row.first().copied().unwrap_or(0.0);
        let mean = if row.iter().all(|&x| x == first) {
            first
        } else {
            row.sum() / number(row.len())
        };
        row.mapv_inplace(|x| x - mean);
    }
    Units::new(rows)
}

/// The sum of 1 − correlation over rows, and `share` times that's gradient.
fn apart(student: Array2<f64>, teacher: Array2<f64>, share: f64) -> (f64, Array2<f64>) {
    let (ours, theirs) = (centred(student), centred(teacher));
    let sum = ours.cosine_distances(&theirs).iter().sum::<f64>();
    let shares = vec![share; ours.norms.len()];
    let mut grad = ours.cosine_gradient(&theirs, &shares);
    // Back through the mean.
    for mut row in grad.rows_mut() {
        let mean = row.sum() / number(row.len());
        row.mapv_inplace(|g| g - mean);
    }
    (share * sum, grad)
}

impl Inner for Dist {
    const NAME: &'static str = "dist";

    fn find<'a, F: Float>(&'a self, sides: &Sides<'_, F>, want: Want) -> Result<Found<'a>> {
        self.check()?;
        let (ours, theirs) = (&sides.student.logits, &sides.teacher.logits);
        shape::check_same(
            "teacher logits",
            theirs.shape(),
            "student logits",
            ours.shape(),
        )?;
        check_not_empty(ours.dim())?;
        let (batch, classes) = ours.dim();
        let rows = sides.examples(batch)?;
        let q = self.probabilities(ours, &rows, ("student", "student logit"))?;
        let p = self.probabilities(theirs, &rows, ("teacher", "teacher logit"))?;
        let factor = match self.factor {
            TemperatureFactor::Squared => self.temperature * self.temperature,
            TemperatureFactor::One => 1.0,
        };
        let inter = factor * self.inter / number(rows.len()).max(1.0);
        let intra = factor * self.intra / number(classes);
        let turned = |a: &Array2<f64>| a.t().as_standard_layout().into_owned();
        let (by_class, class_grad) = apart(turned(&q), turned(&p), intra);
        let (by_row, mut grad) = apart(q.clone(), p, inter);
        let value = by_row + by_class;
        if want == Want::Value {
            return Ok(Found::value(value));
        }
        grad += &class_grad.t();
        // Back through the softmax.
        let along = (&grad * &q).sum_axis(Axis(1)).insert_axis(Axis(1));
        let grad = (grad - along) * q / self.temperature;
        let grads = vec![(Part::Logits, spread(grad, &rows, batch))];
        Ok(Found { value, grads })
    }
}

inner_loss!(Dist);
