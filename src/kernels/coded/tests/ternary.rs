//! The obvious twins of the ternary formats: digits put in one at a time, by powers of three.

use super::slow::{largest, put_half, reciprocal};

/// Of value v of a block: its byte, and which digit of it, from the highest.
pub(super) fn third(v: usize) -> (usize, i32) {
    match v {
        0..160 => (v % 32, (v / 32) as i32),
        160..240 => (32 + v % 16, (v / 16 - 10) as i32),
        _ => (48 + v % 4, (v / 4 - 60) as i32),
    }
}

fn digit(x: f32, block: &[f32]) -> u8 {
    ((x * reciprocal(largest(block))).round() + 1.0) as u8
}

pub(super) fn tq1(x: &[f32], bytes: &mut [u8]) {
    let mut sums = [0.0; 52];
    for (v, &value) in x.iter().enumerate() {
        let (at, place) = third(v);
        sums[at] += f64::from(digit(value, x)) * 3_f64.powi(4 - place);
    }
    for (byte, sum) in bytes.iter_mut().zip(sums) {
        *byte = (256.0 * sum / 243.0).ceil() as u8;
    }
    put_half(bytes, 52, largest(x));
}

pub(super) fn tq2(x: &[f32], bytes: &mut [u8]) {
    bytes.fill(0);
    for (v, &value) in x.iter().enumerate() {
        bytes[v / 128 * 32 + v % 32] |= digit(value, x) << (v % 128 / 32 * 2);
    }
    put_half(bytes, 64, largest(x));
}
