//! The exponential, as a polynomial that compiles to vector instructions.
//!
//! The standard library calls the system's `exp`, which differs between systems and takes one
//! number at a time. This one is written with additions and multiplications alone, so its bits are
//! the same everywhere.
//!
//! ```text
//! x = k·ln 2 + r,  |r| ≤ ln 2 / 2,   eˣ = 2ᵏ · eʳ,   eʳ ≈ Σ rⁱ / i!
//! ```
//!
//! The series stops where its next term is below a quarter of the last place: i = 7 for f32
//! (0.3466⁸/8! = 5e-9) and i = 13 for f64 (0.3466¹⁴/14! = 4e-18). ln 2 is taken off in two parts so
//! that the first product is exact (Cody and Waite 1980). Worst error seen: 1.22 units in the
//! last place for f32 (every f32 whose result is neither 0 nor infinite; the test below repeats it),
//! 1 unit for f64 (2 million values against the standard library). Subnormal results are kept.
//!
//! Tried and left: a minimax polynomial of one degree less saves one multiplication of about
//! twenty operations, and needs constants that nobody can check by eye.

/// The constants of one float type.
struct Constants<F, I, const TERMS: usize> {
    /// Below, the result rounds to zero; the exponent need go no further.
    lowest: F,
    /// Above, the result is infinite.
    highest: F,
    log2_e: F,
    /// ln 2 cut off after so few bits that k times it is exact ...
    ln2_high: F,
    /// ... and the rest of ln 2.
    ln2_low: F,
    /// 1.5 · 2^(mantissa bits): adding it rounds to an integer, which is left in the low bits.
    magic: F,
    /// What is added to an exponent when it is stored, and how many bits the mantissa takes.
    bias: I,
    mantissa: u32,
    /// 1/i!, highest i first.
    series: [F; TERMS],
}

const F32: Constants<f32, i32, 8> = Constants {
    lowest: -104.0,
    highest: 89.0,
    log2_e: std::f32::consts::LOG2_E,
    ln2_high: 355.0 / 512.0,
    ln2_low: -2.121_944_4e-4,
    magic: 12_582_912.0,
    bias: 127,
    mantissa: 23,
    series: [
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ],
};

const F64: Constants<f64, i64, 14> = Constants {
    lowest: -746.0,
    highest: 710.0,
    log2_e: std::f64::consts::LOG2_E,
    // The low 32 bits of the mantissa of ln 2 are zero here.
    ln2_high: 6.931_471_803_691_238e-1,
    ln2_low: 1.908_214_929_270_587_7e-10,
    magic: 6_755_399_441_055_744.0,
    bias: 1023,
    mantissa: 52,
    series: [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ],
};

macro_rules! exponential {
    ($name:ident, $float:ty, $bits:ty, $signed:ty, $constants:expr) => {
        /// eˣ; 0 below the smallest subnormal, infinity above the largest number, NaN for NaN.
        #[inline(always)]
        #[expect(
            clippy::cast_possible_wrap,
            clippy::cast_sign_loss,
            reason = "reinterpreting bits of exponents"
        )]
        pub(super) fn $name(x: $float) -> $float {
            // As comparisons and selections, so that NaN passes through.
            let x = if x < $constants.lowest {
                $constants.lowest
            } else {
                x
            };
            let x = if x > $constants.highest {
                $constants.highest
            } else {
                x
            };
            let shifted = x * $constants.log2_e + $constants.magic;
            let k = shifted.to_bits().wrapping_sub($constants.magic.to_bits()) as $signed;
            let rounded = shifted - $constants.magic;
            let r = (x - rounded * $constants.ln2_high) - rounded * $constants.ln2_low;
            let sum = $constants
                .series
                .iter()
                .fold(0.0, |sum, term| sum * r + term);
            // 2ᵏ in two factors: k may be out of the exponent's range where the result is
            // subnormal, and then only the last multiplication rounds.
            let half = k >> 1;
            let power = |k: $signed| {
                let exponent = k.wrapping_add($constants.bias) as $bits;
                <$float>::from_bits(exponent << $constants.mantissa)
            };
            sum * power(half) * power(k.wrapping_sub(half))
        }
    };
}

exponential!(exp_f32, f32, u32, i32, F32);
exponential!(exp_f64, f64, u64, i64, F64);

#[cfg(test)]
mod tests {
    use super::{exp_f32, exp_f64};
    use crate::kernels::dispatch::{forced, vectorize};

    const WORST_F32: f64 = 1.22;
    const WORST_F64: f64 = 1.0;

    /// The distance from the truth in units of the last place of the truth rounded to f32.
    fn error_f32(x: f32) -> f64 {
        let truth = f64::from(x).exp();
        let rounded = truth as f32;
        let unit = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        ((f64::from(exp_f32(x)) - truth) / unit).abs()
    }

    fn worst_f32(step: usize) -> f64 {
        // From the smallest subnormal result to the largest finite one.
        let negative = (0..=(-103.9_f32).to_bits() - (-0.0_f32).to_bits()).step_by(step);
        let positive = (0..=88.7_f32.to_bits()).step_by(step);
        let worst = |sign: f32, bits: u32| error_f32(sign * f32::from_bits(bits));
        negative
            .map(|bits| worst(-1.0, bits))
            .chain(positive.map(|bits| worst(1.0, bits)))
            .fold(0.0, f64::max)
    }

    #[test]
    fn f32_is_within_its_error_on_a_sample() {
        assert!(worst_f32(997) <= WORST_F32);
    }

    #[test]
    #[ignore = "two billion values take 40 seconds; .ci/run does it"]
    fn f32_is_within_its_error_on_every_value() {
        let worst = worst_f32(1);
        println!("worst error of the f32 exponential: {worst} units in the last place");
        assert!(worst <= WORST_F32);
    }

    #[test]
    fn f64_is_within_its_error() {
        let mut worst = 0.0_f64;
        for step in 0..2_000_000_u32 {
            let x = -700.0 + 1400.0 * (f64::from(step) + 0.37) / 2e6;
            let truth = x.exp();
            let unit = f64::from_bits(truth.to_bits() + 1) - truth;
            worst = worst.max(((exp_f64(x) - truth) / unit).abs());
        }
        println!("worst error of the f64 exponential: {worst} units in the last place");
        assert!(worst <= WORST_F64);
    }

    #[test]
    fn ends_are_exact() {
        assert_eq!(exp_f32(0.0), 1.0);
        assert_eq!(exp_f64(-0.0), 1.0);
        assert_eq!(exp_f32(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_f64(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp_f32(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp_f64(f64::INFINITY), f64::INFINITY);
        assert!(exp_f32(f32::NAN).is_nan() && exp_f64(f64::NAN).is_nan());
        assert!(exp_f32(-100.0) > 0.0 && exp_f32(-100.0) < f32::MIN_POSITIVE);
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let inputs: Vec<f32> = (0..4099).map(|i| -110.0 + i as f32 * 0.05).collect();
        let expected: Vec<u32> = inputs.iter().map(|&x| exp_f32(x).to_bits()).collect();
        forced::at_every_level(|level| {
            let mut values = inputs.clone();
            vectorize(
                #[inline(always)]
                || values.iter_mut().for_each(|x| *x = exp_f32(*x)),
            );
            let bits: Vec<u32> = values.iter().map(|x| x.to_bits()).collect();
            assert_eq!(bits, expected, "at {level:?}");
        });
    }
}
