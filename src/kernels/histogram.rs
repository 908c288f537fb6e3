//! Counts values in bins whose width is a power of two, so that a histogram is a function of what was counted and of
//! nothing else.
//!
//! ```text
//! width w = 2ᵉ        bin m holds the numbers with m · w ≤ |x| < (m + 1) · w
//! ```
//!
//! e is the least for which all values fit. Where a larger value comes, bins merge in pairs: ⌊⌊|x| / w⌋ / 2⌋ is
//! ⌊|x| / 2w⌋, so the counts are those that the values would have had with the wider bins from the start. Scaling by
//! a power of two is exact, and where it underflows the bin is 0 as it should be. So neither the order of values nor
//! that of merging matters. Bins go by magnitude and sign: opposite numbers lie in mirrored bins.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges, map_ranges};
use super::ranges::{Finite, Span, extent, first_not_finite};
use super::real::Real;
use super::units::Slices;

/// The exponent of the narrowest bins: with it the inverse of the width is still a normal f32.
pub(crate) const NARROWEST: i32 = -126;
/// The widest bins that an f64 needs: there are at least two of each sign.
#[cfg(any(feature = "calibration", feature = "serde"))]
pub(crate) const WIDEST: i32 = 1023;

/// Independent tables, so that equal neighbours do not wait for one another.
const TABLES: usize = 4;
/// Bins that are computed before they are counted.
const BLOCK: usize = 256;
/// Channels whose values are gathered in one sweep.
const TOGETHER: usize = 16;

/// Which bins there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bins {
    /// How many, a power of two, at least 4.
    pub(crate) count: usize,
    /// Whether half of them are for negative numbers; if not, a number and its opposite share one.
    pub(crate) signed: bool,
}

impl Bins {
    /// How many there are of one sign.
    pub(crate) fn half(self) -> usize {
        if self.signed {
            self.count / 2
        } else {
            self.count
        }
    }

    /// The place of bin `m` of one sign.
    #[inline(always)]
    fn place(self, negative: bool, m: usize) -> usize {
        match (self.signed, negative) {
            (false, _) => m,
            (true, false) => self.half() + m,
            (true, true) => self.half() - 1 - m,
        }
    }

