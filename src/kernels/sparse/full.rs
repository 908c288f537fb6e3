//! Products with weights all of which are there, for many rows: rows are lanes, as for sparse ones.
//!
//! Measured on 4096 × 4096 and 64 rows: 12 ms, PyTorch's product 19 ms.

use super::super::arithmetic::{Arithmetic, Kernel, multiply_add};
use super::super::dispatch::vectorize_arithmetic;
use super::super::parallel::for_blocks;
use super::lanes::{self, ROWS, VECTOR, vectors};
use super::{Finish, WORD};
use ndarray::{ArrayView2, ArrayViewMut2};

/// Outputs of a task.
const OUTPUTS: usize = 32;
/// Inputs that are walked over before the next outputs come: their activations stay in the first cache.
const DEPTH: usize = 128;

/// Numbers that [`product`] needs to turn activations.
pub(crate) fn room(rows: usize, inputs: usize) -> usize {
    lanes::room(rows, inputs.next_multiple_of(WORD))
}

/// Weights, outputs × inputs, times rows of activations into `out`, rows × outputs. `bias` has a number for each output,
/// or none; `room` is for [`room`] numbers.
pub(crate) fn product(
    weights: &[f32],
    bias: &[f32],
    x: &ArrayView2<'_, f32>,
    out: ArrayViewMut2<'_, f32>,
    room: &mut [f32],
) {
    let inputs = x.ncols();
    let width = inputs.next_multiple_of(WORD);
    let tiles = lanes::turn(x, width, room);
    let finish = Finish { scales: &[], bias };
    for_blocks(out, (ROWS, OUTPUTS), &|(row, first), out| {
        let tile = &tiles[row * width..];
        match vectors(out.nrows()) {
            1 => vectorize_arithmetic(Block::<1, 4>(inputs, weights, finish, tile, first, out)),
            2 => vectorize_arithmetic(Block::<2, 4>(inputs, weights, finish, tile, first, out)),
            _ => vectorize_arithmetic(Block::<4, 2>(inputs, weights, finish, tile, first, out)),
        }
    });
}

/// One tile and some outputs, several of them at a time: inputs, weights, what becomes of sums, tile, first output,
/// result.
struct Block<'a, const VECTORS: usize, const SHARED: usize>(
    usize,
    &'a [f32],
    Finish<'a>,
    &'a [f32],
    usize,
    ArrayViewMut2<'a, f32>,
);

impl<const VECTORS: usize, const SHARED: usize> Kernel for Block<'_, VECTORS, SHARED> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Self(inputs, weights, finish, tile, first, mut out) = self;
        let tile = tile.as_chunks::<VECTOR>().0.as_chunks::<VECTORS>().0;
        let outputs = out.ncols();
        let mut sums = [[[0.0; VECTOR]; VECTORS]; OUTPUTS];
        for input in (0..inputs).step_by(DEPTH) {
            let depth = DEPTH.min(inputs - input);
            let tile = &tile[input..][..depth];
            let mut all = sums[..outputs].chunks_exact_mut(SHARED);
            let mut output = first;
            for sums in all.by_ref() {
                let mut rows = [&weights[..0]; SHARED];
                for (offset, row) in rows.iter_mut().enumerate() {
                    *row = &weights[(output + offset) * inputs + input..][..depth];
                }
                accumulate::<A, VECTORS, SHARED>(rows, tile, sums);
                output += SHARED;
            }
            for sums in all.into_remainder().chunks_exact_mut(1) {
                let row = &weights[output * inputs + input..][..depth];
                accumulate::<A, VECTORS, 1>([row], tile, sums);
                output += 1;
            }
        }
        for (row, mut out) in out.rows_mut().into_iter().enumerate() {
            for (output, (out, sums)) in out.iter_mut().zip(&sums).enumerate() {
                *out = finish.finish(first + output, sums[row / VECTOR][row % VECTOR]);
            }
        }
    }
}

/// Adds the products of several outputs: what is read of the tile is used by all of them.
#[inline(always)]
fn accumulate<A: Arithmetic, const VECTORS: usize, const SHARED: usize>(
    rows: [&[f32]; SHARED],
    tile: &[[[f32; VECTOR]; VECTORS]],
    to: &mut [[[f32; VECTOR]; VECTORS]],
) {
    let mut sums = [[[0.0; VECTOR]; VECTORS]; SHARED];
    sums.copy_from_slice(to);
    for (input, x) in tile.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(rows) {
            let weight = row[input];
            for (sums, x) in sums.iter_mut().zip(x) {
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum = multiply_add::<A, f32>(weight, x, *sum);
                }
            }
        }
    }
    to.copy_from_slice(&sums);
}
