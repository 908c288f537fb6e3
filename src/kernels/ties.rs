//! Widens an exact cut to its ties: all that are as low as the last to go, or as high as the first to
//! stay.

use super::bits::{WORD, last_word, words_for};
use super::dispatch::vectorize;
use super::parallel::{CHUNK, for_chunks_mut, map_ranges};
use super::runs;
use super::select::Keys;

/// The mask without all keys that equal one that it drops.
pub(crate) fn drop_all_tied<K: Keys>(keys: &K, words: Vec<u64>) -> Vec<u64> {
    match extreme(keys, &words, false, Ord::max) {
        Some(highest) => marked(keys, |key| key > highest),
        None => words,
    }
}

/// The mask with all keys that equal one that it keeps.
pub(crate) fn keep_all_tied<K: Keys>(keys: &K, words: Vec<u64>) -> Vec<u64> {
    match extreme(keys, &words, true, Ord::min) {
        Some(lowest) => marked(keys, |key| key >= lowest),
        None => words,
    }
}

/// The highest or lowest key among those whose bit is `set`.
fn extreme<K: Keys>(
    keys: &K,
    words: &[u64],
    set: bool,
    better: impl Fn(K::Key, K::Key) -> K::Key + Sync,
) -> Option<K::Key> {
    map_ranges(keys.len(), CHUNK, |range| {
        let start = range.start;
        let part = keys.range(range);
        (0..part.len())
            .filter(|&index| runs::is_set(words, start + index) == set)
            .map(|index| part.key(index))
            .reduce(&better)
    })
    .into_iter()
    .flatten()
    .reduce(better)
}

fn marked<K: Keys>(keys: &K, keep: impl Fn(K::Key) -> bool + Sync) -> Vec<u64> {
    let len = keys.len();
    let mut words = vec![0; words_for(len)];
    for_chunks_mut(&mut words, CHUNK / WORD, |chunk, words| {
        let start = chunk * CHUNK;
        let part = keys.range(start..len.min(start + CHUNK));
        vectorize(
            #[inline(always)]
            || {
                for (number, word) in words.iter_mut().enumerate() {
                    let places = number * WORD..part.len().min((number + 1) * WORD);
                    *word = places.enumerate().fold(0, |word, (bit, index)| {
                        word | u64::from(keep(part.key(index))) << bit
                    });
                }
            },
        );
    });
    if let Some(last) = words.last_mut() {
        *last &= last_word(len);
    }
    words
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
