//! Blocks of 256 codes −1, 0 and 1 times one half, the largest magnitude.
//!
//! The layouts are GGUF's. Digits are 0, 1 and 2. With five of them in a byte, first the highest, a byte is
//! s = Σ 3⁴⁻ⁿ · digit ≤ 242, stretched to ⌈256 · s / 243⌉: as a fraction of 256, multiplying by 3ⁿ without the carry and
//! then by 3 brings digit n above the point, so reading takes no division.

use super::nibbles::{away, byte, inverse, largest};
use super::{Codec, Scales};
use crate::kernels::dispatch::vectorize;
use crate::kernels::minifloat::{fits_half, half_bytes, half_value};

/// Values in a block.
const BLOCK: usize = 256;
/// Codes that take so many bytes hold five rows of as many digits, the last four rows.
const PARTS: [(usize, usize); 3] = [(32, 5), (16, 5), (4, 4)];

codec! {
    /// Five digits a byte: 32 bytes of values 32 apart, 16 of values 16 apart, 4 bytes of four 4 apart; d behind.
    TQ1_0 = 256 in 54, Scales::Halves(&[52]), encode_tq1, decode_tq1
}

codec! {
    /// Four digits of 2 bits a byte, 32 apart; d behind.
    TQ2_0 = 256 in 66, Scales::Halves(&[64]), encode_tq2, decode_tq2
}

/// The largest magnitude and the digits.
#[inline(always)]
fn digits(values: &[f32; BLOCK]) -> (f32, [u8; BLOCK]) {
    let d = largest(values);
    let inverse = inverse(d);
    let mut digits = [0; BLOCK];
    for (digit, value) in digits.iter_mut().zip(values) {
        *digit = byte(away(value * inverse) + 1.0);
    }
    (d, digits)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "⌈256 · 242 / 243⌉ is 255")]
fn encode_tq1(values: &[f32; BLOCK], bytes: &mut [u8; 54], _: f32) -> bool {
    let (d, digits) = digits(values);
    let (mut bytes_left, mut left) = (&mut bytes[..], &digits[..]);
    for (width, rows) in PARTS {
        let (to, bytes_behind) = bytes_left.split_at_mut(width);
        let (part, behind) = left.split_at(width * rows);
        to.fill(0);
        for n in 0..5 {
            // A row that is missing has digits 0.
            let row = part.get(n * width..(n + 1) * width);
            for (m, sum) in to.iter_mut().enumerate() {
                *sum = *sum * 3 + row.map_or(0, |row| row[m]);
            }
        }
        for byte in to {
            *byte = (u16::from(*byte) * 256).div_ceil(243) as u8;
        }
        (bytes_left, left) = (bytes_behind, behind);
    }
    bytes[52..].copy_from_slice(&half_bytes(d));
    fits_half(d)
}

#[inline(always)]
fn decode_tq1(bytes: &[u8; 54], values: &mut [f32; BLOCK], _: f32) {
    let d = half_value([bytes[52], bytes[53]]);
    let (mut bytes_left, mut left) = (&bytes[..52], &mut values[..]);
    for (width, rows) in PARTS {
        let (from, bytes_behind) = bytes_left.split_at(width);
        let (part, behind) = left.split_at_mut(width * rows);
        let mut power = 1_u8;
        for row in part.chunks_exact_mut(width) {
            for (value, byte) in row.iter_mut().zip(from) {
                let digit = ((u16::from(byte.wrapping_mul(power)) * 3) >> 8) as u8;
                *value = d * f32::from(digit.cast_signed() - 1);
            }
            power = power.wrapping_mul(3);
        }
        (bytes_left, left) = (bytes_behind, behind);
    }
}

#[inline(always)]
fn encode_tq2(values: &[f32; BLOCK], bytes: &mut [u8; 66], _: f32) -> bool {
    let (d, digits) = digits(values);
    let halves = bytes.as_chunks_mut::<32>().0.iter_mut();
    for (to, digits) in halves.zip(digits.as_chunks::<128>().0) {
        for (m, byte) in to.iter_mut().enumerate() {
            *byte = digits[m] | digits[m + 32] << 2 | digits[m + 64] << 4 | digits[m + 96] << 6;
        }
    }
    bytes[64..].copy_from_slice(&half_bytes(d));
    fits_half(d)
}

#[inline(always)]
fn decode_tq2(bytes: &[u8; 66], values: &mut [f32; BLOCK], _: f32) {
    let d = half_value([bytes[64], bytes[65]]);
    let halves = bytes.as_chunks::<32>().0.iter();
    for (from, values) in halves.zip(values.as_chunks_mut::<128>().0) {
        for (n, row) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (value, byte) in row.iter_mut().zip(from) {
                *value = d * f32::from((byte >> (2 * n) & 3).cast_signed() - 1);
            }
        }
    }
}
