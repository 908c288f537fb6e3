//! Finds where the kept and the dropped part in one sweep, from a bracket that a sample suggests.
//!
//! The k-th smallest of n keys lies, but for bad luck, between two quantiles of a sample. One sweep counts
//! what lies below that bracket, marks what lies above, and lists what lies inside: some hundredth of the
//! keys, among which an ordinary selection finds the cut. The sweep also looks for the largest key, by which
//! its caller knows a NaN.
//!
//! Where many keys are equal the bracket's ends may be as frequent as the rest together. They are counted
//! then, not listed, and the bits come from a second sweep.
//!
//! The sample decides how long it takes and never what comes out: if the cut is not inside, or too much is,
//! there is no answer, and counting digits finds it whatever the keys are. The positions of the sample are
//! constant, so a list of keys can be made up that always fails; chance does it about once in a thousand.

use super::bits::{WORD, words_for};
use super::compare::{Compare, Sweep};
use super::dispatch::vectorize_sweep;
use super::keys::Feed;
use super::parallel::{CHUNK, for_chunks_mut, map_chunks_mut, map_ranges};
use super::real::Bits;
use super::select::{Cut, Most};
use super::stream;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer keys than this are not worth a sample.
pub(super) const FEWEST: usize = 1 << 17;
/// Keys of the sample that lie side by side: two lines of the cache.
const RUN: usize = 32;
/// Most runs of a sample.
const RUNS: usize = 2048;
/// How far the ends of the bracket lie from its middle, in standard deviations of the sample's rank.
const DEVIATIONS: f64 = 3.3;
/// One key in so many may lie inside, and some more of a short list: what is listed is less than 4 % of the
/// keys and a megabyte.
const LISTED: usize = 64;
const LISTED_ANYWAY: usize = 1 << 15;

/// The keys between which the cut should lie, both of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bracket<K> {
    low: K,
    high: K,
    /// Whether the ends are so frequent that they must not be listed.
    heavy: bool,
}

/// What a sweep found.
pub(super) struct Found<K> {
    /// The mask bits, if they are known.
    pub(super) words: Option<Vec<u64>>,
    /// The cut, if it is known and the bits are not, and how many keys of each chunk are equal to it.
    pub(super) cut: Option<(Cut<K>, Vec<usize>)>,
    /// The largest key.
    pub(super) most: K,
}

/// The bits or the cut of all but the `drop` lowest keys, 0 < `drop` < the number of keys; neither if the
/// sample was a bad one. The largest key is known in any case.
pub(super) fn find<T: Feed>(keys: &T, drop: usize) -> Found<T::Key> {
    find_in(keys, drop, bracket(keys, drop))
}

fn find_in<T: Feed>(keys: &T, drop: usize, bracket: Bracket<T::Key>) -> Found<T::Key> {
    let most_listed = keys.len() / LISTED + LISTED_ANYWAY;
    let total = AtomicUsize::new(0);
    let chunk = |range: Range<usize>| Chunk {
        keys,
        range,
        bracket,
        total: &total,
        most_listed,
    };
    if bracket.heavy {
        let parts = map_ranges(keys.len(), CHUNK, |range| {
            vectorize_sweep(Count(chunk(range)))
        });
        let most = parts.iter().map(|part| part.most).max();
        let listed = total.load(Ordering::Relaxed) <= most_listed;
        return Found {
            words: None,
            cut: listed
                .then(|| cut_of_counts(&parts, drop, bracket))
                .flatten(),
            most: most.unwrap_or_default(),
        };
    }
    let mut words = vec![0; words_for(keys.len())];
    let parts = map_chunks_mut(&mut words, CHUNK / WORD, |index, words| {
        let start = index * CHUNK;
        let range = start..keys.len().min(start + CHUNK);
        vectorize_sweep(List(chunk(range), words))
    });
    let most = parts.iter().map(|part| part.most).max();
    let listed = total.load(Ordering::Relaxed) <= most_listed;
    let settled = listed && settle(&parts, drop, &mut words);
    Found {
        words: settled.then_some(words),
        cut: None,
        most: most.unwrap_or_default(),
    }
}

