//! From floats to packed integer codes with scales that are found on the way.
//!
//! Where tiles lie together (a group, a row, a channel along the first axis), a piece of the array that stays in the
//! cache is read twice and memory once: for the range of each tile, and for the codes.

use super::absmax;
use super::coding::{Coding, Known, Steps};
use super::dispatch::vectorize;
use super::encode::{Part, encode, encode_pieces};
use super::fit::{Fit, check_scales};
use super::pack;
use super::parallel::{CHUNK, map_chunks_of_three};
use super::ranges::{self, Finite, Span};
use super::real::Real;
use super::tiling::Tiling;

/// Why values have no codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The value at this place is not finite.
    NotFinite(usize),
    /// The scale of this tile does not fit an f32.
    Overflow(usize),
}

/// Finds scales and zero points, and writes them and the packed codes of `values`.
///
/// `zero_points` is empty where there are none. Fails with the first trouble; what was to be written is then
/// something.
pub(crate) fn fit_and_encode<F: Real>(
    values: &[F],
    tiling: &Tiling,
    (fit, finite): (Fit, Finite),
    coding: Coding,
    (scales, zero_points): (&mut [f32], &mut [i32]),
    packed: &mut [u8],
) -> Result<(), Trouble> {
    let bits = coding.bits;
    let symmetric = finite == Finite::Required && zero_points.is_empty() && absmax::suffices(fit);
    let known = match finite {
        Finite::Skipped => Known::Nothing,
        Finite::Required if symmetric && coding.is_bounded_by(fit) => Known::Bounded,
        Finite::Required => Known::Finite,
    };
    let coding = Coding { known, ..coding };
    let Some(piece) = tiling.piece().filter(|&piece| piece <= CHUNK) else {
        if symmetric {
            let largest = absmax::magnitudes(values, tiling);
            check_finite::<F>(values, &largest).map_err(Trouble::NotFinite)?;
            absmax::scales::<F>(&largest, fit, scales).map_err(Trouble::Overflow)?;
        } else {
            let spans = ranges::spans(values, tiling, finite).map_err(Trouble::NotFinite)?;
            fit_tiles(&spans, fit, scales, zero_points).map_err(Trouble::Overflow)?;
        }
        let steps = Steps {
            scales,
            zero_points,
        };
        let how = (coding, Finite::Skipped);
        return encode(values, tiling, how, steps, packed).map_err(Trouble::NotFinite);
    };
    let to = (scales, zero_points, packed);
    each_chunk(
        values,
        (tiling, piece),
        bits,
        to,
        |part, scales, zero_points, packed| {
            let fitted = if symmetric {
                let largest = part.magnitudes(tiling, scales.len());
                check_finite::<F>(part.values, &largest)
                    .map_err(|place| Trouble::NotFinite(part.start + place))?;
                absmax::scales::<F>(&largest, fit, scales)
            } else {
                let spans = part.spans(tiling, finite, scales.len())?;
                fit_tiles(&spans, fit, scales, zero_points)
            };
            fitted.map_err(|tile| Trouble::Overflow(part.first_tile + tile))?;
            let steps = Steps {
                scales,
                zero_points,
            };
            encode_pieces(part, tiling, (coding, Finite::Skipped), steps, packed);
            Ok(())
        },
    )
}

