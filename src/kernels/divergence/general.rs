//! One row of any divergence that is a sum over classes.

use super::logits::{largest, probabilities_are_fine, ruled_out};
use super::points::{Kind, Point, alpha_series};
use super::row::{Outcome, Scratch};
use super::sums::{BLOCK, LANES, add, softened};
use super::{Fault, Given, Side};
use crate::kernels::arithmetic::{Arithmetic, Kernel};
use crate::kernels::dispatch::vectorize_arithmetic;
use crate::kernels::real::Real;

/// One row and its teacher.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a, F> {
    pub(super) student: &'a [F],
    pub(super) teacher: &'a [F],
    pub(super) given: Given,
    pub(super) inverse_temperature: F,
}

/// The value of the row. What the gradient is made of is left in the scratch: exponentials of the
/// student, slopes in the teacher's place.
pub(super) fn forward<F: Real>(
    pair: Pair<'_, F>,
    kind: Kind,
    scratch: &mut Scratch<F>,
) -> Result<Outcome, Fault> {
    let ruled_out = class_ruled_out(pair, kind);
    let ([value, slopes], student_total) = vectorize_arithmetic(Sweep {
        pair,
        kind,
        scratch,
    })?;
    // Probabilities that do not sum to one may make a divergence negative; two distributions do not.
    let value = if pair.given == Given::Logits {
        value.max(0.0)
    } else {
        value
    };
    Ok(Outcome {
        value: if ruled_out.is_some() {
            f64::INFINITY
        } else {
            value
        },
        ruled_out,
        student_total,
        teacher_total: 1.0,
        largest: [0.0; 2],
        slopes,
    })
}

/// The first class that one side must not rule out and does.
pub(super) fn class_ruled_out<F: Real>(pair: Pair<'_, F>, kind: Kind) -> Option<(Side, usize)> {
    let side = kind.must_not_rule_out()?;
    let nothing = match pair.given {
        Given::Probabilities => F::zero(),
        Given::Logits | Given::LogProbabilities => F::neg_infinity(),
    };
    let class = match side {
        Side::Student => ruled_out(pair.student, F::neg_infinity(), pair.teacher, nothing),
        Side::Teacher => ruled_out(pair.teacher, nothing, pair.student, F::neg_infinity()),
    };
    class.map(|class| (side, class))
}

/// Σφ, Σh and the student's Σe.
struct Sweep<'a, F> {
    pair: Pair<'a, F>,
    kind: Kind,
    scratch: &'a mut Scratch<F>,
}

impl<F: Real> Kernel for Sweep<'_, F> {
    type Output = Result<([f64; 2], f64), Fault>;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> Self::Output {
        sweep::<F, A>(self.pair, self.kind, self.scratch)
    }
}

#[inline(always)]
fn sweep<F: Real, A: Arithmetic>(
    pair: Pair<'_, F>,
    kind: Kind,
    scratch: &mut Scratch<F>,
) -> Result<([f64; 2], f64), Fault> {
    let Pair {
        student,
        teacher,
        given,
        inverse_temperature,
    } = pair;
    let classes = student.len();
    let softening = F::softening(inverse_temperature.widen());
    // As the exponentials have it.
    let inverse_temperature = F::narrow(softening.hardened());
    let (es, et) = scratch.rows(classes);
    let student_most = largest(student, Side::Student)?;
    let mut teacher_most = F::zero();
    match given {
        Given::Logits => {
            teacher_most = largest(teacher, Side::Teacher)?;
            softened::<F, A>(teacher, teacher_most, softening, et);
        }
        Given::LogProbabilities => {
            largest(teacher, Side::Teacher)?;
            // Nobody promises that none is above 0, so they cannot be softened.
            for (e, &log) in et.iter_mut().zip(teacher) {
                *e = log.exponential();
            }
        }
        Given::Probabilities => {
            probabilities_are_fine(teacher)?;
            et.copy_from_slice(teacher);
        }
    }
    softened::<F, A>(student, student_most, softening, es);
    let student_total = total(es);
    let teacher_total = match given {
        Given::Logits => total(et),
        Given::LogProbabilities | Given::Probabilities => 1.0,
    };
    let on_student = F::narrow(student_total.recip());
    let on_teacher = F::narrow(teacher_total.recip());
    let shift = F::narrow(student_total.ln() - teacher_total.ln());
    let bound = F::max_value();

    let [mut values, mut slopes] = [[0.0; LANES]; 2];
    let mut block = [F::zero(); BLOCK];
    for start in (0..classes).step_by(BLOCK) {
        let end = classes.min(start + BLOCK);
        let (s, t) = (&student[start..end], &teacher[start..end]);
        let (es, et) = (&es[start..end], &mut et[start..end]);
        let block = &mut block[..end - start];
        let off = |s: F| s - student_most;
        match given {
            Given::Logits => {
                for (r, (&s, &t)) in block.iter_mut().zip(s.iter().zip(t)) {
                    *r = ((t - teacher_most) - off(s)) * inverse_temperature;
                }
            }
            Given::LogProbabilities => {
                for (r, (&s, &t)) in block.iter_mut().zip(s.iter().zip(t)) {
                    *r = t - off(s) * inverse_temperature;
                }
            }
            Given::Probabilities => {
                for (r, (&s, &t)) in block.iter_mut().zip(s.iter().zip(t)) {
                    *r = t.logarithm() - off(s) * inverse_temperature;
                }
            }
        }
        for (r, et) in block.iter_mut().zip(et.iter_mut()) {
            // Finite, so that nothing times it is nothing; where both logits are −∞ r is NaN.
            let sum = *r + shift;
            let sum = if sum > -bound { sum } else { -bound };
            *r = if sum < bound { sum } else { bound };
            *et = *et * on_teacher;
        }
        points::<F, A>(kind, block, et, es, on_student);
        add(&mut values, [&*block], |[value]| value.widen());
        add(&mut slopes, [&*et], |[slope]| slope.widen());
    }
    Ok(([values.iter().sum(), slopes.iter().sum()], student_total))
}