    /// The exponent of the narrowest bins that hold this magnitude.
    fn exponent(self, largest: f64) -> i32 {
        // Of a subnormal it is too low, and then the bound is what counts.
        let of_largest = ((largest.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        if largest == 0.0 {
            return NARROWEST;
        }
        let bits = self.half().trailing_zeros();
        #[expect(clippy::cast_possible_wrap, reason = "at most 64")]
        (of_largest + 1 - bits as i32).max(NARROWEST)
    }
}

/// What was counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tally {
    /// Bins are two to this wide.
    pub(crate) exponent: i32,
    pub(crate) counts: Vec<u64>,
    /// The least and the largest number; low is above high if there is none.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Tally {
    pub(crate) fn new(bins: Bins) -> Self {
        Self {
            exponent: NARROWEST,
            counts: vec![0; bins.count],
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        }
    }

    /// How many values were counted.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Widens bins until they are two to this wide.
    fn widen(&mut self, bins: Bins, exponent: i32) {
        let by = u32::try_from(exponent - self.exponent).unwrap_or(0);
        if by == 0 {
            return;
        }
        self.exponent = exponent;
        let half = bins.half();
        // From 0 outwards each bin is read before one that is further from 0 is written to.
        for negative in [false, true].into_iter().take(1 + usize::from(bins.signed)) {
            for m in 0..half {
                let moved = std::mem::take(&mut self.counts[bins.place(negative, m)]);
                let to = m.checked_shr(by).unwrap_or(0);
                self.counts[bins.place(negative, to)] += moved;
            }
        }
    }

    /// Whether all values have bins, and the bins are no wider than they need be.
    #[cfg(any(feature = "calibration", feature = "serde"))]
    pub(crate) fn holds(&self, bins: Bins) -> bool {
        if self.low > self.high {
            return self.exponent == NARROWEST;
        }
        self.exponent == bins.exponent(self.high.max(-self.low))
    }

    /// Adds what another counted.
    pub(crate) fn merge(&mut self, bins: Bins, mut other: Self) {
        self.widen(bins, other.exponent);
        other.widen(bins, self.exponent);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }
}

/// The tally of each slice.
///
/// Fails with the index of the first number that is not finite, unless those are skipped.
pub(crate) fn tally<F: Real>(
    values: &[F],
    slices: Slices,
    bins: Bins,
    finite: Finite,
) -> Result<Vec<Tally>, usize> {
    let tallies = if slices.count == 1 || values.is_empty() {
        vec![whole(values, bins, finite)]
    } else {
        let groups = map_ranges(slices.count, TOGETHER, |channels| {
            let (first, together) = (channels.start, channels.len());
            let each = slices.outer * slices.inner;
            let mut gathered = vec![F::zero(); together * each];
            for outer in 0..slices.outer {
                let start = (outer * slices.count + first) * slices.inner;
                let row = &values[start..start + together * slices.inner];
                if slices.inner == 1 {
                    for (channel, &value) in row.iter().enumerate() {
                        gathered[channel * each + outer] = value;
                    }
                    continue;
                }
                for (channel, part) in row.chunks(slices.inner).enumerate() {
                    let to = channel * each + outer * slices.inner;
                    gathered[to..to + slices.inner].copy_from_slice(part);
                }
            }
            let tallied = gathered
                .chunks(each)
                .map(|values| whole(values, bins, finite));
            tallied.collect::<Vec<_>>()
        });
        groups.into_iter().flatten().collect()
    };
    tallies.into_iter().collect::<Option<_>>().ok_or_else(|| {
        // Not one of them is found only where one was met.
        first_not_finite(values).unwrap_or_default()
    })
}

/// What one thread has counted, and where it counts.
struct Work {
    tally: Tally,
    /// One table behind the other, each with a place for what does not count.
    tables: Vec<u32>,
    fine: bool,
}

/// The tally of all values; nothing if one of them is not finite and should be.
fn whole<F: Real>(values: &[F], bins: Bins, finite: Finite) -> Option<Tally> {
    let work = fold_ranges(
        values.len(),
        CHUNK,
        || Work {
            tally: Tally::new(bins),
            tables: vec![0; TABLES * (bins.count + 1)],
            fine: true,
        },
        |work, range| chunk(&values[range], bins, finite, work),
        |mut a, b| {
            a.tally.merge(bins, b.tally);
            a.fine &= b.fine;
            a
        },
    );
    work.fine.then_some(work.tally)
}

/// Values that stay in the innermost cache between looking for the largest and counting.
const SWEEP: usize = 4096;

fn chunk<F: Real>(values: &[F], bins: Bins, finite: Finite, work: &mut Work) {
    vectorize(
        #[inline(always)]
        || {
            for part in values.chunks(SWEEP) {
                if !sweep(part, bins, finite, work) {
                    work.fine = false;
                    return;
                }
            }
            // A chunk has fewer values than a table can count.
            flush(work, bins);
        },
    );
}

/// Adds the tables to the counts.
#[inline(always)]
fn flush(work: &mut Work, bins: Bins) {
    for table in work.tables.chunks(bins.count + 1) {
        for (count, &more) in work.tally.counts.iter_mut().zip(table) {
            *count += u64::from(more);
        }
    }
    work.tables.fill(0);
}

/// Whether all values are as they should be; then they are in the tables.
#[inline(always)]
fn sweep<F: Real>(values: &[F], bins: Bins, finite: Finite, work: &mut Work) -> bool {
    let (Span { low, high }, fine) = extent(values, finite);
    if !fine || low > high {
        return fine;
    }
    let (low, high) = (low.widen(), high.widen());
    // −0 would depend on which of the two zeros came first.
    work.tally.low = work.tally.low.min(low) + 0.0;
    work.tally.high = work.tally.high.max(high) + 0.0;
    let exponent = bins.exponent(high.max(-low));
    if exponent > work.tally.exponent {
        flush(work, bins);
        work.tally.widen(bins, exponent);
    }
    let inverse = F::narrow(2.0_f64.powi(-work.tally.exponent));
    match finite {
        Finite::Required => count::<F, false>(values, inverse, bins, &mut work.tables),
        Finite::Skipped => count::<F, true>(values, inverse, bins, &mut work.tables),
    }
    true
}

/// Counts each value in the bin of its magnitude and sign.
#[inline(always)]
fn count<F: Real, const SKIP: bool>(values: &[F], inverse: F, bins: Bins, tables: &mut [u32]) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "there are at most 2²⁰ bins"
    )]
    let (half, skipped) = (bins.half() as i32, bins.count as i32);
    let bin = |value: F| {
        let steps = value.abs() * inverse;
        let near = steps.nearest_even();
        let m = near - i32::from(F::from_integer(near) > steps);
        let place = match bins.signed {
            true if value < F::zero() => half - 1 - m,
            true => half + m,
            false => m,
        };
        if SKIP && value.magnitude() >= F::INFINITE {
            skipped
        } else {
            place
        }
    };
    let size = bins.count + 1;
    let (a, rest) = tables.split_at_mut(size);
    let (b, rest) = rest.split_at_mut(size);
    let (c, d) = rest.split_at_mut(size);
    let mut places = [0_i32; BLOCK];
    for block in values.chunks(BLOCK) {
        for (place, &value) in places.iter_mut().zip(block) {
            *place = bin(value);
        }
        let (quads, rest) = places[..block.len()].as_chunks::<TABLES>();
        #[expect(
            clippy::cast_sign_loss,
            reason = "a place is never negative, and what is out of bounds would be met below"
        )]
        let held = |place: i32| place as usize;
        for quad in quads {
            a[held(quad[0])] += 1;
            b[held(quad[1])] += 1;
            c[held(quad[2])] += 1;
            d[held(quad[3])] += 1;
        }
        for &place in rest {
            a[held(place)] += 1;
        }
    }
}

