//! Numbers of 16 bits as numbers that we compute in: exact, and in vectors.
//!
//! A bf16 is the upper half of an f32. An f16 has the exponent at another place and with another bias:
//!
//! ```text
//! bits of a normal number = sign << 16 | ((exponent and fraction) << 13) + ((127 − 15) << 23)
//! ```
//!
//! The crate `half` converts one number at a time, with a branch for each kind of number, unless it may
//! ask the CPU at run time, for which it needs the standard library.

use super::dispatch::vectorize;
use super::keys::Keys;
use super::real::Real;
use half::{bf16, f16};
use std::ops::Range;

/// A number of 16 bits.
pub trait Narrow: Copy + Send + Sync + 'static {
    /// The bits of infinity, without a sign.
    const INFINITE: u16;

    /// The same value.
    fn single(self) -> f32;

    /// The bits without the sign: they order as |x| does, with NaN above infinity.
    fn magnitude(self) -> u16;
}

/// Ranks weights that are stored in 16 bits by their magnitude.
#[derive(Clone, Copy)]
pub(crate) struct NarrowMagnitudes<'a, S>(pub(crate) &'a [S]);

impl<S: Narrow> NarrowMagnitudes<'_, S> {
    /// The key of infinity: those above are NaN.
    pub(crate) const INFINITE: u32 = S::INFINITE as u32;
}

impl<S: Narrow> Keys for NarrowMagnitudes<'_, S> {
    type Key = u32;
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn range(&self, range: Range<usize>) -> Self {
        Self(&self.0[range])
    }
    #[inline(always)]
    fn key(&self, index: usize) -> u32 {
        u32::from(self.0[index].magnitude())
    }
    #[inline(always)]
    fn fill(&self, start: usize, into: &mut [u32]) {
        for (to, weight) in into.iter_mut().zip(&self.0[start..]) {
            *to = u32::from(weight.magnitude());
        }
    }
}

impl Narrow for bf16 {
    const INFINITE: u16 = 0x7F80;

    #[inline(always)]
    fn magnitude(self) -> u16 {
        self.to_bits() & 0x7FFF
    }

    #[inline(always)]
    fn single(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Narrow for f16 {
    const INFINITE: u16 = 0x7C00;

    #[inline(always)]
    fn magnitude(self) -> u16 {
        self.to_bits() & 0x7FFF
    }

    #[inline(always)]
    fn single(self) -> f32 {
        const EXPONENT: u32 = 0x7C00 << 13;
        const BIAS: u32 = (127 - 15) << 23;
        const LEAST_NORMAL: u32 = (127 - 14) << 23;
        let bits = u32::from(self.to_bits());
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
}

/// The same values, in `to`, which is as long as `from` then.
pub(crate) fn widen<F: Real>(from: &[impl Narrow], to: &mut Vec<F>) {
    to.resize(from.len(), F::zero());
    vectorize(
        #[inline(always)]
        || {
            for (to, from) in to.iter_mut().zip(from) {
                *to = F::from_single(from.single());
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::{Narrow, widen};
    use crate::kernels::dispatch::forced;
    use crate::kernels::real::Real;
    use half::{bf16, f16};

    /// Every number of 16 bits against the crate that defines them.
    fn check<F: Real, N: Narrow>(of_bits: fn(u16) -> N, right: fn(N) -> f64) {
        let all: Vec<N> = (0..=u16::MAX).map(of_bits).collect();
        forced::at_every_level(|level| {
            let mut wide = vec![F::one(); 3];
            widen(&all, &mut wide);
            assert_eq!(wide.len(), 1 << 16);
            for (&narrow, wide) in all.iter().zip(&wide) {
                let (right, wide) = (right(narrow), wide.widen());
                let same = right.to_bits() == wide.to_bits() || (right.is_nan() && wide.is_nan());
                assert!(same, "{wide:e} for {right:e}, {level:?}");
            }
        });
    }

    #[test]
    fn every_f16_keeps_its_value() {
        check::<f32, _>(f16::from_bits, f16::to_f64);
        check::<f64, _>(f16::from_bits, f16::to_f64);
    }

    #[test]
    fn every_bf16_keeps_its_value() {
        check::<f32, _>(bf16::from_bits, bf16::to_f64);
        check::<f64, _>(bf16::from_bits, bf16::to_f64);
    }
}
