//! What weights are ranked by, one at a time, in blocks, and behind a pointer.
//!
//! There are many [`Keys`] and few places that need them fast. So selections read a [`Feed`], and there are two
//! for each width of key: magnitudes straight from the weights, and whatever a [`Supply`] copies into a buffer.
//! Those are compiled once, with the crate; what a program that prunes compiles of its own is the copying.

use super::bits::WORD;
use super::dispatch::vectorize;
use super::real::{Bits, Real};
use std::ops::Range;

/// What weights are ranked by: the lower key goes first, and among equal keys the lower index.
pub trait Keys: Sync + Sized {
    /// An integer that orders as the importance does.
    type Key: Bits;
    /// How many there are.
    fn len(&self) -> usize;
    /// Those of `range`.
    fn range(&self, range: Range<usize>) -> Self;
    /// The key at `index`.
    fn key(&self, index: usize) -> Self::Key;

    /// Copies the keys from `start` on.
    #[inline(always)]
    fn fill(&self, start: usize, into: &mut [Self::Key]) {
        let here = self.range(start..start + into.len());
        for (index, key) in into.iter_mut().enumerate() {
            *key = here.key(index);
        }
    }

    /// [`keep_highest_below`](super::select::keep_highest_below).
    fn select(&self, drop: usize, limit: Self::Key) -> Option<Vec<u64>> {
        Self::Key::select(self, drop, limit)
    }
}

/// Keys behind a pointer.
pub trait Supply<K>: Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Copies the keys from `start` on.
    fn copy(&self, start: usize, into: &mut [K]);
}

impl<T: Keys> Supply<T::Key> for T {
    fn count(&self) -> usize {
        self.len()
    }

    fn copy(&self, start: usize, into: &mut [T::Key]) {
        vectorize(
            #[inline(always)]
            || self.fill(start, into),
        );
    }
}

/// Keys in blocks.
pub(super) trait Feed: Sync {
    /// An integer that orders as the importance does.
    type Key: Bits;
    /// How many there are.
    fn len(&self) -> usize;
    /// Calls `visit` with the number, the keys and the count of each sixty-four keys of `range`. Behind the end,
    /// where there are fewer, stands the largest of them once more.
    fn visit(&self, range: Range<usize>, visit: impl FnMut(usize, &[Self::Key; WORD], usize));
}

/// A block of fewer keys than fit.
#[inline(always)]
fn padded<K: Bits>(keys: impl Iterator<Item = K> + Clone) -> [K; WORD] {
    let mut block = [keys.clone().max().unwrap_or_default(); WORD];
    for (key, here) in block.iter_mut().zip(keys) {
        *key = here;
    }
    block
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
    fn select(&self, drop: usize, limit: F::Bits) -> Option<Vec<u64>> {
        F::select_magnitudes(self.0, drop, limit)
    }
}

impl<F: Real> Feed for Magnitudes<'_, F> {
    type Key = F::Bits;

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn visit(&self, range: Range<usize>, mut visit: impl FnMut(usize, &[F::Bits; WORD], usize)) {
        let (blocks, rest) = self.0[range].as_chunks::<WORD>();
        for (number, weights) in blocks.iter().enumerate() {
            let mut block = [F::Bits::default(); WORD];
            for (key, weight) in block.iter_mut().zip(weights) {
                *key = weight.magnitude();
            }
            visit(number, &block, WORD);
        }
        if !rest.is_empty() {
            let block = padded(rest.iter().map(|weight| weight.magnitude()));
            visit(blocks.len(), &block, rest.len());
        }
    }
}

/// Keys copied at a time: some KiB, which stay in the first-level cache.
const BUFFER: usize = 16 * WORD;

/// Reads a supply through a buffer.
pub(super) struct Buffered<'a, K>(pub(super) &'a dyn Supply<K>);

impl<K: Bits> Feed for Buffered<'_, K> {
    type Key = K;

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.count()
    }

    #[inline(always)]
    fn visit(&self, range: Range<usize>, mut visit: impl FnMut(usize, &[K; WORD], usize)) {
        let mut buffer = [K::default(); BUFFER];
        for start in range.clone().step_by(BUFFER) {
            let buffer = &mut buffer[..BUFFER.min(range.end - start)];
            self.0.copy(start, buffer);
            let first = (start - range.start) / WORD;
            let (blocks, rest) = buffer.as_chunks::<WORD>();
            for (number, block) in blocks.iter().enumerate() {
                visit(first + number, block, WORD);
            }
            if !rest.is_empty() {
                let block = padded(rest.iter().copied());
                visit(first + blocks.len(), &block, rest.len());
            }
        }
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
        score_key(self.weights[index], self.scores[index])
    }
    #[inline(always)]
    fn fill(&self, start: usize, into: &mut [F::Bits]) {
        let pairs = self.weights[start..].iter().zip(&self.scores[start..]);
        for (key, (&weight, &score)) in into.iter_mut().zip(pairs) {
            *key = score_key(weight, score);
        }
    }
}

#[inline(always)]
fn score_key<F: Real>(weight: F, score: F) -> F::Bits {
    let score = score.ordinal();
    if weight == F::zero() {
        F::Bits::default()
    } else {
        score
    }
}

#[cfg(test)]
mod tests {
    use super::{BUFFER, Buffered, Feed, Keys, Magnitudes, Scores, WORD};

    fn visited<T: Feed>(feed: &T, start: usize, end: usize) -> Vec<T::Key> {
        let mut keys = Vec::new();
        feed.visit(start..end, |number, block, count| {
            assert_eq!(number * WORD, keys.len(), "blocks come in order");
            keys.extend_from_slice(&block[..count]);
            let most = block[..count].iter().max();
            assert!(block[count..].iter().all(|key| Some(key) == most));
        });
        keys
    }

    #[test]
    fn blocks_hold_the_keys_of_a_range_in_order() {
        let weights: Vec<f32> = (0..3 * BUFFER + 17).map(|i| 500.0 - i as f32).collect();
        let scores = Scores::new(&weights, &weights);
        let magnitudes = Magnitudes(&weights);
        for (start, end) in [
            (0, 0),
            (0, 1),
            (5, 69),
            (0, 3 * BUFFER + 17),
            (7, BUFFER + 7),
        ] {
            let right = |keys: &dyn Fn(usize) -> u32| (start..end).map(keys).collect::<Vec<_>>();
            let by_score = right(&|index| scores.key(index));
            let by_size = right(&|index| magnitudes.key(index));
            assert_eq!(visited(&Buffered(&scores), start, end), by_score);
            assert_eq!(visited(&Buffered(&magnitudes), start, end), by_size);
            assert_eq!(visited(&magnitudes, start, end), by_size);
        }
    }
}