/// Of r and p, in place, makes φ and h. One loop a kind, and everything else but once: seven kinds,
/// two floats and three instruction sets are compiled.
#[inline(always)]
fn points<F: Real, A: Arithmetic>(kind: Kind, r: &mut [F], p: &mut [F], e: &[F], on_student: F) {
    #[inline(always)]
    fn each<F: Real>(
        (r, p, e, on_student): (&mut [F], &mut [F], &[F], F),
        point: impl Fn(Point<F>) -> [F; 2],
    ) {
        for ((r, p), &e) in r.iter_mut().zip(p).zip(e) {
            let q = e * on_student;
            [*r, *p] = point(Point { p: *p, q, r: *r });
        }
    }
    let all = (r, p, e, on_student);
    match kind {
        Kind::Forward => each(all, Point::forward),
        Kind::Reverse => each(all, Point::reverse),
        Kind::TotalVariation => each(all, Point::total_variation),
        Kind::JensenShannon(beta) => {
            let beta = F::narrow(beta);
            each(
                all,
                #[inline(always)]
                |at| at.jensen_shannon::<A>(beta),
            );
        }
        Kind::Skewed(lambda) => {
            let lambda = F::narrow(lambda);
            each(
                all,
                #[inline(always)]
                |at| at.skewed::<A>(lambda),
            );
        }
        Kind::SkewedReverse(lambda) => {
            let lambda = F::narrow(lambda);
            each(
                all,
                #[inline(always)]
                |at| at.skewed_reverse::<A>(lambda),
            );
        }
        Kind::Alpha(alpha) => {
            let series = alpha_series(alpha);
            let alpha = F::narrow(alpha);
            each(
                all,
                #[inline(always)]
                |at| at.alpha::<A>(alpha, &series),
            );
        }
    }
}

