//! Finds the k smallest of n keys exactly, without sorting and without a copy of them.
//!
//! Where there are many keys, [`bracket`] finds the cut in one sweep from a sample. Where there are few, or
//! the sample was a bad one, by a radix selection: count how often each value of the topmost digit occurs, find the digit in
//! which the k-th smallest key lies, and go on with the next digit among the keys that share the
//! ones found so far. Keys are integers that order as the numbers do, so counts are exact, the order
//! of counting does not matter, and the work is the same whatever the data: two or three sweeps for
//! f32, and no more memory than the counters. A last sweep writes the mask.

use super::bits::{WORD, last_word, ones, pack_word, words_for};
use super::bracket::{self, FEWEST};
use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges, for_chunks_mut, map_ranges};
use super::real::{Bits, Real};
use std::ops::Range;

const DIGIT: u32 = 11;
const RADIX: usize = 1 << DIGIT;
/// Equal keys in a row would make each count wait for the one before; four tables take turns.
const TABLES: usize = 4;

/// What weights are ranked by: the lower key goes first, and among equal keys the lower index.
pub(crate) trait Keys: Sync + Sized {
    /// An integer that orders as the importance does.
    type Key: Bits;
    /// How many there are.
    fn len(&self) -> usize;
    /// Those of `range`.
    fn range(&self, range: Range<usize>) -> Self;
    /// The key at `index`.
    fn key(&self, index: usize) -> Self::Key;
}

/// Ranks weights by their magnitude.
#[derive(Clone, Copy)]
pub(crate) struct Magnitudes<'a, F>(pub(crate) &'a [F]);

impl<F: Real> Keys for Magnitudes<'_, F> {
    type Key = F::Bits;
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }
    #[inline(always)]
    fn range(&self, range: Range<usize>) -> Self {
        Self(&self.0[range])
    }
    #[inline(always)]
    fn key(&self, index: usize) -> F::Bits {
        self.0[index].magnitude()
    }
}

/// Ranks weights by given scores; a weight that is zero already goes before all others.
#[derive(Clone, Copy)]
pub(crate) struct Scores<'a, F> {
    weights: &'a [F],
    scores: &'a [F],
}

impl<'a, F: Real> Scores<'a, F> {
    pub(crate) fn new(weights: &'a [F], scores: &'a [F]) -> Self {
        assert_eq!(weights.len(), scores.len(), "one score a weight");
        Self { weights, scores }
    }
}

impl<F: Real> Keys for Scores<'_, F> {
    type Key = F::Bits;
    #[inline(always)]
    fn len(&self) -> usize {
        self.weights.len()
    }
    #[inline(always)]
    fn range(&self, range: Range<usize>) -> Self {
        Self {
            weights: &self.weights[range.clone()],
            scores: &self.scores[range],
        }
    }
    #[inline(always)]
    fn key(&self, index: usize) -> F::Bits {
        let score = self.scores[index].ordinal();
        if self.weights[index] == F::zero() {
            F::Bits::default()
        } else {
            score
        }
    }
}

/// Where the kept and the dropped part: every key below `key` goes, and of those equal to it the
/// first `ties`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut<K> {
    pub(super) key: K,
    pub(super) ties: usize,
    /// How many keys equal `key`, as far as that matters: not known where `ties` is zero.
    pub(super) equal: usize,
}

/// Mask bits that are set for all but the `drop` lowest keys.
pub(crate) fn keep_highest<K: Keys>(keys: &K, drop: usize) -> Vec<u64> {
    keep_highest_below(keys, drop, K::Key::default().plus(usize::MAX)).unwrap_or_default()
}

/// [`keep_highest`], or nothing if a key is above `limit`.
///
/// Looking for such a key costs nothing where the keys are many: they are read anyway.
pub(crate) fn keep_highest_below<K: Keys>(
    keys: &K,
    drop: usize,
    limit: K::Key,
) -> Option<Vec<u64>> {
    let len = keys.len();
    assert!(drop <= len, "cannot drop {drop} of {len}");
    if drop == 0 || drop == len || len < FEWEST {
        let fine = most(keys) <= limit;
        return fine.then(|| keep_highest_by_digits(keys, drop));
    }
    let found = bracket::find(keys, drop);
    if found.most > limit {
        return None;
    }
    Some(match (found.words, found.cut) {
        (Some(words), _) => words,
        (None, Some((cut, equal))) => {
            let mut words = vec![0; words_for(len)];
            mark(keys, cut, Some(equal), &mut words);
            words
        }
        (None, None) => keep_highest_by_digits(keys, drop),
    })
}

/// [`keep_highest`] without a sample.
pub(super) fn keep_highest_by_digits<K: Keys>(keys: &K, drop: usize) -> Vec<u64> {
    let len = keys.len();
    if drop == 0 {
        return ones(len);
    }
    let mut words = vec![0; words_for(len)];
    if drop < len {
        mark(keys, cut(keys, drop), None, &mut words);
    }
    words
}