/// Calls `task` for each chunk of whole pieces, with the scales and zero points of its tiles and the room for its codes.
///
/// `zero_points` may be empty. Fails with the first trouble; a value that is not finite comes before all others, because
/// its tile's scale means nothing.
pub(super) fn each_chunk<F: Real>(
    values: &[F],
    (tiling, piece): (&Tiling, usize),
    bits: u32,
    (scales, zero_points, packed): (&mut [f32], &mut [i32], &mut [u8]),
    task: impl Fn(Part<'_, F>, &mut [f32], &mut [i32], &mut [u8]) -> Result<(), Trouble> + Sync,
) -> Result<(), Trouble> {
    // Eight codes fill bytes at any width.
    let length = piece * (CHUNK / piece).next_multiple_of(8);
    let tiles = tiling.tiles_of(&(0..length)).len();
    let troubles = map_chunks_of_three(
        (packed, pack::bytes_for(length, bits)),
        (scales, tiles),
        (zero_points, tiles),
        |chunk, packed, scales, zero_points| {
            let start = chunk * length;
            let part = Part {
                values: &values[start..values.len().min(start + length)],
                start,
                first_tile: chunk * tiles,
            };
            task(part, scales, zero_points, packed)
        },
    );
    let mut first = Ok(());
    for trouble in troubles {
        match trouble {
            Err(Trouble::NotFinite(_)) => return trouble,
            Err(Trouble::Overflow(_)) if first.is_ok() => first = trouble,
            _ => {}
        }
    }
    first
}

/// Finds scales and zero points from the ranges of tiles, or names the first tile whose scale does not fit.
fn fit_tiles<F: Real>(
    spans: &[Span<F>],
    fit: Fit,
    scales: &mut [f32],
    zero_points: &mut [i32],
) -> Result<(), usize> {
    if scales.len() == zero_points.len() && fit.is_plain() {
        let most = vectorize(
            #[inline(always)]
            || {
                let mut most = 0.0;
                for ((span, scale), zero_point) in
                    spans.iter().zip(&mut *scales).zip(&mut *zero_points)
                {
                    let (quotient, found, zero) = fit.plain(span.low.widen(), span.high.widen());
                    most = if quotient > most { quotient } else { most };
                    (*scale, *zero_point) = (found, zero);
                }
                most
            },
        );
        if most < fit.near() {
            return Ok(());
        }
    }
    for (tile, (span, scale)) in spans.iter().zip(&mut *scales).enumerate() {
        let (found, zero) = fit.parameters(span.low.widen(), span.high.widen());
        *scale = found;
        if let Some(zero_point) = zero_points.get_mut(tile) {
            *zero_point = zero;
        }
    }
    check_scales(scales)
}

/// Fails with the place of the first value that is not finite, if a largest magnitude is not.
fn check_finite<F: Real>(values: &[F], largest: &[F::Bits]) -> Result<(), usize> {
    if largest.iter().all(|&largest| largest < F::INFINITE) {
        return Ok(());
    }
    Err(ranges::first_not_finite(values).unwrap_or_default())
}

impl<F: Real> Part<'_, F> {
    fn magnitudes(&self, tiling: &Tiling, tiles: usize) -> Vec<F::Bits> {
        let mut largest = vec![F::Bits::default(); tiles];
        absmax::sweep(
            self.values,
            self.range(),
            tiling,
            self.first_tile,
            &mut largest,
        );
        largest
    }

    pub(super) fn spans(
        &self,
        tiling: &Tiling,
        finite: Finite,
        tiles: usize,
    ) -> Result<Vec<Span<F>>, Trouble> {
        let mut spans = vec![Span::empty(); tiles];
        let fine = vectorize(
            #[inline(always)]
            || {
                ranges::sweep(
                    self.values,
                    self.range(),
                    tiling,
                    (finite, self.first_tile),
                    &mut spans,
                )
            },
        );
        if fine {
            return Ok(spans);
        }
        let place = ranges::first_not_finite(self.values).unwrap_or_default();
        Err(Trouble::NotFinite(self.start + place))
    }
}

#[cfg(test)]
mod tests {
    use super::{Finite, Fit, Trouble, fit_and_encode};
    use crate::kernels::coding::Steps;
    use crate::kernels::dispatch::forced;
    use crate::kernels::encode::encode;
    use crate::kernels::encode::tests::{SHAPES, codings, values};
    use crate::kernels::fit::Zero;
    use crate::kernels::pack;
    use crate::kernels::real::Real;
    use crate::kernels::tiling::Tiling;

