//! The product of a tile by `vpmaddubsw`: 32 products, summed in pairs, by one instruction.
//!
//! It takes bytes without a sign from one side and sums pairs in 16 bits, where they must fit. Two ways are exact:
//! magnitudes of one side with the signs moved to the other, where |a| · |b| ≤ 128 · 127 makes a pair at most
//! 32 512; and activations of 7 bits with 64 added, which are in 1..=127 and need no signs to be moved.
#![expect(
    unsafe_code,
    reason = "calls functions for an instruction set that a token proves. Measured at 512 × 4096 × 4096: the plain \
              loop, compiled for AVX2, takes 337 ms and this 66 ms, or 41 ms with seven bits"
)]

use super::machine::Avx2;
use super::panels::{QUAD, Quads, WIDTH};
use std::arch::x86_64::*;

/// Which side gives its signs away. Not the side on which -128 occurs: that would be its own opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// |weight| · (activation with the sign of the weight): no activation is -128.
    MagnitudesOfWeights,
    /// |activation| · (weight with the sign of the activation): no weight is -128.
    MagnitudesOfActivations,
    /// Activations in 0..=127 as they are.
    SevenBits,
}

const WEIGHTS: u8 = 0;
const ACTIVATIONS: u8 = 1;
const SEVEN_BITS: u8 = 2;

impl Avx2 {
    /// Sums of products of some rows with each output of a panel.
    #[inline]
    pub(super) fn tile<const R: usize>(
        self,
        panel: &[Quads],
        rows: [&[[u8; QUAD]]; R],
        way: Way,
        sums: &mut [[i32; WIDTH]; R],
    ) {
        match way {
            // SAFETY: a value of `Avx2` proves that this machine has what `tile` is compiled with.
            Way::MagnitudesOfWeights => unsafe { tile::<R, WEIGHTS>(panel, rows, sums) },
            // SAFETY: as above.
            Way::MagnitudesOfActivations => unsafe { tile::<R, ACTIVATIONS>(panel, rows, sums) },
            // SAFETY: as above.
            Way::SevenBits => unsafe { tile::<R, SEVEN_BITS>(panel, rows, sums) },
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn tile<const R: usize, const WAY: u8>(
    panel: &[Quads],
    rows: [&[[u8; QUAD]]; R],
    out: &mut [[i32; WIDTH]; R],
) {
    let depth = panel.len();
    let rows = rows.map(|row| &row[..depth]);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); 2]; R];
    for quad in 0..depth {
        let weights = load(&panel[quad]);
        let magnitudes = weights.map(|weights| _mm256_abs_epi8(weights));
        for r in 0..R {
            let row = _mm256_set1_epi32(i32::from_le_bytes(rows[r][quad]));
            for half in 0..2 {
                let pairs = match WAY {
                    WEIGHTS => {
                        let signed = _mm256_sign_epi8(row, weights[half]);
                        _mm256_maddubs_epi16(magnitudes[half], signed)
                    }
                    ACTIVATIONS => {
                        let signed = _mm256_sign_epi8(weights[half], row);
                        _mm256_maddubs_epi16(_mm256_abs_epi8(row), signed)
                    }
                    _ => _mm256_maddubs_epi16(row, weights[half]),
                };
                let quads = _mm256_madd_epi16(pairs, ones);
                sums[r][half] = _mm256_add_epi32(sums[r][half], quads);
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(sums) {
        store(sums, out);
    }
}

/// Eight outputs each.
#[inline]
#[target_feature(enable = "avx2")]
fn load(quads: &Quads) -> [__m256i; 2] {
    let (halves, _) = quads.0.as_chunks::<{ WIDTH / 2 }>();
    // SAFETY: eight times four codes are the 32 bytes that are read; no alignment is asked for.
    [0, 1].map(|half| unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(halves: [__m256i; 2], numbers: &mut [i32; WIDTH]) {
    let (to, _) = numbers.as_chunks_mut::<{ WIDTH / 2 }>();
    for (to, half) in to.iter_mut().zip(halves) {
        // SAFETY: eight numbers of 32 bits are the 32 bytes that are written; no alignment is asked for.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), half) };
    }
}