/// The edges of a bin as magnitudes, that nearer to 0 first, and whether the bin is for negative numbers. The further
/// edge of the outermost bin is infinite where that bin ends with the numbers that an f64 has.
pub(crate) fn bin_magnitudes(bins: Bins, exponent: i32, place: usize) -> (f64, f64, bool) {
    let half = bins.half();
    let (m, negative) = match bins.signed {
        true if place < half => (half - 1 - place, true),
        true => (place - half, false),
        false => (place, false),
    };
    #[expect(clippy::cast_precision_loss, reason = "at most 2²⁰ bins")]
    let (near, width) = (m as f64, 2.0_f64.powi(exponent));
    (near * width, (near + 1.0) * width, negative)
}

#[cfg(test)]
mod tests {
    use super::{Bins, CHUNK, NARROWEST, Tally, tally};
    use crate::kernels::dispatch::forced;
    use crate::kernels::ranges::Finite;
    use crate::kernels::units::Slices;

    /// In f64, a value at a time, from the definition.
    fn slow(values: &[f64], bins: Bins) -> Tally {
        let mut right = Tally::new(bins);
        let finite = || values.iter().copied().filter(|x| x.is_finite());
        let largest = finite().fold(0.0, |a: f64, x| a.max(x.abs()));
        let half = bins.half() as f64;
        // Halves, because twice the largest number there is would be infinite.
        while largest / 2.0 >= half * 2.0_f64.powi(right.exponent - 1) {
            right.exponent += 1;
        }
        for x in finite() {
            let m = (x.abs() / 2.0_f64.powi(right.exponent)).floor() as usize;
            let place = match bins.signed {
                true if x < 0.0 => bins.half() - 1 - m,
                true => bins.half() + m,
                false => m,
            };
            right.counts[place] += 1;
            right.low = right.low.min(x) + 0.0;
            right.high = right.high.max(x) + 0.0;
        }
        right
    }

    fn numbers(len: usize, scale: f64) -> Vec<f64> {
        let value = |i: usize| ((i * 7919 % 100_003) as f64 - 40_000.0) * scale;
        (0..len).map(value).collect()
    }

    const BINS: [Bins; 4] = [
        Bins {
            count: 4,
            signed: true,
        },
        Bins {
            count: 4,
            signed: false,
        },
        Bins {
            count: 2048,
            signed: true,
        },
        Bins {
            count: 512,
            signed: false,
        },
    ];

    fn one(len: usize) -> Slices {
        Slices {
            outer: 1,
            count: 1,
            inner: len,
        }
    }