    fn check<F: Real>() {
        forced::at_every_level(|level| {
            for (shape, tile) in SHAPES {
                let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                let len = shape.iter().product();
                let values = values::<F>(len);
                let mut tiles = vec![0; len];
                tiling.stretches(0..len, |stretch, numbers| {
                    let first = numbers.start;
                    let step = usize::from(numbers.len() > 1);
                    for (offset, tile) in tiles[stretch].iter_mut().enumerate() {
                        *tile = first + step * offset;
                    }
                });
                for bits in [1, 2, 3, 4, 8, 16] {
                    for coding in codings(bits) {
                        if coding.lowest >= coding.highest || bits == 1 && coding.lowest < 0 {
                            continue;
                        }
                        let at = format!("{coding:?} {shape:?} {tile:?} {level:?}");
                        let affine = coding.lowest >= 0 || !bits.is_multiple_of(2);
                        // With the highest code, no code has to be held.
                        let divisor = f64::from(if coding.lowest == -coding.highest {
                            coding.highest
                        } else {
                            coding.highest - coding.lowest
                        });
                        let fit = Fit {
                            lowest: coding.lowest,
                            highest: coding.highest,
                            zero: if affine {
                                Zero::Rounded
                            } else {
                                Zero::Fixed(0)
                            },
                            divisor,
                            divisor_below: divisor,
                            least: f32::MIN_POSITIVE,
                            instead: f32::MIN_POSITIVE,
                            instead_zero: None,
                            single: false,
                            finite: true,
                        };
                        let mut packed = vec![0xAA; pack::bytes_for(len, bits)];
                        let mut found = vec![0.0; tiling.count()];
                        let mut zeros = vec![9; if affine { tiling.count() } else { 0 }];
                        let how = (fit, Finite::Required);
                        let to = (&mut found[..], &mut zeros[..]);
                        fit_and_encode(&values, &tiling, how, coding, to, &mut packed)
                            .expect("finite");
                        let mut ends = vec![(0.0_f64, 0.0_f64); tiling.count()];
                        for (value, &tile) in values.iter().zip(&tiles) {
                            let (low, high) = ends[tile];
                            ends[tile] = (low.min(value.widen()), high.max(value.widen()));
                        }
                        for (tile, &(low, high)) in ends.iter().enumerate() {
                            let (scale, zero) = fit.parameters(low, high);
                            assert_eq!(found[tile], scale, "tile {tile}, {at}");
                            assert_eq!(zeros.get(tile).copied().unwrap_or(zero), zero, "{at}");
                        }
                        let steps = Steps {
                            scales: &found,
                            zero_points: &zeros,
                        };
                        let mut right = packed.clone();
                        encode(
                            &values,
                            &tiling,
                            (coding, Finite::Required),
                            steps,
                            &mut right,
                        )
                        .expect("finite");
                        assert!(packed == right, "{at}");
                    }
                }
            }
        });
    }

    #[test]
    fn f32_agrees_with_ranges_and_codes_one_after_the_other() {
        check::<f32>();
    }

    #[test]
    fn f64_agrees_with_ranges_and_codes_one_after_the_other() {
        check::<f64>();
    }

    #[test]
    fn what_is_not_finite_is_named_or_left_out_of_the_range() {
        let shape = [40, 5000];
        let mut values = vec![1.0_f32; 200_000];
        values[150_001] = f32::NAN;
        values[199_999] = f32::NEG_INFINITY;
        values[150_003] = f32::INFINITY;
        for tile in [[1, 128], [usize::MAX, usize::MAX], [usize::MAX, 1]] {
            let tiling = Tiling::new(&shape, &tile).expect("few tiles");
            let coding = codings(8)[0];
            let fit = Fit {
                lowest: -128,
                highest: 127,
                zero: Zero::Fixed(0),
                divisor: 127.0,
                divisor_below: 127.0,
                least: f32::MIN_POSITIVE,
                instead: f32::MIN_POSITIVE,
                instead_zero: None,
                single: false,
                finite: true,
            };
            let run = |finite| {
                let mut packed = vec![0; 200_000];
                let mut scales = vec![0.0; tiling.count()];
                let to = (&mut scales[..], &mut [][..]);
                fit_and_encode(&values, &tiling, (fit, finite), coding, to, &mut packed)
                    .map(|()| (scales, packed))
            };
            assert_eq!(
                run(Finite::Required).err(),
                Some(Trouble::NotFinite(150_001))
            );
            let (scales, packed) = run(Finite::Skipped).expect("skipped");
            assert!(scales.iter().all(|&scale| scale == 1.0 / 127.0));
            let codes =
                [150_000, 150_001, 150_003, 199_999].map(|place| packed[place].cast_signed());
            assert_eq!(codes, [127, 0, 127, -128]);
        }
    }
}
