//! Logarithms as polynomials that compile to vector instructions: ln x and ln(1 + x).
//!
//! Like the exponential beside it, written with additions, multiplications and divisions, so that
//! its bits are the same everywhere.
//!
//! ```text
//! x = 2ᵏ · (1 + f),  √½ ≤ 1 + f < √2,   s = f / (2 + f)
//! ln(1 + f) = f − (f²/2 − s·(f²/2 + R)),     R ≈ Σ 2/(2i+1) · s²ⁱ,  i ≥ 1
//! ```
//!
//! That is the series of the inverse hyperbolic tangent, arranged so that the large part f is added
//! last, as system libraries have it. |s| ≤ 0.1716, so the series stops where its next
//! term is below the last place: at i = 5 for f32 (0.0294⁶/13 = 5e-11) and i = 10 for f64 (0.0294¹¹/23 =
//! 6e-19). What rounding 1 + x loses is divided by 1 + x and put back. Worst errors seen: the tests
//! below.
//!
//! The quick ln(1 + x) is for sums over classes, which many of them go into: it leaves what rounding loses
//! (6e-8 where the logarithm is above a third), takes no care of the ends, and fuses where the machine does.

use super::arithmetic::{Arithmetic, multiply_add};

macro_rules! logarithms {
    ($ln:ident, $ln_1p:ident, $quick:ident, $reduce:ident, $finish:ident, $float:ty, $bits:ty, $signed:ty,
     $mantissa:literal, $ln2_high:expr, $ln2_low:expr, $up:expr, $down:expr, $series:expr) => {
        /// 2ᵏ and 1 + f.
        #[inline(always)]
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "reinterpreting bits of exponents, one macro for both widths"
        )]
        fn $reduce(x: $float) -> ($float, $float) {
            const ROOT_OF_HALF: $bits = (std::f64::consts::FRAC_1_SQRT_2 as $float).to_bits();
            let bits = x.to_bits();
            let k = (bits.wrapping_sub(ROOT_OF_HALF) as $signed) >> $mantissa;
            let mantissa = bits.wrapping_sub((k as $bits) << $mantissa);
            (k as $float, <$float>::from_bits(mantissa))
        }

        /// k · ln 2 + ln(1 + f) + rest.
        #[inline(always)]
        fn $finish(k: $float, f: $float, rest: $float) -> $float {
            let s = f / (2.0 + f);
            let square = s * s;
            let series = $series.iter().fold(0.0, |sum, term| (sum + term) * square);
            let half = 0.5 * f * f;
            k * $ln2_high - ((half - (s * (half + series) + (k * $ln2_low + rest))) - f)
        }

        /// ln x; −∞ for 0, ∞ for ∞, NaN for NaN and below 0.
        #[inline(always)]
        pub(super) fn $ln(x: $float) -> $float {
            // A subnormal number has no exponent of its own.
            let small = x < <$float>::MIN_POSITIVE;
            let (k, mantissa) = $reduce(if small { x * $up } else { x });
            let ln = $finish(if small { k + $down } else { k }, mantissa - 1.0, 0.0);
            let ln = if x > 0.0 { ln } else { <$float>::NAN };
            let ln = if x == 0.0 { <$float>::NEG_INFINITY } else { ln };
            if x == <$float>::INFINITY { x } else { ln }
        }

        /// ln(1 + x); −∞ for −1, ∞ for ∞, NaN for NaN and below −1.
        #[inline(always)]
        pub(super) fn $ln_1p(x: $float) -> $float {
            let sum = 1.0 + x;
            let (k, mantissa) = $reduce(sum);
            // Where k is 0, x itself is f, without the rounding of 1 + x.
            let whole = k == 0.0;
            let f = if whole { x } else { mantissa - 1.0 };
            let lost = if sum > 2.0 {
                1.0 - (sum - x)
            } else {
                x - (sum - 1.0)
            };
            let ln = $finish(k, f, if whole { 0.0 } else { lost / sum });
            let ln = if sum > 0.0 { ln } else { <$float>::NAN };
            let ln = if sum == 0.0 {
                <$float>::NEG_INFINITY
            } else {
                ln
            };
            if x == <$float>::INFINITY { x } else { ln }
        }

        /// ln(1 + x) for −1 + ε ≤ x < ∞: one division, and no thought of what rounding 1 + x loses where
        /// the logarithm is not small. At −1 it is finite, about that of the smallest normal number; it is
        /// not for x below that, infinite or NaN.
        #[inline(always)]
        pub(super) fn $quick<A: Arithmetic>(x: $float) -> $float {
            let (k, mantissa) = $reduce(1.0 + x);
            let f = if k == 0.0 { x } else { mantissa - 1.0 };
            let s = f / (2.0 + f);
            let square = s * s;
            let [first, others @ ..] = $series;
            let series = others.iter().fold(first, |sum, &term| {
                multiply_add::<A, $float>(sum, square, term)
            });
            let half = 0.5 * f * f;
            let low = multiply_add::<A, $float>(series, square, half);
            let low = multiply_add::<A, $float>(s, low, k * $ln2_low);
            multiply_add::<A, $float>(k, $ln2_high, f - (half - low))
        }
    };
}

