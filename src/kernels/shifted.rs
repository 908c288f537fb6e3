//! From floats to packed codes where the zero point is a float.
//!
//! ```text
//! code = hold(round(x · (1 ÷ s) + z))
//! ```

use super::dispatch::vectorize;
use super::pack;
use super::parallel::{CHUNK, for_chunks_mut};
use super::real::Real;
use super::tiling::Tiling;

/// Writes the packed codes of finite values, 0 to the highest of `bits` bits.
pub(crate) fn encode(
    values: &[f32],
    tiling: &Tiling,
    bits: u32,
    (scales, zeros): (&[f32], &[f32]),
    packed: &mut [u8],
) {
    let right = pack::bytes_for(values.len(), bits);
    assert_eq!(packed.len(), right, "room for the codes");
    let highest = f32::from(u8::MAX >> (u8::BITS - bits));
    for_chunks_mut(packed, pack::bytes_for(CHUNK, bits), |chunk, packed| {
        let range = chunk * CHUNK..values.len().min((chunk + 1) * CHUNK);
        let values = &values[range.clone()];
        let mut codes = vec![0; values.len()];
        vectorize(
            #[inline(always)]
            || {
                tiling.stretches(
                    range,
                    #[inline(always)]
                    |stretch, tiles| {
                        let pairs = codes[stretch.clone()].iter_mut().zip(&values[stretch]);
                        let (scales, zeros) = (&scales[tiles.clone()], &zeros[tiles]);
                        if let (&[scale], &[zero]) = (scales, zeros) {
                            let inverse = scale.recip();
                            pairs.for_each(|(to, &x)| *to = code(x * inverse + zero, highest));
                        } else {
                            for ((to, &x), (scale, zero)) in pairs.zip(scales.iter().zip(zeros)) {
                                *to = code(x * scale.recip() + zero, highest);
                            }
                        }
                    },
                );
            },
        );
        pack::pack(&codes, bits, packed);
    });
}

#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 255"
)]
fn code(place: f32, highest: f32) -> u8 {
    let held = if place > highest { highest } else { place };
    let held = if held < 0.0 { 0.0 } else { held };
    held.nearest_even() as u8
}

#[cfg(test)]
mod tests {
    use super::encode;
    use crate::kernels::dispatch::forced;
    use crate::kernels::pack;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::tiling::Tiling;

    #[test]
    fn codes_are_those_of_a_plain_loop_at_every_level() {
        let len = CHUNK + 4011;
        let values: Vec<f32> = (0..len)
            .map(|i| ((i * 7919 % 4001) as f32 - 2000.0) / 64.0)
            .collect();
        forced::at_every_level(|level| {
            for bits in 1..=8 {
                for (shape, tile) in [
                    ([1, len], [1, 64]),
                    ([len, 1], [7, 1]),
                    ([3, len / 3], [3, 1]),
                ] {
                    let len = shape[0] * shape[1];
                    let tiling = Tiling::new(&shape, &tile).unwrap();
                    let scales: Vec<f32> = (0..tiling.count())
                        .map(|i| 0.125 + (i % 5) as f32 / 3.0)
                        .collect();
                    let zeros: Vec<f32> = (0..tiling.count())
                        .map(|i| (i % 9) as f32 * 1.7 - 2.5)
                        .collect();
                    let mut packed = vec![0xAA; pack::bytes_for(len, bits)];
                    encode(
                        &values[..len],
                        &tiling,
                        bits,
                        (&scales, &zeros),
                        &mut packed,
                    );
                    let mut codes = vec![0; len];
                    pack::unpack_codes(&packed, bits, false, &mut codes);
                    let highest = ((1 << bits) - 1) as f32;
                    for tile in 0..tiling.count() {
                        let (scale, zero) = (scales[tile], zeros[tile]);
                        tiling.runs(tile, |run| {
                            for place in run {
                                let right = values[place] * (1.0 / scale) + zero;
                                let right = right.round_ties_even().clamp(0.0, highest) as i32;
                                assert_eq!(codes[place], right, "{place}, {bits} bits, {level:?}");
                            }
                        });
                    }
                }
            }
        });
    }
}
