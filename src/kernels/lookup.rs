//! From packed codes to floats by a table: (table\[code\] − zero point) · scale.
//!
//! A byte that holds several codes is looked up at once: its entry in a wider table has the numbers of all of them.

use super::dispatch::vectorize;
use super::minifloat::{self, E4M3, E5M2, Minifloat};
use super::pack;
use super::parallel::{CHUNK, for_chunks_mut};
use super::real::Real;
use super::tiling::Tiling;
use std::array;

/// Numbers that are looked up before they are scaled: few enough to stay in the first-level cache, and a multiple of
/// eight, so that their codes start with a byte.
const PIECE: usize = 2048;

/// What codes mean, besides who shares a scale.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    pub(crate) bits: u32,
    /// A number for each pattern of so many bits.
    pub(crate) table: &'a [f32],
    pub(crate) scales: &'a [f32],
    /// What is taken off before scaling, one for each scale; or none.
    pub(crate) zero_points: &'a [f32],
    /// How the table can be computed, if it can.
    pub(crate) formula: Option<Formula>,
}

/// Numbers that are computed side by side faster than looked up one by one: 8 bits to a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Formula {
    /// Those of E4M3.
    E4M3,
    /// Those of E5M2.
    E5M2,
}

/// Writes (table\[code\] − zero point) · scale for every packed code.
pub(crate) fn decode<F: Real>(
    packed: &[u8],
    tiling: &Tiling,
    lookup: Lookup<'_>,
    values: &mut [F],
) {
    match lookup.formula {
        Some(Formula::E4M3) => return decode_floats::<F, E4M3>(packed, tiling, lookup, values),
        Some(Formula::E5M2) => return decode_floats::<F, E5M2>(packed, tiling, lookup, values),
        None => {}
    }
    match lookup.bits {
        1 => decode_by::<F, 8>(packed, tiling, lookup, values),
        2 => decode_by::<F, 4>(packed, tiling, lookup, values),
        4 => decode_by::<F, 2>(packed, tiling, lookup, values),
        _ => decode_by::<F, 1>(packed, tiling, lookup, values),
    }
}

/// The same where a byte holds N codes, or part of one.
fn decode_by<F: Real, const N: usize>(
    packed: &[u8],
    tiling: &Tiling,
    lookup: Lookup<'_>,
    values: &mut [F],
) {
    let bits = lookup.bits;
    let right = pack::bytes_for(values.len(), bits);
    assert_eq!(packed.len(), right, "one code a value");
    assert_eq!(lookup.table.len(), 1 << bits, "an entry for each code");
    let mask = lookup.table.len() - 1;
    let table: [[F; N]; 256] = array::from_fn(|byte| {
        array::from_fn(|code| {
            let shift = code * bits as usize;
            F::from_single(lookup.table[byte >> shift & mask])
        })
    });
    for_chunks_mut(values, CHUNK, |chunk, values| {
        let start = chunk * CHUNK;
        let packed = &packed[chunk * pack::bytes_for(CHUNK, bits)..];
        let packed = packed.chunks(pack::bytes_for(PIECE, bits));
        for (piece, (values, packed)) in values.chunks_mut(PIECE).zip(packed).enumerate() {
            let mut raw = [0; PIECE];
            let raw = &mut raw[..values.len()];
            // The last chunk of bytes may be followed by those of the next.
            let packed = &packed[..pack::bytes_for(values.len(), bits)];
            let whole_bytes = N > 1 || bits == 8;
            if !whole_bytes {
                pack::unpack(packed, bits, raw);
            }
            vectorize(
                #[inline(always)]
                || {
                    look_up(if whole_bytes { packed } else { raw }, &table, values);
                    scale(tiling, lookup, start + piece * PIECE, values);
                },
            );
        }
    });
}

/// The same by the formula of a float.
fn decode_floats<F: Real, T: Minifloat>(
    packed: &[u8],
    tiling: &Tiling,
    lookup: Lookup<'_>,
    values: &mut [F],
) {
    assert_eq!(packed.len(), values.len(), "one byte a value");
    for_chunks_mut(values, CHUNK, |chunk, values| {
        let start = chunk * CHUNK;
        let packed = packed[start..].chunks(PIECE);
        for (piece, (values, packed)) in values.chunks_mut(PIECE).zip(packed).enumerate() {
            vectorize(
                #[inline(always)]
                || {
                    for (to, &code) in values.iter_mut().zip(packed) {
                        *to = F::from_single(minifloat::value::<T>(code.into()));
                    }
                    scale(tiling, lookup, start + piece * PIECE, values);
                },
            );
        }
    });
}

#[inline(always)]
fn look_up<F: Real, const N: usize>(bytes: &[u8], table: &[[F; N]; 256], values: &mut [F]) {
    let (whole, rest) = values.as_chunks_mut::<N>();
    for (to, &byte) in whole.iter_mut().zip(bytes) {
        *to = table[usize::from(byte)];
    }
    if let Some(&byte) = bytes.get(whole.len()) {
        rest.copy_from_slice(&table[usize::from(byte)][..rest.len()]);
    }
}

