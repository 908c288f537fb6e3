//! Widens an exact cut to its ties: all that are as low as the last to go, or as high as the first to
//! stay.

use super::bits::{WORD, words_for};
use super::keys::{Feed, Keys};
use super::parallel::{CHUNK, for_chunks_mut, map_ranges};
use super::real::Bits;
use super::select::mark_chunk;

/// Which ties go with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tied {
    /// Whatever equals a key that goes, goes.
    Go,
    /// Whatever equals a key that stays, stays.
    Stay,
}

/// The mask without all keys that equal one that it drops.
pub(crate) fn drop_all_tied<K: Keys>(keys: &K, words: Vec<u64>) -> Vec<u64> {
    K::Key::widen_cut(keys, words, Tied::Go)
}

/// The mask with all keys that equal one that it keeps.
pub(crate) fn keep_all_tied<K: Keys>(keys: &K, words: Vec<u64>) -> Vec<u64> {
    K::Key::widen_cut(keys, words, Tied::Stay)
}

/// The mask with its ties put together.
pub(super) fn widen<T: Feed>(keys: &T, mut words: Vec<u64>, tied: Tied) -> Vec<u64> {
    let Some(cut) = extreme(keys, &words, tied) else {
        return words;
    };
    let len = keys.len();
    for_chunks_mut(&mut words, CHUNK / WORD, |chunk, words| {
        let start = chunk * CHUNK;
        let range = start..len.min(start + CHUNK);
        mark_chunk(keys, range, cut, tied == Tied::Stay, words);
    });
    words
}

/// The highest key that goes, or the lowest that stays.
fn extreme<T: Feed>(keys: &T, words: &[u64], tied: Tied) -> Option<T::Key> {
    debug_assert_eq!(words.len(), words_for(keys.len()), "one bit a key");
    let better = match tied {
        Tied::Go => Ord::max,
        Tied::Stay => Ord::min,
    };
    map_ranges(keys.len(), CHUNK, |range| {
        let words = &words[range.start / WORD..];
        let mut extreme: Option<T::Key> = None;
        keys.visit(range, |number, block, count| {
            let wanted = match tied {
                Tied::Go => !words[number],
                Tied::Stay => words[number],
            };
            let mut rest = wanted & u64::MAX >> (WORD - count);
            while rest != 0 {
                let key = block[rest.trailing_zeros() as usize % WORD];
                extreme = Some(extreme.map_or(key, |best| better(best, key)));
                rest &= rest - 1;
            }
        });
        extreme
    })
    .into_iter()
    .flatten()
    .reduce(better)
}

#[cfg(test)]
mod tests {
    use super::{drop_all_tied, keep_all_tied};
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::runs::is_set;
    use crate::kernels::select::{Keys, Magnitudes, keep_highest};

    #[test]
    fn ties_go_or_stay_together() {
        let len = CHUNK + 333;
        let weights: Vec<f32> = (0..len).map(|i| (i * 7919 % 97) as f32).collect();
        let keys = Magnitudes(&weights);
        for drop in [0, 1, 500, 30_000, len - 1, len] {
            let exact = keep_highest(&keys, drop);
            let kept = |kept: bool| {
                let exact = &exact;
                (0..len)
                    .filter(move |&i| is_set(exact, i) == kept)
                    .map(|i| keys.key(i))
            };
            let all = drop_all_tied(&keys, exact.clone());
            let none = keep_all_tied(&keys, exact.clone());
            let (highest, lowest) = (kept(false).max(), kept(true).min());
            for place in 0..len {
                let key = keys.key(place);
                assert_eq!(is_set(&all, place), highest.is_none_or(|cut| key > cut));
                assert_eq!(is_set(&none, place), lowest.is_some_and(|cut| key >= cut));
            }
        }
    }
}
