//! One row: squared differences of logits.

use super::sums::{LANES, add};
use super::{Fault, Side, Store};
use crate::kernels::dispatch::vectorize;
use crate::kernels::real::Real;

/// Σ (s − t)², and `factor` times its gradient 2·(s − t) if it is asked for.
pub(super) fn row<F: Real>(
    student: &[F],
    teacher: &[F],
    gradient: Option<(F, Store, &mut [F])>,
) -> Result<f64, Fault> {
    check(student, teacher)?;
    let mut sums = [0.0; LANES];
    vectorize(
        #[inline(always)]
        || {
            add(
                &mut sums,
                [student, teacher],
                #[inline(always)]
                |[s, t]| {
                    let apart = s.widen() - t.widen();
                    apart * apart
                },
            );
            if let Some((factor, store, gradient)) = gradient {
                let twice = factor + factor;
                for (g, (&s, &t)) in gradient.iter_mut().zip(student.iter().zip(teacher)) {
                    let term = twice * (s - t);
                    *g = match store {
                        Store::Write => term,
                        Store::Add => *g + term,
                    };
                }
            }
        },
    );
    Ok(sums.iter().sum())
}

/// Fails at a logit that is not finite: there is no distance to −∞.
pub(super) fn check<F: Real>(student: &[F], teacher: &[F]) -> Result<(), Fault> {
    for (side, logits) in [(Side::Student, student), (Side::Teacher, teacher)] {
        let finite = vectorize(
            #[inline(always)]
            || logits.iter().fold(true, |all, z| all & z.is_finite()),
        );
        if !finite {
            let class = logits.iter().position(|z| !z.is_finite()).unwrap_or(0);
            return Err(Fault::NotALogit { side, class });
        }
    }
    Ok(())
}
