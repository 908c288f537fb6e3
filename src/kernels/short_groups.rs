//! Ranks short groups of neighbours, many groups side by side: N of 4, 8 or 16.
//!
//! ```text
//! rank(i) = number of j with key(j) < key(i), or equal and j the first to go
//! kept: rank ≥ M − N
//! ```
//!
//! The same masks as [`n_of_m`](super::n_of_m), which sorts each group: here nothing depends on the keys but the
//! result of comparisons, so that a vector ranks a group in every lane.

use super::bits::{WORD, last_word, words_for};
use super::dispatch::vectorize;
use super::n_of_m::{FirstToGo, kept_of};
use super::parallel::{CHUNK, map_chunks_mut};
use super::real::{Bits, Real};
use super::runs;
use super::select::Keys;
use std::ops::Range;

/// Keys ranked at a time. A multiple of 64 and of every length of a group.
const PIECE: usize = 1024;

/// Keys copied in a loop of constant length.
const BLOCK: usize = 64;

/// How many of every how many neighbours stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub(crate) keep: usize,
    pub(crate) of: usize,
    pub(crate) first: FirstToGo,
}

impl Pattern {
    /// Whether groups are as short as this file takes them.
    pub(crate) fn is_short(self) -> bool {
        matches!(self.of, 4 | 8 | 16)
    }
}

/// Mask bits that are set for the highest keys of every short group along rows of `count` neighbours.
pub(crate) fn keep_in_rows<K: Keys>(keys: &K, count: usize, pattern: Pattern) -> Vec<u64> {
    let rank = |range: Range<usize>, kept: &mut [u64]| {
        let mut held = [K::Key::default(); PIECE];
        let held = &mut held[..range.len()];
        vectorize(
            #[inline(always)]
            || hold(keys, range.start, held),
        );
        K::Key::rank_groups(held, pattern, kept);
    };
    mark(keys.len(), count, pattern, &rank).0
}

/// The same for keys that are the weights' magnitudes, and the highest of them.
///
/// Without a copy of the keys the machine ranks some groups while it waits for the next ones.
pub(crate) fn keep_largest_in_rows<F: Real>(
    weights: &[F],
    count: usize,
    pattern: Pattern,
) -> (Vec<u64>, F::Bits) {
    let rank =
        |range: Range<usize>, kept: &mut [u64]| F::rank_magnitudes(&weights[range], pattern, kept);
    let (words, highest) = mark(weights.len(), count, pattern, &rank);
    (words, highest.into_iter().max().unwrap_or_default())
}

/// Asks `rank` for the bits of every piece of whole groups, or of a group that the end of a row cuts short, and puts
/// them together. What else it says comes back chunk by chunk.
fn mark<R: Ord + Default + Send>(
    len: usize,
    count: usize,
    pattern: Pattern,
    rank: &(impl Fn(Range<usize>, &mut [u64]) -> R + Sync),
) -> (Vec<u64>, Vec<R>) {
    // Rows of whole groups are one row.
    let count = if count.is_multiple_of(pattern.of) {
        len
    } else {
        count
    };
    let mut words = vec![0; words_for(len)];
    let said = map_chunks_mut(&mut words, CHUNK / WORD, |chunk, words| {
        let start = chunk * CHUNK;
        let end = len.min(start + words.len() * WORD);
        let mut kept = [0; PIECE / WORD];
        let mut most = R::default();
        let mut place = start;
        while place < end {
            let row_end = len.min((place / count + 1) * count);
            // The group that began in the chunk before is ranked again, alone.
            let before = place % count % pattern.of;
            let from = place - before;
            let whole = (row_end.min(end + pattern.of) - from) / pattern.of * pattern.of;
            let length = match (before, whole) {
                (_, 0) => row_end - from,
                (0, _) => whole.min(PIECE),
                _ => pattern.of,
            };
            most = most.max(rank(from..from + length, &mut kept));
            kept[0] >>= before;
            let taken = end.min(from + length) - place;
            kept[(taken - 1) / WORD] &= last_word(taken);
            runs::put(words, place - start, &kept, taken);
            place += taken;
        }
        most
    });
    (words, said)
}