/// The quantiles of a sample around that of the cut.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a guess"
)]
fn bracket<T: Feed>(keys: &T, drop: usize) -> Bracket<T::Key> {
    let len = keys.len();
    let runs = (len / (8 * RUN)).clamp(1, RUNS);
    let stratum = len / runs;
    let mut sample = Vec::with_capacity(runs * RUN);
    for run in 0..runs {
        // Any constant serves as seed.
        let hashed = stream::bits(0x5EED, run as u64);
        let start = run * stratum + (hashed % (stratum - RUN + 1) as u64) as usize;
        keys.visit(start..start + RUN, |_, block, count| {
            sample.extend_from_slice(&block[..count]);
        });
    }
    let size = sample.len() as f64;
    let share = drop as f64 / len as f64;
    let reach = DEVIATIONS * (share * (1.0 - share) * size).sqrt() + 1.0;
    let (from, to) = (share * size - reach, share * size + reach);
    let most = T::Key::default().plus(usize::MAX);
    let (mut low, mut high) = (T::Key::default(), most);
    let mut lower = &mut sample[..];
    if to < size - 1.0 {
        let (below, &mut key, _) = lower.select_nth_unstable(to as usize);
        (lower, high) = (below, key);
    }
    if from > 1.0 {
        low = *lower.select_nth_unstable(from as usize).1;
    }
    let inside = sample.iter().filter(|&&key| low <= key && key <= high);
    let heavy = inside.count() as f64 > 2.1 * reach + 8.0;
    Bracket { low, high, heavy }
}

/// What a chunk holds below and inside a bracket.
struct Part<K> {
    below: usize,
    at_low: usize,
    at_high: usize,
    /// Places in the chunk, if they are wanted, and keys.
    places: Vec<u16>,
    inside: Vec<K>,
    most: K,
}

/// A chunk of the keys, and what it takes to sweep it.
struct Chunk<'a, T: Feed> {
    keys: &'a T,
    range: Range<usize>,
    bracket: Bracket<T::Key>,
    /// How many keys are listed so far, of all chunks.
    total: &'a AtomicUsize,
    most_listed: usize,
}

impl<T: Feed> Chunk<'_, T> {
    /// Whether so many more keys may be listed. If not, nobody will look at any of them.
    #[inline(always)]
    fn may_list(&self, more: usize) -> bool {
        self.total.fetch_add(more, Ordering::Relaxed) <= self.most_listed
    }
}

/// Places in a chunk, and keys.
struct Listed<K> {
    places: Vec<u16>,
    keys: Vec<K>,
    count: usize,
}

impl<K: Bits> Listed<K> {
    /// Places that are written whether there are so many or not: seldom more are, and to ask is a guess that
    /// the machine makes wrong half of the time.
    const AT_ONCE: usize = 2;
    /// Places that there is room for, at first.
    const ROOM: usize = CHUNK / LISTED * 2;

    fn new() -> Self {
        Self {
            places: vec![0; Self::ROOM],
            keys: vec![K::default(); Self::ROOM],
            count: 0,
        }
    }

    /// Lists the keys of a block whose bit is set.
    #[inline(always)]
    fn add(&mut self, number: usize, block: &[K; WORD], mut bits: u64) {
        if self.places.len() < self.count + WORD {
            self.grow();
        }
        let set = bits.count_ones() as usize;
        let (places, keys) = (&mut self.places[self.count..], &mut self.keys[self.count..]);
        let mut put = |slot: usize, bits: u64| {
            let bit = bits.trailing_zeros() as usize % WORD;
            #[expect(clippy::cast_possible_truncation, reason = "a chunk has 2¹⁶ keys")]
            let place = (number * WORD + bit) as u16;
            (places[slot], keys[slot]) = (place, block[bit]);
        };
        for slot in 0..Self::AT_ONCE {
            put(slot, bits);
            bits &= bits.wrapping_sub(1);
        }
        for slot in Self::AT_ONCE..set {
            put(slot, bits);
            bits &= bits - 1;
        }
        self.count += set;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let room = 2 * self.places.len();
        self.places.resize(room, 0);
        self.keys.resize(room, K::default());
    }

    fn get(mut self) -> (Vec<u16>, Vec<K>) {
        self.places.truncate(self.count);
        self.keys.truncate(self.count);
        self.places.shrink_to_fit();
        self.keys.shrink_to_fit();
        (self.places, self.keys)
    }
}

/// Marks what is above the bracket in the words, and lists what is inside.
struct List<'a, T: Feed>(Chunk<'a, T>, &'a mut [u64]);

