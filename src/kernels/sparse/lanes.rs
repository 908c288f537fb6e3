//! Many rows of activations at once: rows are lanes.
//!
//! Activations are turned into tiles of up to 64 rows, in which all rows of one input lie together. A weight is then
//! multiplied with whole vectors, whatever told where it belongs, and the sums of an output stay in registers.

use super::super::arithmetic::{Arithmetic, Kernel, multiply_add};
use super::super::dispatch::vectorize_arithmetic;
use super::super::parallel::{for_blocks, for_chunks_mut};
use super::{Finish, Pattern, Sink, Stored};
use ndarray::{ArrayView2, ArrayViewMut2, s};

/// Numbers of a vector: 64 bytes.
pub(super) const VECTOR: usize = 16;
/// Rows of a tile at the most.
pub(super) const ROWS: usize = 4 * VECTOR;
/// Outputs of a task.
const OUTPUTS: usize = 64;
/// Inputs that are walked over before the next output comes: of 64 rows, their activations fill the second cache.
/// Fewer, to stay in the first, cost more between outputs than they save (measured from 64 on, at 50 % to 95 % zeros).
const DEPTH: usize = 4096;

/// The sums of an output, one for each row.
type Sums<const VECTORS: usize> = [[f32; VECTOR]; VECTORS];

/// Vectors of a tile of so many rows: 1, 2 or 4.
pub(super) const fn vectors(rows: usize) -> usize {
    rows.div_ceil(VECTOR).next_power_of_two()
}

/// Numbers that [`product`] needs to turn activations.
pub(crate) fn room(rows: usize, width: usize) -> usize {
    let last = rows % ROWS;
    let lanes = rows - last + if last == 0 { 0 } else { vectors(last) * VECTOR };
    lanes * width + VECTOR
}

/// Weights times rows of activations into `out`, rows × outputs. `room` is for [`room`] numbers.
pub(crate) fn product<P: Pattern, V: Stored>(
    pattern: &P,
    values: &[V],
    finish: Finish<'_>,
    x: &ArrayView2<'_, f32>,
    out: ArrayViewMut2<'_, f32>,
    room: &mut [f32],
) {
    let width = pattern.width();
    let tiles = turn(x, width, room);
    for_blocks(out, (ROWS, OUTPUTS), &|(row, output), out| {
        let tile = &tiles[row * width..];
        match vectors(out.nrows()) {
            1 => vectorize_arithmetic(Block::<_, _, 1>(pattern, values, finish, tile, output, out)),
            2 => vectorize_arithmetic(Block::<_, _, 2>(pattern, values, finish, tile, output, out)),
            _ => vectorize_arithmetic(Block::<_, _, 4>(pattern, values, finish, tile, output, out)),
        }
    });
}

/// Turns activations into tiles: for each input the numbers of all rows of the tile, zeros behind the last row and the
/// last input. Tiles begin lines of the cache.
pub(super) fn turn<'a>(x: &ArrayView2<'_, f32>, width: usize, room: &'a mut [f32]) -> &'a [f32] {
    /// Inputs of a task.
    const INPUTS: usize = 256;
    let aligned = room.as_ptr().align_offset(64).min(VECTOR);
    let room = &mut room[aligned..];
    let mut rest = &mut *room;
    for first in (0..x.nrows()).step_by(ROWS) {
        let rows = ROWS.min(x.nrows() - first);
        let lanes = vectors(rows) * VECTOR;
        let (tile, behind) = rest.split_at_mut(lanes * width);
        rest = behind;
        for_chunks_mut(tile, INPUTS * lanes, |chunk, tile| {
            for (number, part) in tile.chunks_mut(VECTOR * lanes).enumerate() {
                let input = chunk * INPUTS + number * VECTOR;
                for lane in (0..lanes).step_by(VECTOR) {
                    turn_square(
                        x,
                        (first + lane, first + rows),
                        input,
                        lanes,
                        &mut part[lane..],
                    );
                }
            }
        });
    }
    room
}

/// Turns sixteen rows of sixteen inputs.
#[inline(always)]
fn turn_square(
    x: &ArrayView2<'_, f32>,
    (row, end): (usize, usize),
    input: usize,
    lanes: usize,
    to: &mut [f32],
) {
    let mut square = [[0.0; VECTOR]; VECTOR];
    let input = input.min(x.ncols());
    let inputs = (x.ncols() - input).min(VECTOR);
    for (lane, row) in (row..end).take(VECTOR).enumerate() {
        let row = x.slice(s![row, input..input + inputs]);
        match row.as_slice() {
            Some(row) => {
                for (square, &x) in square.iter_mut().zip(row) {
                    square[lane] = x;
                }
            }
            None => {
                for (square, &x) in square.iter_mut().zip(&row) {
                    square[lane] = x;
                }
            }
        }
    }
    for (to, square) in to.chunks_mut(lanes).zip(&square) {
        to[..VECTOR].copy_from_slice(square);
    }
}

/// One tile and some outputs: pattern, values, what becomes of sums, tile, first output, result.
struct Block<'a, P, V, const VECTORS: usize>(
    &'a P,
    &'a [V],
    Finish<'a>,
    &'a [f32],
    usize,
    ArrayViewMut2<'a, f32>,
);

impl<P: Pattern, V: Stored, const VECTORS: usize> Kernel for Block<'_, P, V, VECTORS> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Self(pattern, values, finish, tile, first, mut out) = self;
        let tile = tile.as_chunks::<VECTOR>().0.as_chunks::<VECTORS>().0;
        let outputs = out.ncols();
        let mut sums = [[[0.0; VECTOR]; VECTORS]; OUTPUTS];
        let mut at: [usize; OUTPUTS] = std::array::from_fn(|output| {
            if output < outputs {
                pattern.start(first + output)
            } else {
                0
            }
        });
        let width = pattern.width();
        for input in (0..width).step_by(DEPTH) {
            let inputs = input..width.min(input + DEPTH);
            for (output, (sums, at)) in sums[..outputs].iter_mut().zip(&mut at).enumerate() {
                let mut accumulate = Accumulate::<A, VECTORS> {
                    tile,
                    sums,
                    arithmetic: std::marker::PhantomData,
                };
                pattern.walk(first + output, at, inputs.clone(), values, &mut accumulate);
            }
        }
        for (row, mut out) in out.rows_mut().into_iter().enumerate() {
            for (output, (out, sums)) in out.iter_mut().zip(&sums).enumerate() {
                *out = finish.finish(first + output, sums[row / VECTOR][row % VECTOR]);
            }
        }
    }
}

/// Adds weights times activations to the sums of an output.
struct Accumulate<'a, A, const VECTORS: usize> {
    tile: &'a [Sums<VECTORS>],
    sums: &'a mut Sums<VECTORS>,
    arithmetic: std::marker::PhantomData<A>,
}

impl<A: Arithmetic, const VECTORS: usize> Sink for Accumulate<'_, A, VECTORS> {
    #[inline(always)]
    fn take<I: Copy + Into<u32>>(&mut self, places: &[I], weights: &[f32]) {
        // In registers from the first weight to the last.
        let mut sums = *self.sums;
        for (&place, &weight) in places.iter().zip(weights) {
            let place: u32 = place.into();
            for (sums, x) in sums.iter_mut().zip(&self.tile[place as usize]) {
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum = multiply_add::<A, f32>(weight, x, *sum);
                }
            }
        }
        *self.sums = sums;
    }
}