/// Copies keys from `from` on.
#[inline(always)]
fn hold<K: Keys>(keys: &K, from: usize, held: &mut [K::Key]) {
    let (blocks, rest) = held.as_chunks_mut::<BLOCK>();
    let whole = blocks.len() * BLOCK;
    for (number, block) in blocks.iter_mut().enumerate() {
        // A range of constant length: so the compiler knows that no index is out of bounds.
        let start = from + number * BLOCK;
        let keys = keys.range(start..start + BLOCK);
        for (index, held) in block.iter_mut().enumerate() {
            *held = keys.key(index);
        }
    }
    for (index, held) in rest.iter_mut().enumerate() {
        *held = keys.key(from + whole + index);
    }
}

/// Bits of what stays of whole groups, or of a shorter one, and the highest key: what [`Bits`] and
/// [`Sealed`](super::real::Sealed) compile. As many words as there are weights for, zeros behind the last.
pub(super) fn rank<S: Copy, K: Bits>(
    source: &[S],
    key: impl Fn(S) -> K + Copy,
    pattern: Pattern,
    words: &mut [u64],
) -> K {
    let Pattern { keep, of, first } = pattern;
    macro_rules! groups_of {
        ($of:literal, $higher_first:literal) => {
            vectorize(
                #[inline(always)]
                || rank_groups::<S, K, $of, $higher_first>(source, key, keep, words),
            )
        };
    }
    match (of, first) {
        _ if source.len() < of => rank_alone(source, key, pattern, words),
        (4, FirstToGo::Lower) => groups_of!(4, false),
        (4, FirstToGo::Higher) => groups_of!(4, true),
        (8, FirstToGo::Lower) => groups_of!(8, false),
        (8, FirstToGo::Higher) => groups_of!(8, true),
        (_, FirstToGo::Lower) => groups_of!(16, false),
        (_, FirstToGo::Higher) => groups_of!(16, true),
    }
}

/// One group, shorter than the others.
fn rank_alone<S: Copy, K: Bits>(
    source: &[S],
    key: impl Fn(S) -> K,
    pattern: Pattern,
    words: &mut [u64],
) -> K {
    let len = source.len();
    let drop = len - kept_of(len, pattern.keep, pattern.of);
    let key = |i: usize| key(source[i]);
    let goes_before = |j: usize, i: usize| match pattern.first {
        FirstToGo::Lower => (key(j), j) < (key(i), i),
        FirstToGo::Higher => (key(j), i) < (key(i), j),
    };
    let rank = |i: usize| (0..len).filter(|&j| goes_before(j, i)).count();
    words[0] = (0..len).fold(0, |bits, i| bits | u64::from(rank(i) >= drop) << i);
    (0..len).map(key).max().unwrap_or_default()
}

#[inline(always)]
fn rank_groups<S: Copy, K: Bits, const M: usize, const HIGHER_FIRST: bool>(
    source: &[S],
    key: impl Fn(S) -> K,
    keep: usize,
    words: &mut [u64],
) -> K {
    let drop = M - keep;
    let mut highest = K::default();
    // Not a byte a group: the compiler would choose vectors by the narrowest type, and spill the keys.
    let mut groups = [0_u32; PIECE / 4];
    if M == 16 {
        // Compilers know how to take every eighth key from a stretch of memory, not every sixteenth.
        let mut even = [K::default(); PIECE / 2];
        let mut odd = [K::default(); PIECE / 2];
        for ((even, odd), pair) in even.iter_mut().zip(&mut odd).zip(source.as_chunks::<2>().0) {
            *even = key(pair[0]);
            *odd = key(pair[1]);
            highest = highest.max(*even).max(*odd);
        }
        let half = source.len() / 2;
        let even = even[..half].as_chunks::<8>().0;
        let odd = odd[..half].as_chunks::<8>().0;
        for ((group, even), odd) in groups.iter_mut().zip(even).zip(odd) {
            let keys = std::array::from_fn(|i| if i % 2 == 0 { even[i / 2] } else { odd[i / 2] });
            *group = rank_group::<K, M, HIGHER_FIRST>(&keys, drop);
        }
    } else {
        for (group, source) in groups.iter_mut().zip(source.as_chunks::<M>().0) {
            let keys: [K; M] = std::array::from_fn(|i| key(source[i]));
            for &key in &keys {
                highest = highest.max(key);
            }
            *group = rank_group::<K, M, HIGHER_FIRST>(&keys, drop);
        }
    }
    pack::<M>(&groups, &mut words[..words_for(source.len())]);
    highest
}

