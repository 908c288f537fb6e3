//! What several members say about the same rows, made into one.
//!
//! The mean of probabilities stays in log space. With m the largest logit of a member's row, Z its
//! Σ exp((z − m)/T) and w the member's share,
//!
//! ```text
//! aₖ = (zₖ − mₖ)/T − ln Zₖ + ln wₖ            logit = T · ln Σₖ exp aₖ
//! ```
//!
//! and the largest aₖ of each class is taken off before the exponential. Everything runs in f64.

use super::dispatch::vectorize;
use super::divergence::logits::largest;
use super::divergence::{Fault, FaultyRow, Side};
use super::parallel::{CHUNK, map_chunks_mut};
use super::real::Real;

/// Sums in flight. Fixed, so that every instruction set adds in the same order.
const LANES: usize = 8;

/// How members are averaged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Average {
    /// The mean of the probabilities at this temperature.
    Probabilities { temperature: f64 },
    /// The mean of the logits.
    Logits,
}

/// Which member's row is unusable; none where only the mean is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultyMember {
    pub(crate) member: Option<usize>,
    pub(crate) row: FaultyRow,
}

/// The average of the members' rows into `out`. `shares` are positive and sum to one.
pub(crate) fn mix<F: Real>(
    members: &[&[F]],
    shares: &[f64],
    classes: usize,
    average: Average,
    out: &mut [F],
) -> Result<(), FaultyMember> {
    assert_eq!(members.len(), shares.len(), "one share a member");
    let per_task = (CHUNK / classes).max(1);
    let parts = map_chunks_mut(out, per_task * classes, |task, out| {
        let mut scratch = vec![0.0; classes * (members.len() + 2)];
        for (row, out) in out.chunks_exact_mut(classes).enumerate() {
            let row = task * per_task + row;
            let result = vectorize(
                #[inline(always)]
                || {
                    let of_member =
                        |member: usize| &members[member][row * classes..(row + 1) * classes];
                    match average {
                        Average::Probabilities { temperature } => {
                            probabilities(of_member, shares, temperature, &mut scratch, out)
                        }
                        Average::Logits => logits(of_member, shares, &mut scratch, out),
                    }
                },
            );
            result.map_err(|(member, fault)| FaultyMember {
                member,
                row: FaultyRow { row, fault },
            })?;
        }
        Ok(())
    });
    parts.into_iter().collect()
}

type MemberFault = (Option<usize>, Fault);

#[inline(always)]
fn probabilities<'a, F: Real>(
    of_member: impl Fn(usize) -> &'a [F],
    shares: &[f64],
    temperature: f64,
    scratch: &mut [f64],
    out: &mut [F],
) -> Result<(), MemberFault> {
    let inverse = temperature.recip();
    let (top, rest) = scratch.split_at_mut(out.len());
    let (total, members) = rest.split_at_mut(out.len());
    top.fill(f64::NEG_INFINITY);
    for (member, (a, share)) in members.chunks_exact_mut(out.len()).zip(shares).enumerate() {
        let logits = of_member(member);
        let most = largest(logits, Side::Teacher)
            .map_err(|fault| (Some(member), fault))?
            .widen();
        for (a, z) in a.iter_mut().zip(logits) {
            *a = (z.widen() - most) * inverse;
        }
        let offset = share.ln() - sum_of_exponentials(a).ln();
        for a in a.iter_mut() {
            *a += offset;
        }
        for (top, &a) in top.iter_mut().zip(a.iter()) {
            *top = if a > *top { a } else { *top };
        }
    }
    // A class that every member masks stays masked, without −∞ − (−∞) on the way.
    for top in top.iter_mut() {
        *top = if *top == f64::NEG_INFINITY { 0.0 } else { *top };
    }
    total.fill(0.0);
    for a in members.chunks_exact(out.len()) {
        for ((total, &top), &a) in total.iter_mut().zip(top.iter()).zip(a) {
            *total += (a - top).exponential();
        }
    }
    for ((out, &top), &total) in out.iter_mut().zip(top.iter()).zip(total.iter()) {
        *out = F::narrow(temperature * (top + total.ln()));
    }
    check_mean(out)
}

#[inline(always)]
fn sum_of_exponentials(values: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for (sum, &value) in sums.iter_mut().zip(group) {
            *sum += value.exponential();
        }
    }
    let rest: f64 = rest.iter().map(|value| value.exponential()).sum();
    sums.iter().sum::<f64>() + rest
}

#[inline(always)]
fn logits<'a, F: Real>(
    of_member: impl Fn(usize) -> &'a [F],
    shares: &[f64],
    scratch: &mut [f64],
    out: &mut [F],
) -> Result<(), MemberFault> {
    let mean = &mut scratch[..out.len()];
    mean.fill(0.0);
    for (member, share) in shares.iter().enumerate() {
        let logits = of_member(member);
        largest(logits, Side::Teacher).map_err(|fault| (Some(member), fault))?;
        for (mean, z) in mean.iter_mut().zip(logits) {
            *mean += share * z.widen();
        }
    }
    for (out, &mean) in out.iter_mut().zip(mean.iter()) {
        *out = F::narrow(mean);
    }
    check_mean(out)
}

/// Each class may be masked by another member, or a temperature be beyond all measure.
#[inline(always)]
fn check_mean<F: Real>(mean: &[F]) -> Result<(), MemberFault> {
    largest(mean, Side::Teacher)
        .map(|_| ())
        .map_err(|fault| (None, fault))
}

