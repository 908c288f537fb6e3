//! One row of classes that do not exclude one another: a KL for each, of logistic probabilities.
//!
//! ```text
//! value = Σ_c softplus(s) − softplus(t) + σ(t)·(t − s)        ∂ / ∂s = σ(s) − σ(t)
//! ```
//!
//! with s and t the logits over the temperature and softplus(x) = ln(1 + eˣ). Called with f64 only, as
//! the terms cancel.

use super::sums::{BLOCK, LANES, add};
use super::{Fault, Side, Store};
use crate::kernels::dispatch::vectorize;
use crate::kernels::real::Real;

/// The value, and `factor` times the gradient if it is asked for.
pub(super) fn row<F: Real>(
    student: &[F],
    teacher: &[F],
    inverse_temperature: F,
    gradient: Option<(F, Store, &mut [F])>,
) -> Result<f64, Fault> {
    check(student, teacher)?;
    let ruled_out = ruled_out(student, teacher);
    if let (Some(class), true) = (ruled_out, gradient.is_some()) {
        let side = Side::Student;
        return Err(Fault::RuledOut { side, class });
    }
    let mut sums = [0.0; LANES];
    vectorize(
        #[inline(always)]
        || {
            let mut gradient = gradient;
            let (mut values, mut slopes) = ([F::zero(); BLOCK], [F::zero(); BLOCK]);
            for start in (0..student.len()).step_by(BLOCK) {
                let end = student.len().min(start + BLOCK);
                let pairs = student[start..end].iter().zip(&teacher[start..end]);
                let found = values.iter_mut().zip(&mut slopes);
                for ((value, slope), (&s, &t)) in found.zip(pairs) {
                    let (s, t) = (s * inverse_temperature, t * inverse_temperature);
                    [*value, *slope] = class(s, t);
                }
                let (values, slopes) = (&values[..end - start], &slopes[..end - start]);
                add(
                    &mut sums,
                    [values],
                    #[inline(always)]
                    |[value]| value.widen(),
                );
                if let Some((factor, store, gradient)) = &mut gradient {
                    for (g, &slope) in gradient[start..end].iter_mut().zip(slopes) {
                        *g = match store {
                            Store::Write => *factor * slope,
                            Store::Add => *g + *factor * slope,
                        };
                    }
                }
            }
        },
    );
    Ok(if ruled_out.is_some() {
        f64::INFINITY
    } else {
        sums.iter().sum::<f64>().max(0.0)
    })
}

/// Fails for NaN and +∞. Here every logit may be −∞.
pub(super) fn check<F: Real>(student: &[F], teacher: &[F]) -> Result<(), Fault> {
    for (side, logits) in [(Side::Student, student), (Side::Teacher, teacher)] {
        let is_logit = |&z: &F| z < F::infinity();
        if !logits.iter().fold(true, |all, z| all & is_logit(z)) {
            let class = logits.iter().position(|z| !is_logit(z)).unwrap_or(0);
            return Err(Fault::NotALogit { side, class });
        }
    }
    Ok(())
}

/// The first class that the student rules out and the teacher does not.
pub(super) fn ruled_out<F: Real>(student: &[F], teacher: &[F]) -> Option<usize> {
    let nothing = F::neg_infinity();
    super::logits::ruled_out(student, nothing, teacher, nothing)
}

/// The value of one class and its slope, q − p.
#[inline(always)]
fn class<F: Real>(s: F, t: F) -> [F; 2] {
    // From the exponentials that do not overflow.
    let (es, et) = ((-s.abs()).exponential(), (-t.abs()).exponential());
    let logistic = |x: F, e: F| {
        let share = (F::one() + e).recip();
        if x < F::zero() { e * share } else { share }
    };
    let positive = |x: F| if x > F::zero() { x } else { F::zero() };
    let (q, p) = (logistic(s, es), logistic(t, et));
    // A class that both mask has probability 0 here, and 0 · (−∞ + ∞) is not wanted.
    let apart = if p > F::zero() {
        p * (t - s)
    } else {
        F::zero()
    };
    let softplus_s = positive(s) + es.logarithm_1p();
    let softplus_t = positive(t) + et.logarithm_1p();
    [softplus_s - softplus_t + apart, q - p]
}