/// Puts the M bits of each group one behind the other.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a group has M bits: half a byte, one or two"
)]
fn pack<const M: usize>(groups: &[u32], words: &mut [u64]) {
    // First bytes, then words: at once it becomes shifts one after the other, or gathers.
    let mut bytes = [0; PIECE / 8];
    match M {
        4 => {
            for (byte, pair) in bytes.iter_mut().zip(groups.as_chunks::<2>().0) {
                *byte = (pair[0] | pair[1] << 4) as u8;
            }
        }
        8 => {
            for (byte, &group) in bytes.iter_mut().zip(groups) {
                *byte = group as u8;
            }
        }
        _ => {
            for (pair, &group) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(groups) {
                *pair = (group as u16).to_le_bytes();
            }
        }
    }
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
}

/// Bits of what stays of one group; in a loop over groups, of a group in every lane.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "places and counts of at most 16 keys"
)]
fn rank_group<K: Bits, const M: usize, const HIGHER_FIRST: bool>(
    keys: &[K; M],
    drop: usize,
) -> u32 {
    // As if every key went after all before it, put right below.
    let mut ranks: [u32; M] = std::array::from_fn(|i| i as u32);
    for i in 1..M {
        for j in 0..i {
            let after = if HIGHER_FIRST {
                keys[j] >= keys[i]
            } else {
                keys[j] > keys[i]
            };
            ranks[j] += u32::from(after);
            ranks[i] -= u32::from(after);
        }
    }
    let mut bits = 0;
    for (i, &rank) in ranks.iter().enumerate() {
        bits |= u32::from(rank >= drop as u32) << i;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::{Pattern, keep_in_rows, keep_largest_in_rows};
    use crate::kernels::dispatch::forced;
    use crate::kernels::n_of_m::{FirstToGo, keep_by_sorting};
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::ranked::{NanPlace, Ranked, Source};
    use crate::kernels::real::Real;
    use crate::kernels::select::{Magnitudes, Scores};
    use crate::kernels::units::Slices;

    /// Few values, so that most groups have ties; zeros of both signs and infinities among them.
    fn few<F: Real>(len: usize, seed: usize) -> Vec<F> {
        let values = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 1e-40, f64::INFINITY];
        let noise = |i: usize| ((i + seed) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let value = |i: usize| match noise(i) % 11 {
            8 => f64::NEG_INFINITY,
            9 => noise(i) as f64,
            10 => 1e-3,
            known => values[known as usize],
        };
        (0..len).map(|i| F::narrow(value(i))).collect()
    }

    fn patterns() -> impl Iterator<Item = Pattern> {
        let keeps = |of: usize| (0..=of).map(move |keep| (keep, of));
        let all = [4, 8, 16].into_iter().flat_map(keeps);
        all.flat_map(|(keep, of)| {
            [FirstToGo::Lower, FirstToGo::Higher].map(|first| Pattern { keep, of, first })
        })
    }

    fn check<F: Real>(outer: usize, count: usize) {
        let weights: Vec<F> = few(outer * count, count);
        let scores: Vec<F> = few(outer * count, count + 7);
        let lanes = Slices {
            outer,
            count,
            inner: 1,
        };
        let highest = weights.iter().map(|w| w.magnitude()).max();
        let mut with_nan = scores.clone();
        with_nan
            .iter_mut()
            .step_by(3)
            .for_each(|score| *score = F::nan());
        for pattern in patterns() {
            let at = format!("{pattern:?} of {outer} × {count}");
            let magnitudes = Magnitudes(&weights);
            let right = keep_by_sorting(&magnitudes, lanes, pattern);
            let (words, most) = keep_largest_in_rows(&weights, count, pattern);
            assert!(words == right, "magnitudes, {at}");
            assert_eq!(most, highest.unwrap_or_default(), "{at}");
            let words = keep_in_rows(&magnitudes, count, pattern);
            assert!(words == right, "magnitudes as keys, {at}");
            let keys = Scores::new(&weights, &scores);
            let right = keep_by_sorting(&keys, lanes, pattern);
            assert!(keep_in_rows(&keys, count, pattern) == right, "scores, {at}");
            for place in [NanPlace::Lowest, NanPlace::Highest] {
                let keys = Ranked::new(&weights, Source::Given(&with_nan), place);
                let right = keep_by_sorting(&keys, lanes, pattern);
                let words = keep_in_rows(&keys, count, pattern);
                assert!(words == right, "NaN {place:?}, {at}");
            }
        }
    }

    #[test]
    fn masks_are_those_of_sorting_every_group() {
        forced::at_every_level(|_| {
            for (outer, count) in [
                (0, 5),
                (1, 1),
                (1, 64),
                (3, 16),
                (1, 2053),
                (50, 1),
                (90, 15),
                (40, 67),
                (9, 1030),
            ] {
                check::<f32>(outer, count);
                check::<f64>(outer, count);
            }
        });
    }

    #[test]
    fn groups_across_the_ends_of_chunks_are_whole() {
        forced::at_every_level(|_| {
            for count in [CHUNK + 5, 4093, 31] {
                let outer = (2 * CHUNK + 100).div_ceil(count);
                let weights: Vec<f32> = few(outer * count, 3);
                let lanes = Slices {
                    outer,
                    count,
                    inner: 1,
                };
                for of in [4, 8, 16] {
                    let pattern = Pattern {
                        keep: of / 2,
                        of,
                        first: FirstToGo::Lower,
                    };
                    let right = keep_by_sorting(&Magnitudes(&weights), lanes, pattern);
                    let (words, _) = keep_largest_in_rows(&weights, count, pattern);
                    assert!(words == right, "{pattern:?} of rows of {count}");
                }
            }
        });
    }

    #[test]
    fn every_order_of_a_group_with_ties_is_ranked() {
        // All 4⁴ groups of four levels, and 4⁸ of eight.
        forced::at_every_level(|level| {
            for of in [4_usize, 8] {
                let digits = |code: usize| (0..of).map(move |i| (code >> (2 * i) & 3) as f32);
                let groups = 0..1_usize << (2 * of);
                let weights: Vec<f32> = groups.flat_map(digits).collect();
                let lanes = Slices {
                    outer: 1,
                    count: weights.len(),
                    inner: 1,
                };
                for pattern in patterns().filter(|pattern| pattern.of == of) {
                    let right = keep_by_sorting(&Magnitudes(&weights), lanes, pattern);
                    let (words, _) = keep_largest_in_rows(&weights, weights.len(), pattern);
                    assert!(words == right, "{pattern:?} at {level:?}");
                }
            }
        });
    }

    #[test]
    fn nan_is_above_infinity() {
        forced::at_every_level(|level| {
            for place in [0, 5, 63, 1029] {
                let mut weights = vec![f32::INFINITY; 1030];
                let highest = |weights: &[f32]| {
                    let first = FirstToGo::Lower;
                    [(2, 4), (4, 8), (8, 16)].map(|(keep, of)| {
                        keep_largest_in_rows(weights, 103, Pattern { keep, of, first }).1
                    })
                };
                assert_eq!(highest(&weights), [f32::INFINITY.to_bits(); 3]);
                weights[place] = -f32::NAN;
                let above = highest(&weights).map(|highest| highest > f32::INFINITY.to_bits());
                assert_eq!(above, [true; 3], "{place} at {level:?}");
            }
        });
    }
}
