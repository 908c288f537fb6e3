//! From floats to packed integer codes with the scales given.
//!
//! ```text
//! code = hold(round(x ÷ s) + zero point)
//! ```

use super::coding::{Coding, Low, Steps, stretch_codes};
use super::dispatch::vectorize;
use super::pack;
use super::parallel::{CHUNK, map_chunks_mut};
use super::ranges::{self, Finite};
use super::real::Real;
use super::tiling::Tiling;
use std::ops::Range;

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
        let part = Part {
            values: &values[start..values.len().min(start + CHUNK)],
            start,
            first_tile: 0,
        };
        encode_pieces(part, tiling, (coding, finite), steps, packed)
    });
    match found.into_iter().flatten().next() {
        Some(place) => Err(place),
        None => Ok(()),
    }
}

/// Writes the codes of a part; the place of the first value that is not finite, where there must be none.
pub(super) fn encode_pieces<F: Real>(
    part: Part<'_, F>,
    tiling: &Tiling,
    (coding, finite): (Coding, Finite),
    steps: Steps<'_>,
    packed: &mut [u8],
) -> Option<usize> {
    let mut found = None;
    // What was looked through is still in the first-level cache when it is encoded.
    for (part, packed) in part.pieces(packed, coding.bits) {
        if finite == Finite::Required && found.is_none() {
            found = ranges::first_not_finite(part.values).map(|place| part.start + place);
        }
        encode_piece(&part, tiling, coding, steps, packed);
    }
    found
}

/// A part of the values from `start` on, and the tile whose scale is the first given.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, F> {
    pub(super) values: &'a [F],
    pub(super) start: usize,
    pub(super) first_tile: usize,
}

/// Values whose codes wait to be packed: all stay in the first-level cache.
const PIECE: usize = 1 << 13;

impl<'a, F: Real> Part<'a, F> {
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start + self.values.len()
    }

    /// Small parts, each with the room for its codes.
    fn pieces(self, packed: &mut [u8], bits: u32) -> impl Iterator<Item = (Self, &mut [u8])> {
        let packed = packed.chunks_mut(pack::bytes_for(PIECE, bits));
        let pieces = self.values.chunks(PIECE).enumerate();
        pieces.zip(packed).map(move |((piece, values), packed)| {
            let start = self.start + piece * PIECE;
            (
                Self {
                    values,
                    start,
                    ..self
                },
                packed,
            )
        })
    }
}

fn encode_piece<F: Real>(
    part: &Part<'_, F>,
    tiling: &Tiling,
    coding: Coding,
    steps: Steps<'_>,
    packed: &mut [u8],
) {
    match coding.bits {
        8 => codes_of(part, tiling, coding, steps, packed),
        16 => {
            let mut codes = [0_u16; PIECE];
            let codes = &mut codes[..part.values.len()];
            codes_of(part, tiling, coding, steps, codes);
            for (bytes, code) in packed.as_chunks_mut().0.iter_mut().zip(codes) {
                *bytes = code.to_le_bytes();
            }
        }
        bits => {
            let mut codes = [0; PIECE];
            let codes = &mut codes[..part.values.len()];
            codes_of(part, tiling, coding, steps, codes);
            pack::pack(codes, bits, packed);
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
                part.range(),
                #[inline(always)]
                |stretch, tiles| {
                    let values = &part.values[stretch.clone()];
                    let start = part.start + stretch.start;
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
pub(super) mod tests {
    use super::{Finite, encode};
    use crate::kernels::coding::{Coding, Known, Rounded, Scaling, Steps};
    use crate::kernels::dispatch::forced;
    use crate::kernels::pack;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::real::Real;
    use crate::kernels::stream;
    use crate::kernels::tiling::Tiling;

    pub(in crate::kernels) fn values<F: Real>(len: usize) -> Vec<F> {
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

    pub(in crate::kernels) fn codings(bits: u32) -> Vec<Coding> {
        let half = 1 << (bits - 1);
        let plain = Coding {
            bits,
            lowest: -half,
            highest: half - 1,
            scaling: Scaling::Divide,
            rounded: Rounded::HalfEven,
            shift_first: false,
            known: Known::Nothing,
        };
        vec![
            plain,
            Coding {
                lowest: 1 - half,
                ..plain
            },
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

    pub(in crate::kernels) const SHAPES: [([usize; 2], [usize; 2]); 7] = [
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
}
