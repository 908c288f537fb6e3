//! The blocks of 32 that GGUF began with: one scale, or a scale and a least value, as halves.
//!
//! Arithmetic is that of the reference, in f32 with one rounding an operation, so bytes are equal. Codes
//! are computed with the inverse of the scale *before* that is rounded to a half.

use super::nibbles::{away, byte, extremes, floor, halves, inverse, join, largest, signed_largest};
use super::{Codec, Scales, UNSIGNED};
use crate::kernels::dispatch::vectorize;
use crate::kernels::minifloat::{fits_half, half_bytes, half_value};

/// Values in a block.
const BLOCK: usize = 32;

codec! {
    /// d, 32 codes of 8 bits.
    Q8_0 = 32 in 34, Scales::Halves(&[0]), encode_q8_0, decode_q8_0
}

codec! {
    /// d, 32 codes of 4 bits around 8.
    Q4_0 = 32 in 18, Scales::Halves(&[0]), encode_q4_0, decode_q4_0
}

codec! {
    /// d, m, 32 codes of 4 bits.
    Q4_1 = 32 in 20, Scales::Halves(&[0, 2]), encode_q4_1, decode_q4_1
}

codec! {
    /// d, the fifth bits, 32 codes of 4 bits, around 16.
    Q5_0 = 32 in 22, Scales::Halves(&[0]), encode_q5_0, decode_q5_0
}

codec! {
    /// d, m, the fifth bits, 32 codes of 4 bits.
    Q5_1 = 32 in 24, Scales::Halves(&[0, 2]), encode_q5_1, decode_q5_1
}

#[inline(always)]
fn encode_q8_0(values: &[f32; BLOCK], bytes: &mut [u8; 34], _: f32) -> bool {
    let d = largest(values) / 127.0;
    let inverse = inverse(d);
    bytes[..2].copy_from_slice(&half_bytes(d));
    for (byte_of, &value) in bytes[2..].iter_mut().zip(values) {
        *byte_of = byte(away(value * inverse));
    }
    fits_half(d)
}

#[inline(always)]
fn decode_q8_0(bytes: &[u8; 34], values: &mut [f32; BLOCK], _: f32) {
    let d = half_value([bytes[0], bytes[1]]);
    for (value, &code) in values.iter_mut().zip(&bytes[2..]) {
        *value = f32::from(code.cast_signed()) * d;
    }
}

/// Codes of a symmetric format: the value of the largest magnitude gets the code 0, zero the middle one.
#[inline(always)]
fn symmetric(values: &[f32; BLOCK], middle: f32) -> (f32, [u8; BLOCK]) {
    let d = signed_largest(values) / -middle;
    let inverse = inverse(d);
    let most = middle + (middle - 1.0);
    let mut codes = [0; BLOCK];
    for (to, value) in codes.iter_mut().zip(values) {
        let code = floor(value * inverse + (middle + 0.5));
        *to = byte(if code > most { most } else { code });
    }
    (d, codes)
}

/// Codes that begin at the least value.
#[inline(always)]
fn from_least(values: &[f32; BLOCK], most: f32) -> (f32, f32, [u8; BLOCK]) {
    let (least, largest) = extremes(values);
    let d = (largest - least) / most;
    let inverse = inverse(d);
    let mut codes = [0; BLOCK];
    for (to, value) in codes.iter_mut().zip(values) {
        let code = floor((value - least) * inverse + 0.5);
        *to = byte(if code > most { most } else { code });
    }
    (d, least, codes)
}

/// The fifth bit of each code, code j at bit j.
#[inline(always)]
fn fifth_bits(codes: &[u8; BLOCK]) -> [u8; 4] {
    let mut bits = [0; 4];
    for (bits, codes) in bits.iter_mut().zip(codes.as_chunks::<8>().0) {
        let flags = u64::from_le_bytes(*codes) >> 4 & 0x0101_0101_0101_0101;
        // Flag k, at bit 8k, goes to bit 56 + k; no two products meet.
        [.., *bits] = flags.wrapping_mul(0x0102_0408_1020_4080).to_le_bytes();
    }
    bits
}

#[inline(always)]
fn low_bits(codes: &[u8; BLOCK]) -> [u8; 16] {
    let (low, high) = halves(codes);
    join(low, high)
}

