//! The obvious twins: one value after the other, bits put in place one code at a time, numbers found by
//! looking at all there are.

use super::ternary::{third, tq1, tq2};
use crate::kernels::coded::affine::{Q2_SEARCH, Q4_SEARCH, Q5_SEARCH};
use crate::kernels::coded::signed::{Q3_SEARCH, Q6_SEARCH};
use crate::kernels::coded::{
    Codec, MXFP4, MXFP8_E4M3, MXFP8_E5M2, NVFP4, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K,
    Q6_K, Q8_0, TQ1_0, TQ2_0,
};
use crate::kernels::minifloat::{E2M1, E4M3, E5M2, Half, Minifloat, value};

/// A scale of NVFP4's tensor.
pub(super) const TENSOR: f32 = 0.001;

pub(super) type SlowEncode = fn(&[f32], &mut [u8]);
pub(super) type SlowDecode = fn(&[u8], usize) -> f32;
/// Every format by name, with its twins: of encoding a block, and of value v of a block.
pub(super) const ALL: [(&str, &Codec, SlowEncode, SlowDecode); 16] = [
    ("Q8_0", &Q8_0, q8_0, |b, v| {
        f32::from(b[2 + v] as i8) * half(b, 0)
    }),
    (
        "Q4_0",
        &Q4_0,
        |x, b| zero_based(x, b, 8.0),
        |b, v| (low(&b[2..], v) - 8.0) * half(b, 0),
    ),
    (
        "Q4_1",
        &Q4_1,
        |x, b| least_based(x, b, 15.0),
        |b, v| low(&b[4..], v) * half(b, 0) + half(b, 2),
    ),
    (
        "Q5_0",
        &Q5_0,
        |x, b| zero_based(x, b, 16.0),
        |b, v| (five(&b[2..], v) - 16.0) * half(b, 0),
    ),
    (
        "Q5_1",
        &Q5_1,
        |x, b| least_based(x, b, 31.0),
        |b, v| five(&b[4..], v) * half(b, 0) + half(b, 2),
    ),
    ("Q2_K", &Q2_K, q2, |b, v| {
        let (both, code) = (b[v / 16], two(&b[16..], v));
        half(b, 80) * f32::from(both & 15) * f32::from(code) - half(b, 82) * f32::from(both >> 4)
    }),
    ("Q3_K", &Q3_K, q3, |b, v| {
        let (g, third) = (v / 16, b[v % 32] >> (v / 32) & 1);
        let step = b[96 + g % 8] >> (g / 8 * 4) & 15 | (b[104 + g % 4] >> (g / 4 * 2) & 3) << 4;
        half(b, 108) * (f32::from(step) - 32.0) * (f32::from(two(&b[32..], v) | third << 2) - 4.0)
    }),
    (
        "Q4_K",
        &Q4_K,
        |x, b| q45(x, b, 15.0),
        |b, v| q45_value(b, v, nibble(&b[16..], v)),
    ),
    (
        "Q5_K",
        &Q5_K,
        |x, b| q45(x, b, 31.0),
        |b, v| {
            q45_value(
                b,
                v,
                nibble(&b[48..], v) | (b[16 + v % 32] >> (v / 32) & 1) << 4,
            )
        },
    ),
    ("Q6_K", &Q6_K, q6, |b, v| {
        let low = b[v / 128 * 64 + v % 64] >> (v % 128 / 64 * 4) & 15;
        let code = f32::from(low | two(&b[128..], v) << 4) - 32.0;
        half(b, 208) * f32::from(b[192 + v / 16] as i8) * code
    }),
    ("TQ1_0", &TQ1_0, tq1, |b, v| {
        let (at, digit) = third(v);
        let fraction = f64::from(b[at]) / 256.0 * 3_f64.powi(digit);
        half(b, 52) * ((fraction.fract() * 3.0).floor() as f32 - 1.0)
    }),
    ("TQ2_0", &TQ2_0, tq2, |b, v| {
        half(b, 64) * (f32::from(two(b, v)) - 1.0)
    }),
    ("MXFP4", &MXFP4, mxfp4, |b, v| {
        value::<E2M1>(low(&b[1..], v) as u32) * two_to(b[0])
    }),
    (
        "E4M3",
        &MXFP8_E4M3,
        |x, b| mxfp8::<E4M3>(x, b, 8),
        |b, v| value::<E4M3>(b[1 + v].into()) * two_to(b[0]),
    ),
    (
        "E5M2",
        &MXFP8_E5M2,
        |x, b| mxfp8::<E5M2>(x, b, 15),
        |b, v| value::<E5M2>(b[1 + v].into()) * two_to(b[0]),
    ),
    ("NVFP4", &NVFP4, nvfp4, |b, v| {
        let code = b[1 + v % 8] >> (v / 8 * 4) & 15;
        value::<E2M1>(code.into()) * (value::<E4M3>(b[0].into()) * TENSOR)
    }),
];

