//! One row: its largest logit, and what makes it unusable.

use super::{Fault, RowAgainst, Side};
use crate::kernels::real::Real;

/// Extremes in flight.
const LANES: usize = 16;

/// The largest logit; a fault if there is a NaN or +∞, or nothing but −∞.
#[inline(always)]
pub(super) fn largest<F: Real>(logits: &[F], side: Side) -> Result<F, Fault> {
    let mut most = [F::neg_infinity(); LANES];
    let mut all_logits = [true; LANES];
    let (groups, rest) = logits.as_chunks::<LANES>();
    for group in groups {
        for lane in 0..LANES {
            most[lane] = if group[lane] > most[lane] {
                group[lane]
            } else {
                most[lane]
            };
            all_logits[lane] &= group[lane] < F::infinity();
        }
    }
    for (lane, &logit) in rest.iter().enumerate() {
        most[lane] = if logit > most[lane] {
            logit
        } else {
            most[lane]
        };
        all_logits[lane] &= logit < F::infinity();
    }
    if all_logits.contains(&false) {
        // Finding it again costs nothing: this happens once. NaN fails every comparison.
        let class = logits
            .iter()
            .position(|&z| z.is_nan() || z == F::infinity())
            .unwrap_or(0);
        return Err(Fault::NotALogit { side, class });
    }
    let most = most.into_iter().fold(F::neg_infinity(), F::max);
    if most == F::neg_infinity() {
        Err(Fault::AllMasked { side })
    } else {
        Ok(most)
    }
}

/// The first class that the teacher allows and the student rules out.
pub(super) fn ruled_out<F: Real>(student: &[F], teacher: &[F]) -> usize {
    let none = F::neg_infinity();
    student
        .iter()
        .zip(teacher)
        .position(|(&s, &t)| s == none && t > none)
        .unwrap_or(0)
}

#[inline(always)]
pub(super) fn find_fault<F: Real>(student: &[F], against: RowAgainst<'_, F>) -> Result<(), Fault> {
    largest(student, Side::Student)?;
    let none = F::neg_infinity();
    match against {
        RowAgainst::Logits { teacher, .. } => {
            largest(teacher, Side::Teacher)?;
            let mut found = false;
            for (&s, &t) in student.iter().zip(teacher) {
                found |= (s == none) & (t > none);
            }
            if found {
                return Err(Fault::RuledOut {
                    class: ruled_out(student, teacher),
                });
            }
        }
        RowAgainst::Label(class) => {
            if student[class] == none {
                return Err(Fault::RuledOut { class });
            }
        }
    }
    Ok(())
}