/// The largest key.
fn most<K: Keys>(keys: &K) -> K::Key {
    let parts = map_ranges(keys.len(), CHUNK, |range| {
        let keys = keys.range(range);
        vectorize(
            #[inline(always)]
            || {
                let keys = (0..keys.len()).map(|index| keys.key(index));
                keys.fold(K::Key::default(), Ord::max)
            },
        )
    });
    parts.into_iter().max().unwrap_or_default()
}

/// The cut below which exactly `drop` keys lie, 0 < `drop` < the number of keys.
fn cut<K: Keys>(keys: &K, drop: usize) -> Cut<K::Key> {
    let mut prefix = K::Key::default();
    let mut known = 0;
    let mut rank = drop;
    loop {
        let width = DIGIT.min(K::Key::WIDTH - known);
        let shift = K::Key::WIDTH - known - width;
        let counts = count(keys, prefix, shift, width);
        let mut digit = 0;
        while rank > counts[digit] {
            rank -= counts[digit];
            digit += 1;
        }
        prefix = prefix.shift_left(width).plus(digit);
        known += width;
        if rank == counts[digit] && shift > 0 {
            // All keys that start so go, whatever their other digits: the cut is the next prefix.
            // There is one, since at least one key stays.
            return Cut {
                key: prefix.plus(1).shift_left(shift),
                ties: 0,
                equal: 0,
            };
        }
        if shift == 0 {
            return Cut {
                key: prefix,
                ties: rank,
                equal: counts[digit],
            };
        }
    }
}

/// How often each digit of `width` bits above `shift` occurs among keys that start with `prefix`.
fn count<K: Keys>(keys: &K, prefix: K::Key, shift: u32, width: u32) -> Vec<usize> {
    fold_ranges(
        keys.len(),
        CHUNK,
        || vec![0; RADIX],
        |counts, range| {
            let keys = keys.range(range);
            let tables = vectorize(
                #[inline(always)]
                || count_chunk(&keys, prefix, shift, width),
            );
            for (digit, count) in counts.iter_mut().enumerate() {
                *count += tables
                    .iter()
                    .map(|table| table[digit] as usize)
                    .sum::<usize>();
            }
        },
        |mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        },
    )
}

#[inline(always)]
fn count_chunk<K: Keys>(
    keys: &K,
    prefix: K::Key,
    shift: u32,
    width: u32,
) -> [[u32; RADIX]; TABLES] {
    let mut tables = [[0; RADIX]; TABLES];
    let mask = (1 << width) - 1;
    // The first digit has no prefix, and then no comparison to pay for.
    if shift + width == K::Key::WIDTH {
        for index in 0..keys.len() {
            let digit = keys.key(index).shift_right(shift).low(mask);
            tables[index % TABLES][digit % RADIX] += 1;
        }
    } else {
        for index in 0..keys.len() {
            let shifted = keys.key(index).shift_right(shift);
            if shifted.shift_right(width) == prefix {
                tables[index % TABLES][shifted.low(mask) % RADIX] += 1;
            }
        }
    }
    tables
}

/// Writes the mask bits of a cut. `equal` is how many keys of each chunk are equal to it, if that is known.
fn mark<K: Keys>(keys: &K, cut: Cut<K::Key>, equal: Option<Vec<usize>>, words: &mut [u64]) {
    // Which of the equal keys go is settled by index, so each chunk must know how many lie before
    // it; but only if some stay and some go.
    let split = cut.ties > 0 && cut.ties < cut.equal;
    let (mut equal_here, mut equal_before) = (Vec::new(), Vec::new());
    if split {
        equal_here = equal.unwrap_or_else(|| {
            map_ranges(keys.len(), CHUNK, |range| {
                count_equal(&keys.range(range), cut.key)
            })
        });
        equal_before = running_total(&equal_here);
    }
    let len = keys.len();
    for_chunks_mut(words, CHUNK / WORD, |chunk, words| {
        let start = chunk * CHUNK;
        let keys = keys.range(start..len.min(start + CHUNK));
        let ties = if split {
            cut.ties.saturating_sub(equal_before[chunk])
        } else {
            cut.ties
        };
        // Only in one chunk do some of its equal keys go and some stay.
        let splits_here = split && 0 < ties && ties < equal_here[chunk];
        vectorize(
            #[inline(always)]
            || {
                if ties == 0 {
                    mark_chunk(&keys, words, |key| key >= cut.key);
                } else {
                    mark_chunk(&keys, words, |key| key > cut.key);
                }
            },
        );
        if splits_here {
            keep_late_ties(&keys, cut.key, ties, words);
        }
        if let Some(last) = words.last_mut() {
            *last &= last_word(keys.len());
        }
    });
}

