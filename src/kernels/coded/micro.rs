//! Blocks whose codes are small floats: the OCP microscaling formats, and NVFP4.
//!
//! A microscaling block of 32 shares a power of two, 2^(⌊log₂ largest⌋ − exponent of the largest code).
//! Dividing by it is exact, so a code is rounded once. In NVFP4 sixteen values share a scale of E4M3,
//! and all of these a scale of f32; a code is rounded from the f32 quotient.

use super::nibbles::{join, largest};
use super::{Codec, Scales};
use crate::kernels::dispatch::vectorize;
use crate::kernels::minifloat::{
    E2M1, E4M3, E5M2, Minifloat, inverse_power_of_two, nearest, power_of_two, value,
};

codec! {
    /// A power of two, 32 codes of E2M1: value j in the low half of byte j, value j + 16 in the high half.
    MXFP4 = 32 in 17, Scales::Power, encode_mxfp4, decode_mxfp4
}

codec! {
    /// A power of two, 32 codes of E4M3.
    MXFP8_E4M3 = 32 in 33, Scales::Power, encode_mxfp8::<E4M3>, decode_mxfp8::<E4M3>
}

codec! {
    /// A power of two, 32 codes of E5M2.
    MXFP8_E5M2 = 32 in 33, Scales::Power, encode_mxfp8::<E5M2>, decode_mxfp8::<E5M2>
}

codec! {
    /// A scale of E4M3, 16 codes of E2M1: value j in the low half of byte j, value j + 8 in the high half.
    NVFP4 = 16 in 9, Scales::E4M3, encode_nvfp4, decode_nvfp4
}

/// The exponent of the largest number of a format.
const fn largest_exponent<T: Minifloat>() -> u32 {
    (T::FINITE >> T::FRACTION) - T::BIAS
}

/// The code of the shared power of two, at least 0, which is 2⁻¹²⁷.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the exponent field of a finite f32 is below 255"
)]
fn shared_exponent<T: Minifloat>(values: &[f32]) -> u8 {
    (largest(values).to_bits() >> 23).saturating_sub(largest_exponent::<T>()) as u8
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "codes have at most 8 bits")]
fn code<T: Minifloat>(value: f32) -> u8 {
    nearest::<T>(value) as u8
}

#[inline(always)]
fn encode_mxfp4(values: &[f32; 32], bytes: &mut [u8; 17], _: f32) -> bool {
    let exponent = shared_exponent::<E2M1>(values);
    let inverse = inverse_power_of_two(exponent);
    let mut codes = [0; 32];
    for (to, value) in codes.iter_mut().zip(values) {
        *to = code::<E2M1>(value * inverse);
    }
    let (halves, _) = codes.as_chunks::<16>();
    bytes[0] = exponent;
    bytes[1..].copy_from_slice(&join(&halves[0], &halves[1]));
    true
}

#[inline(always)]
fn decode_mxfp4(bytes: &[u8; 17], values: &mut [f32; 32], _: f32) {
    let scale = power_of_two(bytes[0]);
    let (low, high) = values.split_at_mut(16);
    for ((low, high), &byte) in low.iter_mut().zip(high).zip(&bytes[1..]) {
        *low = value::<E2M1>(u32::from(byte & 15)) * scale;
        *high = value::<E2M1>(u32::from(byte >> 4)) * scale;
    }
}

#[inline(always)]
fn encode_mxfp8<T: Minifloat>(values: &[f32; 32], bytes: &mut [u8; 33], _: f32) -> bool {
    let exponent = shared_exponent::<T>(values);
    let inverse = inverse_power_of_two(exponent);
    bytes[0] = exponent;
    for (byte, &value) in bytes[1..].iter_mut().zip(values) {
        *byte = code::<T>(value * inverse);
    }
    true
}

#[inline(always)]
fn decode_mxfp8<T: Minifloat>(bytes: &[u8; 33], values: &mut [f32; 32], _: f32) {
    let scale = power_of_two(bytes[0]);
    for (number, &byte) in values.iter_mut().zip(&bytes[1..]) {
        *number = value::<T>(u32::from(byte)) * scale;
    }
}

#[inline(always)]
fn encode_nvfp4(values: &[f32; 16], bytes: &mut [u8; 9], tensor_scale: f32) -> bool {
    let block_scale = code::<E4M3>(largest(values) / 6.0 / tensor_scale);
    let scale = value::<E4M3>(u32::from(block_scale)) * tensor_scale;
    // A scale of zero is that of values which are nothing next to the tensor's largest.
    let divisor = if scale > 0.0 { scale } else { f32::INFINITY };
    let mut codes = [0; 16];
    for (to, value) in codes.iter_mut().zip(values) {
        *to = code::<E2M1>(value / divisor);
    }
    let (halves, _) = codes.as_chunks::<8>();
    bytes[0] = block_scale;
    bytes[1..].copy_from_slice(&join(&halves[0], &halves[1]));
    true
}

#[inline(always)]
fn decode_nvfp4(bytes: &[u8; 9], values: &mut [f32; 16], tensor_scale: f32) {
    let scale = value::<E4M3>(u32::from(bytes[0])) * tensor_scale;
    let (low, high) = values.split_at_mut(8);
    for ((low, high), &byte) in low.iter_mut().zip(high).zip(&bytes[1..]) {
        *low = value::<E2M1>(u32::from(byte & 15)) * scale;
        *high = value::<E2M1>(u32::from(byte >> 4)) * scale;
    }
}
