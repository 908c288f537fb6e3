//! Floats of 4, 8 and 16 bits as integers: rounded to the nearest, ties to even, and back, without a
//! branch or a table, so that loops over them become vectors.
//!
//! A format has a sign, exponent bits with a bias b, and f fraction bits:
//!
//! ```text
//! exponent field e > 0:  ±2^(e − b) · (1 + fraction / 2^f)
//! exponent field e = 0:  ±2^(1 − b) · fraction / 2^f
//! ```
//!
//! What is larger than the largest number becomes that number (saturation).

/// A small float format.
pub(crate) trait Minifloat {
    /// How many fraction bits.
    const FRACTION: u32;
    /// What is taken off the exponent field.
    const BIAS: u32;
    /// The place of the sign bit.
    const SIGN: u32;
    /// The code of the largest finite number. Codes above it are infinity or NaN.
    const FINITE: u32;
    /// Whether the code above [`FINITE`](Self::FINITE) is infinity, and not NaN.
    const HAS_INFINITY: bool;
}

/// IEEE half precision: 5 exponent bits, 10 fraction bits, up to 65504.
pub(crate) struct Half;

impl Minifloat for Half {
    const FRACTION: u32 = 10;
    const BIAS: u32 = 15;
    const SIGN: u32 = 15;
    const FINITE: u32 = 0x7BFF;
    const HAS_INFINITY: bool = true;
}

/// OCP E4M3 without infinity (`float8_e4m3fn`): up to 448, one NaN for each sign.
pub(crate) struct E4M3;

impl Minifloat for E4M3 {
    const FRACTION: u32 = 3;
    const BIAS: u32 = 7;
    const SIGN: u32 = 7;
    const FINITE: u32 = 0x7E;
    const HAS_INFINITY: bool = false;
}

/// OCP E5M2: up to 57344, with infinity and NaN as in half precision.
pub(crate) struct E5M2;

impl Minifloat for E5M2 {
    const FRACTION: u32 = 2;
    const BIAS: u32 = 15;
    const SIGN: u32 = 7;
    const FINITE: u32 = 0x7B;
    const HAS_INFINITY: bool = true;
}

/// OCP E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 with a sign, and nothing else.
pub(crate) struct E2M1;

impl Minifloat for E2M1 {
    const FRACTION: u32 = 1;
    const BIAS: u32 = 1;
    const SIGN: u32 = 3;
    const FINITE: u32 = 7;
    const HAS_INFINITY: bool = false;
}

/// The exponent bias of an f32.
const SINGLE: u32 = 127;

/// Bits of the smallest normal number, as an f32.
const fn least_normal<T: Minifloat>() -> u32 {
    (SINGLE + 1 - T::BIAS) << 23
}

/// The code of the nearest number. For any number but NaN.
#[inline(always)]
pub(crate) fn nearest<T: Minifloat>(value: f32) -> u32 {
    let shift = 23 - T::FRACTION;
    let largest = (T::FINITE << shift) + ((SINGLE - T::BIAS) << 23);
    let magnitude = (value.to_bits() & (u32::MAX >> 1)).min(largest);
    // Half a unit in the last place carries what rounds up, the exponent included; a unit less one bit
    // leaves a tie where it is if the last bit is even.
    let even = magnitude >> shift & 1;
    let rounded = magnitude + even + ((1 << (shift - 1)) - 1);
    let normal = (rounded >> shift).wrapping_sub((SINGLE - T::BIAS) << T::FRACTION);
    // Floats around this number are one smallest step apart: the addition rounds, as every one does.
    let steps = f32::from_bits((SINGLE + 24 - T::BIAS - T::FRACTION) << 23);
    let subnormal = (f32::from_bits(magnitude) + steps).to_bits() - steps.to_bits();
    let code = if magnitude < least_normal::<T>() {
        subnormal
    } else {
        normal
    };
    value.to_bits() >> 31 << T::SIGN | code
}

