//! Keeps the highest few of every group of neighbours: N of M.
//!
//! A shorter last group of r keeps ⌈r · N / M⌉. What is here is plain and general: any N, any M, any stride. Groups
//! of 4, 8 and 16 in a row go to [`short_groups`], which gives the same masks.

use super::bits::{WORD, last_word, pack_word, words_for};
use super::dispatch::vectorize;
use super::extremes::first_nan;
use super::parallel::{CHUNK, for_chunks_mut};
use super::real::Real;
use super::select::{Keys, Magnitudes};
use super::short_groups::{self, Pattern};
use super::units::Slices;

/// Which of equal keys goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstToGo {
    /// The one with the lower index.
    Lower,
    /// The one with the higher index.
    Higher,
}

/// How many of a group of `len` stay.
pub(crate) fn kept_of(len: usize, keep: usize, of: usize) -> usize {
    if len == of {
        keep
    } else {
        // In 128 bits, as the product of two lengths can be large.
        usize::try_from((len as u128 * keep as u128).div_ceil(of as u128)).unwrap_or(len)
    }
}

/// Mask bits that are set for the `keep` highest keys of every `of` neighbours along the axis that
/// `lanes` describes: outer × length × inner. 0 < `of`, `keep` ≤ `of`.
pub(crate) fn keep_n_of_m<K: Keys>(
    keys: &K,
    lanes: Slices,
    keep: usize,
    of: usize,
    first: FirstToGo,
) -> Vec<u64> {
    let pattern = Pattern { keep, of, first };
    if lanes.inner == 1 && pattern.is_short() {
        short_groups::keep_in_rows(keys, lanes.count, pattern)
    } else {
        keep_by_sorting(keys, lanes, pattern)
    }
}

/// As [`keep_n_of_m`] with the weights' magnitudes for keys, or the place of the first NaN.
pub(crate) fn keep_largest_n_of_m<F: Real>(
    weights: &[F],
    lanes: Slices,
    keep: usize,
    of: usize,
    first: FirstToGo,
) -> Result<Vec<u64>, usize> {
    let pattern = Pattern { keep, of, first };
    if lanes.inner == 1 && pattern.is_short() {
        // One pass over the memory: NaN has the highest magnitude.
        let (words, highest) = short_groups::keep_largest_in_rows(weights, lanes.count, pattern);
        if highest <= F::INFINITE {
            return Ok(words);
        }
    }
    match first_nan(weights) {
        Some(place) => Err(place),
        None => Ok(keep_by_sorting(&Magnitudes(weights), lanes, pattern)),
    }
}

/// Any groups, each partitioned by a selection of its own.
pub(super) fn keep_by_sorting<K: Keys>(keys: &K, lanes: Slices, pattern: Pattern) -> Vec<u64> {
    let Slices { count, inner, .. } = lanes;
    let Pattern { keep, of, first } = pattern;
    let len = keys.len();
    let mut flags = vec![0; len];
    // A length along the axis, with all its neighbours, lies in one piece.
    let whole = count * inner;
    if let Some(together) = CHUNK.checked_div(whole) {
        let together = together.max(1);
        for_chunks_mut(&mut flags, together * whole, |chunk, flags| {
            let start = chunk * together * whole;
            let keys = keys.range(start..start + flags.len());
            vectorize(
                #[inline(always)]
                || mark(&keys, flags, (count, inner), (keep, of), first),
            );
        });
    }
    pack(&flags)
}

