//! Keys of weights ranked by scores of any kind, of units, and of several tensors in a row.
//!
//! ```text
//! a weight that is zero: 1     NaN: 0 or the largest key, as asked     else: the score's ordinal
//! ```
//!
//! No score has the ordinal 0 or 1: those would be NaNs.

use super::keys::Keys;
use super::parallel::{CHUNK, map_ranges};
use super::real::{Bits, Real};
use super::runs;
use super::stream;
use std::ops::Range;

/// Where NaN stands among the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanPlace {
    /// Before all others.
    Lowest,
    /// Behind all others.
    Highest,
}

#[inline(always)]
fn place<K: Bits>(nan: NanPlace) -> K {
    match nan {
        NanPlace::Lowest => K::default(),
        NanPlace::Highest => K::default().plus(usize::MAX),
    }
}

/// Where the score of a weight comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a, F> {
    /// |w|
    Magnitude,
    /// A score of its own.
    Given(&'a [F]),
    /// |w · f|
    Product(&'a [F]),
    /// Number `start` + index of the stream of `seed`.
    Random { seed: u64, start: usize },
}

impl<F: Real> Source<'_, F> {
    #[inline(always)]
    pub(crate) fn score(&self, weight: F, index: usize) -> F {
        match self {
            Self::Magnitude => weight.abs(),
            Self::Given(scores) => scores[index],
            Self::Product(factors) => (weight * factors[index]).abs(),
            Self::Random { seed, start } => stream::uniform(*seed, (start + index) as u64),
        }
    }

    fn range(&self, range: Range<usize>) -> Self {
        match self {
            Self::Magnitude => Self::Magnitude,
            Self::Given(scores) => Self::Given(&scores[range]),
            Self::Product(factors) => Self::Product(&factors[range]),
            Self::Random { seed, start } => Self::Random {
                seed: *seed,
                start: start + range.start,
            },
        }
    }
}

/// Ranks weights by a source of scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranked<'a, F> {
    weights: &'a [F],
    source: Source<'a, F>,
    nan: NanPlace,
}

impl<'a, F: Real> Ranked<'a, F> {
    pub(crate) fn new(weights: &'a [F], source: Source<'a, F>, nan: NanPlace) -> Self {
        if let Source::Given(other) | Source::Product(other) = source {
            assert_eq!(weights.len(), other.len(), "one score a weight");
        }
        Self {
            weights,
            source,
            nan,
        }
    }

    /// The place of the first score that is NaN.
    pub(crate) fn first_nan_score(&self) -> Option<usize> {
        map_ranges(self.weights.len(), CHUNK, |range| {
            let start = range.start;
            let part = Keys::range(self, range);
            let nan = |index: &usize| part.source.score(part.weights[*index], *index).is_nan();
            (0..part.weights.len()).find(nan).map(|index| start + index)
        })
        .into_iter()
        .flatten()
        .next()
    }
}

impl<F: Real> Keys for Ranked<'_, F> {
    type Key = F::Bits;
    #[inline(always)]
    fn len(&self) -> usize {
        self.weights.len()
    }
    #[inline(always)]
    fn range(&self, range: Range<usize>) -> Self {
        Self {
            weights: &self.weights[range.clone()],
            source: self.source.range(range),
            nan: self.nan,
        }
    }
    #[inline(always)]
    fn key(&self, index: usize) -> F::Bits {
        let weight = self.weights[index];
        self.ranked(weight, self.source.score(weight, index))
    }
    #[inline(always)]
    fn fill(&self, start: usize, into: &mut [F::Bits]) {
        let weights = &self.weights[start..start + into.len()];
        let pairs = into.iter_mut().zip(weights);
        // What the scores are is asked once, not for each.
        match self.source {
            Source::Magnitude => pairs.for_each(|(key, &weight)| {
                *key = self.ranked(weight, weight.abs());
            }),
            Source::Given(scores) => pairs.zip(&scores[start..]).for_each(|((key, &w), &score)| {
                *key = self.ranked(w, score);
            }),
            Source::Product(factors) => pairs.zip(&factors[start..]).for_each(|((key, &w), &f)| {
                *key = self.ranked(w, (w * f).abs());
            }),
            Source::Random { .. } => pairs.enumerate().for_each(|(index, (key, &weight))| {
                *key = self.ranked(weight, self.source.score(weight, start + index));
            }),
        }
    }
}

