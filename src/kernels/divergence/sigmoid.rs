//! One row of classes that do not exclude one another: a KL for each, of logistic probabilities.
//!
//! ```text
//! value = Σ_c softplus(s) − softplus(t) + σ(t)·(t − s)        ∂ / ∂s = σ(s) − σ(t)
//! ```
//!
//! with s and t the logits over the temperature and softplus(x) = ln(1 + eˣ). The terms cancel:
//! `kernels::logistic` says how each width gets round that. f32 is for logits of moderate size only.

use super::sums::{BLOCK, LANES, add};
use super::{Fault, Side, Store};
use crate::kernels::arithmetic::{Arithmetic, Kernel};
use crate::kernels::dispatch::{vectorize, vectorize_arithmetic};
use crate::kernels::extremes::largest_magnitude;
use crate::kernels::logistic::MODERATE;
use crate::kernels::memory;
use crate::kernels::real::Real;

/// What becomes of the gradient.
pub(super) struct Gradient<'a, F> {
    pub(super) factor: F,
    pub(super) store: Store,
    pub(super) to: &'a mut [F],
    /// Whether what replaces goes past the caches.
    pub(super) streams: bool,
}

/// The value, and the gradient if it is asked for.
pub(super) fn row<F: Real>(
    student: &[F],
    teacher: &[F],
    inverse_temperature: F,
    gradient: Option<Gradient<'_, F>>,
) -> Result<f64, Fault> {
    if !is_moderate(student, teacher, inverse_temperature) {
        check(student, teacher)?;
        if let Some(class) = ruled_out(student, teacher) {
            let side = Side::Student;
            return match gradient {
                Some(_) => Err(Fault::RuledOut { side, class }),
                None => Ok(f64::INFINITY),
            };
        }
    }
    let value = vectorize_arithmetic(Classes {
        student,
        teacher,
        inverse_temperature,
        gradient,
    });
    Ok(value.max(0.0))
}

/// Whether all logits are finite and, over the temperature, of a size that f32 can do; and no two of them
/// infinitely far apart, which a huge temperature would hide.
pub(super) fn is_moderate<F: Real>(student: &[F], teacher: &[F], inverse_temperature: F) -> bool {
    let largest = vectorize(
        #[inline(always)]
        || [student, teacher].map(largest_magnitude),
    );
    let furthest = F::max_value().widen() / 2.0;
    // NaN fails every comparison.
    largest.iter().all(|largest| {
        let largest = largest.widen();
        (largest * inverse_temperature.widen() <= MODERATE) & (largest <= furthest)
    })
}

struct Classes<'a, F> {
    student: &'a [F],
    teacher: &'a [F],
    inverse_temperature: F,
    gradient: Option<Gradient<'a, F>>,
}

impl<F: Real> Kernel for Classes<'_, F> {
    type Output = f64;

    #[inline(always)]
    fn run<A: Arithmetic>(self) -> f64 {
        let Self {
            student,
            teacher,
            inverse_temperature,
            mut gradient,
        } = self;
        let mut sums = [0.0; LANES];
        let (mut values, mut slopes) = ([F::zero(); BLOCK], [F::zero(); BLOCK]);
        for start in (0..student.len()).step_by(BLOCK) {
            let end = student.len().min(start + BLOCK);
            let pairs = student[start..end].iter().zip(&teacher[start..end]);
            let found = values.iter_mut().zip(&mut slopes);
            for ((value, slope), (&s, &t)) in found.zip(pairs) {
                let apart = (s - t) * inverse_temperature;
                let (s, t) = (s * inverse_temperature, t * inverse_temperature);
                [*value, *slope] = s.logistic::<A>(t, apart);
            }
            let (values, slopes) = (&values[..end - start], &mut slopes[..end - start]);
            add(
                &mut sums,
                [values],
                #[inline(always)]
                |[value]| value.widen(),
            );
            if let Some(gradient) = &mut gradient {
                let to = &mut gradient.to[start..end];
                let factor = gradient.factor;
                match gradient.store {
                    Store::Add => {
                        for (g, &slope) in to.iter_mut().zip(&*slopes) {
                            *g = *g + factor * slope;
                        }
                    }
                    Store::Write => {
                        for slope in &mut *slopes {
                            *slope = factor * *slope;
                        }
                        if gradient.streams {
                            memory::stream(slopes, to);
                        } else {
                            to.copy_from_slice(slopes);
                        }
                    }
                }
            }
        }
        sums.iter().sum()
    }
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

