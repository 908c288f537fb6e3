//! Numbers of 16 bits as numbers that we compute in: exact, and in vectors.
//!
//! A bf16 is the upper half of an f32; [`halves`](super::halves) says what an f16 is.

use super::dispatch::vectorize;
use super::halves;
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
        halves::single(self.to_bits())
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