logarithms!(
    ln_f32,
    ln_1p_f32,
    quick_ln_1p_f32,
    reduce_f32,
    finish_f32,
    f32,
    u32,
    i32,
    23,
    355.0 / 512.0,
    -2.121_944_4e-4,
    33_554_432.0, // 2²⁵
    -25.0,
    [2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0]
);

logarithms!(
    ln_f64,
    ln_1p_f64,
    quick_ln_1p_f64,
    reduce_f64,
    finish_f64,
    f64,
    u64,
    i64,
    52,
    // The low 32 bits of the mantissa of ln 2 are zero here.
    6.931_471_803_691_238e-1,
    1.908_214_929_270_587_7e-10,
    18_014_398_509_481_984.0, // 2⁵⁴
    -54.0,
    [
        2.0 / 21.0,
        2.0 / 19.0,
        2.0 / 17.0,
        2.0 / 15.0,
        2.0 / 13.0,
        2.0 / 11.0,
        2.0 / 9.0,
        2.0 / 7.0,
        2.0 / 5.0,
        2.0 / 3.0
    ]
);

/// ln x for a normal number above 0: without the thought of what else there is.
#[inline(always)]
pub(super) fn normal_ln_f32(x: f32) -> f32 {
    let (k, mantissa) = reduce_f32(x);
    finish_f32(k, mantissa - 1.0, 0.0)
}

#[cfg(test)]
mod tests {
    use super::{ln_1p_f32, ln_1p_f64, ln_f32, ln_f64, quick_ln_1p_f32, quick_ln_1p_f64};
    use crate::kernels::arithmetic::{Arithmetic, Fused, Separate};
    use crate::kernels::dispatch::{forced, vectorize};

    const WORST_F32: f64 = 1.0;
    const WORST_F64: f64 = 1.5;

    /// The distance from the truth in units of the last place of the truth rounded to f32.
    fn error_f32(ours: f32, truth: f64) -> f64 {
        let rounded = (truth as f32).abs();
        let unit = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        ((f64::from(ours) - truth) / unit).abs()
    }

    fn worst_f32(step: usize) -> [f64; 2] {
        let positive = (1..f32::INFINITY.to_bits())
            .step_by(step)
            .map(f32::from_bits);
        let negative = ((-0.0_f32).to_bits()..(-1.0_f32).to_bits())
            .step_by(step)
            .map(f32::from_bits);
        let ln = |x: f32| error_f32(ln_f32(x), f64::from(x).ln());
        let ln_1p = |x: f32| error_f32(ln_1p_f32(x), f64::from(x).ln_1p());
        [
            positive.clone().map(ln).fold(0.0, f64::max),
            positive.chain(negative).map(ln_1p).fold(0.0, f64::max),
        ]
    }

    #[test]
    fn f32_is_within_its_error_on_a_sample() {
        let worst = worst_f32(997);
        assert!(worst.iter().all(|&worst| worst <= WORST_F32), "{worst:?}");
    }