fn half(bytes: &[u8], at: usize) -> f32 {
    value::<Half>(u32::from(bytes[at]) | u32::from(bytes[at + 1]) << 8)
}

/// The nearest half by looking at all of them.
pub(super) fn put_half(bytes: &mut [u8], at: usize, number: f32) -> f32 {
    let code = nearest::<Half>(number.into());
    bytes[at] = code as u8;
    bytes[at + 1] = (code >> 8) as u8;
    half(bytes, at)
}

/// The nearest code, of two equally near the even one, held at the largest.
fn nearest<T: Minifloat>(number: f64) -> u32 {
    let size = number.abs();
    let (mut below, mut above) = (0, T::FINITE + 1);
    while above - below > 1 {
        let middle = u32::midpoint(below, above);
        let reached = f64::from(value::<T>(middle)) <= size;
        (below, above) = if reached {
            (middle, above)
        } else {
            (below, middle)
        };
    }
    let gap = |code: u32| (f64::from(value::<T>(code)) - size).abs();
    let up =
        below < T::FINITE && (gap(below + 1), (below + 1) % 2 == 1) < (gap(below), below % 2 == 1);
    u32::from(number.is_sign_negative()) << T::SIGN | (below + u32::from(up))
}

fn two_to(code: u8) -> f32 {
    if code == 255 {
        return f32::NAN;
    }
    2_f64.powi(i32::from(code) - 127) as f32
}

/// Code v of a block of 32 in nibbles.
fn low(bytes: &[u8], v: usize) -> f32 {
    f32::from(bytes[v % 16] >> (v / 16 * 4) & 15)
}

/// The same with fifth bits in front.
fn five(bytes: &[u8], v: usize) -> f32 {
    low(&bytes[4..], v) + f32::from(bytes[v / 8] >> (v % 8) & 1) * 16.0
}

/// Code v of a block of 256, two bits each.
fn two(bytes: &[u8], v: usize) -> u8 {
    bytes[v / 128 * 32 + v % 32] >> (v % 128 / 32 * 2) & 3
}

/// Code v of a block of 256, four bits each.
fn nibble(bytes: &[u8], v: usize) -> u8 {
    bytes[v / 64 * 32 + v % 32] >> (v % 64 / 32 * 4) & 15
}

fn six_bits(bytes: &[u8], j: usize) -> (u8, u8) {
    let s = &bytes[4..];
    match j {
        0..4 => (s[j] & 63, s[j + 4] & 63),
        _ => (
            s[j + 4] & 15 | s[j - 4] >> 6 << 4,
            s[j + 4] >> 4 | s[j] >> 6 << 4,
        ),
    }
}

fn q45_value(b: &[u8], v: usize, code: u8) -> f32 {
    let (step, offset) = six_bits(b, v / 32);
    half(b, 0) * f32::from(step) * f32::from(code) - half(b, 2) * f32::from(offset)
}

