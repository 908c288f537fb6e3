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
        if bits == 8 && signed {
            return part(
                packed,
                |code| i32::from(code.cast_signed()),
                (tiling, start),
                steps,
                values,
            );
        }
        if bits == 16 {
            let mut codes = vec![0_i32; values.len()];
            pack::unpack_codes(packed, bits, signed, &mut codes);
            return part(&codes, |code| code, (tiling, start), steps, values);
        }
        let mut raw = vec![0_u8; values.len()];
        pack::unpack(packed, bits, &mut raw);
        let half = if signed { 1 << (bits - 1) } else { 0 };
        part(
            &raw,
            |code| (i32::from(code) ^ half) - half,
            (tiling, start),
            steps,
            values,
        );
    });
}

fn part<F: Real, C: Copy>(
    codes: &[C],
    code: impl Fn(C) -> i32,
    (tiling, start): (&Tiling, usize),
    steps: Steps<'_>,
    values: &mut [F],
) {
    let Steps {
        scales,
        zero_points,
    } = steps;
    let value = |from: C, zero_point: i32, scale: f32| {
        F::from_integer(code(from) - zero_point) * F::from_single(scale)
    };
    vectorize(
        #[inline(always)]
        || {
            tiling.stretches(start..start + values.len(), |stretch, tiles| {
                let pairs = values[stretch.clone()].iter_mut().zip(&codes[stretch]);
                let zero_points = zero_points.get(tiles.clone()).unwrap_or(&[]);
                match (&scales[tiles], zero_points) {
                    (&[scale], &[]) => pairs.for_each(|(to, &code)| *to = value(code, 0, scale)),
                    (&[scale], &[zero_point]) => {
                        pairs.for_each(|(to, &code)| *to = value(code, zero_point, scale));
                    }
                    (scales, []) => {
                        pairs.zip(scales).for_each(|((to, &code), &scale)| {
                            *to = value(code, 0, scale);
                        });
                    }
                    (scales, zero_points) => {
                        pairs.zip(scales).zip(zero_points).for_each(
                            |(((to, &code), &scale), &zero_point)| {
                                *to = value(code, zero_point, scale);
                            },
                        );
                    }
                }
            });
        },
    );
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
