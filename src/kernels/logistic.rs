//! The KL of two logistic probabilities, from their logits.
//!
//! ```text
//! p = 1/(1 + e⁻ᵗ), q = 1/(1 + e⁻ˢ)      value = ln(1 + eˢ) − ln(1 + eᵗ) + p·(t − s)      slope = q − p
//! ```
//!
//! As it is written all of it cancels for s near t, which f64 has the digits for. In f32, with y = s − t and
//! both signs turned so that t ≤ 0 and p ≤ ½:
//!
//! ```text
//! x = p·(eʸ − 1)      value = p·(eʸ − 1 − y) − (x − ln(1 + x))      slope = x·(1 − p)/(1 + x)
//! ```
//!
//! eʸ − 1 − y and x − ln(1 + x) are not negative and come from their own series where they are small; the
//! second is at most p times the first there, so that no more than one digit in binary cancels. Relative
//! errors seen: the test below.

use super::arithmetic::{Arithmetic, multiply_add};
use super::real::Real;

/// Up to this magnitude f32 has room for everything in between.
pub(super) const MODERATE: f64 = 40.0;

/// Value and slope in f64, of any two logits; NaN or infinite where one side is sure and the other is not.
#[inline(always)]
pub(super) fn logistic_f64<A: Arithmetic>(s: f64, t: f64, _: f64) -> [f64; 2] {
    // From the exponentials that do not overflow.
    let (es, et) = ((-s.abs()).exponential(), (-t.abs()).exponential());
    let logistic = |x: f64, e: f64| {
        let share = (1.0 + e).recip();
        if x < 0.0 { e * share } else { share }
    };
    let positive = |x: f64| if x > 0.0 { x } else { 0.0 };
    let (q, p) = (logistic(s, es), logistic(t, et));
    // A class that both mask has probability 0 here, and 0 · (−∞ + ∞) is not wanted.
    let apart = if p > 0.0 { p * (t - s) } else { 0.0 };
    let softplus_s = positive(s) + es.logarithm_1p();
    let softplus_t = positive(t) + et.logarithm_1p();
    [softplus_s - softplus_t + apart, q - p]
}

const LN2_HIGH: f32 = 355.0 / 512.0;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// 1.5 · 2²³, and the exponent's bias.
const BIASED: f32 = 12_582_912.0 + 127.0;
/// (eʳ − 1 − r)/r², highest power first.
const H: [f32; 6] = [
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
];
/// (artanh(s)/s − 1)·2/s², highest power first.
const R: [f32; 5] = [2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0];

#[inline(always)]
fn polynomial<A: Arithmetic, const N: usize>(terms: &[f32; N], x: f32) -> f32 {
    let rest = terms[1..].iter();
    rest.fold(terms[0], |sum, &term| multiply_add::<A, f32>(sum, x, term))
}

/// Value and slope in f32, of logits up to [`MODERATE`] that are y = s − t apart.
#[inline(always)]
#[expect(
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "reinterpreting bits of exponents"
)]
pub(super) fn logistic_f32<A: Arithmetic>(_: f32, t: f32, apart: f32) -> [f32; 2] {
    const ROOT_OF_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    let y = if t > 0.0 { -apart } else { apart };
    let et = (-t.abs()).softened::<A>(std::f32::consts::LOG2_E);
    let rest = (1.0 + et).recip();
    let p = et * rest;

    let shifted = multiply_add::<A, f32>(y, std::f32::consts::LOG2_E, BIASED);
    let k = shifted - BIASED;
    let r = multiply_add::<A, f32>(-k, LN2_LOW, multiply_add::<A, f32>(-k, LN2_HIGH, y));
    // eʳ − 1 = r + bend; eʸ − 1 from it.
    let bend = r * r * polynomial::<A, 6>(&H, r);
    let power = f32::from_bits(shifted.to_bits() << 23);
    let m = multiply_add::<A, f32>(power, r + bend, power - 1.0);
    let above = if k == 0.0 { bend } else { m - y };

    let x = p * m;
    let sum = 1.0 + x;
    let exponent = (sum.to_bits().wrapping_sub(ROOT_OF_HALF) as i32) >> 23;
    let mantissa = f32::from_bits(sum.to_bits().wrapping_sub((exponent as u32) << 23));
    let f = if exponent == 0 { x } else { mantissa - 1.0 };
    // One division for f/(2 + f) and x/(1 + x).
    let both = (sum * (2.0 + f)).recip();
    let s = f * sum * both;
    let slope = x * rest * (2.0 + f) * both;
    let half = 0.5 * f * f;
    let square = s * s;
    let series = multiply_add::<A, f32>(polynomial::<A, 5>(&R, square), square, half);
    // f − ln(1 + f).
    let below = half - s * series;
    let k = exponent as f32;
    let far = multiply_add::<A, f32>(k, LN2_HIGH, multiply_add::<A, f32>(k, LN2_LOW, f - below));
    let value = if exponent == 0 {
        multiply_add::<A, f32>(p, above, -below)
    } else {
        multiply_add::<A, f32>(-p, y, far)
    };
    [value, if t > 0.0 { -slope } else { slope }]
}

#[cfg(test)]
mod tests {
    use super::{MODERATE, logistic_f32, logistic_f64};
    use crate::kernels::arithmetic::{Arithmetic, Fused, Separate};

    /// Worst relative errors of value and slope against f64, for logits so far apart.
    fn worst<A: Arithmetic>(apart: f32) -> [f64; 2] {
        let mut worst = [0.0_f64; 2];
        for step in -4000..=4000_i32 {
            let t = step as f32 * 0.005;
            let s = t + apart;
            if s.abs() > MODERATE as f32 {
                continue;
            }
            // Turned so that the teacher's is not positive, where f64 has its digits as well.
            let sign = if t > 0.0 { -1.0 } else { 1.0 };
            let (wide_s, wide_t) = (sign * f64::from(s), sign * f64::from(t));
            let right = if apart.abs() < 0.01 {
                // f64 cancels too: the cumulants of a coin.
                let y = wide_s - wide_t;
                let p = 1.0 / (1.0 + (-wide_t).exp());
                let v = p * (1.0 - p);
                let skew = 1.0 - 2.0 * p;
                let value = v * y * y * (0.5 + y * (skew / 6.0 + y * (1.0 - 6.0 * v) / 24.0));
                let m = y.exp_m1();
                [value, v * m / (1.0 + p * m)]
            } else {
                logistic_f64::<A>(wide_s, wide_t, 0.0)
            };
            let right = [right[0], sign * right[1]];
            let ours = logistic_f32::<A>(s, t, s - t);
            for ((worst, ours), right) in worst.iter_mut().zip(ours).zip(right) {
                let error = (f64::from(ours) / right - 1.0).abs();
                *worst = worst.max(error);
            }
        }
        worst
    }

    fn check<A: Arithmetic>() {
        let mut most = [0.0_f64; 2];
        for step in 0..150 {
            let apart = 1e-5 * 1.1_f32.powi(step);
            for apart in [apart, -apart] {
                let found = worst::<A>(apart);
                most = [most[0].max(found[0]), most[1].max(found[1])];
            }
        }
        println!("worst relative errors of value and slope: {most:?}");
        assert!(most[0] < 3e-6 && most[1] < 2e-6, "{most:?}");
        assert_eq!(logistic_f32::<A>(2.5, 2.5, 0.0), [0.0, 0.0]);
    }

    #[test]
    fn f32_keeps_its_digits_however_near_the_logits_are() {
        check::<Fused>();
        check::<Separate>();
    }
}
