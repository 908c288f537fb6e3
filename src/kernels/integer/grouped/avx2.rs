//! `vpmaddubsw`, `vpsignb` and `vpmaddwd` on 32 bytes: eight outputs at once.
//!
//! Measured on 8 × 4096 × 4096 in groups of 128, codes of 4 bits, two threads: 0.63 ms; by plain loops 25 ms.
#![expect(
    unsafe_code,
    reason = "loads through pointers, and a call of functions for an instruction set that a token proves; the \
              gain is measured above"
)]

use super::super::machine::Avx2;
use super::cut::{PIECE, lines_of_block, quads_of_block};
use super::tile::{Line, PANEL, Panels, ROWS, Rows};
use std::arch::x86_64::*;

/// Writes the products of all rows and panels, row after row.
pub(super) fn tile(
    _: Avx2,
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
        match height {
            1 => sized::<$bits, $wide, 1, 2, 1>(panels, rows, 0, out),
            2 => sized::<$bits, $wide, 2, 2, 2>(panels, rows, 0, out),
            4 => sized::<$bits, $wide, 4, 1, 4>(panels, rows, 0, out),
            _ => {
                sized::<$bits, $wide, 4, 1, ROWS>(panels, rows, 0, out);
                sized::<$bits, $wide, 4, 1, ROWS>(panels, rows, 4, out);
            }
        }
    }};
}

#[target_feature(enable = "avx2,fma")]
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

/// Half of a line.
#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &Line, half: usize) -> __m256i {
    let half = &line.0.as_chunks::<32>().0[half];
    // SAFETY: 32 bytes are what is read.
    unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
}

/// The codes of four inputs of a block.
#[inline]
#[target_feature(enable = "avx2")]
fn codes<const BITS: u32>(vectors: [__m256i; 3], quad: usize) -> __m256i {
    let [first, second, bits] = vectors;
    let mask = _mm256_set1_epi8(match BITS {
        2 | 3 => 3,
        4 => 15,
        _ => -1,
    });
    let shifted = |vector, by: usize| match by {
        0 => vector,
        1 => _mm256_srli_epi16::<1>(vector),
        2 => _mm256_srli_epi16::<2>(vector),
        3 => _mm256_srli_epi16::<3>(vector),
        4 => _mm256_srli_epi16::<4>(vector),
        5 => _mm256_srli_epi16::<5>(vector),
        _ => _mm256_srli_epi16::<6>(vector),
    };
    match BITS {
        2 => _mm256_and_si256(shifted(first, 2 * quad), mask),
        3 => {
            let crumbs = if quad < 4 { first } else { second };
            let crumbs = _mm256_and_si256(shifted(crumbs, 2 * (quad % 4)), mask);
            let bits = match quad {
                0 => _mm256_slli_epi16::<2>(bits),
                1 => _mm256_slli_epi16::<1>(bits),
                _ => shifted(bits, quad - 2),
            };
            _mm256_or_si256(crumbs, _mm256_and_si256(bits, _mm256_set1_epi8(4)))
        }
        4 => _mm256_and_si256(shifted(first, 4 * quad), mask),
        _ => first,
    }
}

/// Fours of inputs whose products fit 16 bits together: 8 · 2 · 15 · 127 is less than 2¹⁵.
const TOGETHER: usize = 8;

/// `HEIGHT` rows from number `from` on of `ALL`, so many halves of a panel at a time.
#[target_feature(enable = "avx2,fma")]
fn sized<
    const BITS: u32,
    const WIDE: bool,
    const HEIGHT: usize,
    const HALVES: usize,
    const ALL: usize,
