//! Blocks of 256 in 16 groups of 16 with a signed step each, a small integer times one half:
//!
//! ```text
//! x ≈ (d · step) · code
//! ```
//!
//! The layouts are GGUF's. Codes are chosen as in [`affine`](super::affine): a search, rounded steps, the
//! nearest codes.

use super::affine::{Search, TOO_LARGE, pairs, put_pairs};
use super::nibbles::{byte, even, inverse, largest};
use super::search::{codes, side_by_side, through_zero};
use super::{Codec, Scales, UNSIGNED};
use crate::kernels::dispatch::vectorize;
use crate::kernels::minifloat::{fits_half, half_bytes, half_value};

/// Values in a block.
const BLOCK: usize = 256;
/// Groups in a block, and values in a group.
const GROUPS: usize = 16;

/// As in [`affine`](super::affine).
pub(super) const Q3_SEARCH: Search = (&[4.6, 4.1, 3.6, 3.1, -3.6, -3.1, -2.7], 2);
pub(super) const Q6_SEARCH: Search = (&[32.5, 32.0, 31.5, 31.0], 2);

codec! {
    /// Codes of 3 bits around 4, steps of 6 bits around 32; d behind.
    Q3_K = 256 in 110, Scales::Halves(&[108]), encode_q3, decode_q3
}

codec! {
    /// Codes of 6 bits around 32, steps of 8 bits in two's complement; d behind.
    Q6_K = 256 in 210, Scales::Halves(&[208]), encode_q6, decode_q6
}

/// A block before its bits are put in place; codes and steps in two's complement.
struct Coded {
    d: f32,
    steps: [f32; GROUPS],
    codes: [[u8; GROUPS]; GROUPS],
}

/// Codes −`middle` to `middle` − 1 and steps −`finest` to `finest` − 1. The largest step becomes −`finest`.
#[inline(always)]
fn code(values: &[f32; BLOCK], middle: f32, finest: f32, (trials, turns): Search) -> Coded {
    let x = side_by_side::<GROUPS, GROUPS>(values);
    let steps = through_zero(&x, middle, trials, turns);
    let mut extreme = 0.0_f32;
    for step in steps {
        extreme = if step.abs() > extreme.abs() {
            step
        } else {
            extreme
        };
    }
    let d = extreme / -finest;
    let half_d = half_value(half_bytes(d));
    let inverse_d = inverse(half_d);
    let steps = steps.map(|step| {
        let step = step * inverse_d;
        let step = if step > finest - 1.0 {
            finest - 1.0
        } else {
            step
        };
        even(if step < -finest { -finest } else { step })
    });
    let inverse_steps = steps.map(|step| inverse(half_d * step));
    Coded {
        d,
        steps,
        codes: codes(&x, &inverse_steps, &[0.0; GROUPS], (-middle, middle - 1.0)),
    }
}

#[inline(always)]
fn encode_q3(values: &[f32; BLOCK], bytes: &mut [u8; 110], _: f32) -> bool {
    let mut coded = code(values, 4.0, 32.0, Q3_SEARCH);
    // From here on codes are 0 to 7.
    for code in coded.codes.as_flattened_mut() {
        *code = code.wrapping_add(4);
    }
    let mut third = [0; 32];
    for (k, codes) in coded
        .codes
        .as_flattened()
        .as_chunks::<32>()
        .0
        .iter()
        .enumerate()
    {
        for (bits, code) in third.iter_mut().zip(codes) {
            *bits |= code >> 2 << k;
        }
    }
    bytes[..32].copy_from_slice(&third);
    put_pairs(&coded.codes, &mut bytes[32..96]);
    let steps = coded.steps.map(|step| byte(step + 32.0));
    for j in 0..8 {
        bytes[96 + j] = steps[j] & 15 | steps[j + 8] << 4;
    }
    for j in 0..4 {
        bytes[104 + j] = steps[j] >> 4
            | steps[j + 4] >> 4 << 2
            | steps[j + 8] >> 4 << 4
            | steps[j + 12] >> 4 << 6;
    }
    bytes[108..].copy_from_slice(&half_bytes(coded.d));
    largest(values) < TOO_LARGE && fits_half(coded.d)
}

#[inline(always)]
fn decode_groups(
    d: f32,
    steps: impl Fn(usize) -> f32,
    codes: &[i8; BLOCK],
    values: &mut [f32; BLOCK],
) {
    let groups = values.as_chunks_mut::<GROUPS>().0.iter_mut();
    let groups = groups.zip(codes.as_chunks::<GROUPS>().0);
    for (g, (values, codes)) in groups.enumerate() {
        let step = d * steps(g);
        for (value, &code) in values.iter_mut().zip(codes) {
            *value = step * f32::from(code) + UNSIGNED;
        }
    }
}

#[inline(always)]
fn decode_q3(bytes: &[u8; 110], values: &mut [f32; BLOCK], _: f32) {
    let low = pairs(&bytes[32..96]);
    let mut codes = [0; BLOCK];
    let parts = codes.as_chunks_mut::<32>().0.iter_mut();
    for (k, (codes, low)) in parts.zip(low.as_chunks::<32>().0).enumerate() {
        for ((code, low), bits) in codes.iter_mut().zip(low).zip(&bytes[..32]) {
            *code = (low | (bits >> k & 1) << 2).cast_signed() - 4;
        }
    }
    let step = |g: usize| {
        let low = bytes[96 + g % 8] >> (g / 8 * 4) & 15;
        let high = bytes[104 + g % 4] >> (g / 4 * 2) & 3;
        f32::from(low | high << 4) - 32.0
    };
    decode_groups(half_value([bytes[108], bytes[109]]), step, &codes, values);
}

#[inline(always)]
fn encode_q6(values: &[f32; BLOCK], bytes: &mut [u8; 210], _: f32) -> bool {
    let mut coded = code(values, 32.0, 128.0, Q6_SEARCH);
    // From here on codes are 0 to 63.
    for code in coded.codes.as_flattened_mut() {
        *code = code.wrapping_add(32);
    }
    let codes = coded.codes.as_flattened();
    for half in 0..2 {
        let codes = &codes[half * 128..][..128];
        for l in 0..64 {
            bytes[half * 64 + l] = codes[l] & 15 | codes[l + 64] << 4;
        }
        for l in 0..32 {
            bytes[128 + half * 32 + l] = codes[l] >> 4
                | codes[l + 32] >> 4 << 2
                | codes[l + 64] >> 4 << 4
                | codes[l + 96] >> 4 << 6;
        }
    }
    for (byte_of, &step) in bytes[192..].iter_mut().zip(&coded.steps) {
        *byte_of = byte(step);
    }
    bytes[208..].copy_from_slice(&half_bytes(coded.d));
    largest(values) < TOO_LARGE && fits_half(coded.d)
}

#[inline(always)]
fn decode_q6(bytes: &[u8; 210], values: &mut [f32; BLOCK], _: f32) {
    let high = pairs(&bytes[128..192]);
    let mut codes = [0; BLOCK];
    for half in 0..2 {
        for l in 0..64 {
            let byte = bytes[half * 64 + l];
            let (first, second) = (half * 128 + l, half * 128 + 64 + l);
            codes[first] = (byte & 15 | high[first] << 4).cast_signed() - 32;
            codes[second] = (byte >> 4 | high[second] << 4).cast_signed() - 32;
        }
    }
    let step = |g: usize| f32::from(bytes[192 + g].cast_signed());
    decode_groups(half_value([bytes[208], bytes[209]]), step, &codes, values);
}
