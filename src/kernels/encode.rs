//! From floats to packed integer codes, with the scales given or found on the way.
//!
//! ```text
//! code = hold(round(x ÷ s) + zero point)
//! ```
//!
//! Where tiles lie together (a group, a row, a channel along the first axis), a piece of the array that stays in the
//! cache is read twice and memory once: for the range of each tile, and for the codes.

use super::coding::{Coding, Low, Steps, stretch_codes};
use super::dispatch::vectorize;
use super::fit::Fit;
use super::pack;
use super::parallel::{CHUNK, map_chunks_mut, map_chunks_of_three};
use super::ranges::{self, Finite, Span};
use super::real::Real;
use super::tiling::Tiling;
use std::ops::Range;

/// Why values have no codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The value at this place is not finite.
    NotFinite(usize),
    /// The scale of this tile does not fit an f32.
    Overflow(usize),
}

/// Writes the packed codes of `values` with these scales. NaN gets the code of 0, infinity an outermost code.
///
/// Where finite numbers are required, fails with the place of the first that is not.
pub(crate) fn encode<F: Real>(
    values: &[F],
    tiling: &Tiling,
    (coding, finite): (Coding, Finite),
    steps: Steps<'_>,
    packed: &mut [u8],
) -> Result<(), usize> {
    let bits = coding.bits;
    assert_eq!(
        packed.len(),
        pack::bytes_for(values.len(), bits),
        "room for the codes"
    );
    let found = map_chunks_mut(packed, pack::bytes_for(CHUNK, bits), |chunk, packed| {
        let start = chunk * CHUNK;
        let range = start..values.len().min(start + CHUNK);
        let part = Part {
            values: &values[range.clone()],
            range,
            first_tile: 0,
        };
        let found = match finite {
            Finite::Required => ranges::first_not_finite(part.values),
            Finite::Skipped => None,
        };
        encode_part(&part, tiling, coding, steps, packed);
        found.map(|place| start + place)
    });
    match found.into_iter().flatten().next() {
        Some(place) => Err(place),
        None => Ok(()),
    }
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
    let Some(piece) = tiling.piece().filter(|&piece| piece <= CHUNK) else {
        let spans = ranges::spans(values, tiling, finite).map_err(Trouble::NotFinite)?;
        fit_tiles(&spans, fit, scales, zero_points).map_err(Trouble::Overflow)?;
        let steps = Steps {
            scales,
            zero_points,
        };
        let how = (coding, Finite::Skipped);
        return encode(values, tiling, how, steps, packed).map_err(Trouble::NotFinite);
    };
    // Eight codes fill bytes at any width.
    let length = piece * (CHUNK / piece).next_multiple_of(8);
    let tiles = tiling.tiles_of(&(0..length)).len();
    let troubles = map_chunks_of_three(
        (packed, pack::bytes_for(length, bits)),
        (&mut *scales, tiles),
        (&mut *zero_points, tiles),
        |chunk, packed, scales, zero_points| {
            let start = chunk * length;
            let range = start..values.len().min(start + length);
            let part = Part {
                values: &values[range.clone()],
                range,
                first_tile: chunk * tiles,
            };
            let spans = part.spans(tiling, finite, scales.len())?;
            fit_tiles(&spans, fit, scales, zero_points)
                .map_err(|tile| Trouble::Overflow(part.first_tile + tile))?;
            let steps = Steps {
                scales,
                zero_points,
            };
            encode_part(&part, tiling, coding, steps, packed);
            Ok(())
        },
    );
    // A value that is not finite comes first: its tile's scale means nothing.
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
pub(crate) fn fit_tiles<F: Real>(
    spans: &[Span<F>],
    fit: Fit,
    scales: &mut [f32],
    zero_points: &mut [i32],
) -> Result<(), usize> {
    for (tile, (span, scale)) in spans.iter().zip(&mut *scales).enumerate() {
        let (found, zero) = fit.parameters(span.low.widen(), span.high.widen());
        *scale = found;
        if let Some(zero_point) = zero_points.get_mut(tile) {
            *zero_point = zero;
        }
    }
    match scales.iter().position(|scale| scale.is_infinite()) {
        Some(tile) => Err(tile),
        None => Ok(()),
    }
}

/// A part of the values, and the tile whose scale is the first given.
pub(super) struct Part<'a, F> {
    pub(super) values: &'a [F],
    pub(super) range: Range<usize>,
    pub(super) first_tile: usize,
}

impl<F: Real> Part<'_, F> {
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
                    self.range.clone(),
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
        Err(Trouble::NotFinite(self.range.start + place))
    }
}

fn encode_part<F: Real>(
    part: &Part<'_, F>,
    tiling: &Tiling,
    coding: Coding,
    steps: Steps<'_>,
    packed: &mut [u8],
) {
    match coding.bits {
        8 => codes_of(part, tiling, coding, steps, packed),
        16 => {
            let mut codes = vec![0_u16; part.values.len()];
            codes_of(part, tiling, coding, steps, &mut codes);
            for (bytes, code) in packed.as_chunks_mut().0.iter_mut().zip(codes) {
                *bytes = code.to_le_bytes();
            }
        }
        bits => {
            let mut codes = vec![0_u8; part.values.len()];
            codes_of(part, tiling, coding, steps, &mut codes);
            pack::pack(&codes, bits, packed);
        }
    }
}

