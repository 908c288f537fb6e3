//! Blocks of 256 in groups with a step and an offset each, which are small integers times two halves:
//!
//! ```text
//! x ≈ (d · step) · code − (dmin · offset)
//! ```
//!
//! The layouts are GGUF's. How codes are chosen is free: here by [`search`](super::search), then steps and
//! offsets are rounded, then every code is the nearest on the rounded line.

use super::nibbles::{even, inverse, largest};
use super::search::{affine, codes, side_by_side};
use super::{Codec, Scales};
use crate::kernels::dispatch::vectorize;
use crate::kernels::minifloat::{fits_half, half_bytes, half_value};

/// Values in a block.
const BLOCK: usize = 256;

/// Beyond this no format of a half and small integers reaches, and squares stay far from infinity.
pub(super) const TOO_LARGE: f32 = 1e9;

/// What a search tries, and how often it fits codes and lines in turn. More gives little: docs/quantization.md.
pub(super) type Search = (&'static [f32], usize);
pub(super) const Q2_SEARCH: Search = (&[-0.9, -0.6, -0.3, 0.0, 0.4], 2);
pub(super) const Q4_SEARCH: Search = (&[-1.4, -0.9, -0.4, 0.0, 0.4], 2);
pub(super) const Q5_SEARCH: Search = (&[-1.4, -0.7, 0.0, 0.5], 2);

codec! {
    /// 16 groups of 16, steps and offsets of 4 bits, codes of 2 bits; d and dmin behind.
    Q2_K = 256 in 84, Scales::Halves(&[80, 82]), encode_q2, decode_q2
}

codec! {
    /// 8 groups of 32, steps and offsets of 6 bits, codes of 4 bits.
    Q4_K = 256 in 144, Scales::Halves(&[0, 2]), encode_q4, decode_q4
}

codec! {
    /// 8 groups of 32, steps and offsets of 6 bits, codes of 5 bits.
    Q5_K = 256 in 176, Scales::Halves(&[0, 2]), encode_q5, decode_q5
}

/// A block before its bits are put in place.
struct Coded<const N: usize, const GROUPS: usize> {
    d: f32,
    dmin: f32,
    steps: [u8; GROUPS],
    offsets: [u8; GROUPS],
    codes: [[u8; N]; GROUPS],
}

/// Steps of so many different sizes, and codes.
#[inline(always)]
fn code<const N: usize, const GROUPS: usize>(
    values: &[f32; BLOCK],
    most: f32,
    finest: f32,
    (trials, turns): Search,
) -> Coded<N, GROUPS> {
    let x = side_by_side::<N, GROUPS>(values);
    let lines = affine(&x, most, trials, turns);
    let (d, steps) = small_integers(&lines.step, finest);
    let (dmin, offsets) = small_integers(&lines.low.map(|low| -low), finest);
    let (half_d, half_dmin) = (half_value(half_bytes(d)), half_value(half_bytes(dmin)));
    let inverse_steps = steps.map(|step| inverse(half_d * f32::from(step)));
    let low = offsets.map(|offset| -(half_dmin * f32::from(offset)));
    Coded {
        d,
        dmin,
        steps,
        offsets,
        codes: codes(&x, &inverse_steps, &low, (0.0, most)),
    }
}

/// Numbers that are not negative, as integers up to `most` times one number, which comes first; integers
/// are relative to the half that is nearest to it.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "integers of 0 to 63"
)]
fn small_integers<const GROUPS: usize>(numbers: &[f32; GROUPS], most: f32) -> (f32, [u8; GROUPS]) {
    let unit = largest(numbers) / most;
    let inverse = inverse(half_value(half_bytes(unit)));
    let integers = numbers.map(|number| {
        let integer = number * inverse;
        even(if integer > most { most } else { integer }) as u8
    });
    (unit, integers)
}