#[cfg(test)]
mod tests {
    use super::{Average, FaultyMember, mix};
    use crate::kernels::dispatch::forced;
    use crate::kernels::divergence::{Fault, FaultyRow, Side};
    use crate::kernels::real::Real;

    const NONE: f64 = f64::NEG_INFINITY;

    fn noise<F: Real>(len: usize, seed: usize, spread: f64) -> Vec<F> {
        (0..len)
            .map(|place| {
                let stirred = (place + 977 * seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
                F::narrow(((stirred % 10_007) as f64 / 10_007.0 - 0.5) * spread)
            })
            .collect()
    }

    /// Softmax, mean, logarithm, as they are written.
    fn slow<F: Real>(members: &[&[F]], shares: &[f64], average: Average) -> Vec<f64> {
        let mut mean = vec![0.0; members[0].len()];
        for (member, share) in members.iter().zip(shares) {
            let z: Vec<f64> = member.iter().map(|z| z.widen()).collect();
            match average {
                Average::Logits => mean.iter_mut().zip(z).for_each(|(m, z)| *m += share * z),
                Average::Probabilities { temperature } => {
                    let e: Vec<f64> = z.iter().map(|z| (z / temperature).exp()).collect();
                    let total: f64 = e.iter().sum();
                    mean.iter_mut()
                        .zip(e)
                        .for_each(|(m, e)| *m += share * e / total);
                }
            }
        }
        match average {
            Average::Logits => mean,
            Average::Probabilities { temperature } => {
                mean.iter().map(|p| temperature * p.ln()).collect()
            }
        }
    }

    fn check<F: Real>(tolerance: f64) {
        forced::at_every_level(|level| {
            let averages = [
                Average::Probabilities { temperature: 1.0 },
                Average::Probabilities { temperature: 2.5 },
                Average::Logits,
            ];
            for (rows, classes) in [(1, 1), (3, 2), (4, 13), (130, 1001)] {
                for average in averages {
                    let shares = [0.5, 0.2, 0.3];
                    let mut rows_of: Vec<Vec<F>> = (0..3)
                        .map(|seed| noise(rows * classes, seed, 20.0))
                        .collect();
                    if classes > 2 {
                        rows_of[0][1] = F::neg_infinity();
                        rows_of.iter_mut().for_each(|m| m[0] = F::neg_infinity());
                    }
                    let members: Vec<&[F]> = rows_of.iter().map(Vec::as_slice).collect();
                    let mut out = vec![F::nan(); rows * classes];
                    mix(&members, &shares, classes, average, &mut out).unwrap();
                    for (row, out) in out.chunks_exact(classes).enumerate() {
                        let of_row: Vec<&[F]> = members
                            .iter()
                            .map(|m| &m[row * classes..(row + 1) * classes])
                            .collect();
                        for (class, right) in
                            slow(&of_row, &shares, average).into_iter().enumerate()
                        {
                            let ours = out[class].widen();
                            let close = (ours - right).abs() <= tolerance * (1.0 + right.abs());
                            assert!(
                                ours == right || close,
                                "{ours} for {right}: row {row}, class {class} of {classes}, \
                                 {average:?} at {level:?}"
                            );
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn f32_members_agree_with_the_slow_twin() {
        check::<f32>(3e-7);
    }

    #[test]
    fn f64_members_agree_with_the_slow_twin() {
        check::<f64>(1e-13);
    }

    #[test]
    fn far_logits_need_no_probability_that_can_be_written() {
        // Probabilities of e⁻²⁰⁰⁰ are zero in f64; their logarithms are not.
        let member: [f64; 3] = [0.0, -2000.0, -1e4];
        let mut out = [0.0; 3];
        let average = Average::Probabilities { temperature: 1.0 };
        mix(&[&member, &member], &[0.5; 2], 3, average, &mut out).unwrap();
        for (out, right) in out.iter().zip(member) {
            assert!((out - right).abs() <= 1e-12 * right.abs(), "{out}");
        }
    }

    #[test]
    fn faults_name_the_member_and_a_mean_may_be_all_masked() {
        let mut out = [0.0; 4];
        let good = [0.0, 1.0, 2.0, 3.0];
        let side = Side::Teacher;
        let fault = Fault::NotALogit { side, class: 1 };
        let bad = [0.0, 1.0, 2.0, f64::NAN];
        let probabilities = Average::Probabilities { temperature: 1.0 };
        for average in [probabilities, Average::Logits] {
            let mixed = mix(&[&good, &bad], &[0.5; 2], 2, average, &mut out);
            let row = FaultyRow { row: 1, fault };
            let member = Some(1);
            assert_eq!(mixed, Err(FaultyMember { member, row }));
        }
        let (left, right) = ([0.0, NONE, 0.0, 0.0], [NONE, 0.0, 0.0, 0.0]);
        let mixed = mix(&[&left, &right], &[0.5; 2], 2, Average::Logits, &mut out);
        let fault = Fault::AllMasked { side };
        let row = FaultyRow { row: 0, fault };
        assert_eq!(mixed, Err(FaultyMember { member: None, row }));
        mix(&[&left, &right], &[0.5; 2], 2, probabilities, &mut out).unwrap();
        assert!((out[0] - 0.5_f64.ln()).abs() < 1e-15);
    }
}
