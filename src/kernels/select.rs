//! Finds the k smallest of n keys exactly, without sorting and without a copy of them.
//!
//! Where there are many keys, [`bracket`] finds the cut in one sweep from a sample. Where there are few, or
//! the sample was a bad one, by a radix selection: count how often each value of the topmost digit occurs, find the digit in
//! which the k-th smallest key lies, and go on with the next digit among the keys that share the
//! ones found so far. Keys are integers that order as the numbers do, so counts are exact, the order
//! of counting does not matter, and the work is the same whatever the data: two or three sweeps for
//! f32, and no more memory than the counters. A last sweep writes the mask.

use super::bits::{WORD, ones, words_for};
use super::bracket::{self, FEWEST};
use super::compare::{Compare, Sweep};
use super::dispatch::{vectorize, vectorize_sweep};
use super::keys::Feed;
pub(crate) use super::keys::{Keys, Magnitudes, Scores};
use super::parallel::{CHUNK, fold_ranges, for_chunks_mut, map_ranges};
use super::real::Bits;
use std::ops::Range;

const DIGIT: u32 = 11;
const RADIX: usize = 1 << DIGIT;
/// Equal keys in a row would make each count wait for the one before; four tables take turns.
const TABLES: usize = 4;

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
    keys.select(drop, limit)
}

/// [`keep_highest_below`] of a feed.
pub(super) fn select<T: Feed>(keys: &T, drop: usize, limit: T::Key) -> Option<Vec<u64>> {
    let len = keys.len();
    if drop == 0 || drop == len || len < FEWEST {
        let fine = most(keys) <= limit;
        return fine.then(|| select_by_digits(keys, drop));
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
        (None, None) => select_by_digits(keys, drop),
    })
}