#[inline(always)]
fn mark<K: Keys>(
    keys: &K,
    flags: &mut [u8],
    (count, inner): (usize, usize),
    (keep, of): (usize, usize),
    first: FirstToGo,
) {
    let mut order: Vec<(K::Key, usize)> = Vec::with_capacity(of.min(count));
    for outer in 0..flags.len() / (count * inner) {
        for start in (0..count).step_by(of) {
            let end = count.min(start.saturating_add(of));
            let drop = (end - start) - kept_of(end - start, keep, of);
            for lane in 0..inner {
                let place = |index: usize| (outer * count + index) * inner + lane;
                order.clear();
                order.extend((start..end).map(|index| (keys.key(place(index)), index)));
                if drop > 0 && drop < order.len() {
                    match first {
                        FirstToGo::Lower => {
                            order.select_nth_unstable(drop);
                        }
                        FirstToGo::Higher => {
                            order.select_nth_unstable_by_key(drop, |&(key, index)| {
                                (key, usize::MAX - index)
                            });
                        }
                    }
                }
                for &(_, index) in &order[drop..] {
                    flags[place(index)] = 1;
                }
            }
        }
    }
}

pub(super) fn pack(flags: &[u8]) -> Vec<u64> {
    let mut words = vec![0; words_for(flags.len())];
    for_chunks_mut(&mut words, CHUNK / WORD, |chunk, words| {
        let flags = &flags[chunk * CHUNK..];
        for (number, word) in words.iter_mut().enumerate() {
            let mut block = [0; WORD];
            let rest = &flags[number * WORD..];
            let len = rest.len().min(WORD);
            block[..len].copy_from_slice(&rest[..len]);
            *word = pack_word(&block);
        }
    });
    if let Some(last) = words.last_mut() {
        *last &= last_word(flags.len());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{FirstToGo, keep_n_of_m, kept_of};
    use crate::kernels::dispatch::forced;
    use crate::kernels::runs::is_set;
    use crate::kernels::select::{Keys, Magnitudes};
    use crate::kernels::units::Slices;

    #[test]
    fn a_shorter_group_keeps_its_share_rounded_up() {
        assert_eq!(
            [0, 1, 2, 3, 4].map(|len| kept_of(len, 2, 4)),
            [0, 1, 1, 2, 2]
        );
        assert_eq!(kept_of(3, 1, 8), 1);
        assert_eq!(kept_of(7, 0, 8), 0);
        assert_eq!(
            kept_of(usize::MAX - 1, usize::MAX, usize::MAX),
            usize::MAX - 1
        );
    }

    #[test]
    fn every_group_agrees_with_a_stable_sort() {
        forced::at_every_level(|level| {
            for (outer, count, inner) in [
                (1, 64, 1),
                (7, 10, 1),
                (5, 9, 3),
                (200, 401, 1),
                (1, 3, 70_000),
            ] {
                let weights: Vec<f32> = (0..outer * count * inner)
                    .map(|i| (i * 7919 % 23) as f32 - 11.0)
                    .collect();
                let lanes = Slices {
                    outer,
                    count,
                    inner,
                };
                let keys = Magnitudes(&weights);
                // All lengths of a group that hardware and papers know, and odd ones.
                let halves = (2..=16).map(|of| (of / 2, of));
                for (keep, of) in halves.chain([(0, 5), (5, 5), (3, 400), (1, 1)]) {
                    for first in [FirstToGo::Lower, FirstToGo::Higher] {
                        let words = keep_n_of_m(&keys, lanes, keep, of, first);
                        let at = format!("{keep}:{of} of {lanes:?}, {first:?}, {level:?}");
                        for outer in 0..outer {
                            for lane in 0..inner {
                                for start in (0..count).step_by(of) {
                                    let place =
                                        |index: usize| (outer * count + index) * inner + lane;
                                    let mut group: Vec<usize> =
                                        (start..count.min(start + of)).collect();
                                    if first == FirstToGo::Higher {
                                        group.reverse();
                                    }
                                    group.sort_by_key(|&index| keys.key(place(index)));
                                    let drop = group.len() - kept_of(group.len(), keep, of);
                                    for (rank, &index) in group.iter().enumerate() {
                                        assert_eq!(
                                            is_set(&words, place(index)),
                                            rank >= drop,
                                            "{at}"
                                        );
                                    }
                                }
                            }
                        }
                    }
                }
            }
        });
    }
}
