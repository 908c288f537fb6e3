//! Half-precision numbers as single ones: exact, and in vectors.
//!
//! An f16 has the exponent at another place than an f32, and with another bias:
//!
//! ```text
//! bits of a normal number = sign << 16 | ((exponent and fraction) << 13) + ((127 − 15) << 23)
//! ```
//!
//! The crate `half` converts one number at a time, with a branch for each kind of number, unless it may
//! ask the CPU at run time, for which it needs the standard library.

#[cfg(any(feature = "cache", feature = "tensors"))]
use super::dispatch::vectorize;
#[cfg(any(feature = "cache", feature = "tensors"))]
use super::real::Real;

/// The value of the f16 with these bits.
#[inline(always)]
pub(super) fn single(bits: u16) -> f32 {
    const EXPONENT: u32 = 0x7C00 << 13;
    const BIAS: u32 = (127 - 15) << 23;
    const LEAST_NORMAL: u32 = (127 - 14) << 23;
    let bits = u32::from(bits);
    let magnitude = (bits & 0x7FFF) << 13;
    let sign = (bits & 0x8000) << 16;
    let exponent = magnitude & EXPONENT;
    let normal = magnitude + BIAS;
    // An exponent of all ones means infinity or NaN, so it stays all ones.
    let infinite = normal + BIAS;
    // Without its leading one: put one there, and take it off as a number. Never through an f32
    // that is subnormal itself, which some CPUs take a hundred cycles for.
    let subnormal = f32::from_bits(magnitude + LEAST_NORMAL) - f32::from_bits(LEAST_NORMAL);
    let bits = if exponent == EXPONENT {
        infinite
    } else {
        normal
    };
    let bits = if exponent == 0 {
        subnormal.to_bits()
    } else {
        bits
    };
    f32::from_bits(sign | bits)
}

/// The values of f16s that lie in a file as little-endian bytes, for each pair of equally many.
#[cfg(any(feature = "cache", feature = "tensors"))]
pub(crate) fn widen_bytes<'a, F: Real>(pairs: impl Iterator<Item = (&'a [[u8; 2]], &'a mut [F])>) {
    vectorize(
        #[inline(always)]
        || {
            for (from, to) in pairs {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = F::from_single(single(u16::from_le_bytes(*from)));
                }
            }
        },
    );
}

/// The values of bfloat16s, the upper halves of f32s, that lie in a file as little-endian bytes.
#[cfg(feature = "tensors")]
pub(crate) fn widen_upper_bytes<F: Real>(from: &[[u8; 2]], to: &mut [F]) {
    vectorize(
        #[inline(always)]
        || {
            for (to, from) in to.iter_mut().zip(from) {
                *to = F::from_single(f32::from_bits(u32::from(u16::from_le_bytes(*from)) << 16));
            }
        },
    );
}

/// The bits of the f16 that is nearest to a number, half to even; what is too large is infinite.
#[cfg(any(
    feature = "gptq",
    feature = "bitsandbytes",
    feature = "compressed-tensors"
))]
#[inline(always)]
fn nearest(value: f32) -> u16 {
    const LEAST_NORMAL: u32 = (127 - 14) << 23;
    const BIAS: u32 = (127 - 15) << 23;
    const INFINITE: u32 = 0x7C00 << 13;
    let bits = value.to_bits();
    let magnitude = bits & 0x7FFF_FFFF;
    // Adds just below half of the last place, and the rest where that is odd; a carry moves the exponent as it should.
    let rounded = magnitude
        .wrapping_sub(BIAS)
        .wrapping_add(0xFFF + (magnitude >> 13 & 1));
    let normal = rounded.min(INFINITE) >> 13;
    // Between a half and 1 the last place of an f32 is that of the least f16, so the sum rounds where it should.
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5_f32.to_bits());
    let finite = if magnitude < LEAST_NORMAL {
        subnormal
    } else {
        normal
    };
    let not_a_number = 0x7E00 | magnitude >> 13 & 0x3FF;
    let magnitude = if magnitude > f32::INFINITY.to_bits() {
        not_a_number
    } else {
        finite
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "all is in the lower half by now"
    )]
    let bits = (bits >> 16 & 0x8000 | magnitude) as u16;
    bits
}

/// Numbers as little-endian bytes of the f16s that are nearest, half to even; what is too large is infinite.
#[cfg(any(
    feature = "gptq",
    feature = "bitsandbytes",
    feature = "compressed-tensors"
))]
pub(crate) fn narrow_bytes(from: &[f32], to: &mut [[u8; 2]]) {
    vectorize(
        #[inline(always)]
        || {
            for (to, &from) in to.iter_mut().zip(from) {
                *to = nearest(from).to_le_bytes();
            }
        },
    );
}

#[cfg(all(test, feature = "tensors"))]
mod tests {
    use super::{widen_bytes, widen_upper_bytes};
    use crate::kernels::dispatch::forced;
    use crate::kernels::real::Real;
    use half::{bf16, f16};

    fn check<F: Real>() {
        let all: Vec<[u8; 2]> = (0..=u16::MAX).map(u16::to_le_bytes).collect();
        forced::at_every_level(|level| {
            let mut wide = vec![F::one(); all.len()];
            // Rows of a length that is no multiple of a vector's.
            widen_bytes(all.chunks(37).zip(wide.chunks_mut(37)));
            for (&bytes, wide) in all.iter().zip(&wide) {
                let (right, wide) = (f16::from_le_bytes(bytes).to_f64(), wide.widen());
                let same = right.to_bits() == wide.to_bits() || (right.is_nan() && wide.is_nan());
                assert!(same, "{wide:e} for {right:e}, {level:?}");
            }
            widen_upper_bytes(&all, &mut wide);
            for (&bytes, wide) in all.iter().zip(&wide) {
                let (right, wide) = (bf16::from_le_bytes(bytes).to_f64(), wide.widen());
                let same = right.to_bits() == wide.to_bits() || (right.is_nan() && wide.is_nan());
                assert!(same, "{wide:e} for {right:e}, {level:?}");
            }
        });
    }

    #[test]
    fn every_half_in_bytes_keeps_its_value() {
        check::<f32>();
        check::<f64>();
    }

    /// All numbers of few bits of fraction, their neighbours, and those halfway between f16s.
    #[cfg(any(
        feature = "gptq",
        feature = "bitsandbytes",
        feature = "compressed-tensors"
    ))]
    #[test]
    fn numbers_become_the_nearest_halves() {
        let around = |bits: u32| [-2, -1, 0, 1, 2].map(|by| bits.wrapping_add_signed(by));
        let ends = (0..=u16::MAX).map(|upper| u32::from(upper) << 16);
        let halfway = (0..1 << 20).map(|upper: u32| upper << 12);
        let bits = ends.chain(halfway).flat_map(around);
        let numbers: Vec<f32> = bits.map(f32::from_bits).collect();
        forced::at_every_level(|level| {
            let mut halves = vec![[0; 2]; numbers.len()];
            super::narrow_bytes(&numbers, &mut halves);
            for (number, &half) in numbers.iter().zip(&halves) {
                let right = f16::from_f32(*number).to_le_bytes();
                assert_eq!(half, right, "{number:e}, {:x}, {level:?}", number.to_bits());
            }
        });
    }
}