fn codes_of<F: Real, C: Low>(
    part: &Part<'_, F>,
    tiling: &Tiling,
    coding: Coding,
    steps: Steps<'_>,
    codes: &mut [C],
) {
    vectorize(
        #[inline(always)]
        || {
            tiling.stretches(
                part.range.clone(),
                #[inline(always)]
                |stretch, tiles| {
                    let values = &part.values[stretch.clone()];
                    let start = part.range.start + stretch.start;
                    let codes = &mut codes[stretch];
                    let tiles = tiles.start - part.first_tile..tiles.end - part.first_tile;
                    let here = Steps {
                        scales: &steps.scales[tiles.clone()],
                        zero_points: steps.zero_points.get(tiles).unwrap_or(&[]),
                    };
                    stretch_codes((values, start), codes, here, coding);
                },
            );
        },
    );
}

#[cfg(test)]
mod tests {
    use super::{Finite, Fit, Trouble, encode, fit_and_encode};
    use crate::kernels::coding::{Coding, Rounded, Scaling, Steps};
    use crate::kernels::dispatch::forced;
    use crate::kernels::fit::Zero;
    use crate::kernels::pack;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::real::Real;
    use crate::kernels::stream;
    use crate::kernels::tiling::Tiling;

    fn values<F: Real>(len: usize) -> Vec<F> {
        // Multiples of half a step of 0.1, so that many lie on a tie.
        (0..len)
            .map(|i| F::narrow(((i * 37 % 601) as f64 - 300.0) * 0.05))
            .collect()
    }

    /// The obvious twin: one value after the other, in the type's own arithmetic and then in f64.
    fn slow<F: Real>(value: F, scale: f32, zero: i32, coding: Coding, index: usize) -> i32 {
        let scale = F::from_single(scale);
        let y = match coding.scaling {
            Scaling::Divide => value / scale,
            Scaling::MultiplyByInverse => value * (F::one() / scale),
        };
        let y = if coding.shift_first {
            y + F::from_integer(zero)
        } else {
            y
        };
        let y = y.widen();
        let rounded = match coding.rounded {
            Rounded::HalfEven => y.round_ties_even(),
            Rounded::HalfAway => y.round(),
            Rounded::Stochastic(seed) => {
                let up = stream::uniform::<F>(seed, index as u64).widen() < y - y.floor();
                y.floor() + f64::from(u8::from(up))
            }
        };
        let shift = if coding.shift_first { 0 } else { zero };
        let code = rounded + f64::from(shift);
        code.clamp(f64::from(coding.lowest), f64::from(coding.highest)) as i32
    }

    fn codings(bits: u32) -> Vec<Coding> {
        let half = 1 << (bits - 1);
        let plain = Coding {
            bits,
            lowest: -half,
            highest: half - 1,
            scaling: Scaling::Divide,
            rounded: Rounded::HalfEven,
            shift_first: false,
        };
        vec![
            plain,
            Coding {
                lowest: 1 - half,
                scaling: Scaling::MultiplyByInverse,
                ..plain
            },
            Coding {
                lowest: 0,
                highest: 2 * half - 1,
                rounded: Rounded::HalfAway,
                ..plain
            },
            Coding {
                shift_first: true,
                ..plain
            },
            Coding {
                rounded: Rounded::Stochastic(5),
                scaling: Scaling::MultiplyByInverse,
                ..plain
            },
        ]
    }

    fn unpacked(packed: &[u8], len: usize, coding: Coding) -> Vec<i32> {
        let mut codes = vec![0; len];
        pack::unpack_codes(packed, coding.bits, coding.lowest < 0, &mut codes);
        codes
    }

    const SHAPES: [([usize; 2], [usize; 2]); 7] = [
        ([1, 1000], [1, usize::MAX]),
        ([3, 35], [1, usize::MAX]),
        ([35, 3], [usize::MAX, 1]),
        ([7, 50], [1, 16]),
        ([7, 50], [2, 20]),
        ([2, CHUNK + 9], [1, usize::MAX]),
        ([300, 500], [1, 33]),
    ];

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
                        let scales: Vec<f32> = (0..tiling.count())
                            .map(|tile| [0.1, 0.007, 0.25][tile % 3])
                            .collect();
                        let middle = (coding.lowest + coding.highest) / 2;
                        let zeros: Vec<i32> = (0..tiling.count())
                            .map(|tile| (middle + tile as i32 % 3).min(coding.highest))
                            .collect();
                        for zeros in [&[][..], &zeros] {
                            let steps = Steps {
                                scales: &scales,
                                zero_points: zeros,
                            };
                            let mut packed = vec![0xAA; pack::bytes_for(len, bits)];
                            encode(
                                &values,
                                &tiling,
                                (coding, Finite::Required),
                                steps,
                                &mut packed,
                            )
                            .expect("finite");
                            for (i, code) in unpacked(&packed, len, coding).into_iter().enumerate()
                            {
                                let zero = zeros.get(tiles[i]).copied().unwrap_or(0);
                                let right = slow(values[i], scales[tiles[i]], zero, coding, i);
                                assert_eq!(
                                    code, right,
                                    "{:?} at {i}, zero {zero}, {at}",
                                    values[i]
                                );
                            }
                        }
                        let affine = coding.lowest >= 0 || !bits.is_multiple_of(2);
                        let fit = Fit {
                            lowest: coding.lowest,
                            highest: coding.highest,
                            zero: if affine {
                                Zero::Rounded
                            } else {
                                Zero::Fixed(0)
                            },
                            divisor: f64::from(coding.highest - coding.lowest),
                            divisor_below: f64::from(coding.highest - coding.lowest),
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
    fn f32_agrees_with_the_slow_twin() {
        check::<f32>();
    }

    #[test]
    fn f64_agrees_with_the_slow_twin() {
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