pub(super) fn reciprocal(d: f32) -> f32 {
    if (1.0 / d).is_finite() { 1.0 / d } else { 0.0 }
}

pub(super) fn largest(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn q8_0(x: &[f32], bytes: &mut [u8]) {
    let d = largest(x) / 127.0;
    put_half(bytes, 0, d);
    for (v, x) in x.iter().enumerate() {
        bytes[2 + v] = (x * reciprocal(d)).round() as i8 as u8;
    }
}

/// Puts codes of four or five bits behind `at` bytes.
fn put_codes(bytes: &mut [u8], at: usize, codes: &[u8], five: bool) {
    let start = at + if five { 4 } else { 0 };
    bytes[at..].fill(0);
    for (v, code) in codes.iter().enumerate() {
        bytes[start + v % 16] |= (code & 15) << (v / 16 * 4);
        if five {
            bytes[at + v / 8] |= (code >> 4) << (v % 8);
        }
    }
}

fn zero_based(x: &[f32], bytes: &mut [u8], middle: f32) {
    let most = largest(x);
    let signed = *x.iter().find(|x| x.abs() == most).unwrap();
    let d = signed / -middle;
    put_half(bytes, 0, d);
    let code = |x: &f32| {
        (x * reciprocal(d) + (middle + 0.5))
            .trunc()
            .min(2.0 * middle - 1.0) as u8
    };
    put_codes(
        bytes,
        2,
        &x.iter().map(code).collect::<Vec<_>>(),
        middle > 8.0,
    );
}

fn least_based(x: &[f32], bytes: &mut [u8], most: f32) {
    let least = x.iter().copied().fold(f32::INFINITY, f32::min);
    let d = (x.iter().copied().fold(f32::NEG_INFINITY, f32::max) - least) / most;
    put_half(bytes, 0, d);
    put_half(bytes, 2, least);
    let code = |x: &f32| ((x - least) * reciprocal(d) + 0.5).trunc().min(most) as u8;
    put_codes(
        bytes,
        4,
        &x.iter().map(code).collect::<Vec<_>>(),
        most > 15.0,
    );
}

fn exponent(x: &[f32], of_largest: i32) -> u8 {
    let most = f64::from(largest(x));
    let floor = if most > 0.0 {
        most.log2().floor() as i32
    } else {
        -200
    };
    (floor - of_largest + 127).max(0) as u8
}

fn mxfp4(x: &[f32], bytes: &mut [u8]) {
    bytes[0] = exponent(x, 2);
    let scale = f64::from(two_to(bytes[0]));
    let codes = x
        .iter()
        .map(|&x| nearest::<E2M1>(f64::from(x) / scale) as u8);
    put_codes(bytes, 1, &codes.collect::<Vec<_>>(), false);
}

fn mxfp8<T: Minifloat>(x: &[f32], bytes: &mut [u8], of_largest: i32) {
    bytes[0] = exponent(x, of_largest);
    let scale = f64::from(two_to(bytes[0]));
    for (byte, &x) in bytes[1..].iter_mut().zip(x) {
        *byte = nearest::<T>(f64::from(x) / scale) as u8;
    }
}

fn nvfp4(x: &[f32], bytes: &mut [u8]) {
    let code = nearest::<E4M3>((largest(x) / 6.0 / TENSOR).into());
    let scale = value::<E4M3>(code) * TENSOR;
    bytes.fill(0);
    bytes[0] = code as u8;
    for (v, &x) in x.iter().enumerate() {
        let quotient = if scale > 0.0 {
            x / scale
        } else {
            0.0_f32.copysign(x)
        };
        bytes[1 + v % 8] |= (nearest::<E2M1>(quotient.into()) as u8) << (v / 8 * 4);
    }
}

/// The line of one group: the search as `search` describes it.
fn slow_line(x: &[f32], most: f32, (trials, turns): (&[f32], usize)) -> (f32, f32) {
    let least = x.iter().copied().fold(0.0, f32::min);
    let range = x.iter().copied().fold(x[0], f32::max) - least;
    let count = x.len() as f32;
    let sum: f32 = x.iter().fold(0.0, |sum, x| sum + x);
    let (mut step, mut low, mut gain) = (0.0, 0.0, -1.0);
    for turn in 0..trials.len() + turns {
        let (inverse, from) = match trials.get(turn) {
            Some(trial) => (
                (most + trial) * if range > 1e-30 { 1.0 / range } else { 0.0 },
                least,
            ),
            None => (if step > 1e-30 { 1.0 / step } else { 0.0 }, low),
        };
        let (mut q1, mut q2, mut xq) = (0.0, 0.0, 0.0);
        for x in x {
            let q = ((x - from) * inverse).clamp(0.0, most).round_ties_even();
            q1 += q;
            q2 += q * q;
            xq += x * q;
        }
        let determinant = count * q2 - q1 * q1;
        let fitted = (q2 * sum - q1 * xq) / determinant;
        let (new_step, new_low) = if determinant > 0.0 && fitted <= 0.0 {
            ((count * xq - sum * q1) / determinant, fitted)
        } else if q2 > 0.0 {
            (xq / q2, 0.0)
        } else {
            (0.0, (sum / count).min(0.0))
        };
        let new_gain = new_step * xq + new_low * sum;
        if new_step >= 0.0 && new_gain > gain {
            (step, low, gain) = (new_step, new_low, new_gain);
        }
    }
    (step, low)
}

fn slow_step(x: &[f32], middle: f32, (trials, turns): (&[f32], usize)) -> f32 {
    let (least, most) = x
        .iter()
        .fold((0.0_f32, 0.0_f32), |(a, b), &x| (a.min(x), b.max(x)));
    let extreme = if most > -least { most } else { least };
    let (mut step, mut gain) = (0.0_f32, 0.0);
    for turn in 0..trials.len() + turns {
        let inverse = match trials.get(turn) {
            Some(trial) => {
                -trial
                    * if extreme.abs() > 1e-30 {
                        1.0 / extreme
                    } else {
                        0.0
                    }
            }
            None => {
                if step.abs() > 1e-30 {
                    1.0 / step
                } else {
                    0.0
                }
            }
        };
        let (mut q2, mut xq) = (0.0, 0.0);
        for x in x {
            let q = (x * inverse).clamp(-middle, middle - 1.0).round_ties_even();
            q2 += q * q;
            xq += x * q;
        }
        let fitted = if q2 > 0.0 { xq / q2 } else { 0.0 };
        if fitted * xq > gain {
            (step, gain) = (fitted, fitted * xq);
        }
    }
    step
}

/// Steps, offsets and codes of a block; halves go to bytes `at` and `at` + 2.
fn slow_affine(
    x: &[f32],
    bytes: &mut [u8],
    at: usize,
    (group, most, finest): (usize, f32, f32),
    search: (&[f32], usize),
) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let lines: Vec<_> = x
        .chunks(group)
        .map(|x| slow_line(x, most, search))
        .collect();
    let most_of = |part: fn(&(f32, f32)) -> f32| lines.iter().map(part).fold(0.0, f32::max);
    let d = put_half(bytes, at, most_of(|line| line.0) / finest);
    let dmin = put_half(bytes, at + 2, most_of(|line| -line.1) / finest);
    let whole = |x: f32, unit: f32| (x * reciprocal(unit)).min(finest).round_ties_even() as u8;
    let steps: Vec<u8> = lines.iter().map(|line| whole(line.0, d)).collect();
    let offsets: Vec<u8> = lines.iter().map(|line| whole(-line.1, dmin)).collect();
    let code = |(v, x): (usize, &f32)| {
        let (step, offset) = (f32::from(steps[v / group]), f32::from(offsets[v / group]));
        let q = (x + dmin * offset) * reciprocal(d * step);
        q.clamp(0.0, most).round_ties_even() as u8
    };
    let codes = x.iter().enumerate().map(code).collect();
    (steps, offsets, codes)
}