impl<F: Real> Ranked<'_, F> {
    #[inline(always)]
    fn ranked(&self, weight: F, score: F) -> F::Bits {
        if weight.is_nan() | score.is_nan() {
            place(self.nan)
        } else if weight == F::zero() {
            F::Bits::default().plus(1)
        } else {
            score.ordinal()
        }
    }
}

/// Ranks units by scores in f64; a unit of nothing but zeros goes before all others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitKeys<'a> {
    scores: &'a [f64],
    zeros: &'a [bool],
    nan: NanPlace,
}

impl<'a> UnitKeys<'a> {
    pub(crate) fn new(scores: &'a [f64], zeros: &'a [bool], nan: NanPlace) -> Self {
        assert_eq!(scores.len(), zeros.len(), "one score a unit");
        Self { scores, zeros, nan }
    }
}

impl Keys for UnitKeys<'_> {
    type Key = u64;
    #[inline(always)]
    fn len(&self) -> usize {
        self.scores.len()
    }
    #[inline(always)]
    fn range(&self, range: Range<usize>) -> Self {
        Self {
            scores: &self.scores[range.clone()],
            zeros: &self.zeros[range],
            nan: self.nan,
        }
    }
    #[inline(always)]
    fn key(&self, index: usize) -> u64 {
        let score = self.scores[index];
        if self.zeros[index] {
            1
        } else if score.is_nan() {
            place(self.nan)
        } else {
            score.ordinal()
        }
    }
}

/// The keys of several tensors, one after the other, without a copy of any.
#[derive(Clone, Debug)]
pub(crate) struct Joined<'a, K> {
    parts: &'a [K],
    /// Where each part starts, and at the end where the last stops.
    starts: &'a [usize],
    range: Range<usize>,
    /// The part in which the range starts.
    first: usize,
}

/// Where each part starts when they stand in a row, and at the end where the last stops.
pub(crate) fn starts(lengths: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut starts = vec![0];
    let mut total = 0;
    for length in lengths {
        total += length;
        starts.push(total);
    }
    starts
}

impl<'a, K: Keys> Joined<'a, K> {
    pub(crate) fn new(parts: &'a [K], starts: &'a [usize]) -> Self {
        assert_eq!(parts.len() + 1, starts.len(), "a start for each part");
        Self {
            parts,
            starts,
            range: 0..starts[parts.len()],
            first: 0,
        }
    }
}

impl<K: Keys> Keys for Joined<'_, K> {
    type Key = K::Key;
    #[inline(always)]
    fn len(&self) -> usize {
        self.range.len()
    }
    fn range(&self, range: Range<usize>) -> Self {
        let start = self.range.start + range.start;
        let first = self.starts.partition_point(|&at| at <= start);
        Self {
            parts: self.parts,
            starts: self.starts,
            range: start..self.range.start + range.end,
            first: first.saturating_sub(1),
        }
    }
    #[inline(always)]
    fn key(&self, index: usize) -> K::Key {
        let place = self.range.start + index;
        let mut part = self.first;
        while place >= self.starts[part + 1] {
            part += 1;
        }
        self.parts[part].key(place - self.starts[part])
    }
    #[inline(always)]
    fn fill(&self, start: usize, into: &mut [K::Key]) {
        let mut place = self.range.start + start;
        let mut part = self.starts.partition_point(|&at| at <= place) - 1;
        let mut rest = into;
        while !rest.is_empty() {
            // Parts may be empty.
            let here = rest.len().min(self.starts[part + 1] - place);
            let (now, later) = rest.split_at_mut(here);
            self.parts[part].fill(place - self.starts[part], now);
            (place, part, rest) = (place + here, part + 1, later);
        }
    }
}

