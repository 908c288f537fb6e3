//! The integers that selections rank by.

use super::bits::WORD;
use super::compare::Compare;
use super::keys::{Buffered, Supply};
use super::select;
use super::short_groups::{self, Pattern};
use super::ties::{self, Tied};
use std::fmt::Debug;

/// An unsigned integer that keys of a selection are made of.
pub trait Bits: Copy + Ord + Default + Debug + Send + Sync + 'static {
    /// How many bits there are.
    const WIDTH: u32;
    /// Shifts right; by [`WIDTH`](Self::WIDTH) or more gives zero.
    fn shift_right(self, by: u32) -> Self;
    /// Shifts left; by [`WIDTH`](Self::WIDTH) or more gives zero.
    fn shift_left(self, by: u32) -> Self;
    /// The lowest bits under `mask`.
    fn low(self, mask: usize) -> usize;
    /// This plus a small number; the caller knows that it fits.
    fn plus(self, small: usize) -> Self;
    /// The value as a u64.
    fn wide(self) -> u64;
    // Compiled once, as the methods of `Sealed`.
    #[doc(hidden)]
    fn rank_groups(keys: &[Self], pattern: Pattern, words: &mut [u64]);
    #[doc(hidden)]
    fn select(keys: &dyn Supply<Self>, drop: usize, limit: Self) -> Option<Vec<u64>>;
    #[doc(hidden)]
    fn widen_cut(keys: &dyn Supply<Self>, words: Vec<u64>, tied: Tied) -> Vec<u64>;
    /// A bit for each key: whether it is at least this.
    fn at_least<C: Compare>(keys: &[Self; WORD], least: Self, compare: C) -> u64;
    /// A bit for each key: whether it is above this.
    fn above<C: Compare>(keys: &[Self; WORD], bound: Self, compare: C) -> u64;
}

macro_rules! bits {
    ($type:ty, $at_least:ident, $above:ident) => {
        #[expect(clippy::cast_possible_truncation, reason = "digits of at most 16 bits")]
        impl Bits for $type {
            const WIDTH: u32 = <$type>::BITS;
            #[inline(always)]
            fn shift_right(self, by: u32) -> Self {
                self.checked_shr(by).unwrap_or(0)
            }
            #[inline(always)]
            fn shift_left(self, by: u32) -> Self {
                self.checked_shl(by).unwrap_or(0)
            }
            #[inline(always)]
            fn low(self, mask: usize) -> usize {
                self as usize & mask
            }
            #[inline(always)]
            fn plus(self, small: usize) -> Self {
                self.wrapping_add(small as Self)
            }
            #[inline(always)]
            fn wide(self) -> u64 {
                u64::from(self)
            }
            fn rank_groups(keys: &[Self], pattern: Pattern, words: &mut [u64]) {
                short_groups::rank(keys, pattern, words);
            }
            fn select(keys: &dyn Supply<Self>, drop: usize, limit: Self) -> Option<Vec<u64>> {
                select::select(&Buffered(keys), drop, limit)
            }
            fn widen_cut(keys: &dyn Supply<Self>, words: Vec<u64>, tied: Tied) -> Vec<u64> {
                ties::widen(&Buffered(keys), words, tied)
            }
            #[inline(always)]
            fn at_least<C: Compare>(keys: &[Self; WORD], least: Self, compare: C) -> u64 {
                compare.$at_least(keys, least)
            }
            #[inline(always)]
            fn above<C: Compare>(keys: &[Self; WORD], bound: Self, compare: C) -> u64 {
                compare.$above(keys, bound)
            }
        }
    };
}

bits!(u32, at_least_u32, above_u32);
bits!(u64, at_least_u64, above_u64);

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn shifts_by_the_whole_width_give_zero() {
        assert_eq!(7_u32.shift_right(32), 0);
        assert_eq!(7_u64.shift_left(64), 0);
        assert_eq!(0b1011_u32.low(0b11), 0b11);
    }
}
