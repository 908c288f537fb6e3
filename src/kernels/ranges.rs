//! The least and the largest number of each tile, and where the first that is not finite lies.

use super::dispatch::vectorize;
use super::parallel::{CHUNK, fold_ranges};
use super::real::Real;
use super::tiling::Tiling;
use std::ops::Range;

/// What becomes of numbers that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finite {
    /// There must be none.
    Required,
    /// They do not count.
    Skipped,
}

/// The numbers from `low` to `high`, both included; none if `low` is above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span<F> {
    pub(crate) low: F,
    pub(crate) high: F,
}

impl<F: Real> Span<F> {
    /// No numbers: they reach from the 0 that every range holds to it.
    pub(crate) fn empty() -> Self {
        Self {
            low: F::zero(),
            high: F::zero(),
        }
    }

    /// No numbers, not even 0.
    fn nothing() -> Self {
        Self {
            low: F::infinity(),
            high: F::neg_infinity(),
        }
    }
}

/// The span of each tile, as its numbers are: low is above high where there is none.
///
/// Fails with the index of the first number that is not finite, unless those are skipped.
pub(crate) fn extents<F: Real>(
    values: &[F],
    tiling: &Tiling,
    finite: Finite,
) -> Result<Vec<Span<F>>, usize> {
    from(Span::nothing(), values, tiling, finite)
}

/// The span of each tile, widened to hold 0.
///
/// Fails with the index of the first number that is not finite, unless those are skipped.
pub(crate) fn spans<F: Real>(
    values: &[F],
    tiling: &Tiling,
    finite: Finite,
) -> Result<Vec<Span<F>>, usize> {
    from(Span::empty(), values, tiling, finite)
}

fn from<F: Real>(
    start: Span<F>,
    values: &[F],
    tiling: &Tiling,
    finite: Finite,
) -> Result<Vec<Span<F>>, usize> {
    let (spans, fine) = fold_ranges(
        values.len(),
        CHUNK,
        || (vec![start; tiling.count()], true),
        |(spans, fine), range| {
            let part = &values[range.clone()];
            *fine &= vectorize(
                #[inline(always)]
                || sweep(part, range, tiling, (finite, 0), spans),
            );
        },
        |(mut a, fine), (b, also)| {
            for (a, b) in a.iter_mut().zip(b) {
                a.low = if b.low < a.low { b.low } else { a.low };
                a.high = if b.high > a.high { b.high } else { a.high };
            }
            (a, fine & also)
        },
    );
    if fine {
        return Ok(spans);
    }
    Err(first_not_finite(values).unwrap_or_default())
}

/// Widens the spans of the tiles that `range` touches, of which the first given is number `first`, to hold `values`;
/// whether all of those are as they should be.
#[inline(always)]
pub(super) fn sweep<F: Real>(
    values: &[F],
    range: Range<usize>,
    tiling: &Tiling,
    (finite, first): (Finite, usize),
    spans: &mut [Span<F>],
) -> bool {
    let mut largest = F::Bits::default();
    match finite {
        Finite::Required => tiling.stretches(
            range,
            #[inline(always)]
            |stretch, tiles| {
                let spans = &mut spans[tiles.start - first..tiles.end - first];
                largest = largest.max(widen(&values[stretch], spans, |value| value));
            },
        ),
        Finite::Skipped => {
            tiling.stretches(
                range,
                #[inline(always)]
                |stretch, tiles| {
                    let spans = &mut spans[tiles.start - first..tiles.end - first];
                    widen(&values[stretch], spans, or_nan);
                },
            );
        }
    }
    largest < F::INFINITE
}

/// What is not finite as NaN, which widens no span.
#[inline(always)]
fn or_nan<F: Real>(value: F) -> F {
    if value.magnitude() < F::INFINITE {
        value
    } else {
        F::nan()
    }
}

/// The least and the largest number, low above high if there is none, and whether all are as they should be.
#[inline(always)]
pub(super) fn extent<F: Real>(values: &[F], finite: Finite) -> (Span<F>, bool) {
    let mut span = [Span::nothing()];
    let largest = match finite {
        Finite::Required => widen(values, &mut span, |value| value),
        Finite::Skipped => {
            widen(values, &mut span, or_nan);
            F::Bits::default()
        }
    };
    (span[0], largest < F::INFINITE)
}

/// Numbers in flight.
pub(super) const LANES: usize = 32;

