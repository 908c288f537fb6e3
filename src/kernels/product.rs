//! Products of matrices on all threads of the caller's pool.
//!
//! The product of one block is ndarray's, which runs on one thread. The result is cut into blocks
//! whose size depends on its shape alone, and each block is computed whole by one task, so that its
//! bits depend neither on the pool nor on how many blocks a task gets. (ndarray's product picks its
//! instructions at run time, fused multiply-add among them: other machines may round otherwise.)

use super::divergence::Store;
use super::parallel::for_chunks_mut;
use super::real::Real;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};

/// Rows and columns of a block at the most. Each side of a block is copied once for every block that
/// it meets, which is 1 / 256 of the multiplications here.
const LARGEST: usize = 256;
/// Blocks shrink where there would be fewer than this: there are few where a tile of tokens meets all
/// of the vocabulary. More would be slower on few threads: measured at 144 × 768, narrow blocks cost a
/// fifth, and low ones (the last of 16 rows) another seventh.
const FEWEST: usize = 6;
/// What ndarray's product copies of each side at a time.
const DEPTH: usize = 256;

/// Bytes that one task holds beside the result: the copies of both sides, as ndarray's product makes
/// them, rounded up.
pub(crate) const fn bytes_per_task(element: usize) -> usize {
    DEPTH * (LARGEST + LARGEST / 2) * element
}

/// Rows and columns of the blocks of a result of this shape.
const fn block(rows: usize, columns: usize) -> (usize, usize) {
    let (mut tall, mut wide) = (LARGEST, LARGEST);
    if rows.div_ceil(tall) * columns.div_ceil(wide) < FEWEST {
        wide = LARGEST / 2;
    }
    if rows.div_ceil(tall) * columns.div_ceil(wide) < FEWEST && rows <= LARGEST {
        // Two of the same height.
        tall = rows.div_ceil(2).next_multiple_of(8);
    }
    (tall, wide)
}

/// `left` · `right` into `out` or onto it, by at most so many tasks at a time.
pub(crate) fn product<F: Real>(
    left: &ArrayView2<'_, F>,
    right: &ArrayView2<'_, F>,
    store: Store,
    out: ArrayViewMut2<'_, F>,
    tasks: usize,
) {
    let (rows, columns) = out.dim();
    if rows == 0 || columns == 0 {
        return;
    }
    let (tall, wide) = block(rows, columns);
    let mut blocks = Vec::with_capacity(rows.div_ceil(tall) * columns.div_ceil(wide));
    let mut below = out;
    for row in (0..rows).step_by(tall) {
        let (mut across, rest) = below.split_at(Axis(0), tall.min(rows - row));
        below = rest;
        for column in (0..columns).step_by(wide) {
            let (block, rest) = across.split_at(Axis(1), wide.min(columns - column));
            across = rest;
            blocks.push((row, column, block));
        }
    }
    let on_old = match store {
        Store::Write => F::zero(),
        Store::Add => F::one(),
    };
    let per_task = blocks.len().div_ceil(tasks.max(1));
    for_chunks_mut(&mut blocks, per_task, |_, blocks| {
        for (row, column, block) in blocks {
            let left = left.slice(s![*row..*row + block.nrows(), ..]);
            let right = right.slice(s![.., *column..*column + block.ncols()]);
            general_mat_mul(F::one(), &left, &right, on_old, block);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{FEWEST, LARGEST, block, product};
    use crate::kernels::divergence::Store;
    use ndarray::{Array2, ShapeBuilder};

    fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            ((i * 31 + j * 17 + seed * 7) % 23) as f64 - 11.0
        })
    }

    #[test]
    fn small_whole_numbers_multiply_exactly_in_any_shape_and_layout() {
        for (rows, inner, columns) in [
            (1, 1, 1),
            (3, 0, 2),
            (0, 4, 3),
            (5, 7, LARGEST + 1),
            (2 * LARGEST + 3, 300, 3 * LARGEST - 1),
        ] {
            let (left, right) = (numbers(rows, inner, 1), numbers(inner, columns, 2));
            let right_by_columns = {
                let mut array = Array2::zeros((inner, columns).f());
                array.assign(&right);
                array
            };
            let slow = Array2::from_shape_fn((rows, columns), |(i, j)| {
                (0..inner)
                    .map(|k| left[[i, k]] * right[[k, j]])
                    .sum::<f64>()
            });
            for tasks in [1, 3, 100] {
                let mut out = Array2::from_elem((rows, columns), f64::NAN);
                let right = right_by_columns.view();
                product(&left.view(), &right, Store::Write, out.view_mut(), tasks);
                assert_eq!(out, slow, "{rows}×{inner}×{columns}");
                let mut out = Array2::from_elem((columns, rows), 1.0).reversed_axes();
                product(&left.view(), &right, Store::Add, out.view_mut(), tasks);
                assert_eq!(out, &slow + 1.0, "{rows}×{inner}×{columns}");
            }
        }
    }

    #[test]
    fn the_number_of_tasks_does_not_change_a_bit() {
        let left = numbers(300, 500, 3).mapv(|x| (x / 7.0) as f32);
        let right = numbers(500, 700, 4).mapv(|x| (x / 3.0) as f32);
        let run = |tasks| {
            let mut out = Array2::zeros((300, 700));
            product(
                &left.view(),
                &right.view(),
                Store::Write,
                out.view_mut(),
                tasks,
            );
            out
        };
        assert_eq!(run(1), run(5));
        assert_eq!(run(1), run(64));
    }

    #[test]
    fn blocks_shrink_where_there_are_few() {
        assert_eq!(block(144, 32_000), (LARGEST, LARGEST));
        assert_eq!(block(144, 768), (LARGEST, LARGEST / 2));
        assert_eq!(block(144, 300), (72, LARGEST / 2));
        assert_eq!(block(1, 1), (8, LARGEST / 2));
        let (tall, wide) = block(LARGEST, 4 * LARGEST);
        assert!(LARGEST.div_ceil(tall) * (4 * LARGEST).div_ceil(wide) >= FEWEST);
    }
}
