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
use super::real::Bits;
use super::runs;
use super::select::Keys;

/// Keys ranked at a time. They are read from memory once, as they may take arithmetic, and once from the
/// first-level cache. A multiple of 64 and of every length of a group.
const PIECE: usize = 1024;

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

/// Mask bits that are set for the highest keys of every short group along rows of `count` neighbours, and the
/// highest key of all.
pub(crate) fn keep_in_rows<K: Keys>(
    keys: &K,
    count: usize,
    pattern: Pattern,
) -> (Vec<u64>, K::Key) {
    let len = keys.len();
    // Rows of whole groups are one row.
    let count = if count.is_multiple_of(pattern.of) {
        len
    } else {
        count
    };
    let mut words = vec![0; words_for(len)];
    let highest = map_chunks_mut(&mut words, CHUNK / WORD, |chunk, words| {
        let start = chunk * CHUNK;
        mark(keys, count, pattern, start, words)
    });
    let highest = highest.into_iter().max().unwrap_or_default();
    (words, highest)
}

/// Sets the bits of the chunk that begins at `start`.
fn mark<K: Keys>(
    keys: &K,
    count: usize,
    pattern: Pattern,
    start: usize,
    words: &mut [u64],
) -> K::Key {
    let end = keys.len().min(start + words.len() * WORD);
    let mut held = [K::Key::default(); PIECE];
    let mut kept = [0; PIECE / WORD];
    let mut highest = K::Key::default();
    let mut place = start;
    while place < end {
        let row_end = keys.len().min((place / count + 1) * count);
        // The group that began in the chunk before is ranked again, alone.
        let before = place % count % pattern.of;
        let from = place - before;
        let whole = (row_end.min(end + pattern.of) - from) / pattern.of * pattern.of;
        let len = match (before, whole) {
            (_, 0) => row_end - from,
            (0, _) => whole.min(PIECE),
            _ => pattern.of,
        };
        let held = &mut held[..len];
        let part = keys.range(from..from + len);
        highest = highest.max(vectorize(
            #[inline(always)]
            || hold(&part, held),
        ));
        if whole == 0 {
            kept[0] = rank_alone(held, pattern);
        } else {
            K::Key::rank_groups(held, pattern, &mut kept);
        }
        kept[0] >>= before;
        let taken = end.min(from + len) - place;
        kept[(taken - 1) / WORD] &= last_word(taken);
        runs::put(words, place - start, &kept, taken);
        place += taken;
    }
    highest
}

#[inline(always)]
fn hold<K: Keys>(keys: &K, held: &mut [K::Key]) -> K::Key {
    let mut highest = K::Key::default();
    for (index, held) in held.iter_mut().enumerate() {
        let key = keys.key(index);
        *held = key;
        highest = highest.max(key);
    }
    highest
}

/// Bits of what stays of one group, which may be shorter than the others.
fn rank_alone<K: Bits>(keys: &[K], pattern: Pattern) -> u64 {
    let drop = keys.len() - kept_of(keys.len(), pattern.keep, pattern.of);
    let goes_before = |j: usize, i: usize| match pattern.first {
        FirstToGo::Lower => (keys[j], j) < (keys[i], i),
        FirstToGo::Higher => (keys[j], i) < (keys[i], j),
    };
    let rank = |i: usize| (0..keys.len()).filter(|&j| goes_before(j, i)).count();
    (0..keys.len()).fold(0, |bits, i| bits | u64::from(rank(i) >= drop) << i)
}

/// Bits of what stays of whole groups, for [`Bits::rank_groups`]: as many words as the keys need, zeros behind the
/// last key.
pub(super) fn rank<K: Bits>(keys: &[K], pattern: Pattern, words: &mut [u64]) {
    macro_rules! groups_of {
        ($of:literal) => {
            match pattern.first {
                FirstToGo::Lower => vectorize(
                    #[inline(always)]
                    || rank_groups::<K, $of, false>(keys, pattern.keep, words),
                ),
                FirstToGo::Higher => vectorize(
                    #[inline(always)]
                    || rank_groups::<K, $of, true>(keys, pattern.keep, words),
                ),
            }
        };
    }
    match pattern.of {
        4 => groups_of!(4),
        8 => groups_of!(8),
        _ => groups_of!(16),
    }
}

#[inline(always)]
fn rank_groups<K: Bits, const M: usize, const HIGHER_FIRST: bool>(
    keys: &[K],
    keep: usize,
    words: &mut [u64],
) {
    let drop = M - keep;
    // Not a byte a group: the compiler would choose vectors by the narrowest type, and spill the keys.
    let mut groups = [0_u32; PIECE / 4];
    let groups = &mut groups[..keys.len() / M];
    if M == 16 {
        // Compilers know how to take every eighth key from a stretch of memory, not every sixteenth.
        let mut even = [K::default(); PIECE / 2];
        let mut odd = [K::default(); PIECE / 2];
        for ((even, odd), pair) in even.iter_mut().zip(&mut odd).zip(keys.as_chunks::<2>().0) {
            *even = pair[0];
            *odd = pair[1];
        }
        let (even, odd) = (even.as_chunks::<8>().0, odd.as_chunks::<8>().0);
        for ((group, even), odd) in groups.iter_mut().zip(even).zip(odd) {
            let keys = std::array::from_fn(|i| if i % 2 == 0 { even[i / 2] } else { odd[i / 2] });
            *group = rank_group::<K, M, HIGHER_FIRST>(&keys, drop);
        }
    } else {
        for (group, keys) in groups.iter_mut().zip(keys.as_chunks::<M>().0) {
            *group = rank_group::<K, M, HIGHER_FIRST>(keys, drop);
        }
    }
    for (word, groups) in words.iter_mut().zip(groups.chunks(WORD / M)) {
        *word = groups
            .iter()
            .rev()
            .fold(0, |word, &group| word << M | u64::from(group));
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
