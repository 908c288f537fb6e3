//! Turns comparisons of sixty-four keys into a word of bits.
//!
//! A [`Sweep`] is compiled for each instruction set and handed what compares there. Measured on the mask of
//! 2²⁴ f32: multiplying flags together takes 6.5 ms, comparing into mask registers 2.5 ms; no plain loop makes a
//! compiler do the latter.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "loads through pointers, and calls of functions for an instruction set that a token proves; the \
                  gain is measured above"
    )
)]

use super::bits::{WORD, pack_word};

/// What compares keys on one instruction set. A value of it proves that the machine has it.
pub trait Compare: Copy {
    /// A bit for each key: whether it is at least this.
    fn at_least_u32(self, keys: &[u32; WORD], least: u32) -> u64;
    /// A bit for each key: whether it is above this.
    fn above_u32(self, keys: &[u32; WORD], bound: u32) -> u64;
    /// A bit for each key: whether it is at least this.
    fn at_least_u64(self, keys: &[u64; WORD], least: u64) -> u64;
    /// A bit for each key: whether it is above this.
    fn above_u64(self, keys: &[u64; WORD], bound: u64) -> u64;
}

/// A kernel that compares keys.
pub(super) trait Sweep {
    /// What it gives.
    type Output;

    /// Runs it. To be `#[inline(always)]`, so that it is compiled for the instruction set of its caller.
    fn run<C: Compare>(self, compare: C) -> Self::Output;
}

/// Flags, multiplied together: any machine.
#[derive(Clone, Copy)]
pub(super) struct Anywhere;

#[inline(always)]
fn flags<K: Copy>(keys: &[K; WORD], holds: impl Fn(K) -> bool) -> u64 {
    let mut flags = [0; WORD];
    for (flag, &key) in flags.iter_mut().zip(keys) {
        *flag = u8::from(holds(key));
    }
    pack_word(&flags)
}

impl Compare for Anywhere {
    #[inline(always)]
    fn at_least_u32(self, keys: &[u32; WORD], least: u32) -> u64 {
        flags(keys, |key| key >= least)
    }
    #[inline(always)]
    fn above_u32(self, keys: &[u32; WORD], bound: u32) -> u64 {
        flags(keys, |key| key > bound)
    }
    #[inline(always)]
    fn at_least_u64(self, keys: &[u64; WORD], least: u64) -> u64 {
        flags(keys, |key| key >= least)
    }
    #[inline(always)]
    fn above_u64(self, keys: &[u64; WORD], bound: u64) -> u64 {
        flags(keys, |key| key > bound)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Compare, WORD};
    use std::arch::x86_64::*;

    /// Sign bits of vectors, gathered.
    #[derive(Clone, Copy)]
    pub(in crate::kernels) struct Avx2(());

    /// Mask registers.
    #[derive(Clone, Copy)]
    pub(in crate::kernels) struct Avx512(());

    impl Avx2 {
        /// # Safety
        ///
        /// The machine has AVX2.
        pub(in crate::kernels) const unsafe fn assume() -> Self {
            Self(())
        }
    }

    impl Avx512 {
        /// # Safety
        ///
        /// The machine has AVX-512 F.
        pub(in crate::kernels) const unsafe fn assume() -> Self {
            Self(())
        }
    }

    const AT_LEAST: i32 = _MM_CMPINT_NLT;
    const ABOVE: i32 = _MM_CMPINT_NLE;

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn mask_u32<const COMPARISON: i32>(keys: &[u32; WORD], with: u32) -> u64 {
        let with = _mm512_set1_epi32(with.cast_signed());
        let mut word = 0;
        for (number, part) in keys.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: the sixteen keys of `part` are the 64 bytes that are read; no alignment is asked for.
            let part = unsafe { _mm512_loadu_si512(part.as_ptr().cast()) };
            let mask = _mm512_cmp_epu32_mask::<COMPARISON>(part, with);
            word |= u64::from(mask) << (16 * number);
        }
        word
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn mask_u64<const COMPARISON: i32>(keys: &[u64; WORD], with: u64) -> u64 {
        let with = _mm512_set1_epi64(with.cast_signed());
        let mut word = 0;
        for (number, part) in keys.as_chunks::<8>().0.iter().enumerate() {
            // SAFETY: the eight keys of `part` are the 64 bytes that are read; no alignment is asked for.
            let part = unsafe { _mm512_loadu_si512(part.as_ptr().cast()) };
            let mask = _mm512_cmp_epu64_mask::<COMPARISON>(part, with);
            word |= u64::from(mask) << (8 * number);
        }
        word
    }

