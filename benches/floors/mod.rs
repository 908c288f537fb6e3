//! What the machine can do with the same bytes: the floors that every group is read against.
//!
//! Both use all threads of the caller's pool and nothing but loads, stores and one operation a
//! value, on chunks that fit the cache of a core.

#![allow(
    clippy::disallowed_methods,
    reason = "the floors are not the crate's kernels and choose their own chunks"
)]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Throughput};
use ndarray::{Array2, NdFloat};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::Normal;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Duration;

const CHUNK: usize = 64 * 1024;
const LANES: usize = 32;

/// Normal random numbers with a constant seed.
pub fn normal(shape: (usize, usize), deviation: f32, seed: u64) -> Array2<f32> {
    let normal = Normal::new(0.0, deviation).expect("the deviation is a positive number");
    Array2::random_using(shape, normal, &mut ChaCha8Rng::seed_from_u64(seed))
}

/// Short enough for a sitting, long enough for a median.
pub fn configure(group: &mut BenchmarkGroup<'_, WallTime>, bytes: usize) {
    group
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Bytes(bytes as u64));
}

/// Adds the floors `sum` (every value is read) and `scale` (read and written in place).
#[allow(dead_code, reason = "not every bench reads floats")]
pub fn add<T: NdFloat>(group: &mut BenchmarkGroup<'_, WallTime>, values: &Array2<T>) {
    let mut values = values.clone().into_raw_vec_and_offset().0;
    group.bench_function("floor: sum", |b| b.iter(|| sum(black_box(&values))));
    group.bench_function("floor: scale", |b| {
        b.iter(|| {
            // A factor of exactly 1, which the compiler does not know: values stay as they are.
            let factor = black_box(T::one());
            values.par_chunks_mut(CHUNK).for_each(|chunk| {
                for value in chunk {
                    *value *= factor;
                }
            });
        });
    });
}

/// The sum of all values.
#[allow(dead_code, reason = "not all benches use both")]
pub fn sum<T: NdFloat>(values: &[T]) -> T {
    let chunks = values.par_chunks(CHUNK).map(|chunk| {
        let mut sums = [T::zero(); LANES];
        for lane in chunk.chunks_exact(LANES) {
            for (sum, &value) in sums.iter_mut().zip(lane) {
                *sum += value;
            }
        }
        sums.into_iter().fold(T::zero(), |total, sum| total + sum)
    });
    chunks.reduce(T::zero, |a, b| a + b)
}

/// Reads every byte.
#[allow(dead_code, reason = "not every bench has bytes")]
pub fn sum_of_bytes(bytes: &[u8]) -> u64 {
    const BYTES: usize = 8;
    let part = |chunk: &[u8]| {
        let (words, _) = chunk.as_chunks::<BYTES>();
        let mut sums = [0_u64; LANES];
        for group in words.chunks_exact(LANES) {
            for (sum, word) in sums.iter_mut().zip(group) {
                *sum = sum.wrapping_add(u64::from_ne_bytes(*word));
            }
        }
        sums.into_iter().fold(0, u64::wrapping_add)
    };
    bytes
        .par_chunks(CHUNK)
        .map(part)
        .reduce(|| 0, u64::wrapping_add)
}
