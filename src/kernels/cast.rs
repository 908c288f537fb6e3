//! From floats to packed codes of up to 8 bits that are not evenly spaced, with scales by the largest magnitude.
//!
//! ```text
//! scale = max |x| ÷ largest number of the codes        code = cast(x ÷ scale)
//! ```
//!
//! Where tiles lie together, a piece of the array that stays in the cache is read twice and memory once.

use super::dispatch::vectorize;
use super::encode::Part;
use super::fit::check_scales;
use super::fitted::{Trouble, each_chunk};
use super::nearest::Cast;
use super::pack;
use super::parallel::{CHUNK, for_chunks_mut};
use super::ranges::{self, Finite, Span};
use super::real::Real;
use super::tiling::Tiling;

/// Numbers that are scaled before they become codes: few enough to stay in the first-level cache.
const PIECE: usize = 2048;

/// The codes of a piece: which bits of the cast, and which code each of its answers stands for.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a, C> {
    pub(crate) bits: u32,
    pub(crate) cast: C,
    /// The code of each answer; none if that is the answer.
    pub(crate) order: Option<&'a [u8; 256]>,
}

impl<C> Codes<'_, C> {
    /// The answers of a cast as they are.
    pub(super) fn plain(bits: u32, cast: C) -> Self {
        let order = None;
        Self { bits, cast, order }
    }
}

/// Writes the packed codes of `values` with these scales.
pub(crate) fn cast_with<F: Real, C: Cast<F>>(
    values: &[F],
    tiling: &Tiling,
    codes: Codes<'_, C>,
    scales: &[f32],
    packed: &mut [u8],
) {
    let bytes = pack::bytes_for(values.len(), codes.bits);
    assert_eq!(packed.len(), bytes, "room for the codes");
    for_chunks_mut(
        packed,
        pack::bytes_for(CHUNK, codes.bits),
        |chunk, packed| {
            let start = chunk * CHUNK;
            let part = Part {
                values: &values[start..values.len().min(start + CHUNK)],
                start,
                first_tile: 0,
            };
            cast_part(&part, tiling, codes, scales, packed);
        },
    );
}

/// Finds scales and writes them and the packed codes of `values`.
///
/// `largest` is the largest magnitude among what codes mean. Fails with the first trouble; what was to be written is
/// then something.
pub(crate) fn fit_and_cast<F: Real, C: Cast<F>>(
    values: &[F],
    tiling: &Tiling,
    (largest, finite): (f32, Finite),
    codes: Codes<'_, C>,
    (scales, packed): (&mut [f32], &mut [u8]),
) -> Result<(), Trouble> {
    let Some(piece) = tiling.piece().filter(|&piece| piece <= CHUNK) else {
        let spans = ranges::spans(values, tiling, finite).map_err(Trouble::NotFinite)?;
        scale_tiles(&spans, largest, scales).map_err(Trouble::Overflow)?;
        cast_with(values, tiling, codes, scales, packed);
        return Ok(());
    };
    let to = (scales, &mut [][..], packed);
    each_chunk(
        values,
        (tiling, piece),
        codes.bits,
        to,
        |part, scales, _, packed| {
            let spans = part.spans(tiling, finite, scales.len())?;
            scale_tiles(&spans, largest, scales)
                .map_err(|tile| Trouble::Overflow(part.first_tile + tile))?;
            cast_part(&part, tiling, codes, scales, packed);
            Ok(())
        },
    )
}

/// Finds the scales of tiles, or names the first tile whose scale does not fit.
fn scale_tiles<F: Real>(spans: &[Span<F>], largest: f32, scales: &mut [f32]) -> Result<(), usize> {
    for (span, scale) in spans.iter().zip(&mut *scales) {
        let reached = span.high.widen().max(-span.low.widen());
        *scale = scale_of(reached, largest);
    }
    check_scales(scales)
}

/// The scale that brings `largest` to `reached`: at least the smallest normal number, and so that f32 numbers come
/// back finite; infinite if it does not fit.
#[expect(
    clippy::cast_possible_truncation,
    reason = "scales are stored in f32; of two f32 the quotient in f64 rounds to that in f32"
)]
fn scale_of(reached: f64, largest: f32) -> f32 {
    let mut scale = ((reached / f64::from(largest)) as f32).max(f32::MIN_POSITIVE);
    if reached <= f64::from(f32::MAX) {
        while scale.is_finite() && (largest * scale).is_infinite() {
            scale = scale.next_down();
        }
    }
    scale
}

fn cast_part<F: Real, C: Cast<F>>(
    part: &Part<'_, F>,
    tiling: &Tiling,
    codes: Codes<'_, C>,
    scales: &[f32],
    packed: &mut [u8],
) {
    if codes.bits == 8 {
        return codes_of(part, tiling, codes, scales, packed);
    }
    let mut unpacked = vec![0; part.values.len()];
    codes_of(part, tiling, codes, scales, &mut unpacked);
    pack::pack(&unpacked, codes.bits, packed);
}

