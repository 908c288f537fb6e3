//! Dot products of weights that lie together, eight at a time.
//!
//! Products of two arrays, summed in lanes, are what compilers make vectors of or not, by a word of difference in the
//! source. Measured on blocks of 1 × 8 of 4096 × 4096, half of them zeros, and one row: 1.6 ms as a plain loop, which
//! stayed scalar, 0.5 ms to 0.8 ms so.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "loads through pointers, and calls of functions for an instruction set that was detected; the gain \
                  is measured above"
    )
)]

use super::super::dispatch::Level;
#[cfg(target_arch = "x86_64")]
use super::Kind;
use super::Stored;

/// Weights of a vector.
pub(super) const EIGHT: usize = 8;
/// Sums that are added to in turn, so that none waits for the last.
#[cfg(target_arch = "x86_64")]
const FLIGHT: usize = 4;

/// Σ of weight · activation over runs of weights, each from `column` · `run` on. A run is eight weights, or several
/// times so many.
#[inline(always)]
pub(super) fn dot_runs<V: Stored, I: Copy + Into<u32>>(
    columns: &[I],
    weights: &[V],
    run: usize,
    x: &[f32],
) -> f32 {
    match (Level::current(), V::kind(weights)) {
        (Level::Baseline, _) => anywhere(columns, weights, run, x),
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2 | Level::Avx512, Kind::Floats(weights)) => {
            // SAFETY: the level was detected, and AVX2 and FMA are in it.
            unsafe { x86::dot_floats(columns, weights, run, x) }
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2 | Level::Avx512, Kind::Codes(weights)) => {
            // SAFETY: as above.
            unsafe { x86::dot_codes(columns, weights, run, x) }
        }
    }
}

/// Lane by lane: any machine.
fn anywhere<V: Stored, I: Copy + Into<u32>>(
    columns: &[I],
    weights: &[V],
    run: usize,
    x: &[f32],
) -> f32 {
    let mut sums = [0.0; EIGHT];
    if run == 0 {
        return 0.0;
    }
    for (&column, weights) in columns.iter().zip(weights.chunks_exact(run)) {
        let column: u32 = column.into();
        let x = &x[column as usize * run..][..run];
        for (weights, x) in weights.chunks(EIGHT).zip(x.chunks(EIGHT)) {
            for (sum, (weight, x)) in sums.iter_mut().zip(weights.iter().zip(x)) {
                *sum += weight.number() * x;
            }
        }
    }
    sums.iter().sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{EIGHT, FLIGHT};
    use std::arch::x86_64::*;

    macro_rules! dot {
        ($name:ident, $value:ty, $load:expr) => {
            #[target_feature(enable = "avx2,fma")]
            pub(super) fn $name<I: Copy + Into<u32>>(
                columns: &[I],
                weights: &[$value],
                run: usize,
                x: &[f32],
            ) -> f32 {
                let mut sums = [_mm256_setzero_ps(); FLIGHT];
                if run == EIGHT {
                    // The usual run has a loop of its own: most of its time would go into lengths.
                    let (weights, x) = (weights.as_chunks::<EIGHT>().0, x.as_chunks::<EIGHT>().0);
                    let (groups, rest) = columns.as_chunks::<FLIGHT>();
                    let (weights, rest_weights) = weights.as_chunks::<FLIGHT>();
                    for (columns, weights) in groups.iter().zip(weights) {
                        for flight in 0..FLIGHT {
                            let column: u32 = columns[flight].into();
                            let x = load_floats(&x[column as usize]);
                            let weights = $load(&weights[flight]);
                            sums[flight] = _mm256_fmadd_ps(weights, x, sums[flight]);
                        }
                    }
                    for (sum, (&column, weights)) in
                        sums.iter_mut().zip(rest.iter().zip(rest_weights))
                    {
                        let column: u32 = column.into();
                        let x = load_floats(&x[column as usize]);
                        *sum = _mm256_fmadd_ps($load(weights), x, *sum);
                    }
                } else if run != 0 {
                    for (&column, weights) in columns.iter().zip(weights.chunks_exact(run)) {
                        let column: u32 = column.into();
                        let x = x[column as usize * run..][..run].as_chunks::<EIGHT>().0;
                        let weights = weights.as_chunks::<EIGHT>().0;
                        let (x, rest_x) = x.as_chunks::<FLIGHT>();
                        let (weights, rest) = weights.as_chunks::<FLIGHT>();
                        for (weights, x) in weights.iter().zip(x) {
                            for flight in 0..FLIGHT {
                                let x = load_floats(&x[flight]);
                                let weights = $load(&weights[flight]);
                                sums[flight] = _mm256_fmadd_ps(weights, x, sums[flight]);
                            }
                        }
                        for (sum, (weights, x)) in sums.iter_mut().zip(rest.iter().zip(rest_x)) {
                            *sum = _mm256_fmadd_ps($load(weights), load_floats(x), *sum);
                        }
                    }
                }
                let [a, b, c, d] = sums;
                let sum = _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d));
                let high = _mm256_extractf128_ps::<1>(sum);
                let sum = _mm_add_ps(_mm256_castps256_ps128(sum), high);
                let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
                _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)))
            }
        };
    }

    dot!(dot_floats, f32, load_floats);
    dot!(dot_codes, i8, load_codes);

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_floats(from: &[f32; EIGHT]) -> __m256 {
        // SAFETY: the eight numbers are the 32 bytes that are read; no alignment is asked for.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_codes(from: &[i8; EIGHT]) -> __m256 {
        // SAFETY: the eight codes are the bytes that are read; no alignment is asked for.
        let codes = unsafe { _mm_loadl_epi64(from.as_ptr().cast()) };
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes))
    }
}