/// Other keys, of which some are put behind all others: what must stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protected<'a, K> {
    keys: K,
    words: &'a [u64],
    start: usize,
}

impl<'a, K: Keys> Protected<'a, K> {
    /// Protects those whose bit is set.
    pub(crate) fn new(keys: K, words: &'a [u64]) -> Self {
        Self {
            keys,
            words,
            start: 0,
        }
    }
}

impl<K: Keys> Keys for Protected<'_, K> {
    type Key = K::Key;
    #[inline(always)]
    fn len(&self) -> usize {
        self.keys.len()
    }
    fn range(&self, range: Range<usize>) -> Self {
        Self {
            start: self.start + range.start,
            words: self.words,
            keys: self.keys.range(range),
        }
    }
    #[inline(always)]
    fn key(&self, index: usize) -> K::Key {
        if runs::is_set(self.words, self.start + index) {
            place(NanPlace::Highest)
        } else {
            self.keys.key(index)
        }
    }
    #[inline(always)]
    fn fill(&self, start: usize, into: &mut [K::Key]) {
        self.keys.fill(start, into);
        for (index, key) in into.iter_mut().enumerate() {
            if runs::is_set(self.words, self.start + start + index) {
                *key = place(NanPlace::Highest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Joined, NanPlace, Protected, Ranked, Source, UnitKeys, starts};
    use crate::kernels::runs;
    use crate::kernels::select::{Keys, keep_highest};

    fn order<K: Keys>(keys: &K) -> Vec<usize> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|&index| keys.key(index));
        order
    }

    #[test]
    fn zeros_and_nans_stand_where_they_should() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let weights = [1.0, 0.0, nan, -2.0, -0.0, 3.0];
        let scores = [-inf, 5.0, 1.0, nan, inf, 0.0];
        let ranked = |nan| Ranked::new(&weights, Source::Given(&scores), nan);
        assert_eq!(order(&ranked(NanPlace::Lowest)), [2, 3, 1, 4, 0, 5]);
        assert_eq!(order(&ranked(NanPlace::Highest)), [1, 4, 0, 5, 2, 3]);
        assert_eq!(ranked(NanPlace::Lowest).first_nan_score(), Some(3));
        let factors = [1.0, 1.0, 1.0, -4.0, inf, 0.1];
        let keys = Ranked::new(&weights, Source::Product(&factors), NanPlace::Highest);
        assert_eq!(keys.first_nan_score(), Some(2));
        assert_eq!(order(&keys), [1, 5, 0, 3, 2, 4]);
        let units = UnitKeys::new(
            &[1.0, f64::NAN, 0.5, 9.0],
            &[false, false, false, true],
            NanPlace::Lowest,
        );
        assert_eq!(order(&units), [1, 3, 2, 0]);
    }

    #[test]
    fn tensors_in_a_row_are_one_tensor() {
        let weights: Vec<f64> = (0..200_003)
            .map(|i| f64::from(i * 7919 % 10_007) - 5000.0)
            .collect();
        let ranked = |weights| Ranked::new(weights, Source::Magnitude, NanPlace::Lowest);
        let whole = ranked(&weights);
        let lengths = [0, 1, 100_000, 0, 0, 3, 65_536, 34_463];
        let starts = starts(lengths);
        let parts: Vec<_> = starts
            .windows(2)
            .map(|ends| ranked(&weights[ends[0]..ends[1]]))
            .collect();
        let joined = Joined::new(&parts, &starts);
        for drop in [0, 1, 777, 100_000, 200_003] {
            assert_eq!(
                keep_highest(&joined, drop),
                keep_highest(&whole, drop),
                "{drop}"
            );
        }
        let safe = runs::paint(weights.len(), |place| (place % 1000 == 5, place + 1));
        let kept = keep_highest(&Protected::new(joined, &safe), 199_000);
        assert!(safe.iter().zip(&kept).all(|(safe, kept)| safe & !kept == 0));
    }
}