#[inline(always)]
fn total<F: Real>(exponentials: &[F]) -> f64 {
    let mut sums = [0.0; LANES];
    add(&mut sums, [exponentials], |[e]| e.widen());
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::{Given, Kind, RowAgainst, RowSource, Rows, Store};
    use crate::kernels::dispatch::forced;
    use crate::kernels::real::Real;

    const KINDS: [Kind; 9] = [
        Kind::Forward,
        Kind::Reverse,
        Kind::JensenShannon(0.5),
        Kind::JensenShannon(0.1),
        Kind::Skewed(0.1),
        Kind::SkewedReverse(0.3),
        Kind::TotalVariation,
        Kind::Alpha(0.5),
        Kind::Alpha(0.9),
    ];

    /// The formula as it is written, in f64.
    fn slow(kind: Kind, p: &[f64], q: &[f64]) -> f64 {
        let kl = |p: &[f64], q: &[f64]| -> f64 {
            let pairs = p.iter().zip(q).filter(|(p, _)| **p > 0.0);
            pairs.map(|(p, q)| p * (p / q).ln()).sum()
        };
        let mix = |share: f64| -> Vec<f64> {
            let pairs = p.iter().zip(q);
            pairs.map(|(p, q)| share * p + (1.0 - share) * q).collect()
        };
        match kind {
            Kind::Forward => kl(p, q),
            Kind::Reverse => kl(q, p),
            Kind::JensenShannon(beta) => {
                beta * kl(p, &mix(beta)) + (1.0 - beta) * kl(q, &mix(beta))
            }
            Kind::Skewed(lambda) => kl(p, &mix(lambda)),
            Kind::SkewedReverse(lambda) => kl(q, &mix(1.0 - lambda)),
            Kind::TotalVariation => p.iter().zip(q).map(|(p, q)| (p - q).abs() / 2.0).sum(),
            Kind::Alpha(alpha) => {
                let overlap = p
                    .iter()
                    .zip(q)
                    .map(|(p, q)| p.powf(alpha) * q.powf(1.0 - alpha));
                (1.0 - overlap.sum::<f64>()) / (alpha * (1.0 - alpha))
            }
        }
    }

    fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let e: Vec<f64> = logits
            .iter()
            .map(|z| ((z - most) / temperature).exp())
            .collect();
        let total: f64 = e.iter().sum();
        e.iter().map(|e| e / total).collect()
    }

    fn noise(len: usize, seed: u64, spread: f64) -> Vec<f64> {
        let mut state = seed * 2 + 1;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * spread
        };
        (0..len).map(|_| f64::from(next() as f32)).collect()
    }

    fn check<F: Real>(tolerance: f64) {
        for (classes, spread, temperature) in [(2, 3.0, 1.0), (19, 8.0, 2.0), (1030, 12.0, 1.0)] {
            let student = noise(classes, 1, spread);
            let mut teacher = noise(classes, 2, spread);
            for kind in KINDS {
                if classes > 2 && kind != Kind::Reverse {
                    teacher[1] = f64::NEG_INFINITY;
                } else {
                    teacher[1] = 0.5;
                }
                let p = softmax(&teacher, temperature);
                let value = |student: &[f64]| slow(kind, &p, &softmax(student, temperature));
                let narrow = |x: &[f64]| -> Vec<F> { x.iter().map(|&x| F::narrow(x)).collect() };
                let logs: Vec<f64> = p.iter().map(|p| p.ln()).collect();
                for (given, numbers) in [
                    (Given::Logits, &teacher),
                    (Given::LogProbabilities, &logs),
                    (Given::Probabilities, &p),
                ] {
                    let (s, t) = (narrow(&student), narrow(numbers));
                    let rows = Rows {
                        student: &s,
                        classes,
                        against: |_| RowAgainst::Divergence {
                            kind,
                            teacher: &t,
                            given,
                            inverse_temperature: F::narrow(1.0 / temperature),
                        },
                    };
                    let at = format!("{kind:?} from {given:?}, {classes} classes");
                    let mut gradient = vec![F::nan(); classes];
                    let factor = [F::narrow(1.0 / temperature)];
                    let ours = rows
                        .gradient(&factor, |_| true, Store::Write, &mut gradient)
                        .unwrap()[0];
                    assert_eq!(rows.values(|_| true).unwrap(), [ours], "{at}");
                    let right = value(&student);
                    let error = (ours - right).abs();
                    assert!(
                        error <= tolerance * (1.0 + right),
                        "{ours} for {right}, {at}"
                    );
                    let mut sum = vec![F::one(); classes];
                    rows.gradient(&factor, |_| true, Store::Add, &mut sum)
                        .unwrap();
                    for (class, (&g, sum)) in gradient.iter().zip(sum).enumerate() {
                        assert!(sum == F::one() + g, "{at}");
                        if class % 101 < 3 {
                            let moved = |by: f64| {
                                let mut moved = student.clone();
                                moved[class] += by;
                                value(&moved)
                            };
                            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                            let error = (g.widen() - slope).abs();
                            assert!(error <= tolerance.max(1e-9), "{g:?} for {slope}, {at}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn f64_rows_agree_with_the_formulas() {
        check::<f64>(1e-12);
    }

    #[test]
    fn f32_rows_agree_with_the_formulas() {
        forced::at_every_level(|_| check::<f32>(3e-6));
    }
}