impl<T: Feed> Sweep for List<'_, T> {
    type Output = Part<T::Key>;

    #[inline(always)]
    fn run<C: Compare>(self, compare: C) -> Part<T::Key> {
        let Self(chunk, words) = self;
        let Bracket { low, high, .. } = chunk.bracket;
        let len = chunk.range.len();
        let (mut from_low, mut most) = (0, Most::default());
        let mut listed = Listed::new();
        chunk.keys.visit(
            chunk.range.clone(),
            #[inline(always)]
            |number, block, count| {
                let here = u64::MAX >> (WORD - count);
                let word = T::Key::at_least(block, low, compare) & here;
                let above = T::Key::above(block, high, compare) & here;
                most.raise(block);
                words[number] = above;
                from_low += word.count_ones() as usize;
                listed.add(number, block, word & !above);
            },
        );
        let (mut places, mut inside) = listed.get();
        if !chunk.may_list(places.len()) {
            (places, inside) = (Vec::new(), Vec::new());
        }
        Part {
            below: len - from_low,
            at_low: 0,
            at_high: 0,
            places,
            inside,
            most: most.get(),
        }
    }
}

/// Counts what is below the bracket and at its ends, and lists what is between them.
struct Count<'a, T: Feed>(Chunk<'a, T>);

impl<T: Feed> Sweep for Count<'_, T> {
    type Output = Part<T::Key>;

    #[inline(always)]
    fn run<C: Compare>(self, compare: C) -> Part<T::Key> {
        let Self(chunk) = self;
        let Bracket { low, high, .. } = chunk.bracket;
        let (mut below, mut at_low, mut at_high) = (0, 0, 0);
        let (mut most, mut inside) = (Most::default(), Vec::new());
        chunk.keys.visit(
            chunk.range.clone(),
            #[inline(always)]
            |_, block, count| {
                let here = u64::MAX >> (WORD - count);
                let from_low = T::Key::at_least(block, low, compare) & here;
                let over_low = T::Key::above(block, low, compare) & here;
                let from_high = T::Key::at_least(block, high, compare) & here;
                let over_high = T::Key::above(block, high, compare) & here;
                most.raise(block);
                let ones = |word: u64| word.count_ones() as usize;
                below += count - ones(from_low);
                at_low += ones(from_low & !over_low);
                at_high += ones(from_high & !over_high);
                let mut rest = over_low & !from_high;
                while rest != 0 {
                    inside.push(block[rest.trailing_zeros() as usize % WORD]);
                    rest &= rest - 1;
                }
            },
        );
        if !chunk.may_list(inside.len()) {
            inside = Vec::new();
        }
        Part {
            below,
            at_low,
            at_high: if low == high { 0 } else { at_high },
            places: Vec::new(),
            inside,
            most: most.get(),
        }
    }
}

/// The cut, if it is inside, and how many keys of each chunk are equal to it.
fn cut_of_counts<K: Bits>(
    parts: &[Part<K>],
    drop: usize,
    bracket: Bracket<K>,
) -> Option<(Cut<K>, Vec<usize>)> {
    let each = |count: fn(&Part<K>) -> usize| parts.iter().map(count).collect::<Vec<_>>();
    let below: usize = each(|part| part.below).iter().sum();
    let (at_low, at_high) = (each(|part| part.at_low), each(|part| part.at_high));
    let between: usize = each(|part| part.inside.len()).iter().sum();
    let at = |key, ties, counts: Vec<usize>| {
        let equal = counts.iter().sum();
        (ties <= equal).then_some((Cut { key, ties, equal }, counts))
    };
    let mut rank = drop.checked_sub(below).filter(|&rank| rank > 0)?;
    let low: usize = at_low.iter().sum();
    if rank <= low {
        return at(bracket.low, rank, at_low);
    }
    rank -= low;
    if rank > between {
        return at(bracket.high, rank - between, at_high);
    }
    let mut keys: Vec<K> = parts
        .iter()
        .flat_map(|part| &part.inside)
        .copied()
        .collect();
    let cut = ranked(&mut keys, rank);
    let equal = |part: &Part<K>| part.inside.iter().filter(|&&key| key == cut.key).count();
    Some((cut, parts.iter().map(equal).collect()))
}

/// The cut that the key of this rank, from 1, makes among keys.
fn ranked<K: Bits>(keys: &mut [K], rank: usize) -> Cut<K> {
    let (lower, &mut key, higher) = keys.select_nth_unstable(rank - 1);
    let before = lower.iter().filter(|&&other| other == key).count();
    let behind = higher.iter().filter(|&&other| other == key).count();
    Cut {
        key,
        ties: before + 1,
        equal: before + 1 + behind,
    }
}