/// For each count, the sum of those before it.
fn running_total(counts: &[usize]) -> Vec<usize> {
    let mut total = 0;
    counts
        .iter()
        .map(|count| {
            let before = total;
            total += count;
            before
        })
        .collect()
}

#[inline(always)]
fn mark_chunk<K: Keys>(keys: &K, words: &mut [u64], keep: impl Fn(K::Key) -> bool) {
    let len = keys.len();
    for (number, word) in words.iter_mut().enumerate() {
        let start = number * WORD;
        let mut flags = [0; WORD];
        if start + WORD <= len {
            let block = keys.range(start..start + WORD);
            for (index, flag) in flags.iter_mut().enumerate() {
                *flag = u8::from(keep(block.key(index)));
            }
        } else {
            for (flag, index) in flags.iter_mut().zip(start..len) {
                *flag = u8::from(keep(keys.key(index)));
            }
        }
        *word = pack_word(&flags);
    }
}

/// How many keys equal `key`.
fn count_equal<K: Keys>(keys: &K, key: K::Key) -> usize {
    vectorize(
        #[inline(always)]
        || {
            (0..keys.len())
                .map(|index| usize::from(keys.key(index) == key))
                .sum()
        },
    )
}

/// Sets the bits of keys equal to `key`, but for the first `ties` of them.
fn keep_late_ties<K: Keys>(keys: &K, key: K::Key, ties: usize, words: &mut [u64]) {
    let mut seen = 0;
    for index in 0..keys.len() {
        if keys.key(index) == key {
            seen += 1;
            if seen > ties {
                words[index / WORD] |= 1 << (index % WORD);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Keys, Magnitudes, Scores, keep_highest};
    use crate::kernels::bits::{WORD, last_word, words_for};
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::real::Real;

    /// The obvious twin: a stable sort by key, and the first `drop` go.
    fn slow<K: Keys>(keys: &K, drop: usize) -> Vec<u64> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|&index| keys.key(index));
        let mut words = vec![u64::MAX; words_for(keys.len())];
        if let Some(last) = words.last_mut() {
            *last = last_word(keys.len());
        }
        for &index in &order[..drop] {
            words[index / WORD] &= !(1 << (index % WORD));
        }
        words
    }

    fn noise<F: Real>(len: usize, levels: f64) -> Vec<F> {
        let mut state = 88_172_645_463_325_252_u64;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
                F::narrow((uniform * levels).round() / levels)
            })
            .collect()
    }

    fn inputs<F: Real>(len: usize) -> Vec<(&'static str, Vec<F>)> {
        let special = [0.0, -0.0, f64::INFINITY, 1e-45, -1e-45, 1.0, -1.0, 3e38];
        vec![
            ("all different", noise(len, 1e12)),
            ("255 levels", noise(len, 255.0)),
            ("four values", noise(len, 4.0)),
            ("all equal", vec![F::narrow(-0.5); len]),
            (
                "zeros of both signs",
                (0..len).map(|i| F::narrow([0.0, -0.0][i % 2])).collect(),
            ),
            (
                "special",
                (0..len).map(|i| F::narrow(special[i * 7 % 8])).collect(),
            ),
            ("ascending", (0..len).map(|i| F::narrow(i as f64)).collect()),
        ]
    }

    fn check<F: Real>() {
        forced::at_every_level(|level| {
            for len in [1, 2, 63, 64, 65, 1000, CHUNK + 1, 2 * CHUNK + 130] {
                for (name, weights) in inputs::<F>(len) {
                    let scores: Vec<F> = weights.iter().rev().map(|&x| -x).collect();
                    for drop in [0, 1, len / 3, len / 2, len - 1, len] {
                        let keys = Magnitudes(&weights);
                        let at = format!("{drop} of {len}, {name}, {level:?}");
                        assert_eq!(keep_highest(&keys, drop), slow(&keys, drop), "{at}");
                        let keys = Scores::new(&weights, &scores);
                        assert_eq!(keep_highest(&keys, drop), slow(&keys, drop), "scores, {at}");
                    }
                }
            }
        });
    }

    #[test]
    fn f32_agrees_with_a_stable_sort() {
        check::<f32>();
    }

    #[test]
    fn f64_agrees_with_a_stable_sort() {
        check::<f64>();
    }

    #[test]
    fn every_possible_count_agrees() {
        let weights: Vec<f32> = noise(200, 8.0);
        for drop in 0..=weights.len() {
            let keys = Magnitudes(&weights);
            assert_eq!(keep_highest(&keys, drop), slow(&keys, drop), "{drop}");
        }
    }

    #[test]
    fn a_weight_that_is_zero_goes_before_the_lowest_score() {
        let words = keep_highest(&Scores::new(&[1.0_f32, 0.0, 2.0], &[-9.0, 100.0, 5.0]), 1);
        assert_eq!(words, [0b101]);
    }
}
