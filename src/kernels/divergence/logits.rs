//! One row: its largest logit, and what makes it unusable.

use super::general::{Pair, class_ruled_out};
use super::row::Scratch;
use super::{Fault, Given, RowAgainst, Side, decoupled, sigmoid, squares};
use crate::kernels::dispatch::vectorize;
use crate::kernels::real::Real;

/// Extremes in flight.
const LANES: usize = 16;

/// The largest logit; a fault if there is a NaN or +∞, or nothing but −∞.
#[inline(always)]
pub(in crate::kernels) fn largest<F: Real>(logits: &[F], side: Side) -> Result<F, Fault> {
    let (mut most, mut fault) = ([F::neg_infinity(); LANES], [F::zero(); LANES]);
    let (groups, rest) = logits.as_chunks::<LANES>();
    for group in groups {
        (most, fault) = take(most, fault, group);
    }
    let mut last = [F::neg_infinity(); LANES];
    last[..rest.len()].copy_from_slice(rest);
    (most, fault) = take(most, fault, &last);
    if fault.iter().any(|&fault| fault != F::zero()) {
        // Finding it again costs nothing: this happens once.
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

/// The index of the largest logit, the first of them on a tie. Not for NaN.
#[inline(always)]
pub(in crate::kernels) fn first_largest<F: Real>(logits: &[F]) -> usize {
    let mut most = [F::neg_infinity(); LANES];
    let (groups, rest) = logits.as_chunks::<LANES>();
    for group in groups {
        for (most, &logit) in most.iter_mut().zip(group) {
            *most = if logit > *most { logit } else { *most };
        }
    }
    let most = most
        .iter()
        .chain(rest)
        .copied()
        .fold(F::neg_infinity(), F::max);
    // Group by group: a search that may end at any logit looks at one at a time.
    let group = groups.iter().position(|group| {
        group
            .iter()
            .fold(false, |found, &logit| found | (logit == most))
    });
    let start = group.unwrap_or(groups.len()) * LANES;
    start
        + logits[start..]
            .iter()
            .position(|&logit| logit == most)
            .unwrap_or(0)
}

/// A loop for each extreme, and a number for each verdict: one loop, or flags, do not become vectors.
#[inline(always)]
fn take<F: Real>(
    mut most: [F; LANES],
    mut fault: [F; LANES],
    logits: &[F; LANES],
) -> ([F; LANES], [F; LANES]) {
    for (most, &logit) in most.iter_mut().zip(logits) {
        *most = if logit > *most { logit } else { *most };
    }
    for (fault, &logit) in fault.iter_mut().zip(logits) {
        // NaN fails every comparison.
        *fault = if logit < F::infinity() {
            *fault
        } else {
            F::one()
        };
    }
    (most, fault)
}

/// The first class for which one side has `nothing` and the other more.
pub(super) fn ruled_out<F: Real>(
    side: &[F],
    nothing: F,
    other: &[F],
    nothing_there: F,
) -> Option<usize> {
    let found = vectorize(
        #[inline(always)]
        || {
            let mut found = false;
            for (&z, &other) in side.iter().zip(other) {
                found |= (z == nothing) & (other > nothing_there);
            }
            found
        },
    );
    let rules_out = |(&z, &other): (&F, &F)| z == nothing && other > nothing_there;
    // All in one loop first: a search that may end at any class looks at one at a time.
    found
        .then(|| side.iter().zip(other).position(rules_out))
        .flatten()
}

/// Fails unless every number is finite and not negative and one is positive.
#[inline(always)]
pub(super) fn probabilities_are_fine<F: Real>(probabilities: &[F]) -> Result<(), Fault> {
    let fine = |&p: &F| (p >= F::zero()) & (p < F::infinity());
    if !probabilities.iter().fold(true, |all, p| all & fine(p)) {
        let class = probabilities.iter().position(|p| !fine(p)).unwrap_or(0);
        return Err(Fault::NotAProbability { class });
    }
    if probabilities.iter().all(|&p| p == F::zero()) {
        return Err(Fault::AllMasked {
            side: Side::Teacher,
        });
    }
    Ok(())
}

/// Fails unless a row has a largest logit.
fn checked<F: Real>(logits: &[F], side: Side) -> Result<(), Fault> {
    vectorize(
        #[inline(always)]
        || largest(logits, side).map(|_| ()),
    )
}

/// Everything that makes a row unusable for a gradient, without exponentials but for the decoupled
/// divergence.
pub(crate) fn find_fault<F: Real>(student: &[F], against: RowAgainst<'_, F>) -> Result<(), Fault> {
    let none = F::neg_infinity();
    let refuse = |side, class: Option<usize>| match class {
        None => Ok(()),
        Some(class) => Err(Fault::RuledOut { side, class }),
    };
    match against {
        RowAgainst::Label { label, smoothing } => {
            checked(student, Side::Student)?;
            if smoothing > F::zero() {
                refuse(Side::Student, student.iter().position(|&z| z == none))
            } else {
                refuse(Side::Student, (student[label] == none).then_some(label))
            }
        }
        RowAgainst::Logits { teacher, .. } => {
            checked(student, Side::Student)?;
            checked(teacher, Side::Teacher)?;
            refuse(Side::Student, ruled_out(student, none, teacher, none))
        }
        RowAgainst::Divergence {
            kind,
            teacher,
            given,
            inverse_temperature,
        } => {
            checked(student, Side::Student)?;
            match given {
                Given::Logits | Given::LogProbabilities => checked(teacher, Side::Teacher)?,
                Given::Probabilities => probabilities_are_fine(teacher)?,
            }
            let pair = Pair {
                student,
                teacher,
                given,
                inverse_temperature,
            };
            match class_ruled_out(pair, kind) {
                None => Ok(()),
                Some((side, class)) => Err(Fault::RuledOut { side, class }),
            }
        }
        RowAgainst::Squares { teacher } => squares::check(student, teacher),
        RowAgainst::Decoupled { .. } => {
            decoupled::row(student, against, &mut Scratch::default(), None)?
                .check()
                .map(|_| ())
        }
        RowAgainst::Sigmoid { teacher, .. } => {
            sigmoid::check(student, teacher)?;
            refuse(Side::Student, sigmoid::ruled_out(student, teacher))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LANES, first_largest};

    #[test]
    fn the_first_of_the_largest_is_found_in_any_group() {
        for len in [1, LANES - 1, LANES, 3 * LANES + 5] {
            for first in 0..len {
                let mut logits = vec![-1.0_f32; len];
                logits[first..].iter_mut().step_by(3).for_each(|z| *z = 2.0);
                assert_eq!(first_largest(&logits), first, "{len} logits");
            }
            assert_eq!(first_largest(&vec![f32::NEG_INFINITY; len]), 0);
        }
    }
}