/// Steps and offsets of 6 bits, eight each, in 12 bytes.
#[inline(always)]
fn pack_six_bits(steps: &[u8; 8], offsets: &[u8; 8]) -> [u8; 12] {
    let mut packed = [0; 12];
    for j in 0..4 {
        packed[j] = steps[j] | steps[j + 4] >> 4 << 6;
        packed[j + 4] = offsets[j] | offsets[j + 4] >> 4 << 6;
        packed[j + 8] = steps[j + 4] & 15 | offsets[j + 4] << 4;
    }
    packed
}

#[inline(always)]
fn unpack_six_bits(packed: &[u8]) -> ([u8; 8], [u8; 8]) {
    let (mut steps, mut offsets) = ([0; 8], [0; 8]);
    for j in 0..4 {
        steps[j] = packed[j] & 63;
        offsets[j] = packed[j + 4] & 63;
        steps[j + 4] = packed[j + 8] & 15 | packed[j] >> 6 << 4;
        offsets[j + 4] = packed[j + 8] >> 4 | packed[j + 4] >> 6 << 4;
    }
    (steps, offsets)
}

#[inline(always)]
fn encode_q4(values: &[f32; BLOCK], bytes: &mut [u8; 144], _: f32) -> bool {
    let coded = code::<32, 8>(values, 15.0, 63.0, Q4_SEARCH);
    bytes[..2].copy_from_slice(&half_bytes(coded.d));
    bytes[2..4].copy_from_slice(&half_bytes(coded.dmin));
    bytes[4..16].copy_from_slice(&pack_six_bits(&coded.steps, &coded.offsets));
    put_nibbles(&coded.codes, &mut bytes[16..]);
    largest(values) < TOO_LARGE && fits_half(coded.d) && fits_half(coded.dmin)
}

/// Low four bits of the codes of neighbouring groups together, the first group in the low halves.
#[inline(always)]
fn put_nibbles(codes: &[[u8; 32]; 8], bytes: &mut [u8]) {
    let (pairs, _) = codes.as_chunks::<2>();
    let (bytes, _) = bytes.as_chunks_mut::<32>();
    for ([first, second], bytes) in pairs.iter().zip(bytes) {
        for ((byte, first), second) in bytes.iter_mut().zip(first).zip(second) {
            *byte = first & 15 | second << 4;
        }
    }
}

#[inline(always)]
fn encode_q5(values: &[f32; BLOCK], bytes: &mut [u8; 176], _: f32) -> bool {
    let coded = code::<32, 8>(values, 31.0, 63.0, Q5_SEARCH);
    bytes[..2].copy_from_slice(&half_bytes(coded.d));
    bytes[2..4].copy_from_slice(&half_bytes(coded.dmin));
    bytes[4..16].copy_from_slice(&pack_six_bits(&coded.steps, &coded.offsets));
    let mut fifth = [0; 32];
    for (g, codes) in coded.codes.iter().enumerate() {
        for (bits, code) in fifth.iter_mut().zip(codes) {
            *bits |= code >> 4 << g;
        }
    }
    bytes[16..48].copy_from_slice(&fifth);
    put_nibbles(&coded.codes, &mut bytes[48..]);
    largest(values) < TOO_LARGE && fits_half(coded.d) && fits_half(coded.dmin)
}

#[inline(always)]
fn encode_q2(values: &[f32; BLOCK], bytes: &mut [u8; 84], _: f32) -> bool {
    let coded = code::<16, 16>(values, 3.0, 15.0, Q2_SEARCH);
    for (byte, (step, offset)) in bytes.iter_mut().zip(coded.steps.iter().zip(&coded.offsets)) {
        *byte = step | offset << 4;
    }
    put_pairs(&coded.codes, &mut bytes[16..80]);
    bytes[80..82].copy_from_slice(&half_bytes(coded.d));
    bytes[82..].copy_from_slice(&half_bytes(coded.dmin));
    largest(values) < TOO_LARGE && fits_half(coded.d) && fits_half(coded.dmin)
}

