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
}