/// The number of a code.
#[inline(always)]
pub(crate) fn value<T: Minifloat>(code: u32) -> f32 {
    let shift = 23 - T::FRACTION;
    let code_magnitude = code & ((1 << T::SIGN) - 1);
    let magnitude = code_magnitude << shift;
    let normal = magnitude + ((SINGLE - T::BIAS) << 23);
    // Without its leading one: put one there, and take it off as a number. Never through an f32 that is
    // subnormal itself, which some CPUs take a hundred cycles for.
    let leading = least_normal::<T>();
    let subnormal = (f32::from_bits(magnitude + leading) - f32::from_bits(leading)).to_bits();
    let bits = if code_magnitude >> T::FRACTION == 0 {
        subnormal
    } else {
        normal
    };
    let special = if T::HAS_INFINITY && code_magnitude == T::FINITE + 1 {
        f32::INFINITY.to_bits()
    } else {
        f32::NAN.to_bits()
    };
    let bits = if code_magnitude > T::FINITE {
        special
    } else {
        bits
    };
    f32::from_bits(code >> T::SIGN << 31 | bits)
}

/// The nearest half, as its two bytes in a file.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the code of a half has 16 bits"
)]
pub(crate) fn half_bytes(value: f32) -> [u8; 2] {
    (nearest::<Half>(value) as u16).to_le_bytes()
}

/// The number that two bytes of a file mean as a half.
#[inline(always)]
pub(crate) fn half_value(bytes: [u8; 2]) -> f32 {
    value::<Half>(u32::from(u16::from_le_bytes(bytes)))
}

/// Whether the nearest half is finite: IEEE rounds from 65520 on to infinity.
#[inline(always)]
pub(crate) fn fits_half(value: f32) -> bool {
    value.abs() < 65_520.0
}

/// The f32 of an f64 rounded to odd: of the two neighbours of a number between them, the one whose last
/// bit is 1. Rounding that to at most 22 bits gives what rounding the f64 at once would give (Boldo and
/// Melquiond, 2008).
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the rounding is put right below"
)]
pub(crate) fn round_to_odd(value: f64) -> f32 {
    let near = value as f32;
    let back = f64::from(near);
    if back == value || value.is_nan() {
        return near;
    }
    let below = near.to_bits() - u32::from(back.abs() > value.abs());
    f32::from_bits(below | 1)
}

/// 2^(code − 127), what a code of E8M0 means; 255 is NaN.
#[inline(always)]
pub(crate) fn power_of_two(code: u8) -> f32 {
    match code {
        0 => f32::from_bits(1 << 22),
        255 => f32::NAN,
        code => f32::from_bits(u32::from(code) << 23),
    }
}

/// 2^(127 − code), the inverse of [`power_of_two`]; for codes below 254.
#[inline(always)]
pub(crate) fn inverse_power_of_two(code: u8) -> f32 {
    f32::from_bits((254 - u32::from(code)) << 23)
}

#[cfg(test)]
mod tests {
    use super::{
        E2M1, E4M3, E5M2, Half, Minifloat, fits_half, half_bytes, half_value, inverse_power_of_two,
        nearest, power_of_two, round_to_odd, value,
    };

    /// What a code means by the formula, in f64; `None` for what is not a finite number.
    fn by_formula<T: Minifloat>(code: u32) -> Option<f64> {
        let magnitude = code & ((1 << T::SIGN) - 1);
        let (exponent, fraction) = (
            magnitude >> T::FRACTION,
            magnitude & ((1 << T::FRACTION) - 1),
        );
        let part = f64::from(fraction) / f64::from(1 << T::FRACTION);
        let bias = T::BIAS as i32;
        let size = match exponent {
            0 => 2_f64.powi(1 - bias) * part,
            exponent => 2_f64.powi(exponent as i32 - bias) * (1.0 + part),
        };
        let sign = if code >> T::SIGN == 1 { -1.0 } else { 1.0 };
        (magnitude <= T::FINITE).then_some(sign * size)
    }

