//! From floats to the codes of a tile.

use super::cut::{Cut, PIECE};
use super::tile::{ROWS, height};
use crate::kernels::dispatch::vectorize;
use crate::kernels::parallel::first_of_three;
use crate::kernels::real::Real;

/// How many bits activations have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// 8: codes from −127 to 127.
    Eight,
    /// 16: codes from −32767 to 32767.
    Sixteen,
}

impl Width {
    fn largest(self) -> f32 {
        match self {
            Self::Eight => 127.0,
            Self::Sixteen => 32767.0,
        }
    }

    /// Words that hold four codes.
    pub(super) fn words(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }
}

/// Where codes of activations go, tile after tile; how long these are is in [`Rows`](super::tile::Rows).
#[derive(Debug)]
pub(super) struct Coded<'a> {
    pub(super) words: &'a mut [i32],
    pub(super) scales: &'a mut [f32],
    pub(super) offsets: &'a mut [i32],
}

/// Codes rows of `x`, each scaled by itself a piece; false if there is NaN or infinity.
///
/// ```text
/// s = max|x| / 127 or 32767, at least the smallest normal number        code = round_half_even(x / s)
/// ```
pub(super) fn code(x: &[f32], cut: Cut, width: Width, zero: i32, coded: Coded<'_>) -> bool {
    let (of_row, sides) = (cut.quads() * width.words(), cut.piece_count());
    let Coded {
        words,
        scales,
        offsets,
    } = coded;
    let fault = first_of_three(
        (words, ROWS * of_row),
        (scales, ROWS * sides),
        (offsets, ROWS * sides),
        &|chunk, mut to_words: &mut [i32], mut scales: &mut [f32], mut offsets: &mut [i32]| {
            let x = &x[chunk * ROWS * cut.inputs()..];
            let mut left = (x.len() / cut.inputs()).min(ROWS);
            let mut x = &x[..left * cut.inputs()];
            while left > 0 {
                let rows = height(left);
                let (now, behind) = x.split_at(rows * cut.inputs());
                let (to, words_behind) = to_words.split_at_mut(rows * of_row);
                let (s, scales_behind) = scales.split_at_mut(rows * sides);
                let (o, offsets_behind) = offsets.split_at_mut(rows * sides);
                let coded = Coded {
                    words: to,
                    scales: s,
                    offsets: o,
                };
                let good = vectorize(
                    #[inline(always)]
                    || code_tile(now, (cut, rows), width, zero, coded),
                );
                if !good {
                    return Some(());
                }
                (x, to_words, scales, offsets) =
                    (behind, words_behind, scales_behind, offsets_behind);
                left -= rows;
            }
            None
        },
    );
    fault.is_none()
}

#[inline(always)]
fn code_tile(
    x: &[f32],
    (cut, rows): (Cut, usize),
    width: Width,
    zero: i32,
    coded: Coded<'_>,
) -> bool {
    let Coded {
        words,
        scales,
        offsets,
    } = coded;
    let (mut good, mut codes) = (true, [0; PIECE]);
    for (row, x) in x.chunks_exact(cut.inputs()).enumerate() {
        let mut rest = x;
        for (number, piece) in cut.pieces().enumerate() {
            let (x, behind) = rest.split_at(piece.len);
            rest = behind;
            let (scale, sum) = code_piece(x, width, &mut codes, &mut good);
            // What fills up the last block counts nothing.
            codes[x.len()..piece.blocks * cut.block()].fill(0);
            scales[number * rows + row] = scale;
            offsets[number * rows + row] = sum.wrapping_mul(-zero);
            let quads = cut.block() / 4;
            let of_quad = width.words() * rows;
            let to = &mut words[piece.block * quads * of_quad..][..piece.blocks * quads * of_quad];
            for (to, quad) in to.chunks_exact_mut(of_quad).zip(codes.as_chunks::<4>().0) {
                match width {
                    Width::Eight => to[row] = join_bytes(*quad),
                    Width::Sixteen => {
                        to[row] = join_halves(quad[0], quad[2]);
                        to[rows + row] = join_halves(quad[1], quad[3]);
                    }
                }
            }
        }
    }
    good
}

#[inline(always)]
fn join_bytes([a, b, c, d]: [i32; 4]) -> i32 {
    a & 0xFF | (b & 0xFF) << 8 | (c & 0xFF) << 16 | d << 24
}

#[inline(always)]
fn join_halves(a: i32, b: i32) -> i32 {
    a & 0xFFFF | b << 16
}

/// The scale of a piece and the sum of its codes.
#[inline(always)]
fn code_piece(x: &[f32], width: Width, codes: &mut [i32; PIECE], good: &mut bool) -> (f32, i32) {
    // Bits of floats without a sign are in the order of their numbers, and NaN is behind infinity.
    let largest = x.iter().fold(0, |most, x| x.abs().to_bits().max(most));
    *good &= largest < f32::INFINITY.to_bits();
    let scale = (f32::from_bits(largest) / width.largest()).max(f32::MIN_POSITIVE);
    let mut sum = 0_i32;
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (x / scale).nearest_even();
        sum = sum.wrapping_add(*code);
    }
    (scale, sum)
}