#[cfg(test)]
mod tests {
    use super::super::{Fault, RowAgainst, RowSource, Rows, Side, Store};
    use crate::kernels::dispatch::forced;
    use crate::kernels::real::Real;

    fn noise<F: Real>(len: usize, seed: u64, spread: f64) -> Vec<F> {
        let mut state = seed * 2 + 1;
        (0..len)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
                F::narrow(uniform * spread)
            })
            .collect()
    }

    /// The obvious twin, in f64: two probabilities a class, and the sum as it is written.
    fn slow<F: Real>(student: &[F], teacher: &[F], temperature: f64) -> (f64, Vec<f64>) {
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let logistic = |x: f64| (1.0 + (-x).exp()).recip();
        let (mut value, mut slopes) = (0.0, Vec::new());
        for (s, t) in student.iter().zip(teacher) {
            let (s, t) = (s.widen() / temperature, t.widen() / temperature);
            let (q, p) = (logistic(s), logistic(t));
            let (ln_p, ln_rest) = (-softplus(-t), -softplus(t));
            // Nothing times a logarithm of nothing is nothing.
            let part = |p: f64, ln_p: f64, ln_q: f64| if p > 0.0 { p * (ln_p - ln_q) } else { 0.0 };
            value += part(p, ln_p, -softplus(-s)) + part(logistic(-t), ln_rest, -softplus(s));
            slopes.push(q - p);
        }
        (value, slopes)
    }

    fn rows<'a, F: Real>(
        student: &'a [F],
        teacher: &'a [F],
        classes: usize,
        temperature: f64,
    ) -> Rows<'a, F, impl Fn(usize) -> RowAgainst<'a, F> + Sync> {
        Rows {
            student,
            classes,
            against: move |row| RowAgainst::Sigmoid {
                teacher: &teacher[row * classes..(row + 1) * classes],
                inverse_temperature: F::narrow(temperature.recip()),
            },
        }
    }

    /// The relative error of the value, and that of the gradient next to its largest.
    fn errors<F: Real>(student: &[F], teacher: &[F], temperature: f64) -> [f64; 2] {
        let classes = student.len();
        let batch = rows(student, teacher, classes, temperature);
        let mut gradient = vec![F::nan(); classes];
        let values = batch
            .gradient(&[F::one()], |_| true, Store::Write, &mut gradient)
            .unwrap();
        assert_eq!(batch.values(|_| true).unwrap(), values);
        let mut sum = vec![F::one(); classes];
        let again = batch
            .gradient(&[F::one()], |_| true, Store::Add, &mut sum)
            .unwrap();
        assert_eq!(again, values);
        let pairs = sum.iter().zip(&gradient);
        assert!(pairs.clone().all(|(&sum, &g)| sum == F::one() + g));
        // At the temperature that F has for it.
        let temperature = F::narrow(temperature.recip()).widen().recip();
        let (value, slopes) = slow(student, teacher, temperature);
        let largest = slopes
            .iter()
            .fold(0.0_f64, |most, slope| most.max(slope.abs()));
        let pairs = gradient.iter().zip(&slopes);
        let error = pairs
            .map(|(g, slope)| (g.widen() - slope).abs())
            .fold(0.0, f64::max);
        [(values[0] - value).abs() / value, error / largest]
    }

    #[test]
    fn rows_agree_with_the_slow_twin() {
        forced::at_every_level(|level| {
            for classes in [1, 2, 17, 511, 512, 1537, 32_000] {
                for (spread, temperature) in [(6.0, 1.0), (20.0, 1.0), (20.0, 4.0), (70.0, 1.0)] {
                    let at = format!("{classes}, ±{spread}, T {temperature}, {level:?}");
                    let student = noise::<f32>(classes, 1, spread);
                    let teacher = noise::<f32>(classes, 2, spread);
                    let [value, slope] = errors(&student, &teacher, temperature);
                    // One class has the error of its f32, many have that of their mean.
                    let bound = if classes < 100 { 1e-6 } else { 1e-7 };
                    assert!(value <= bound, "value {value:e}, {at}");
                    assert!(slope <= 1e-6, "gradient {slope:e}, {at}");
                    let wide = |logits: &[f32]| -> Vec<f64> {
                        logits.iter().map(|&z| f64::from(z)).collect()
                    };
                    let [value, slope] = errors(&wide(&student), &wide(&teacher), temperature);
                    assert!(value <= 1e-13 && slope <= 1e-14, "f64 {value:e}, {at}");
                }
            }
        });
    }

    #[test]
    fn nearly_equal_rows_keep_their_digits() {
        forced::at_every_level(|level| {
            for apart in [1e-1, 1e-2, 1e-3, 1e-4] {
                let teacher = noise::<f32>(32_000, 4, 12.0);
                let moves = noise::<f32>(32_000, 5, apart);
                let student: Vec<f32> = teacher.iter().zip(moves).map(|(t, e)| t + e).collect();
                let [value, slope] = errors(&student, &teacher, 1.0);
                assert!(value <= 1e-3, "value {value:e}, {apart}, {level:?}");
                assert!(slope <= 1e-5, "gradient {slope:e}, {apart}, {level:?}");
            }
        });
        let equal = noise::<f32>(1000, 6, 12.0);
        assert_eq!(
            rows(&equal, &equal, 1000, 1.0).values(|_| true).unwrap(),
            [0.0]
        );
    }

    #[test]
    fn huge_logits_are_computed_in_f64() {
        let teacher = [1e4_f32, -1e4, 40.5, -3.0, 1e4, f32::NEG_INFINITY, 3e38];
        let student = [1e4_f32, -9e3, -41.0, 7e3, -1e4, -2.0, 3e38];
        for temperature in [1.0, 50.0, 1e4] {
            let [value, slope] = errors(&student, &teacher, temperature);
            assert!(value <= 1e-12 && slope <= 1e-6, "{value:e}, {slope:e}");
        }
        // Moderate at this temperature, but further apart than f32 goes.
        let [value, slope] = errors(&[3e38_f32, 1.0], &[-3e38, 2.0], 1e38);
        assert!(value <= 1e-6 && slope <= 1e-6, "{value:e}, {slope:e}");
    }

    #[test]
    fn masks_and_faults_are_those_of_f64() {
        fn check<F: Real>() {
            let none = F::neg_infinity();
            let [zero, one] = [F::zero(), F::one()];
            let side = Side::Student;
            let row = |student: [F; 2], teacher: [F; 2]| {
                let batch = rows(&student, &teacher, 2, 1.0);
                let mut gradient = [F::nan(); 2];
                let found = batch.gradient(&[one], |_| true, Store::Write, &mut gradient);
                (
                    batch.values(|_| true),
                    found.map_err(|faulty| faulty.fault),
                    gradient,
                )
            };
            // Masked on both sides, a class adds nothing; masked by the student alone, everything.
            let (values, found, gradient) = row([none, one], [none, one]);
            assert_eq!((values.unwrap(), found.unwrap()), (vec![0.0], vec![0.0]));
            assert_eq!(gradient, [zero, zero]);
            let (values, found, _) = row([one, none], [one, one]);
            assert_eq!(values.unwrap(), [f64::INFINITY]);
            assert_eq!(found, Err(Fault::RuledOut { side, class: 1 }));
            let (values, _, gradient) = row([zero, one], [none, one]);
            assert!((values.unwrap()[0] - 2_f64.ln()).abs() < 1e-7);
            assert!((gradient[0].widen() - 0.5).abs() < 1e-7 && gradient[1] == zero);
            for bad in [F::nan(), F::infinity()] {
                let (values, found, _) = row([zero, bad], [zero, one]);
                let fault = Fault::NotALogit { side, class: 1 };
                assert_eq!(values.map_err(|faulty| faulty.fault), Err(fault));
                assert_eq!(found, Err(fault));
                let side = Side::Teacher;
                let fault = Fault::NotALogit { side, class: 0 };
                assert_eq!(row([zero, one], [bad, one]).1, Err(fault));
            }
        }
        check::<f32>();
        check::<f64>();
    }
}