    #[test]
    #[ignore = "six billion values take two minutes; .ci/run does it"]
    fn f32_is_within_its_error_on_every_value() {
        let worst = worst_f32(1);
        println!("worst errors of the f32 logarithms: {worst:?} units in the last place");
        assert!(worst.iter().all(|&worst| worst <= WORST_F32), "{worst:?}");
    }

    #[test]
    fn f64_is_within_its_error() {
        let mut worst = [0.0_f64; 2];
        for step in 0..2_000_000_u32 {
            let x = (-300.0 + 600.0 * (f64::from(step) + 0.37) / 2e6).exp();
            let y = x / (1.0 + x) * (if step % 2 == 0 { 1.0 } else { -1.0 });
            let pairs = [(ln_f64(x), x.ln()), (ln_1p_f64(y), y.ln_1p())];
            for (worst, (ours, truth)) in worst.iter_mut().zip(pairs) {
                let unit = f64::from_bits(truth.abs().to_bits() + 1) - truth.abs();
                *worst = worst.max(((ours - truth) / unit).abs());
            }
        }
        println!("worst errors of the f64 logarithms: {worst:?} units in the last place");
        assert!(worst.iter().all(|&worst| worst <= WORST_F64), "{worst:?}");
    }

    fn check_quick<A: Arithmetic>() {
        for step in 0..1_000_000_u32 {
            // From −0.999 and tiny numbers to 10¹³, most of them around 0.
            let x = (f64::from(step) / 2e4 - 20.0).exp();
            for x in [x, -x / (1.001 + x)] {
                let single = x as f32;
                let truth = f64::from(single).ln_1p();
                let error = (f64::from(quick_ln_1p_f32::<A>(single)) - truth).abs();
                assert!(error <= 2e-7 * truth.abs(), "{error:e} at {single}");
                let error = (quick_ln_1p_f64::<A>(x) - x.ln_1p()).abs();
                assert!(error <= 6e-16 * x.ln_1p().abs(), "{error:e} at {x}");
            }
        }
        assert_eq!(quick_ln_1p_f32::<A>(0.0), 0.0);
        assert!((quick_ln_1p_f32::<A>(f32::MAX) - f32::MAX.ln()).abs() < 2e-5);
        assert!((quick_ln_1p_f32::<A>(-1.0) + 88.0).abs() < 1.0);
        assert!((quick_ln_1p_f64::<A>(-1.0) + 709.0).abs() < 1.0);
    }

    #[test]
    fn the_quick_ones_are_nearly_as_good() {
        check_quick::<Fused>();
        check_quick::<Separate>();
    }

    #[test]
    fn ends_are_exact() {
        let none = f32::NEG_INFINITY;
        assert_eq!((ln_f32(1.0), ln_f64(1.0)), (0.0, 0.0));
        assert_eq!((ln_f32(0.0), ln_1p_f32(-1.0)), (none, none));
        assert_eq!(ln_f32(f32::INFINITY), f32::INFINITY);
        assert_eq!(ln_1p_f64(f64::INFINITY), f64::INFINITY);
        assert!(ln_f32(-1.0).is_nan() && ln_f64(f64::NAN).is_nan());
        assert!(ln_1p_f32(-1.5).is_nan() && ln_1p_f64(f64::NAN).is_nan());
        assert_eq!((ln_1p_f32(0.0), ln_1p_f64(1e-300)), (0.0, 1e-300));
        assert!(ln_f32(f32::from_bits(1)).is_finite());
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let inputs: Vec<f32> = (0..4099).map(|i| (i as f32 * 0.01 - 20.0).exp()).collect();
        let expected: Vec<u32> = inputs.iter().map(|&x| ln_1p_f32(x).to_bits()).collect();
        forced::at_every_level(|level| {
            let mut values = inputs.clone();
            vectorize(
                #[inline(always)]
                || values.iter_mut().for_each(|x| *x = ln_1p_f32(*x)),
            );
            let bits: Vec<u32> = values.iter().map(|x| x.to_bits()).collect();
            assert_eq!(bits, expected, "at {level:?}");
        });
    }
}