/// Sets the bits of the keys inside that stay; `false` if the cut is not inside.
fn settle<K: Bits>(parts: &[Part<K>], drop: usize, words: &mut [u64]) -> bool {
    let below: usize = parts.iter().map(|part| part.below).sum();
    let inside: usize = parts.iter().map(|part| part.inside.len()).sum();
    let rank = match drop.checked_sub(below) {
        Some(rank) if 0 < rank && rank <= inside => rank,
        _ => return false,
    };
    let mut keys = Vec::with_capacity(inside);
    parts.iter().for_each(|part| keys.extend(&part.inside));
    let cut = ranked(&mut keys, rank);
    // Of the keys equal to the cut the first ones go: each chunk must know how many lie before it.
    let mut ties_left = cut.ties;
    let ties: Vec<usize> = parts
        .iter()
        .map(|part| {
            let here = part.inside.iter().filter(|&&key| key == cut.key).count();
            let ties = ties_left.min(here);
            ties_left -= ties;
            ties
        })
        .collect();
    for_chunks_mut(words, CHUNK / WORD, |chunk, words| {
        let part = &parts[chunk];
        let mut ties = ties[chunk];
        for (&place, &key) in part.places.iter().zip(&part.inside) {
            let tied = key == cut.key && ties > 0;
            ties -= usize::from(tied);
            let keep = key >= cut.key && !tied;
            let place = usize::from(place);
            words[place / WORD] |= u64::from(keep) << (place % WORD);
        }
    });
    true
}

#[cfg(test)]
mod tests {
    use super::{Bracket, FEWEST, find, find_in};
    use crate::kernels::dispatch::forced;
    use crate::kernels::select::{Magnitudes, keep_highest, select_by_digits};
    use crate::kernels::stream;

    fn inputs(len: usize) -> Vec<(&'static str, Vec<f32>)> {
        let uniform = |i: usize| stream::uniform::<f32>(7, i as u64);
        let normal = |i: usize| (0..6).map(|k| uniform(6 * i + k) - 0.5).sum::<f32>();
        let of = |f: &dyn Fn(usize) -> f32| (0..len).map(f).collect::<Vec<f32>>();
        vec![
            ("normal", of(&normal)),
            ("sorted", of(&|i| i as f32)),
            ("descending", of(&|i| (len - i) as f32)),
            ("all equal", of(&|_| -0.5)),
            ("four values", of(&|i| (uniform(i) * 4.0).floor())),
            ("255 levels", of(&|i| (uniform(i) * 255.0).floor())),
            (
                "zeros",
                of(&|i| if uniform(i) < 0.9 { 0.0 } else { normal(i) }),
            ),
            (
                "scales by row",
                of(&|i| normal(i) * ((i / 1000) % 17) as f32),
            ),
            (
                "one in a chunk",
                of(&|i| f32::from(u8::from(i % 65_536 == 77))),
            ),
        ]
    }

    #[test]
    fn what_a_sample_finds_is_what_digits_find() {
        forced::at_every_level(|level| {
            let len = 2 * FEWEST + 77;
            for (name, weights) in inputs(len) {
                let keys = Magnitudes(&weights);
                for drop in [1, 2, len / 10, len / 3, len / 2, len * 9 / 10, len - 1] {
                    let right = select_by_digits(&keys, drop);
                    assert!(
                        keep_highest(&keys, drop) == right,
                        "{drop} of {name}, {level:?}"
                    );
                }
            }
        });
    }

    #[test]
    fn a_sample_seldom_fails() {
        let len = 1 << 20;
        for (name, weights) in inputs(len) {
            for drop in [len * 3 / 10, len / 2, len * 9 / 10] {
                let found = find(&Magnitudes(&weights), drop);
                assert!(
                    found.words.is_some() || found.cut.is_some(),
                    "{drop} of {name}"
                );
            }
        }
    }

    #[test]
    fn a_bracket_that_misses_or_holds_too_much_gives_no_answer() {
        let weights: Vec<f32> = (0..2 * FEWEST).map(|i| i as f32).collect();
        let keys = Magnitudes(&weights);
        let key = |i: usize| (i as f32).to_bits();
        for heavy in [false, true] {
            let inside = |low, high| {
                let bracket = Bracket {
                    low: key(low),
                    high: key(high),
                    heavy,
                };
                let found = find_in(&keys, 1000, bracket);
                assert_eq!(found.most, key(2 * FEWEST - 1), "the largest key is known");
                found.words.is_some() || found.cut.is_some()
            };
            assert!(inside(900, 1100));
            assert!(!inside(1100, 1200), "all inside is too high");
            assert!(!inside(100, 200), "all inside is too low");
            assert!(!inside(0, 2 * FEWEST), "everything is inside");
        }
    }
}