    #[test]
    fn counts_agree_with_a_plain_loop() {
        forced::at_every_level(|level| {
            for bins in BINS {
                for (len, scale) in [(0, 1.0), (1, 0.1), (1001, 1e-9), (3 * CHUNK + 5, 0.25)] {
                    let mut values = numbers(len, scale);
                    values.extend([0.0, -0.0, 1.0, -1.0, 2.0, 4.0, 1e-40, -1e-40]);
                    let single: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                    let wide: Vec<f64> = single.iter().map(|&x| f64::from(x)).collect();
                    let at = format!("{bins:?} {len} {level:?}");
                    let slices = one(values.len());
                    let found = tally(&values, slices, bins, Finite::Required).unwrap();
                    assert_eq!(found, [slow(&values, bins)], "{at}");
                    let found = tally(&single, slices, bins, Finite::Required).unwrap();
                    assert_eq!(found, [slow(&wide, bins)], "{at}");
                    let place = values.len() / 2;
                    values[place] = f64::NAN;
                    values.push(f64::NEG_INFINITY);
                    let slices = one(values.len());
                    let found = tally(&values, slices, bins, Finite::Required);
                    assert_eq!(found, Err(place), "{at}");
                    let found = tally(&values, slices, bins, Finite::Skipped).unwrap();
                    assert_eq!(found, [slow(&values, bins)], "{at}");
                }
            }
        });
    }

    #[test]
    fn channels_are_counted_by_themselves() {
        let bins = BINS[2];
        let (outer, count, inner) = (5, 37, 3);
        let values = numbers(outer * count * inner, 0.01);
        let found = tally(
            &values,
            Slices {
                outer,
                count,
                inner,
            },
            bins,
            Finite::Required,
        );
        for (channel, found) in found.unwrap().into_iter().enumerate() {
            let own = values.iter().enumerate();
            let own = own.filter(|(place, _)| place / inner % count == channel);
            let own: Vec<f64> = own.map(|(_, &x)| x).collect();
            assert_eq!(found, slow(&own, bins), "{channel}");
        }
    }

    #[test]
    fn the_order_of_merging_changes_nothing() {
        for bins in BINS {
            let values: Vec<f64> = (0..4000)
                .map(|i| (f64::from(i * 7919 % 4001) - 1500.0) * 2.0_f64.powi(i / 40 - 50))
                .collect();
            let right = slow(&values, bins);
            for part in [1, 7, 1000] {
                let parts = values.chunks(part).map(|part| {
                    let found = tally(part, one(part.len()), bins, Finite::Required);
                    found.unwrap().remove(0)
                });
                let parts: Vec<Tally> = parts.collect();
                let mut forward = Tally::new(bins);
                parts
                    .iter()
                    .for_each(|part| forward.merge(bins, part.clone()));
                let mut backward = Tally::new(bins);
                parts
                    .iter()
                    .rev()
                    .for_each(|part| backward.merge(bins, part.clone()));
                assert_eq!((&forward, &backward), (&right, &right), "{bins:?} {part}");
            }
        }
    }

    #[test]
    fn extremes_of_the_floats_have_bins() {
        for bins in BINS {
            let values = [f64::MAX, -f64::MAX, f64::MIN_POSITIVE, 5e-324, 1.0, 0.0];
            let found = tally(&values, one(6), bins, Finite::Required).unwrap();
            assert_eq!(found, [slow(&values, bins)]);
            let values = [f32::MAX, -f32::MAX, f32::MIN_POSITIVE, 1e-45, 1.0, 0.0];
            let wide = values.map(f64::from);
            let found = tally(&values, one(6), bins, Finite::Required).unwrap();
            assert_eq!(found, [slow(&wide, bins)]);
            let zeros = tally(&[0.0_f32; 9], one(9), bins, Finite::Required).unwrap();
            assert_eq!((zeros[0].exponent, zeros[0].total()), (NARROWEST, 9));
        }
    }

    #[test]
    fn every_pool_counts_the_same() {
        let values = numbers(9 * CHUNK + 1, 0.37);
        let bins = BINS[2];
        let right = slow(&values, bins);
        for threads in [1, 2, 3, 16] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let found = pool
                .unwrap()
                .install(|| tally(&values, one(values.len()), bins, Finite::Required));
            assert_eq!(found.unwrap(), std::slice::from_ref(&right), "{threads}");
        }
    }
}
