//! From packed integer codes to floats: (code − zero point) · scale.

use super::coding::Steps;
use super::dispatch::vectorize;
use super::pack;
use super::parallel::{CHUNK, for_chunks_mut};
use super::real::Real;
use super::tiling::Tiling;

/// What codes are, besides their scales.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub(crate) bits: u32,
    /// Whether they are two's complement.
    pub(crate) signed: bool,
}

/// Writes (code − zero point) · scale for every packed code.
pub(crate) fn decode<F: Real>(
    packed: &[u8],
    tiling: &Tiling,
    stored: Stored,
    steps: Steps<'_>,
    values: &mut [F],
) {
    let Stored { bits, signed } = stored;
    assert_eq!(
        packed.len(),
        pack::bytes_for(values.len(), bits),
        "one code a value"
    );
    for_chunks_mut(values, CHUNK, |chunk, values| {
        let start = chunk * CHUNK;
        let packed = &packed[chunk * pack::bytes_for(CHUNK, bits)..];
        let packed = &packed[..pack::bytes_for(values.len(), bits)];
        let at = (tiling, start);
        if bits == 8 && signed {
            return part(packed, Signed, at, steps, values);
        }
        if bits == 16 {
            let mut codes = vec![0_i32; values.len()];
            pack::unpack_codes(packed, bits, signed, &mut codes);
            return part(&codes, Unpacked, at, steps, values);
        }
        let mut raw = vec![0_u8; values.len()];
        pack::unpack(packed, bits, &mut raw);
        let half = if signed { 1 << (bits - 1) } else { 0 };
        part(&raw, Half(half), at, steps, values);
    });
}

/// How a code is read from what holds it.
trait Read: Copy {
    type From: Copy;
    fn code(self, from: Self::From) -> i32;
}

/// Two's complement of eight bits.
#[derive(Clone, Copy)]
struct Signed;

/// A code.
#[derive(Clone, Copy)]
struct Unpacked;

/// Two's complement of so many bits that this is its sign; none if the code has no sign.
#[derive(Clone, Copy)]
struct Half(i32);

impl Read for Signed {
    type From = u8;
    #[inline(always)]
    fn code(self, from: u8) -> i32 {
        i32::from(from.cast_signed())
    }
}

impl Read for Unpacked {
    type From = i32;
    #[inline(always)]
    fn code(self, from: i32) -> i32 {
        from
    }
}

impl Read for Half {
    type From = u8;
    #[inline(always)]
    fn code(self, from: u8) -> i32 {
        (i32::from(from) ^ self.0) - self.0
    }
}

fn part<F: Real, R: Read>(
    codes: &[R::From],
    read: R,
    (tiling, start): (&Tiling, usize),
    steps: Steps<'_>,
    values: &mut [F],
) {
    vectorize(
        #[inline(always)]
        || {
            tiling.stretches(
                start..start + values.len(),
                #[inline(always)]
                |stretch, tiles| {
                    let zero_points = steps.zero_points.get(tiles.clone()).unwrap_or(&[]);
                    let steps = (&steps.scales[tiles], zero_points);
                    stretch_values(&codes[stretch.clone()], read, steps, &mut values[stretch]);
                },
            );
        },
    );
}

#[inline(always)]
fn value<F: Real>(code: i32, zero_point: i32, scale: f32) -> F {
    F::from_integer(code - zero_point) * F::from_single(scale)
}

#[inline(always)]
fn stretch_values<F: Real, R: Read>(
    codes: &[R::From],
    read: R,
    (scales, zero_points): (&[f32], &[i32]),
    values: &mut [F],
) {
    let pairs = values.iter_mut().zip(codes);
    match (scales, zero_points) {
        (&[scale], zero_points) => {
            let zero_point = zero_points.first().copied().unwrap_or(0);
            for (to, &code) in pairs {
                *to = value(read.code(code), zero_point, scale);
            }
        }
        (scales, []) => {
            for ((to, &code), &scale) in pairs.zip(scales) {
                *to = value(read.code(code), 0, scale);
            }
        }
        (scales, zero_points) => {
            for (((to, &code), &scale), &zero_point) in pairs.zip(scales).zip(zero_points) {
                *to = value(read.code(code), zero_point, scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Stored, decode};
    use crate::kernels::coding::Steps;
    use crate::kernels::dispatch::forced;
    use crate::kernels::pack;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::real::Real;
    use crate::kernels::tiling::Tiling;

    fn check<F: Real>() {
        forced::at_every_level(|level| {
            for (bits, signed) in [
                (1, false),
                (2, true),
                (3, false),
                (4, true),
                (5, true),
                (8, true),
                (8, false),
                (16, true),
                (16, false),
            ] {
                for (shape, tile) in [
                    ([1, 1000], [1, usize::MAX]),
                    ([35, 3], [usize::MAX, 1]),
                    ([7, 50], [2, 16]),
                    ([2, CHUNK / 2 + 9], [1, usize::MAX]),
                ] {
                    let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                    let len = shape[0] * shape[1];
                    let packed: Vec<u8> = (0..pack::bytes_for(len, bits))
                        .map(|i| (i * 151 % 256) as u8)
                        .collect();
                    let mut codes = vec![0; len];
                    pack::unpack_codes(&packed, bits, signed, &mut codes);
                    let scales: Vec<f32> = (0..tiling.count()).map(|i| 0.1 + i as f32).collect();
                    let zeros: Vec<i32> = (0..tiling.count()).map(|i| i as i32 % 5 - 2).collect();
                    for zeros in [&[][..], &zeros] {
                        let steps = Steps {
                            scales: &scales,
                            zero_points: zeros,
                        };
                        let mut values = vec![F::nan(); len];
                        decode(
                            &packed,
                            &tiling,
                            Stored { bits, signed },
                            steps,
                            &mut values,
                        );
                        tiling.stretches(0..len, |stretch, tiles| {
                            let own = usize::from(tiles.len() > 1);
                            for (offset, place) in stretch.enumerate() {
                                let tile = tiles.start + own * offset;
                                let zero = zeros.get(tile).copied().unwrap_or(0);
                                let right = F::from_integer(codes[place] - zero)
                                    * F::from_single(scales[tile]);
                                assert!(
                                    values[place] == right,
                                    "{bits} {signed} {shape:?} {level:?}"
                                );
                            }
                        });
                    }
                }
            }
        });
    }

    #[test]
    fn f32_agrees_with_a_plain_loop() {
        check::<f32>();
    }

    #[test]
    fn f64_agrees_with_a_plain_loop() {
        check::<f64>();
    }
}