    impl Compare for Avx512 {
        #[inline(always)]
        fn at_least_u32(self, keys: &[u32; WORD], least: u32) -> u64 {
            // SAFETY: whoever made `self` knew that the machine has AVX-512 F.
            unsafe { mask_u32::<AT_LEAST>(keys, least) }
        }
        #[inline(always)]
        fn above_u32(self, keys: &[u32; WORD], bound: u32) -> u64 {
            // SAFETY: as above.
            unsafe { mask_u32::<ABOVE>(keys, bound) }
        }
        #[inline(always)]
        fn at_least_u64(self, keys: &[u64; WORD], least: u64) -> u64 {
            // SAFETY: as above.
            unsafe { mask_u64::<AT_LEAST>(keys, least) }
        }
        #[inline(always)]
        fn above_u64(self, keys: &[u64; WORD], bound: u64) -> u64 {
            // SAFETY: as above.
            unsafe { mask_u64::<ABOVE>(keys, bound) }
        }
    }

    /// Bits of the keys that are at least `least`: those that are the larger of both.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn signs_u32(keys: &[u32; WORD], least: u32) -> u64 {
        let least = _mm256_set1_epi32(least.cast_signed());
        let mut word = 0;
        for (number, part) in keys.as_chunks::<8>().0.iter().enumerate() {
            // SAFETY: the eight keys of `part` are the 32 bytes that are read; no alignment is asked for.
            let part = unsafe { _mm256_loadu_si256(part.as_ptr().cast()) };
            let holds = _mm256_cmpeq_epi32(_mm256_max_epu32(part, least), part);
            let signs = _mm256_movemask_ps(_mm256_castsi256_ps(holds));
            word |= u64::from(signs.cast_unsigned()) << (8 * number);
        }
        word
    }

    /// Bits of the keys that are above `bound`. There are signed comparisons only: both move by half the range.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn signs_u64(keys: &[u64; WORD], bound: u64) -> u64 {
        let half = _mm256_set1_epi64x(i64::MIN);
        let bound = _mm256_xor_si256(_mm256_set1_epi64x(bound.cast_signed()), half);
        let mut word = 0;
        for (number, part) in keys.as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: the four keys of `part` are the 32 bytes that are read; no alignment is asked for.
            let part = unsafe { _mm256_loadu_si256(part.as_ptr().cast()) };
            let holds = _mm256_cmpgt_epi64(_mm256_xor_si256(part, half), bound);
            let signs = _mm256_movemask_pd(_mm256_castsi256_pd(holds));
            word |= u64::from(signs.cast_unsigned()) << (4 * number);
        }
        word
    }

    impl Compare for Avx2 {
        #[inline(always)]
        fn at_least_u32(self, keys: &[u32; WORD], least: u32) -> u64 {
            // SAFETY: whoever made `self` knew that the machine has AVX2.
            unsafe { signs_u32(keys, least) }
        }
        #[inline(always)]
        fn above_u32(self, keys: &[u32; WORD], bound: u32) -> u64 {
            // Nothing is above the largest key.
            bound
                .checked_add(1)
                .map_or(0, |least| self.at_least_u32(keys, least))
        }
        #[inline(always)]
        fn at_least_u64(self, keys: &[u64; WORD], least: u64) -> u64 {
            // Everything is at least the lowest key.
            least
                .checked_sub(1)
                .map_or(u64::MAX, |bound| self.above_u64(keys, bound))
        }
        #[inline(always)]
        fn above_u64(self, keys: &[u64; WORD], bound: u64) -> u64 {
            // SAFETY: as above.
            unsafe { signs_u64(keys, bound) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Compare, Sweep, WORD};
    use crate::kernels::dispatch::{forced, vectorize_sweep};
    use crate::kernels::stream;

    /// Every comparison of both widths.
    struct All<'a>(&'a [u64; WORD], u64);

    impl Sweep for All<'_> {
        type Output = [u64; 4];
        #[inline(always)]
        fn run<C: Compare>(self, compare: C) -> [u64; 4] {
            let Self(wide, with) = self;
            let keys = wide.map(|key| (key >> 32) as u32);
            let short = (with >> 32) as u32;
            [
                compare.at_least_u32(&keys, short),
                compare.above_u32(&keys, short),
                compare.at_least_u64(wide, with),
                compare.above_u64(wide, with),
            ]
        }
    }

    fn word(holds: impl Fn(usize) -> bool) -> u64 {
        (0..WORD).fold(0, |word, bit| word | u64::from(holds(bit)) << bit)
    }

    #[test]
    fn a_bit_is_a_comparison_of_unsigned_keys() {
        let ends = [
            0,
            1,
            u64::MAX >> 1,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
            1 << 32,
        ];
        forced::at_every_level(|level| {
            for seed in 0..50 {
                let keys = std::array::from_fn(|place| match stream::bits(seed, place as u64) {
                    bits if bits % 3 == 0 => ends[(bits >> 8) as usize % ends.len()],
                    bits => bits,
                });
                for with in ends.into_iter().chain(keys) {
                    let short = with >> 32;
                    let right = [
                        word(|bit| keys[bit] >> 32 >= short),
                        word(|bit| keys[bit] >> 32 > short),
                        word(|bit| keys[bit] >= with),
                        word(|bit| keys[bit] > with),
                    ];
                    let bits = vectorize_sweep(All(&keys, with));
                    assert_eq!(bits, right, "{keys:?} and {with} at {level:?}");
                }
            }
        });
    }
}