fn codes_of<F: Real, C: Cast<F>>(
    part: &Part<'_, F>,
    tiling: &Tiling,
    Codes { cast, order, .. }: Codes<'_, C>,
    scales: &[f32],
    codes: &mut [u8],
) {
    let mut scaled = [F::zero(); PIECE];
    let pieces = codes.chunks_mut(PIECE).zip(part.values.chunks(PIECE));
    for (number, (codes, values)) in pieces.enumerate() {
        let start = part.start + number * PIECE;
        let scaled = &mut scaled[..values.len()];
        vectorize(
            #[inline(always)]
            || {
                if C::SCALES {
                    let scales = (scales, part.first_tile);
                    scale(values, start, tiling, scales, cast.by_inverse(), scaled);
                } else {
                    scaled.copy_from_slice(values);
                }
                for number in &mut *scaled {
                    *number = or_zero(*number);
                }
                cast.write(scaled, codes);
            },
        );
        if let Some(order) = order {
            for code in codes {
                *code = order[usize::from(*code)];
            }
        }
    }
}

#[inline(always)]
fn or_zero<F: Real>(number: F) -> F {
    if number.is_nan() { F::zero() } else { number }
}

/// Writes the scaled values, of which the first has the place `start`; the first of the scales is that of tile `first`.
#[inline(always)]
fn scale<F: Real>(
    values: &[F],
    start: usize,
    tiling: &Tiling,
    (scales, first): (&[f32], usize),
    by_inverse: bool,
    scaled: &mut [F],
) {
    tiling.stretches(
        start..start + values.len(),
        #[inline(always)]
        |stretch, tiles| {
            let pairs = scaled[stretch.clone()].iter_mut().zip(&values[stretch]);
            match (&scales[tiles.start - first..tiles.end - first], by_inverse) {
                (&[scale], false) => {
                    let scale = F::from_single(scale);
                    for (to, &value) in pairs {
                        *to = value / scale;
                    }
                }
                (&[scale], true) => {
                    let inverse = F::from_single(scale).recip();
                    for (to, &value) in pairs {
                        *to = value * inverse;
                    }
                }
                (scales, false) => {
                    for ((to, &value), &scale) in pairs.zip(scales) {
                        *to = value / F::from_single(scale);
                    }
                }
                (scales, true) => {
                    for ((to, &value), &scale) in pairs.zip(scales) {
                        *to = value * F::from_single(scale).recip();
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::scale_of;
    use crate::kernels::coding::Scaling;
    use crate::kernels::dispatch::forced;
    use crate::kernels::fitted::Trouble;
    use crate::kernels::minifloat::{E4M3, E5M2, Minifloat, value};
    use crate::kernels::pack;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::ranges::Finite;
    use crate::kernels::real::Real;
    use crate::kernels::tiling::Tiling;
    use crate::kernels::uneven::{Casting, Entries, Uneven};

    /// The even code among the nearest of all finite codes of a float.
    fn nearest_float<T: Minifloat>(number: f64) -> u8 {
        let held = number.clamp(
            -f64::from(value::<T>(T::FINITE)),
            value::<T>(T::FINITE).into(),
        );
        let sign = u32::from(held.is_sign_negative()) << T::SIGN;
        let distance = |code: &u32| (f64::from(value::<T>(*code)) - held.abs()).abs();
        let order = |a: &u32, b: &u32| {
            distance(a)
                .total_cmp(&distance(b))
                .then((a & 1).cmp(&(b & 1)))
        };
        (0..=T::FINITE)
            .min_by(order)
            .map_or(0, |code| (sign | code) as u8)
    }

    /// The obvious twin, of a number in the type's own arithmetic and then in f64.
    fn slow<F: Real>(number: F, scale: f32, casting: Casting<'_>) -> u8 {
        let by = F::from_single(scale);
        let quotient = (number / by).widen();
        match casting {
            Casting::Sign => u8::from(number.widen() >= 0.0),
            Casting::E4M3 => nearest_float::<E4M3>(quotient),
            Casting::E5M2 => nearest_float::<E5M2>(quotient),
            Casting::Entries(entries) => {
                let scaled = match entries.scaling {
                    Scaling::Divide => quotient,
                    Scaling::MultiplyByInverse => (number * (F::one() / by)).widen(),
                };
                let above = |boundary: &&f32| scaled > f64::from(**boundary);
                let rank = entries.boundaries.iter().filter(above).count();
                entries
                    .order
                    .as_ref()
                    .map_or(rank as u8, |order| order[rank])
            }
        }
    }

    fn entries(count: usize, scaling: Scaling, turned: bool) -> Entries {
        let mut boundaries = [f32::INFINITY; 256];
        for (i, boundary) in boundaries.iter_mut().take(count - 1).enumerate() {
            *boundary = (i as f32 + 0.5) * 1.9 / count as f32 - 0.9;
        }
        let turn = |rank: usize| (count.saturating_sub(1 + rank)) as u8;
        Entries {
            bits: count.next_power_of_two().ilog2().max(1),
            boundaries,
            few: count <= 16,
            order: turned.then(|| Box::new(std::array::from_fn(turn))),
            scaling,
        }
    }

    fn check<F: Uneven>() {
        let tables = [
            entries(1, Scaling::Divide, false),
            entries(3, Scaling::MultiplyByInverse, false),
            entries(16, Scaling::Divide, true),
            entries(16, Scaling::MultiplyByInverse, false),
            entries(17, Scaling::Divide, true),
            entries(256, Scaling::MultiplyByInverse, false),
        ];
        let mut castings = vec![Casting::Sign, Casting::E4M3, Casting::E5M2];
        castings.extend(tables.iter().map(Casting::Entries));
        let largest = |casting: Casting<'_>| match casting {
            Casting::E4M3 => 448.0,
            Casting::E5M2 => 57_344.0,
            _ => 1.0,
        };
        forced::at_every_level(|level| {
            for (shape, tile) in [
                ([1, 1], [1, 1]),
                ([3, 35], [1, usize::MAX]),
                ([35, 3], [usize::MAX, 1]),
                ([7, 50], [2, 20]),
                ([300, 90], [1, 33]),
                ([1, CHUNK + 9], [1, usize::MAX]),
            ] {
                let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                let len = shape[0] * shape[1];
                // Steps of a quarter, so that some lie on ties, and one that hides in the last bits.
                let values: Vec<F> = (0..len)
                    .map(|i| F::narrow(((i * 37 % 601) as f64 - 300.0) * 0.25 + 1e-9))
                    .collect();
                for &casting in &castings {
                    let bits = casting.bits();
                    let mut scales = vec![0.0; tiling.count()];
                    let mut packed = vec![0xAA; pack::bytes_for(len, bits)];
                    let fit = (largest(casting), Finite::Required);
                    let to = (&mut scales[..], &mut packed[..]);
                    F::fit_and_cast(&values, &tiling, fit, casting, to).expect("finite");
                    let mut with = vec![0x55; packed.len()];
                    F::cast_with(&values, &tiling, casting, &scales, &mut with);
                    assert!(with == packed, "{level:?} {shape:?} {bits}");
                    let mut codes = vec![0; len];
                    pack::unpack(&packed, bits, &mut codes);
                    let mut reached = vec![0.0_f64; tiling.count()];
                    let every = 1 + len / 4000;
                    tiling.stretches(0..len, |stretch, tiles| {
                        let own = usize::from(tiles.len() > 1);
                        for (offset, place) in stretch.enumerate() {
                            let tile = tiles.start + own * offset;
                            reached[tile] = reached[tile].max(values[place].widen().abs());
                            if place % every == 0 {
                                let right = slow(values[place], scales[tile], casting);
                                let x = values[place];
                                assert_eq!(codes[place], right, "{x:?} {level:?} {shape:?} {bits}");
                            }
                        }
                    });
                    for (scale, reached) in scales.iter().zip(reached) {
                        assert_eq!(*scale, scale_of(reached, largest(casting)));
                    }
                }
            }
        });
    }

    #[test]
    fn f32_agrees_with_the_slow_twin() {
        check::<f32>();
    }

    #[test]
    fn f64_agrees_with_the_slow_twin() {
        check::<f64>();
    }

    #[test]
    fn what_is_not_finite_is_named_or_does_not_count() {
        let mut values = vec![1.0_f32; 200_000];
        values[150_001] = f32::NAN;
        values[199_999] = f32::NEG_INFINITY;
        for tile in [[1, 128], [usize::MAX, usize::MAX], [usize::MAX, 1]] {
            let tiling = Tiling::new(&[40, 5000], &tile).expect("few tiles");
            let run = |finite| {
                let mut packed = vec![0; values.len()];
                let mut scales = vec![0.0; tiling.count()];
                let to = (&mut scales[..], &mut packed[..]);
                f32::fit_and_cast(&values, &tiling, (448.0, finite), Casting::E4M3, to)
                    .map(|()| (scales, packed))
            };
            assert_eq!(
                run(Finite::Required).err(),
                Some(Trouble::NotFinite(150_001))
            );
            let (scales, packed) = run(Finite::Skipped).expect("skipped");
            assert!(scales.iter().all(|&scale| scale == 1.0 / 448.0));
            assert_eq!(
                [150_000, 150_001, 199_999].map(|place| packed[place]),
                [0x7E, 0, 0xFE]
            );
        }
    }

    #[test]
    fn the_largest_comes_back_finite() {
        for largest in [448.0, 57_344.0, 6.0, 1.3, 1.0] {
            for reached in [f32::MAX, f32::MAX.next_down(), 1.0, 1e-45] {
                let scale = scale_of(reached.into(), largest);
                assert!((largest * scale).is_finite() && scale >= f32::MIN_POSITIVE);
            }
        }
        assert_eq!(scale_of(1e300, 448.0), f32::INFINITY);
        assert_eq!(scale_of(f32::MAX.into(), 0.3), f32::INFINITY);
    }
}