>(
    panels: Panels<'_>,
    rows: Rows<'_>,
    from: usize,
    out: &mut [[f32; PANEL]],
) {
    let (quads, words) = (const { quads_of_block(BITS) }, 1 + usize::from(WIDE));
    let of_block = const { lines_of_block(BITS) };
    let together = const {
        if BITS == 8 {
            1
        } else {
            TOGETHER / quads_of_block(BITS)
        }
    };
    let width = out.len() / ALL;
    let all = (0..2 * width).step_by(HALVES);
    for (panel, first) in all.map(|half| (half / 2, half % 2)) {
        let mut stream = &panels.lines[panel * panels.stride..];
        let mut sides = rows.scales.as_chunks::<ALL>().0.iter();
        let mut offsets = rows.offsets.as_chunks::<ALL>().0.iter();
        let mut x = rows.words.as_chunks::<ALL>().0;
        let mut totals = [[_mm256_setzero_ps(); HALVES]; HEIGHT];
        for group in 0..panels.groups {
            let Some((line, behind)) = stream.split_first() else {
                return;
            };
            stream = behind;
            let mut left = panels.cut.group_len(group);
            while left > 0 {
                let len = left.min(PIECE);
                left -= len;
                let blocks = len.div_ceil(const { 4 * quads_of_block(BITS) });
                let (Some(x_scales), Some(offsets)) = (sides.next(), offsets.next()) else {
                    return;
                };
                let mut sums = [[_mm256_setzero_si256(); HALVES]; HEIGHT];
                for (row, sums) in sums.iter_mut().enumerate() {
                    *sums = [_mm256_set1_epi32(offsets[from + row]); HALVES];
                }
                if !panels.zeros.is_empty() {
                    let zeros = &panels.zeros[panel * panels.groups + group]
                        .as_chunks::<8>()
                        .0;
                    for half in 0..HALVES {
                        let zeros = taken_off(&zeros[first + half], BITS == 8 && !WIDE);
                        for sums in &mut sums {
                            sums[half] = _mm256_mullo_epi32(sums[half], zeros);
                        }
                    }
                }
                let (lines, behind) = stream.split_at(blocks * of_block);
                stream = behind;
                let (now, behind) = x.split_at(blocks * quads * words);
                x = behind;
                let lines = lines.chunks(together * of_block);
                for (lines, x) in lines.zip(now.chunks(together * quads * words)) {
                    add::<BITS, WIDE, HEIGHT, HALVES, ALL>(lines, first, x, from, &mut sums);
                }
                for half in 0..HALVES {
                    let scales = _mm256_castsi256_ps(load(line, first + half));
                    for row in 0..HEIGHT {
                        let scale = _mm256_mul_ps(scales, _mm256_set1_ps(x_scales[from + row]));
                        let sum = _mm256_cvtepi32_ps(sums[row][half]);
                        let total = &mut totals[row][half];
                        *total = _mm256_add_ps(*total, _mm256_mul_ps(sum, scale));
                    }
                }
            }
        }
        for (row, totals) in totals.into_iter().enumerate() {
            let out = out[(from + row) * width + panel].as_chunks_mut::<8>().0;
            for (out, total) in out[first..].iter_mut().zip(totals) {
                // SAFETY: eight floats are the 32 bytes that are written.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr(), total) };
            }
        }
    }
}

/// Zero points as codes are multiplied, those of 8 bits less 128 where they get a sign.
#[inline]
#[target_feature(enable = "avx2")]
fn taken_off(zeros: &[u8; 8], signed: bool) -> __m256i {
    // SAFETY: eight bytes are what is read.
    let zeros = unsafe { _mm_loadl_epi64(zeros.as_ptr().cast()) };
    let shift = if signed { 128 } else { 0 };
    _mm256_sub_epi32(_mm256_cvtepu8_epi32(zeros), _mm256_set1_epi32(shift))
}

/// Adds the products of so few blocks that they fit 16 bits together.
#[inline]
#[target_feature(enable = "avx2")]
fn add<
    const BITS: u32,
    const WIDE: bool,
    const HEIGHT: usize,
    const HALVES: usize,
    const ALL: usize,
>(
    lines: &[Line],
    first: usize,
    x: &[[i32; ALL]],
    from: usize,
    sums: &mut [[__m256i; HALVES]; HEIGHT],
) {
    let (quads, words) = (const { quads_of_block(BITS) }, 1 + usize::from(WIDE));
    let of_block = const { lines_of_block(BITS) };
    let ones = _mm256_set1_epi16(1);
    let low = _mm256_set1_epi16(255);
    let sign = _mm256_set1_epi8(-128);
    let mut short = [[_mm256_setzero_si256(); HALVES]; HEIGHT];
    for (lines, x) in lines
        .chunks_exact(of_block)
        .zip(x.chunks_exact(quads * words))
    {
        for half in 0..HALVES {
            let line = |number: usize| load(&lines[number.min(of_block - 1)], first + half);
            let vectors = [line(0), line(1), line(2)];
            for quad in 0..quads {
                let codes = codes::<BITS>(vectors, quad);
                if WIDE {
                    let first = _mm256_and_si256(codes, low);
                    let second = _mm256_srli_epi16::<8>(codes);
                    for row in 0..HEIGHT {
                        let even = _mm256_set1_epi32(x[2 * quad][from + row]);
                        let odd = _mm256_set1_epi32(x[2 * quad + 1][from + row]);
                        let products = _mm256_add_epi32(
                            _mm256_madd_epi16(first, even),
                            _mm256_madd_epi16(second, odd),
                        );
                        sums[row][half] = _mm256_add_epi32(sums[row][half], products);
                    }
                } else if BITS == 8 {
                    let codes = _mm256_xor_si256(codes, sign);
                    let magnitudes = _mm256_abs_epi8(codes);
                    for row in 0..HEIGHT {
                        let x = _mm256_set1_epi32(x[quad][from + row]);
                        let x = _mm256_sign_epi8(x, codes);
                        let products = _mm256_maddubs_epi16(magnitudes, x);
                        let products = _mm256_madd_epi16(products, ones);
                        sums[row][half] = _mm256_add_epi32(sums[row][half], products);
                    }
                } else {
                    for row in 0..HEIGHT {
                        let x = _mm256_set1_epi32(x[quad][from + row]);
                        let products = _mm256_maddubs_epi16(codes, x);
                        short[row][half] = _mm256_add_epi16(short[row][half], products);
                    }
                }
            }
        }
    }
    if !WIDE && BITS != 8 {
        for (sum, short) in sums.as_flattened_mut().iter_mut().zip(short.as_flattened()) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*short, ones));
        }
    }
}