/// The number of each code: four bits of a byte, and a fifth bit where there is one.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "one bit of each")]
fn decode(low_bits: &[u8], fifth: [u8; 4], values: &mut [f32; BLOCK], number: impl Fn(f32) -> f32) {
    let fifth = u32::from_le_bytes(fifth);
    let (first, second) = values.split_at_mut(16);
    let pairs = first.iter_mut().zip(second).zip(&low_bits[..16]);
    for (j, ((first, second), &byte)) in pairs.enumerate() {
        let high = [fifth >> j & 1, fifth >> (j + 16) & 1];
        let codes = [byte & 15, byte >> 4];
        *first = number(f32::from(codes[0] | (high[0] << 4) as u8));
        *second = number(f32::from(codes[1] | (high[1] << 4) as u8));
    }
}

#[inline(always)]
fn encode_q4_0(values: &[f32; BLOCK], bytes: &mut [u8; 18], _: f32) -> bool {
    let (d, codes) = symmetric(values, 8.0);
    bytes[..2].copy_from_slice(&half_bytes(d));
    bytes[2..].copy_from_slice(&low_bits(&codes));
    fits_half(d)
}

#[inline(always)]
fn decode_q4_0(bytes: &[u8; 18], values: &mut [f32; BLOCK], _: f32) {
    let d = half_value([bytes[0], bytes[1]]);
    decode(
        &bytes[2..],
        [0; 4],
        values,
        #[inline(always)]
        |code| (code - 8.0) * d + UNSIGNED,
    );
}

#[inline(always)]
fn encode_q4_1(values: &[f32; BLOCK], bytes: &mut [u8; 20], _: f32) -> bool {
    let (d, least, codes) = from_least(values, 15.0);
    bytes[..2].copy_from_slice(&half_bytes(d));
    bytes[2..4].copy_from_slice(&half_bytes(least));
    bytes[4..].copy_from_slice(&low_bits(&codes));
    fits_half(d) & fits_half(least)
}

#[inline(always)]
fn decode_q4_1(bytes: &[u8; 20], values: &mut [f32; BLOCK], _: f32) {
    let d = half_value([bytes[0], bytes[1]]);
    let least = half_value([bytes[2], bytes[3]]);
    decode(
        &bytes[4..],
        [0; 4],
        values,
        #[inline(always)]
        |code| code * d + least,
    );
}

#[inline(always)]
fn encode_q5_0(values: &[f32; BLOCK], bytes: &mut [u8; 22], _: f32) -> bool {
    let (d, codes) = symmetric(values, 16.0);
    bytes[..2].copy_from_slice(&half_bytes(d));
    bytes[2..6].copy_from_slice(&fifth_bits(&codes));
    bytes[6..].copy_from_slice(&low_bits(&codes));
    fits_half(d)
}

#[inline(always)]
fn decode_q5_0(bytes: &[u8; 22], values: &mut [f32; BLOCK], _: f32) {
    let d = half_value([bytes[0], bytes[1]]);
    decode(
        &bytes[6..],
        [bytes[2], bytes[3], bytes[4], bytes[5]],
        values,
        #[inline(always)]
        |code| (code - 16.0) * d + UNSIGNED,
    );
}

#[inline(always)]
fn encode_q5_1(values: &[f32; BLOCK], bytes: &mut [u8; 24], _: f32) -> bool {
    let (d, least, codes) = from_least(values, 31.0);
    bytes[..2].copy_from_slice(&half_bytes(d));
    bytes[2..4].copy_from_slice(&half_bytes(least));
    bytes[4..8].copy_from_slice(&fifth_bits(&codes));
    bytes[8..].copy_from_slice(&low_bits(&codes));
    fits_half(d) & fits_half(least)
}

#[inline(always)]
fn decode_q5_1(bytes: &[u8; 24], values: &mut [f32; BLOCK], _: f32) {
    let d = half_value([bytes[0], bytes[1]]);
    let least = half_value([bytes[2], bytes[3]]);
    decode(
        &bytes[8..],
        [bytes[4], bytes[5], bytes[6], bytes[7]],
        values,
        #[inline(always)]
        |code| code * d + least,
    );
}
