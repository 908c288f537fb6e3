//! Every format against its obvious twin, byte for byte and bit for bit.

mod slow;
mod ternary;

use super::{Fault, Q8_0};
use crate::kernels::dispatch::forced;
use crate::kernels::parallel::CHUNK;
use slow::{ALL, TENSOR};

/// Blocks of many kinds: about normal, ties, constant, one-sided, zero, tiny, sparse, far from 0.
fn values(len: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let mut value = |i: usize| {
        let x = random() + random() + random();
        match i / 256 % 10 {
            0 => x,
            1 => (x * 8.0).round() / 8.0,
            2 => 0.37,
            3 => -0.37,
            4 => -x.abs() * 100.0,
            5 => 0.0,
            6 => x * 1e-7,
            7 => x.max(1.0) - 1.0,
            8 => x + 5.0,
            _ => x * 0.01_f32.powi((i % 64 / 16) as i32),
        }
    };
    (0..len).map(&mut value).collect()
}

#[test]
fn every_format_agrees_with_its_slow_twin() {
    let values = values(CHUNK + 2560);
    forced::at_every_level(|level| {
        for (name, codec, slow, _) in ALL {
            for len in [0, codec.values, 2560, CHUNK + 2560] {
                let values = &values[..len];
                let blocks = len / codec.values;
                let mut bytes = vec![0xAA; blocks * codec.bytes];
                assert_eq!(codec.encode(values, &mut bytes, TENSOR), Ok(()), "{name}");
                let doubles: Vec<f64> = values.iter().map(|&value| value.into()).collect();
                let mut again = vec![0x55; bytes.len()];
                assert_eq!(codec.encode(&doubles, &mut again, TENSOR), Ok(()), "{name}");
                assert_eq!(again, bytes, "{name} of f64");
                let pairs = bytes.chunks(codec.bytes).zip(values.chunks(codec.values));
                for (block, (bytes, values)) in pairs.enumerate() {
                    let mut right = vec![0; codec.bytes];
                    slow(values, &mut right);
                    assert_eq!(bytes, right, "{name}, block {block}, {level:?}: {values:?}");
                }
            }
        }
    });
}

#[test]
fn every_format_is_decoded_like_its_slow_twin() {
    forced::at_every_level(|level| {
        for (name, codec, _, slow) in ALL {
            let blocks = 300;
            let mut state = 7_u32;
            let mut random = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            let bytes: Vec<u8> = (0..blocks * codec.bytes).map(|_| random()).collect();
            let mut values = vec![1.0_f32; blocks * codec.values];
            codec.decode(&bytes, &mut values, TENSOR);
            let mut doubles = vec![1.0_f64; values.len()];
            codec.decode(&bytes, &mut doubles, TENSOR);
            for (v, (&value, double)) in values.iter().zip(doubles).enumerate() {
                let block = &bytes[v / codec.values * codec.bytes..][..codec.bytes];
                let right = slow(block, v % codec.values);
                let same =
                    |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                assert!(
                    same(value, right),
                    "{name} {v}: {value:e}, not {right:e}, {level:?}"
                );
                assert!(same(double as f32, value), "{name} {v} in f64");
            }
        }
    });
}

#[test]
fn the_first_fault_is_named() {
    let mut values = vec![1.0_f32; 2 * CHUNK];
    let mut bytes = vec![0; values.len() / 32 * 34];
    let mut encode = |values: &[f32]| Q8_0.encode(values, &mut bytes, 1.0);
    values[CHUNK + 70] = 127.0 * 65520.0;
    values[CHUNK + 200] = 127.0 * 65520.0;
    assert_eq!(encode(&values), Err(Fault::Scale((CHUNK + 70) / 32)));
    values[3] = 1e38;
    assert_eq!(encode(&values), Err(Fault::Scale(0)));
    values[2 * CHUNK - 1] = f32::NAN;
    values[CHUNK + 5] = f32::INFINITY;
    assert_eq!(encode(&values), Err(Fault::NotFinite(CHUNK + 5)));
}