/// Low two bits of codes: of every 128, those at distance 32 share a byte, the first in its lowest bits.
#[inline(always)]
pub(super) fn put_pairs(codes: &[[u8; 16]; 16], bytes: &mut [u8]) {
    let flat = codes.as_flattened();
    for (half, bytes) in bytes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for (l, byte) in bytes.iter_mut().enumerate() {
            let at = half * 128 + l;
            *byte = flat[at] & 3
                | (flat[at + 32] & 3) << 2
                | (flat[at + 64] & 3) << 4
                | flat[at + 96] << 6;
        }
    }
}

/// What [`put_pairs`] put there, in order.
#[inline(always)]
pub(super) fn pairs(bytes: &[u8]) -> [u8; BLOCK] {
    let mut codes = [0; BLOCK];
    for (half, bytes) in bytes.as_chunks::<32>().0.iter().enumerate() {
        for (s, codes) in codes[half * 128..][..128]
            .as_chunks_mut::<32>()
            .0
            .iter_mut()
            .enumerate()
        {
            for (code, byte) in codes.iter_mut().zip(bytes) {
                *code = byte >> (2 * s) & 3;
            }
        }
    }
    codes
}

#[inline(always)]
fn decode_q2(bytes: &[u8; 84], values: &mut [f32; BLOCK], _: f32) {
    let d = half_value([bytes[80], bytes[81]]);
    let dmin = half_value([bytes[82], bytes[83]]);
    let groups = values.as_chunks_mut::<16>().0.iter_mut().enumerate();
    for ((g, values), &both) in groups.zip(&bytes[..16]) {
        let (step, offset) = (d * f32::from(both & 15), dmin * f32::from(both >> 4));
        // Of every eight groups, the even ones lie in the first 16 bytes and the odd ones in the next.
        let codes = &bytes[16 + g / 8 * 32 + g % 2 * 16..];
        let shift = g % 8 / 2 * 2;
        for (value, byte) in values.iter_mut().zip(codes) {
            *value = step * f32::from(byte >> shift & 3) - offset;
        }
    }
}

/// Steps and offsets that lie at byte 4 of a block, times the halves before them.
#[inline(always)]
fn lines(bytes: &[u8]) -> ([f32; 8], [f32; 8]) {
    let d = half_value([bytes[0], bytes[1]]);
    let dmin = half_value([bytes[2], bytes[3]]);
    let (steps, offsets) = unpack_six_bits(&bytes[4..16]);
    (
        steps.map(|step| d * f32::from(step)),
        offsets.map(|offset| dmin * f32::from(offset)),
    )
}

#[inline(always)]
fn decode_q4(bytes: &[u8; 144], values: &mut [f32; BLOCK], _: f32) {
    let (steps, offsets) = lines(bytes);
    let pairs = values.as_chunks_mut::<64>().0.iter_mut();
    for (p, (values, bytes)) in pairs.zip(bytes[16..].as_chunks::<32>().0).enumerate() {
        let (first, second) = values.split_at_mut(32);
        for ((first, second), byte) in first.iter_mut().zip(second).zip(bytes) {
            *first = steps[2 * p] * f32::from(byte & 15) - offsets[2 * p];
            *second = steps[2 * p + 1] * f32::from(byte >> 4) - offsets[2 * p + 1];
        }
    }
}

#[inline(always)]
fn decode_q5(bytes: &[u8; 176], values: &mut [f32; BLOCK], _: f32) {
    let (steps, offsets) = lines(bytes);
    let fifth = &bytes[16..48];
    let pairs = values.as_chunks_mut::<64>().0.iter_mut();
    for (p, (values, bytes)) in pairs.zip(bytes[48..].as_chunks::<32>().0).enumerate() {
        let (first, second) = values.split_at_mut(32);
        let pairs = first.iter_mut().zip(second).zip(bytes.iter().zip(fifth));
        for ((first, second), (byte, bits)) in pairs {
            let bits = bits >> (2 * p);
            let codes = [byte & 15 | (bits & 1) << 4, byte >> 4 | (bits & 2) << 3];
            *first = steps[2 * p] * f32::from(codes[0]) - offsets[2 * p];
            *second = steps[2 * p + 1] * f32::from(codes[1]) - offsets[2 * p + 1];
        }
    }
}
