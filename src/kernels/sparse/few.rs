//! A few rows of activations: read where the weights are.

use super::super::arithmetic::{Arithmetic, Kernel};
use super::super::dispatch::vectorize_arithmetic;
use super::super::parallel::for_blocks;
use super::{Finish, Pattern, Stored};
use ndarray::{ArrayView2, ArrayViewMut2};

/// Outputs of a task at least.
const OUTPUTS: usize = 32;
/// Multiplications of a task at least, a look at eight places counting as one: fewer take less time than handing them
/// to a thread. (160 → 80, half of it zeros, took 13.7 µs as three tasks.)
const WORK: usize = 1 << 15;
/// Rows that share one walk over the weights.
const SHARED: usize = 4;

/// Numbers that [`product`] needs to lay activations out.
pub(crate) const fn room(rows: usize, width: usize) -> usize {
    rows * width
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
    let x = lay(x, width, room);
    let (rows, outputs) = out.dim();
    let work = rows * (values.len() + outputs * width / 8);
    let columns = outputs * WORK / work.max(1);
    for_blocks(out, (rows, columns.max(OUTPUTS)), &|(_, first), out| {
        vectorize_arithmetic(Block(pattern, values, finish, x, first, out));
    });
}

/// Some outputs: pattern, values, what becomes of sums, rows of activations, first output, result.
struct Block<'a, P, V>(
    &'a P,
    &'a [V],
    Finish<'a>,
    &'a [f32],
    usize,
    ArrayViewMut2<'a, f32>,
);

impl<P: Pattern, V: Stored> Kernel for Block<'_, P, V> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Self(pattern, values, finish, x, first, mut out) = self;
        let (rows, width) = (out.nrows(), pattern.width());
        let shared = rows - rows % SHARED;
        let row = |row: usize| &x[row * width..][..width];
        for (number, mut out) in out.columns_mut().into_iter().enumerate() {
            let output = first + number;
            for at in (0..shared).step_by(SHARED) {
                let x = std::array::from_fn::<_, SHARED, _>(|offset| row(at + offset));
                let sums = pattern.dot::<A, V, SHARED>(output, values, x);
                for (offset, sum) in sums.into_iter().enumerate() {
                    out[at + offset] = finish.finish(output, sum);
                }
            }
            for at in shared..rows {
                let [sum] = pattern.dot::<A, V, 1>(output, values, [row(at)]);
                out[at] = finish.finish(output, sum);
            }
        }
    }
}

/// Lays rows out one after the other, zeros behind the last input of each.
pub(super) fn lay<'a>(x: &ArrayView2<'_, f32>, width: usize, room: &'a mut [f32]) -> &'a [f32] {
    for (row, to) in x.rows().into_iter().zip(room.chunks_mut(width.max(1))) {
        let (to, behind) = to.split_at_mut(x.ncols());
        match row.as_slice() {
            Some(row) => to.copy_from_slice(row),
            None => to.iter_mut().zip(row).for_each(|(to, &x)| *to = x),
        }
        behind.fill(0.0);
    }
    room
}