/// The bits without a sample.
pub(super) fn select_by_digits<T: Feed>(keys: &T, drop: usize) -> Vec<u64> {
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

/// Largest keys in flight.
const LANES: usize = 16;

/// The largest key of a sweep, so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Most<K>([K; LANES]);

impl<K: Bits> Most<K> {
    #[inline(always)]
    pub(super) fn raise(&mut self, block: &[K; WORD]) {
        for group in block.as_chunks::<LANES>().0 {
            for (most, &key) in self.0.iter_mut().zip(group) {
                *most = if key > *most { key } else { *most };
            }
        }
    }

    #[inline(always)]
    pub(super) fn get(self) -> K {
        self.0.into_iter().max().unwrap_or_default()
    }
}

/// The largest key.
fn most<T: Feed>(keys: &T) -> T::Key {
    let parts = map_ranges(keys.len(), CHUNK, |range| {
        vectorize(
            #[inline(always)]
            || {
                let mut most = Most::default();
                keys.visit(range, |_, block, _| most.raise(block));
                most.get()
            },
        )
    });
    parts.into_iter().max().unwrap_or_default()
}

/// The cut below which exactly `drop` keys lie, 0 < `drop` < the number of keys.
fn cut<T: Feed>(keys: &T, drop: usize) -> Cut<T::Key> {
    let mut prefix = T::Key::default();
    let mut known = 0;
    let mut rank = drop;
    loop {
        let width = DIGIT.min(T::Key::WIDTH - known);
        let shift = T::Key::WIDTH - known - width;
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
fn count<T: Feed>(keys: &T, prefix: T::Key, shift: u32, width: u32) -> Vec<usize> {
    fold_ranges(
        keys.len(),
        CHUNK,
        || vec![0; RADIX],
        |counts, range| {
            let tables = vectorize(
                #[inline(always)]
                || count_chunk(keys, range, prefix, (shift, width)),
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
fn count_chunk<T: Feed>(
    keys: &T,
    range: Range<usize>,
    prefix: T::Key,
    (shift, width): (u32, u32),
) -> [[u32; RADIX]; TABLES] {
    let mut tables = [[0; RADIX]; TABLES];
    let mask = (1 << width) - 1;
    // The first digit has no prefix, and then no comparison to pay for.
    if shift + width == T::Key::WIDTH {
        keys.visit(
            range,
            #[inline(always)]
            |_, block, count| {
                for (index, key) in block.iter().enumerate().take(count) {
                    let digit = key.shift_right(shift).low(mask);
                    tables[index % TABLES][digit % RADIX] += 1;
                }
            },
        );
    } else {
        keys.visit(
            range,
            #[inline(always)]
            |_, block, count| {
                for (index, key) in block.iter().enumerate().take(count) {
                    let shifted = key.shift_right(shift);
                    if shifted.shift_right(width) == prefix {
                        tables[index % TABLES][shifted.low(mask) % RADIX] += 1;
                    }
                }
            },
        );
    }
    tables
}

/// Writes the mask bits of a cut. `equal` is how many keys of each chunk are equal to it, if that is known.
fn mark<T: Feed>(keys: &T, cut: Cut<T::Key>, equal: Option<Vec<usize>>, words: &mut [u64]) {
    // Which of the equal keys go is settled by index, so each chunk must know how many lie before
    // it; but only if some stay and some go.
    let split = cut.ties > 0 && cut.ties < cut.equal;
    let (mut equal_here, mut equal_before) = (Vec::new(), Vec::new());
    if split {
        equal_here = equal.unwrap_or_else(|| {
            map_ranges(keys.len(), CHUNK, |range| count_equal(keys, range, cut.key))
        });
        equal_before = running_total(&equal_here);
    }
    let len = keys.len();
    for_chunks_mut(words, CHUNK / WORD, |chunk, words| {
        let start = chunk * CHUNK;
        let range = start..len.min(start + CHUNK);
        let ties = if split {
            cut.ties.saturating_sub(equal_before[chunk])
        } else {
            cut.ties
        };
        mark_chunk(keys, range.clone(), cut.key, ties == 0, words);
        // Only in one chunk do some of its equal keys go and some stay.
        if split && 0 < ties && ties < equal_here[chunk] {
            keep_late_ties(keys, range, (cut.key, ties), words);
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

/// Writes a bit for each key of a range: whether it is above `key`, or equal to it if those stay.
pub(super) fn mark_chunk<T: Feed>(
    keys: &T,
    range: Range<usize>,
    key: T::Key,
    equal: bool,
    words: &mut [u64],
) {
    vectorize_sweep(Mark {
        keys,
        range,
        key,
        equal,
        words,
    });
}

struct Mark<'a, T: Feed> {
    keys: &'a T,
    range: Range<usize>,
    key: T::Key,
    equal: bool,
    words: &'a mut [u64],
}

impl<T: Feed> Sweep for Mark<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<C: Compare>(self, compare: C) {
        let Self { key, words, .. } = self;
        if self.equal {
            self.keys.visit(
                self.range,
                #[inline(always)]
                |number, block, count| {
                    words[number] =
                        T::Key::at_least(block, key, compare) & u64::MAX >> (WORD - count);
                },
            );
        } else {
            self.keys.visit(
                self.range,
                #[inline(always)]
                |number, block, count| {
                    words[number] = T::Key::above(block, key, compare) & u64::MAX >> (WORD - count);
                },
            );
        }
    }
}

/// How many keys of a range equal `key`.
fn count_equal<T: Feed>(keys: &T, range: Range<usize>, key: T::Key) -> usize {
    vectorize(
        #[inline(always)]
        || {
            let mut equal = 0;
            keys.visit(
                range,
                #[inline(always)]
                |_, block, count| {
                    let here = block.iter().take(count);
                    equal += here.map(|&other| usize::from(other == key)).sum::<usize>();
                },
            );
            equal
        },
    )
}

/// Sets the bits of keys equal to `key`, but for the first `ties` of them.
fn keep_late_ties<T: Feed>(
    keys: &T,
    range: Range<usize>,
    (key, ties): (T::Key, usize),
    words: &mut [u64],
) {
    let mut seen = 0;
    keys.visit(range, |number, block, count| {
        for (bit, &other) in block.iter().enumerate().take(count) {
            if other == key {
                seen += 1;
                words[number] |= u64::from(seen > ties) << bit;
            }
        }
    });
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