#[inline(always)]
fn scale<F: Real>(tiling: &Tiling, lookup: Lookup<'_>, start: usize, values: &mut [F]) {
    let Lookup {
        scales,
        zero_points,
        ..
    } = lookup;
    tiling.stretches(
        start..start + values.len(),
        #[inline(always)]
        |stretch, tiles| {
            let values = &mut values[stretch];
            let scales = &scales[tiles.clone()];
            match (scales, zero_points.get(tiles)) {
                (&[scale], None) => {
                    let scale = F::from_single(scale);
                    for value in values {
                        *value = *value * scale;
                    }
                }
                (&[scale], Some(&[zero])) => {
                    let (scale, zero) = (F::from_single(scale), F::from_single(zero));
                    for value in values {
                        *value = (*value - zero) * scale;
                    }
                }
                (scales, None) => {
                    for (value, &scale) in values.iter_mut().zip(scales) {
                        *value = *value * F::from_single(scale);
                    }
                }
                (scales, Some(zero_points)) => {
                    let pairs = values.iter_mut().zip(scales).zip(zero_points);
                    for ((value, &scale), &zero) in pairs {
                        *value = (*value - F::from_single(zero)) * F::from_single(scale);
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::{Formula, Lookup, PIECE, decode};
    use crate::kernels::dispatch::forced;
    use crate::kernels::minifloat::{self, E4M3, E5M2, Minifloat};
    use crate::kernels::pack;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::real::Real;
    use crate::kernels::tiling::Tiling;

    fn check<F: Real>() {
        forced::at_every_level(|level| {
            for bits in 1..=8 {
                for (shape, tile) in [
                    ([0, 3], [1, 1]),
                    ([1, 1], [1, usize::MAX]),
                    ([1, 1003], [1, usize::MAX]),
                    ([35, 3], [usize::MAX, 1]),
                    ([7, 50], [2, 16]),
                    ([3, PIECE + 5], [1, 64]),
                    ([2, CHUNK / 2 + 9], [1, usize::MAX]),
                ] {
                    let tiling = Tiling::new(&shape, &tile).expect("few tiles");
                    let len = shape[0] * shape[1];
                    let raw: Vec<u8> = (0..len).map(|i| (i * 151 % 257) as u8).collect();
                    let mut packed = vec![0; pack::bytes_for(len, bits)];
                    pack::pack(&raw, bits, &mut packed);
                    let entry = |code: usize| (code as f32 - 3.0) * 0.3;
                    let table: Vec<f32> = (0..1 << bits).map(entry).collect();
                    let scales: Vec<f32> = (0..tiling.count()).map(|i| 0.1 + i as f32).collect();
                    let zeros: Vec<f32> = scales.iter().map(|scale| scale * 0.7 - 2.0).collect();
                    for zero_points in [&[][..], &zeros] {
                        let lookup = Lookup {
                            bits,
                            table: &table,
                            scales: &scales,
                            zero_points,
                            formula: None,
                        };
                        let mut values = vec![F::nan(); len];
                        decode(&packed, &tiling, lookup, &mut values);
                        tiling.stretches(0..len, |stretch, tiles| {
                            let own = usize::from(tiles.len() > 1);
                            for (offset, place) in stretch.enumerate() {
                                let tile = tiles.start + own * offset;
                                let code = usize::from(raw[place]) & (table.len() - 1);
                                let number = F::from_single(table[code]);
                                let number = match zero_points.get(tile) {
                                    Some(&zero) => number - F::from_single(zero),
                                    None => number,
                                };
                                let right = number * F::from_single(scales[tile]);
                                assert!(values[place] == right, "{bits} {shape:?} {level:?}");
                            }
                        });
                    }
                }
            }
        });
    }

    #[test]
    fn a_formula_gives_the_numbers_of_its_table() {
        fn of<T: Minifloat>() -> Vec<f32> {
            let number = |code| minifloat::value::<T>(code);
            let numbers = (0..256).map(number);
            // What is not finite has no code.
            numbers
                .map(|number| if number.is_finite() { number } else { 0.0 })
                .collect()
        }
        let tiling = Tiling::new(&[2, CHUNK / 2 + 9], &[1, 100]).expect("few tiles");
        let scales: Vec<f32> = (0..tiling.count()).map(|i| 0.1 + i as f32).collect();
        for (table, formula) in [(of::<E4M3>(), Formula::E4M3), (of::<E5M2>(), Formula::E5M2)] {
            let finite = |code: &u8| *code == 0 || table[usize::from(*code)] != 0.0;
            let codes = (0..=u8::MAX).filter(finite).cycle();
            let packed: Vec<u8> = codes.take(CHUNK + 18).collect();
            forced::at_every_level(|level| {
                let with = |formula| {
                    let lookup = Lookup {
                        bits: 8,
                        table: &table,
                        scales: &scales,
                        zero_points: &[],
                        formula,
                    };
                    let mut values = vec![f32::NAN; packed.len()];
                    decode(&packed, &tiling, lookup, &mut values);
                    values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                assert!(with(Some(formula)) == with(None), "{formula:?} {level:?}");
            });
        }
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
