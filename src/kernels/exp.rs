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
//! A softmax needs less: powers of numbers that are not positive, of which the largest is 0, to an error
//! that is small next to the largest of them. [`softened_f32`] takes 1/T and log₂ e together and has no
//! subnormal results, in 13 operations instead of 20:
//!
//! ```text
//! exp(d/T) = 2ʸ,  y = d · (log₂ e / T) = k + f,  |f| ≤ ½,   2ᶠ ≈ 1 + f · q(f)
//! ```
//!
//! q interpolates (2ᶠ − 1)/f at the six Chebyshev nodes of its interval, so that 2⁰ is 1; its own error is
//! 5e-9. Worst error seen: 1.1 units in the last place of 2ʸ for every f32 y down to −126 (the test below
//! repeats it), and y itself is rounded, which moves 2ʸ by at most y·4e-8 of itself: never more than 3e-8
//! of the largest. From y = −126.5 on the result is 0.
//!
//! Tried and left: a minimax polynomial of one degree less saves one multiplication of about
//! twenty operations, and needs constants that nobody can check by eye.

use super::arithmetic::{Arithmetic, multiply_add};

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

/// 1.5 · 2²³, and the exponent's bias: adding it to y leaves k + 127 in the low bits.
const BIASED: f32 = 12_582_912.0 + 127.0;
/// q, highest power first.
const Q: [f32; 6] = [
    1.545_316_3e-4,
    1.339_086_3e-3,
    9.618_083e-3,
    5.550_357e-2,
    0.240_226_5,
    std::f32::consts::LN_2,
];

/// What differences are multiplied by for [`softened_f32`], from 1/T.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is wanted")]
pub(super) fn softening_f32(inverse_temperature: f64) -> f32 {
    (inverse_temperature * std::f64::consts::LOG2_E) as f32
}

/// The 1/T that such a factor stands for after its rounding.
#[inline(always)]
pub(super) fn hardened_f32(softening: f32) -> f64 {
    f64::from(softening) * std::f64::consts::LN_2
}

/// exp(d/T) for d ≤ 0, with what [`softening_f32`] made of 1/T; NaN for NaN.
#[inline(always)]
pub(super) fn softened_f32<A: Arithmetic>(difference: f32, softening: f32) -> f32 {
    const LOWEST: f32 = -127.0;
    let y = difference * softening;
    // As a comparison and a selection, so that NaN passes through.
    let y = if y < LOWEST { LOWEST } else { y };
    let shifted = y + BIASED;
    let f = y - (shifted - BIASED);
    let q = Q[1..]
        .iter()
        .fold(Q[0], |sum, &term| multiply_add::<A, f32>(sum, f, term));
    // The bits above k + 127 are shifted out; k = −127 leaves the bits of 0.
    multiply_add::<A, f32>(q, f, 1.0) * f32::from_bits(shifted.to_bits() << 23)
}

#[cfg(test)]
mod tests {
    use super::{Q, exp_f32, exp_f64, softened_f32};
    use crate::kernels::arithmetic::{Arithmetic, Fused, Kernel, Separate};
    use crate::kernels::dispatch::{forced, vectorize, vectorize_arithmetic};

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

    #[test]
    fn q_interpolates_at_the_chebyshev_nodes() {
        const NODES: usize = 6;
        let node = |k: usize| 0.5 * ((2 * k + 1) as f64 * std::f64::consts::PI / 12.0).cos();
        let nodes: [f64; NODES] = std::array::from_fn(node);
        // Newton's divided differences, then the powers of f.
        let mut differences = nodes.map(|f| (f * std::f64::consts::LN_2).exp_m1() / f);
        for order in 1..NODES {
            for i in (order..NODES).rev() {
                differences[i] =
                    (differences[i] - differences[i - 1]) / (nodes[i] - nodes[i - order]);
            }
        }
        let mut powers = [0.0; NODES];
        for k in (0..NODES).rev() {
            for i in (0..NODES).rev() {
                let below = if i == 0 { 0.0 } else { powers[i - 1] };
                powers[i] = below - nodes[k] * powers[i];
            }
            powers[0] += differences[k];
        }
        for (ours, right) in Q.iter().rev().zip(powers) {
            // Divided differences lose digits in the highest powers, which matter least.
            assert!(
                (f64::from(*ours) / right - 1.0).abs() < 1e-7,
                "{ours} for {right}"
            );
        }
    }

    const WORST_SOFTENED: f64 = 1.1;

    fn worst_softened<A: Arithmetic>(step: usize) -> f64 {
        let error = |bits: u32| {
            let y = -f32::from_bits(bits);
            let truth = f64::from(y).exp2();
            let rounded = truth as f32;
            let unit = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
            ((f64::from(softened_f32::<A>(y, 1.0)) - truth) / unit).abs()
        };
        let bits = (0..=126_f32.to_bits()).step_by(step);
        bits.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn softened_is_within_its_error_on_a_sample() {
        assert!(worst_softened::<Separate>(499) <= WORST_SOFTENED);
        assert!(worst_softened::<Fused>(499) <= WORST_SOFTENED);
    }

    #[test]
    #[ignore = "a billion values take 20 seconds; .ci/run does it"]
    fn softened_is_within_its_error_on_every_value() {
        let worst = worst_softened::<Fused>(1);
        println!("worst error of the softened exponential: {worst} units in the last place");
        assert!(worst <= WORST_SOFTENED);
    }

    struct Softened<'a>(&'a mut [f32]);

    impl Kernel for Softened<'_> {
        type Output = ();

        #[inline(always)]
        fn run<A: Arithmetic>(self) {
            for y in self.0 {
                *y = softened_f32::<A>(*y, 1.0);
            }
        }
    }

    #[test]
    fn every_level_softens_as_its_arithmetic_does() {
        let inputs: Vec<f32> = (0..4099).map(|i| -130.0 + i as f32 * 0.0317).collect();
        let inputs: Vec<f32> = inputs.into_iter().filter(|&y| y <= 0.0).collect();
        forced::at_every_level(|level| {
            let mut values = inputs.clone();
            vectorize_arithmetic(Softened(&mut values));
            for (&y, &value) in inputs.iter().zip(&values) {
                let right = [
                    softened_f32::<Fused>(y, 1.0),
                    softened_f32::<Separate>(y, 1.0),
                ];
                assert!(right.contains(&value), "{y} at {level:?}");
            }
        });
    }

    #[test]
    fn softened_has_exact_ends() {
        assert_eq!(softened_f32::<Separate>(0.0, 0.7), 1.0);
        assert_eq!(softened_f32::<Separate>(-0.0, 0.7), 1.0);
        assert_eq!(softened_f32::<Separate>(f32::NEG_INFINITY, 0.7), 0.0);
        assert_eq!(softened_f32::<Separate>(f32::MIN, 1e37), 0.0);
        assert!(softened_f32::<Separate>(f32::NAN, 0.7).is_nan());
        assert!(softened_f32::<Fused>(-126.0, 1.0) == f32::MIN_POSITIVE);
    }
}