    /// The nearest by looking at all codes: the nearer, and of two equally near the even one.
    fn by_search<T: Minifloat>(table: &[f64], x: f64) -> u32 {
        let size = x.abs();
        let above = table.partition_point(|&entry| entry < size);
        let candidates = above.saturating_sub(1)..(above + 1).min(table.len());
        let best = candidates
            .min_by(|&a, &b| {
                let distance = |code: usize| (table[code] - size).abs();
                (distance(a), a & 1)
                    .partial_cmp(&(distance(b), b & 1))
                    .unwrap()
            })
            .unwrap();
        u32::from(x.is_sign_negative()) << T::SIGN | best as u32
    }

    fn check<T: Minifloat>() {
        let all = 2 << T::SIGN;
        let table: Vec<f64> = (0..=T::FINITE)
            .map(|code| by_formula::<T>(code).unwrap())
            .collect();
        for code in 0..all {
            match by_formula::<T>(code) {
                Some(right) => {
                    assert_eq!(f64::from(value::<T>(code)).to_bits(), right.to_bits());
                    assert_eq!(nearest::<T>(right as f32), code);
                }
                None => assert!(!value::<T>(code).is_finite(), "code {code}"),
            }
        }
        let mut tried = vec![0.0, 1e-45, 1e-30, f64::from(f32::MAX), f64::INFINITY];
        // Everything that a half can be, and everything between two neighbours of the format and close
        // to it.
        tried.extend((0..0x7C00).map(|code| by_formula::<Half>(code).unwrap()));
        for pair in table.windows(2) {
            let middle = f64::midpoint(pair[0], pair[1]);
            let near = middle as f32;
            tried.extend([middle, near.next_up().into(), near.next_down().into()]);
            tried.extend([middle.next_up(), middle.next_down()]);
        }
        for size in tried {
            for x in [size, -size] {
                let right = by_search::<T>(&table, x);
                assert_eq!(nearest::<T>(round_to_odd(x)), right, "{x:e} in f64");
                let single = x as f32;
                let right = by_search::<T>(&table, single.into());
                assert_eq!(nearest::<T>(single), right, "{x:e} in f32");
            }
        }
    }

    #[test]
    fn every_code_and_every_midpoint_of_each_format() {
        check::<E2M1>();
        check::<E4M3>();
        check::<E5M2>();
        check::<Half>();
    }

    #[test]
    fn special_codes_are_the_standards() {
        assert!(value::<E4M3>(0x7F).is_nan() && value::<E4M3>(0xFF).is_nan());
        assert_eq!(value::<E5M2>(0x7C), f32::INFINITY);
        assert_eq!(value::<E5M2>(0xFC), f32::NEG_INFINITY);
        assert!((0x7D..=0x7F).all(|code| value::<E5M2>(code).is_nan()));
        assert_eq!(half_value([0x00, 0x7C]), f32::INFINITY);
        assert!(half_value([0x01, 0xFC]).is_nan());
        assert_eq!(half_bytes(1.0), [0x00, 0x3C]);
        assert_eq!(value::<E4M3>(0x7E), 448.0);
        assert_eq!(value::<E5M2>(0x7B), 57344.0);
        assert!(fits_half(65_519.996) && !fits_half(65_520.0) && !fits_half(-65_520.0));
    }

    #[test]
    fn powers_of_two_are_exact() {
        for code in 0..255 {
            let right = 2_f64.powi(i32::from(code) - 127);
            assert_eq!(f64::from(power_of_two(code)), right);
            if code < 254 {
                assert_eq!(f64::from(inverse_power_of_two(code)), 1.0 / right);
            }
        }
        assert!(power_of_two(255).is_nan());
    }

    #[test]
    fn rounding_to_odd_keeps_what_fits() {
        assert_eq!(round_to_odd(0.5), 0.5);
        assert_eq!(round_to_odd(1.0 + 1e-12).to_bits(), 1.0_f32.to_bits() + 1);
        assert_eq!(round_to_odd(1.0 - 1e-12).to_bits(), 1.0_f32.to_bits() - 1);
        assert_eq!(round_to_odd(1e300), f32::MAX);
        assert_eq!(round_to_odd(-1e300), f32::MIN);
        assert_eq!(round_to_odd(f64::INFINITY), f32::INFINITY);
        assert!(round_to_odd(f64::NAN).is_nan());
    }
}
