//! A temperature for each row, from what the networks say.
//!
//! For [`Target::temperatures`](super::Target). What comes out is data: no gradient flows through it.

use super::loss::check_temperature;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{Array1, ArrayRef2};

/// Temperatures by how sure the teacher is: higher where it is surer, so that it says more.
///
/// ```text
/// cᵢ = max softmax(z_teacher,i)        Tᵢ = base + spread · (cᵢ − mean of c)
/// ```
///
/// Logits have shape `[rows, classes]`. The mean of the temperatures is `base`.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::temperatures;
///
/// let teacher = array![[9.0_f64, 0.0, 0.0], [0.0, 0.0, 0.0]];
/// let t = temperatures::by_confidence(&teacher, 3.0, 1.0)?;
/// assert!(t[0] > 3.0 && t[1] < 3.0);
/// assert!((t.sum() - 6.0).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NotANumber`] and [`Error::Infinite`] for a logit that is NaN or +∞, [`Error::MaskedRow`] for a
/// row of −∞, [`Error::NoLogits`] without rows or classes, [`Error::TemperatureOutOfRange`] if a temperature
/// comes out that no loss takes.
pub fn by_confidence<F: Float>(
    teacher: &ArrayRef2<F>,
    base: f64,
    spread: f64,
) -> Result<Array1<F>> {
    check("teacher", "teacher logit", teacher)?;
    let sure = teacher.rows().into_iter().map(|row| {
        let most = row.iter().fold(F::neg_infinity(), |most, &z| most.max(z));
        let off = |z: &F| (z.widen() - most.widen()).exponential();
        row.iter().map(off).sum::<f64>().recip()
    });
    around(base, spread, &sure.collect::<Vec<f64>>())
}

/// Temperatures by how far the networks agree: higher where they do, so that the student learns finer
/// things there, lower where it has the large ones to learn.
///
/// ```text
/// cᵢ = −(1 − cos(z_student,i, z_teacher,i))^γ        Tᵢ = base + spread · (cᵢ − mean of c)
/// ```
///
/// Logits have shape `[rows, classes]`. The cosine of a row of zeros with anything is 0.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::temperatures;
///
/// let student = array![[1.0_f32, 0.0], [1.0, 0.0]];
/// let teacher = array![[2.0_f32, 0.0], [0.0, 2.0]];
/// let t = temperatures::by_agreement(&student, &teacher, 3.0, 1.0, 1.0)?;
/// assert_eq!((t[0], t[1]), (3.5, 2.5));
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`by_confidence`]; −∞ has no cosine and is [`Error::Infinite`] too. [`Error::ShapeMismatch`] if
/// the shapes differ, [`Error::NumberOutOfRange`] unless γ is positive and finite.
pub fn by_agreement<F: Float>(
    student: &ArrayRef2<F>,
    teacher: &ArrayRef2<F>,
    base: f64,
    spread: f64,
    gamma: f64,
) -> Result<Array1<F>> {
    let (ours, theirs) = (student.shape(), teacher.shape());
    shape::check_same("teacher logits", theirs, "student logits", ours)?;
    if !(gamma > 0.0 && gamma.is_finite()) {
        return Err(Error::NumberOutOfRange {
            what: "gamma",
            must: "positive and finite",
            value: gamma,
        });
    }
    for (side, what, logits) in [
        ("student", "student logit", student),
        ("teacher", "teacher logit", teacher),
    ] {
        check(side, what, logits)?;
        if let Some(((row, class), z)) = logits.indexed_iter().find(|(_, z)| z.is_infinite()) {
            let (index, value) = (vec![row, class], z.widen());
            return Err(Error::Infinite { what, index, value });
        }
    }
    let rows = student.rows().into_iter().zip(teacher.rows());
    let agreement = rows.map(|(s, t)| {
        // In parts of the largest, whose squares do not overflow.
        let unit = |row: &ndarray::ArrayRef1<F>| {
            let largest = row
                .iter()
                .fold(0.0_f64, |most, z| most.max(z.widen().abs()));
            if largest > 0.0 { largest } else { 1.0 }
        };
        let (by_s, by_t) = (unit(&s), unit(&t));
        let pairs = || {
            s.iter()
                .zip(&t)
                .map(|(s, t)| (s.widen() / by_s, t.widen() / by_t))
        };
        let product: f64 = pairs().map(|(s, t)| s * t).sum();
        let squares: f64 =
            pairs().map(|(s, _)| s * s).sum::<f64>() * pairs().map(|(_, t)| t * t).sum::<f64>();
        let cosine = if squares > 0.0 {
            (product / squares.sqrt()).clamp(-1.0, 1.0)
        } else {
            0.0
        };
        -(1.0 - cosine).powf(gamma)
    });
    around(base, spread, &agreement.collect::<Vec<f64>>())
}

fn check<F: Float>(side: &'static str, what: &'static str, logits: &ArrayRef2<F>) -> Result<()> {
    if logits.is_empty() {
        return Err(Error::NoLogits {
            shape: logits.shape().to_vec(),
        });
    }
    let bad = |z: &F| z.is_nan() || *z == F::infinity();
    if let Some(((row, class), z)) = logits.indexed_iter().find(|(_, z)| bad(z)) {
        return Err(Error::not_finite(what, vec![row, class], z.widen()));
    }
    let masked = |row: &ndarray::ArrayView1<'_, F>| row.iter().all(|&z| z == F::neg_infinity());
    match logits.rows().into_iter().position(|row| masked(&row)) {
        None => Ok(()),
        Some(row) => Err(Error::MaskedRow { side, row }),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of rows above 2⁵³ do not occur"
)]
fn around<F: Float>(base: f64, spread: f64, of: &[f64]) -> Result<Array1<F>> {
    let mean = of.iter().sum::<f64>() / of.len() as f64;
    let temperatures = of.iter().map(|c| {
        let temperature = base + spread * (c - mean);
        check_temperature::<F>(temperature).map(|()| F::cast(temperature))
    });
    temperatures.collect::<Result<Vec<F>>>().map(Array1::from)
}