/// Widens one span to hold all values, or each to hold its own; the largest magnitude.
#[inline(always)]
fn widen<F: Real>(values: &[F], spans: &mut [Span<F>], clean: impl Fn(F) -> F) -> F::Bits {
    // A comparison with NaN is false, so NaN changes no end.
    let wider = |low: F, value: F| if value < low { value } else { low };
    let higher = |high: F, value: F| if value > high { value } else { high };
    let [one] = spans else {
        let mut largest = F::Bits::default();
        for (span, &value) in spans.iter_mut().zip(values) {
            let value = clean(value);
            largest = largest.max(value.magnitude());
            span.low = wider(span.low, value);
            span.high = higher(span.high, value);
        }
        return largest;
    };
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut low = [one.low; LANES];
    let mut high = [one.high; LANES];
    let mut largest = [F::Bits::default(); LANES];
    let mut put = |lane: usize, value: F| {
        let value = clean(value);
        low[lane] = wider(low[lane], value);
        high[lane] = higher(high[lane], value);
        let magnitude = value.magnitude();
        largest[lane] = if magnitude > largest[lane] {
            magnitude
        } else {
            largest[lane]
        };
    };
    for block in blocks {
        for (lane, &value) in block.iter().enumerate() {
            put(lane, value);
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        put(lane, value);
    }
    one.low = by_halves(low, wider);
    one.high = by_halves(high, higher);
    by_halves(largest, |a, b| if b > a { b } else { a })
}

/// All lanes, a power of two of them, joined by halves: a loop over lanes one by one takes longer than a short tile.
#[inline(always)]
pub(super) fn by_halves<T: Copy, const N: usize>(mut lanes: [T; N], join: impl Fn(T, T) -> T) -> T {
    let mut half = N / 2;
    while half > 0 {
        let (front, back) = lanes.split_at_mut(half);
        for (a, &b) in front.iter_mut().zip(&*back) {
            *a = join(*a, b);
        }
        half /= 2;
    }
    lanes[0]
}

/// The index of the first number that is NaN or infinite.
pub(crate) fn first_not_finite<F: Real>(values: &[F]) -> Option<usize> {
    let largest = vectorize(
        #[inline(always)]
        // Not `position` at once, which stops early and so is no loop over vectors.
        || {
            values.iter().fold(F::Bits::default(), |largest, value| {
                largest.max(value.magnitude())
            })
        },
    );
    let not_finite = |value: &F| value.magnitude() >= F::INFINITE;
    (largest >= F::INFINITE)
        .then(|| values.iter().position(not_finite))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::{Finite, Span, extents, spans};
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::tiling::Tiling;

    #[test]
    fn spans_agree_with_a_plain_loop() {
        forced::at_every_level(|level| {
            for (shape, tile) in [
                ([1, 1], [1, 1]),
                ([1, 70_000], [1, usize::MAX]),
                ([15, 7], [1, usize::MAX]),
                ([40_000, 3], [usize::MAX, 1]),
                ([60, 333], [7, 100]),
                ([0, 12], [1, 1]),
            ] {
                let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                let mut values: Vec<f64> = (0..shape[0] * shape[1])
                    .map(|i| ((i * 7919 % 1009) as f64 - 700.0) * 0.01)
                    .collect();
                let slow = |values: &[f64]| {
                    let mut right = vec![
                        Span {
                            low: 0.0,
                            high: 0.0
                        };
                        tiling.count()
                    ];
                    tiling.stretches(0..values.len(), |stretch, tiles| {
                        let own = tiles.len() > 1;
                        for (offset, place) in stretch.enumerate() {
                            let span: &mut Span<f64> =
                                &mut right[tiles.start + if own { offset } else { 0 }];
                            if values[place].is_finite() {
                                span.low = span.low.min(values[place]);
                                span.high = span.high.max(values[place]);
                            }
                        }
                    });
                    right
                };
                let at = format!("{shape:?} {tile:?} {level:?}");
                assert_eq!(
                    spans(&values, &tiling, Finite::Required),
                    Ok(slow(&values)),
                    "{at}"
                );
                if values.len() > 100 {
                    (values[77], values[3]) = (f64::NAN, f64::INFINITY);
                    assert_eq!(spans(&values, &tiling, Finite::Required), Err(3), "{at}");
                }
                assert_eq!(
                    spans(&values, &tiling, Finite::Skipped),
                    Ok(slow(&values)),
                    "{at}"
                );
            }
        });
    }

    #[test]
    fn extents_are_those_of_the_numbers_themselves() {
        forced::at_every_level(|level| {
            let tiling = Tiling::new(&[3, 70], &[1, usize::MAX]).expect("few tiles");
            let mut values: Vec<f32> = (0..210).map(|i| 2.0 + (i * 37 % 70) as f32).collect();
            let all = extents(&values, &tiling, Finite::Required).expect("finite");
            assert!(
                all.iter().all(|span| (span.low, span.high) == (2.0, 71.0)),
                "{level:?}"
            );
            values[70..140].fill(f32::NAN);
            values[3] = f32::NEG_INFINITY;
            assert_eq!(extents(&values, &tiling, Finite::Required), Err(3));
            let some = extents(&values, &tiling, Finite::Skipped).expect("skipped");
            assert_eq!(some[1], Span::nothing(), "{level:?}");
            assert_eq!(some[2], all[2], "{level:?}");
            assert!(some[0].low >= 2.0 && some[0].high <= 71.0, "{level:?}");
        });
    }

    #[test]
    fn the_first_that_is_not_finite_is_named() {
        let tiling = Tiling::new(&[2 * CHUNK], &[usize::MAX]).expect("one");
        let mut values = vec![1.0_f32; 2 * CHUNK];
        values[CHUNK + 50] = f32::NAN;
        assert_eq!(spans(&values, &tiling, Finite::Required), Err(CHUNK + 50));
        values[70] = f32::NEG_INFINITY;
        assert_eq!(spans(&values, &tiling, Finite::Required), Err(70));
    }
}