fn put_two(bytes: &mut [u8], codes: impl Iterator<Item = u8>) {
    for (v, code) in codes.enumerate() {
        bytes[v / 128 * 32 + v % 32] |= (code & 3) << (v % 128 / 32 * 2);
    }
}

fn q2(x: &[f32], bytes: &mut [u8]) {
    bytes.fill(0);
    let (steps, offsets, codes) = slow_affine(x, bytes, 80, (16, 3.0, 15.0), Q2_SEARCH);
    for g in 0..16 {
        bytes[g] = steps[g] | offsets[g] << 4;
    }
    put_two(&mut bytes[16..80], codes.into_iter());
}

fn q45(x: &[f32], bytes: &mut [u8], most: f32) {
    bytes.fill(0);
    let search = if most > 15.0 { Q5_SEARCH } else { Q4_SEARCH };
    let (steps, offsets, codes) = slow_affine(x, bytes, 0, (32, most, 63.0), search);
    for j in 0..4 {
        bytes[4 + j] = steps[j] | steps[j + 4] >> 4 << 6;
        bytes[8 + j] = offsets[j] | offsets[j + 4] >> 4 << 6;
        bytes[12 + j] = steps[j + 4] & 15 | (offsets[j + 4] & 15) << 4;
    }
    for (v, code) in codes.iter().enumerate() {
        let start = if most > 15.0 { 48 } else { 16 };
        bytes[start + v / 64 * 32 + v % 32] |= (code & 15) << (v % 64 / 32 * 4);
        if most > 15.0 {
            bytes[16 + v % 32] |= code >> 4 << (v / 32);
        }
    }
}

