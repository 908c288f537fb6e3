//! `vpdpbusd` and `vpdpwssd` on 64 bytes: sixteen outputs at once.
//!
//! Measured on 8 × 4096 × 4096 in groups of 128, codes of 4 bits, two threads: 0.35 ms; with AVX2 0.63 ms, by plain
//! loops 25 ms.
#![expect(
    unsafe_code,
    reason = "loads through pointers, and a call of functions for an instruction set that a token proves; the \
              gain is measured above"
)]

use super::super::machine::Vnni;
use super::cut::{PIECE, lines_of_block, quads_of_block};
use super::tile::{Line, PANEL, Panels, ROWS, Rows};
use std::arch::x86_64::*;

/// Writes the products of all rows and panels, row after row.
pub(super) fn tile(
    _: Vnni,
    panels: Panels<'_>,
    rows: Rows<'_>,
    height: usize,
    out: &mut [[f32; PANEL]],
) {
    // SAFETY: the token proves that the machine has all that the function is compiled for.
    unsafe { choose(panels, rows, height, out) }
}

macro_rules! shapes {
    ($bits:literal, $wide:literal, $arguments:expr) => {{
        let (panels, rows, height, out) = $arguments;
        match (height, out.len() / height) {
            (ROWS, _) => sized::<$bits, $wide, ROWS, 1>(panels, rows, out),
            (4, 2) => sized::<$bits, $wide, 4, 2>(panels, rows, out),
            (4, _) => sized::<$bits, $wide, 4, 1>(panels, rows, out),
            (2, 4) => sized::<$bits, $wide, 2, 4>(panels, rows, out),
            (2, _) => sized::<$bits, $wide, 2, 1>(panels, rows, out),
            (_, 4) => sized::<$bits, $wide, 1, 4>(panels, rows, out),
            _ => sized::<$bits, $wide, 1, 1>(panels, rows, out),
        }
    }};
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn choose(panels: Panels<'_>, rows: Rows<'_>, height: usize, out: &mut [[f32; PANEL]]) {
    let arguments = (panels, rows, height, out);
    match (panels.bits, rows.wide) {
        (2, false) => shapes!(2, false, arguments),
        (3, false) => shapes!(3, false, arguments),
        (4, false) => shapes!(4, false, arguments),
        (_, false) => shapes!(8, false, arguments),
        (2, true) => shapes!(2, true, arguments),
        (3, true) => shapes!(3, true, arguments),
        (4, true) => shapes!(4, true, arguments),
        (_, true) => shapes!(8, true, arguments),
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes, aligned to 64.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

/// The codes of a block, four inputs a vector.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn codes<const BITS: u32>(lines: &[Line]) -> [__m512i; 8] {
    let zero = _mm512_setzero_si512();
    let first = load(&lines[0]);
    match BITS {
        2 => {
            let mask = _mm512_set1_epi8(3);
            let mut codes = [zero; 8];
            codes[0] = _mm512_and_si512(first, mask);
            codes[1] = _mm512_and_si512(_mm512_srli_epi16::<2>(first), mask);
            codes[2] = _mm512_and_si512(_mm512_srli_epi16::<4>(first), mask);
            codes[3] = _mm512_and_si512(_mm512_srli_epi16::<6>(first), mask);
            codes
        }
        3 => {
            let (second, bits) = (load(&lines[1]), load(&lines[2]));
            let (low, high) = (_mm512_set1_epi8(3), _mm512_set1_epi8(4));
            let join = |crumbs, bits| {
                let crumbs = _mm512_and_si512(crumbs, low);
                _mm512_or_si512(crumbs, _mm512_and_si512(bits, high))
            };
            [
                join(first, _mm512_slli_epi16::<2>(bits)),
                join(_mm512_srli_epi16::<2>(first), _mm512_slli_epi16::<1>(bits)),
                join(_mm512_srli_epi16::<4>(first), bits),
                join(_mm512_srli_epi16::<6>(first), _mm512_srli_epi16::<1>(bits)),
                join(second, _mm512_srli_epi16::<2>(bits)),
                join(_mm512_srli_epi16::<2>(second), _mm512_srli_epi16::<3>(bits)),
                join(_mm512_srli_epi16::<4>(second), _mm512_srli_epi16::<4>(bits)),
                join(_mm512_srli_epi16::<6>(second), _mm512_srli_epi16::<5>(bits)),
            ]
        }
        4 => {
            let mask = _mm512_set1_epi8(15);
            let mut codes = [zero; 8];
            codes[0] = _mm512_and_si512(first, mask);
            codes[1] = _mm512_and_si512(_mm512_srli_epi16::<4>(first), mask);
            codes
        }
        _ => {
            let mut codes = [zero; 8];
            codes[0] = first;
            codes
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sized<const BITS: u32, const WIDE: bool, const HEIGHT: usize, const WIDTH: usize>(
    panels: Panels<'_>,
    rows: Rows<'_>,
    out: &mut [[f32; PANEL]],
) {
    let (quads, words) = (const { quads_of_block(BITS) }, 1 + usize::from(WIDE));
    let lines_of_block = const { lines_of_block(BITS) };
    let low = _mm512_set1_epi16(255);
    let mut streams = [panels.lines; WIDTH];
    for (panel, stream) in streams.iter_mut().enumerate() {
        *stream = &panels.lines[panel * panels.stride..];
    }
    let mut sides = rows.scales.as_chunks::<HEIGHT>().0.iter();
    let mut offsets = rows.offsets.as_chunks::<HEIGHT>().0.iter();
    let mut x = rows.words.as_chunks::<HEIGHT>().0;
    let mut totals = [[_mm512_setzero_ps(); WIDTH]; HEIGHT];
    for group in 0..panels.groups {
        let mut scales = [_mm512_setzero_ps(); WIDTH];
        for (scale, stream) in scales.iter_mut().zip(&mut streams) {
            let Some((line, behind)) = stream.split_first() else {
                return;
            };
            (*scale, *stream) = (_mm512_castsi512_ps(load(line)), behind);
        }
        let mut left = panels.cut.group_len(group);
        while left > 0 {
            let len = left.min(PIECE);
            left -= len;
            let blocks = len.div_ceil(const { 4 * quads_of_block(BITS) });
            let (Some(x_scales), Some(offsets)) = (sides.next(), offsets.next()) else {
                return;
            };
            let mut sums = [[_mm512_setzero_si512(); WIDTH]; HEIGHT];
            for (sums, offset) in sums.iter_mut().zip(offsets) {
                *sums = [_mm512_set1_epi32(*offset); WIDTH];
            }
            if !panels.zeros.is_empty() {
                for panel in 0..WIDTH {
                    let zeros = &panels.zeros[panel * panels.groups + group];
                    // SAFETY: sixteen bytes are what is read.
                    let zeros = unsafe { _mm_loadu_si128(zeros.as_ptr().cast()) };
                    let zeros = _mm512_cvtepu8_epi32(zeros);
                    for sums in &mut sums {
                        sums[panel] = _mm512_mullo_epi32(sums[panel], zeros);
                    }
                }
            }
            let mut lines = streams;
            for (lines, stream) in lines.iter_mut().zip(&mut streams) {
                (*lines, *stream) = stream.split_at(blocks * lines_of_block);
            }
            let (now, behind) = x.split_at(blocks * quads * words);
            x = behind;
            for (block, x) in now.chunks_exact(quads * words).enumerate() {
                let mut weights = [[_mm512_setzero_si512(); 8]; WIDTH];
                for (weights, lines) in weights.iter_mut().zip(lines) {
                    *weights = codes::<BITS>(&lines[block * lines_of_block..][..lines_of_block]);
                }
                for quad in 0..quads {
                    if WIDE {
                        let (even, odd) = (&x[2 * quad], &x[2 * quad + 1]);
                        for panel in 0..WIDTH {
                            let both = weights[panel][quad];
                            let first = _mm512_and_si512(both, low);
                            let second = _mm512_srli_epi16::<8>(both);
                            for row in 0..HEIGHT {
                                let (even, odd) = (even[row], odd[row]);
                                let sum = sums[row][panel];
                                let sum = _mm512_dpwssd_epi32(sum, first, _mm512_set1_epi32(even));
                                let sum = _mm512_dpwssd_epi32(sum, second, _mm512_set1_epi32(odd));
                                sums[row][panel] = sum;
                            }
                        }
                    } else {
                        for row in 0..HEIGHT {
                            let x = _mm512_set1_epi32(x[quad][row]);
                            for panel in 0..WIDTH {
                                let sum = &mut sums[row][panel];
                                *sum = _mm512_dpbusd_epi32(*sum, weights[panel][quad], x);
                            }
                        }
                    }
                }
            }
            for panel in 0..WIDTH {
                for row in 0..HEIGHT {
                    let scale = _mm512_mul_ps(scales[panel], _mm512_set1_ps(x_scales[row]));
                    let sum = _mm512_cvtepi32_ps(sums[row][panel]);
                    let total = &mut totals[row][panel];
                    *total = _mm512_add_ps(*total, _mm512_mul_ps(sum, scale));
                }
            }
        }
    }
    for (out, total) in out.iter_mut().zip(totals.iter().flatten()) {
        // SAFETY: sixteen floats are the 64 bytes that are written.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), *total) };
    }
}