fn slow_signed(
    x: &[f32],
    bytes: &mut [u8],
    at: usize,
    (middle, finest): (f32, f32),
    search: (&[f32], usize),
) -> (Vec<f32>, Vec<u8>) {
    let steps: Vec<f32> = x.chunks(16).map(|x| slow_step(x, middle, search)).collect();
    let extreme = *steps
        .iter()
        .find(|step| step.abs() == largest(&steps))
        .unwrap();
    let d = put_half(bytes, at, extreme / -finest);
    let whole = |step: &f32| {
        (step * reciprocal(d))
            .clamp(-finest, finest - 1.0)
            .round_ties_even()
    };
    let steps: Vec<f32> = steps.iter().map(whole).collect();
    let code = |(v, x): (usize, &f32)| {
        let q = x * reciprocal(d * steps[v / 16]);
        (q.clamp(-middle, middle - 1.0).round_ties_even() + middle) as u8
    };
    let codes = x.iter().enumerate().map(code).collect();
    (steps, codes)
}

fn q3(x: &[f32], bytes: &mut [u8]) {
    bytes.fill(0);
    let (steps, codes) = slow_signed(x, bytes, 108, (4.0, 32.0), Q3_SEARCH);
    for (v, code) in codes.iter().enumerate() {
        bytes[v % 32] |= code >> 2 << (v / 32);
    }
    put_two(&mut bytes[32..96], codes.into_iter());
    for (g, step) in steps.iter().enumerate() {
        let step = (step + 32.0) as u8;
        bytes[96 + g % 8] |= (step & 15) << (g / 8 * 4);
        bytes[104 + g % 4] |= step >> 4 << (g / 4 * 2);
    }
}

fn q6(x: &[f32], bytes: &mut [u8]) {
    bytes.fill(0);
    let (steps, codes) = slow_signed(x, bytes, 208, (32.0, 128.0), Q6_SEARCH);
    for (v, code) in codes.iter().enumerate() {
        bytes[v / 128 * 64 + v % 64] |= (code & 15) << (v % 128 / 64 * 4);
    }
    put_two(&mut bytes[128..192], codes.iter().map(|code| code >> 4));
    for (g, step) in steps.iter().enumerate() {
        bytes[192 + g] = *step as i8 as u8;
    }
}
