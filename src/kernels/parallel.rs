//! Cuts work into fixed chunks and runs them in the caller's rayon pool.
//!
//! The chunk length comes from the caller and never from the number of threads, and results keep
//! the order of the chunks: combining them in that order gives the same bits on any pool. A single
//! chunk never touches rayon.

use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;
use std::ops::Range;

/// Elements per chunk: 256 KiB of f32, so that a chunk stays in the second-level cache between the
/// two or three sweeps that kernels make over it. A multiple of 64, so that chunks of weights and
/// words of mask bits end together.
pub(crate) const CHUNK: usize = 1 << 16;

fn chunk_range(index: usize, chunk: usize, len: usize) -> Range<usize> {
    let start = index * chunk;
    start..len.min(start + chunk)
}

/// What `task` says of each chunk of `0..len`, in order.
pub(crate) fn map_ranges<R: Send>(
    len: usize,
    chunk: usize,
    task: impl Fn(Range<usize>) -> R + Sync,
) -> Vec<R> {
    let count = len.div_ceil(chunk);
    let run = |index| task(chunk_range(index, chunk, len));
    if count <= 1 {
        return (0..count).map(run).collect();
    }
    (0..count).into_par_iter().map(run).collect()
}

/// Folds every chunk of `0..len` into accumulators and merges those.
///
/// How many accumulators there are depends on the pool, so `merge` must be exact and must not care
/// about order: sums of integers, extremes, bitwise operations. Never floats.
pub(crate) fn fold_ranges<A: Send>(
    len: usize,
    chunk: usize,
    identity: impl Fn() -> A + Sync + Send,
    fold: impl Fn(&mut A, Range<usize>) + Sync,
    merge: impl Fn(A, A) -> A + Sync + Send,
) -> A {
    let count = len.div_ceil(chunk);
    let step = |mut accumulator: A, index| {
        fold(&mut accumulator, chunk_range(index, chunk, len));
        accumulator
    };
    if count <= 1 {
        return (0..count).fold(identity(), step);
    }
    (0..count)
        .into_par_iter()
        .fold(&identity, step)
        .reduce(&identity, merge)
}

/// Hands out `out` in chunks, together with the number of the chunk; results come in order.
pub(crate) fn map_chunks_mut<T: Send, R: Send>(
    out: &mut [T],
    chunk: usize,
    task: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Vec<R> {
    if out.len() <= chunk {
        return out
            .chunks_mut(chunk)
            .enumerate()
            .map(|(index, part)| task(index, part))
            .collect();
    }
    out.par_chunks_mut(chunk)
        .enumerate()
        .map(|(index, part)| task(index, part))
        .collect()
}

/// Hands out `out` in chunks, together with the number of the chunk.
pub(crate) fn for_chunks_mut<T: Send>(
    out: &mut [T],
    chunk: usize,
    task: impl Fn(usize, &mut [T]) + Sync,
) {
    if out.len() <= chunk {
        for (index, part) in out.chunks_mut(chunk).enumerate() {
            task(index, part);
        }
        return;
    }
    out.par_chunks_mut(chunk)
        .enumerate()
        .for_each(|(index, part)| task(index, part));
}

/// Hands out several slices of the same length in chunks, those of one place together.
pub(crate) fn for_chunks_of_each<T: Send, const N: usize>(
    slices: [&mut [T]; N],
    chunk: usize,
    task: impl Fn(usize, [&mut [T]; N]) + Sync,
) {
    let len = slices.iter().map(|slice| slice.len()).max().unwrap_or(0);
    if len <= chunk {
        return task(0, slices);
    }
    let mut chunks = slices.map(|slice| slice.chunks_mut(chunk));
    let parts: Vec<[&mut [T]; N]> = (0..len.div_ceil(chunk))
        .map(|_| {
            chunks
                .each_mut()
                .map(|chunks| chunks.next().unwrap_or_default())
        })
        .collect();
    parts
        .into_par_iter()
        .enumerate()
        .for_each(|(index, parts)| task(index, parts));
}

/// Hands out three slices in chunks of their own lengths, those of one number together; a slice that is shorter gives
/// empty ones at the end. Results come in order.
pub(crate) fn map_chunks_of_three<A: Send, B: Send, C: Send, R: Send>(
    (a, chunk_a): (&mut [A], usize),
    (b, chunk_b): (&mut [B], usize),
    (c, chunk_c): (&mut [C], usize),
    task: impl Fn(usize, &mut [A], &mut [B], &mut [C]) -> R + Sync,
) -> Vec<R> {
    if a.len() <= chunk_a {
        return if a.is_empty() {
            Vec::new()
        } else {
            vec![task(0, a, b, c)]
        };
    }
    let (mut b, mut c) = (b.chunks_mut(chunk_b), c.chunks_mut(chunk_c));
    let parts: Vec<_> = a
        .chunks_mut(chunk_a)
        .map(|a| {
            (
                a,
                b.next().unwrap_or_default(),
                c.next().unwrap_or_default(),
            )
        })
        .collect();
    parts
        .into_par_iter()
        .enumerate()
        .map(|(index, (a, b, c))| task(index, a, b, c))
        .collect()
}

/// Hands out three slices in chunks of their own lengths, those of one number together; a slice that is shorter gives
/// empty ones at the end. Without allocating. The first result in order that is something.
pub(crate) fn first_of_three<A: Send, B: Send, C: Send, R: Send>(
    a: (&mut [A], usize),
    b: (&mut [B], usize),
    c: (&mut [C], usize),
    task: &(impl Fn(usize, &mut [A], &mut [B], &mut [C]) -> Option<R> + Sync),
) -> Option<R> {
    halve_three(a, b, c, 0, task)
}

fn halve_three<A: Send, B: Send, C: Send, R: Send>(
    (a, chunk_a): (&mut [A], usize),
    (b, chunk_b): (&mut [B], usize),
    (c, chunk_c): (&mut [C], usize),
    first: usize,
    task: &(impl Fn(usize, &mut [A], &mut [B], &mut [C]) -> Option<R> + Sync),
) -> Option<R> {
    let chunks = a.len().div_ceil(chunk_a);
    match chunks {
        0 => return None,
        1 => return task(first, a, b, c),
        _ => {}
    }
    let half = chunks / 2;
    let (a, a_rest) = a.split_at_mut(half * chunk_a);
    let (b, b_rest) = b.split_at_mut(b.len().min(half * chunk_b));
    let (c, c_rest) = c.split_at_mut(c.len().min(half * chunk_c));
    let (front, back) = rayon::join(
        || halve_three((a, chunk_a), (b, chunk_b), (c, chunk_c), first, task),
        || {
            halve_three(
                (a_rest, chunk_a),
                (b_rest, chunk_b),
                (c_rest, chunk_c),
                first + half,
                task,
            )
        },
    );
    front.or(back)
}

/// Writes the rows of `out`, in whose order they are given to `task` as slices, together with a buffer of bytes.
pub(crate) fn for_rows(
    out: ArrayViewMut2<'_, f32>,
    task: &(impl Fn(usize, &mut [f32], &mut Vec<u8>) + Sync),
) {
    /// Rows of a task have at least as many numbers.
    const NUMBERS: usize = 1 << 13;
    let width = out.ncols();
    let rows = NUMBERS.div_ceil(width.max(1));
    for_blocks(out, (rows, width), &|(first, _), mut out| {
        let (mut buffer, mut gathered) = (Vec::new(), Vec::new());
        for (row, mut out) in out.rows_mut().into_iter().enumerate() {
            match out.as_slice_mut() {
                Some(out) => task(first + row, out, &mut buffer),
                None => {
                    gathered.resize(width, 0.0);
                    task(first + row, &mut gathered, &mut buffer);
                    out.iter_mut().zip(&gathered).for_each(|(out, x)| *out = *x);
                }
            }
        }
    });
}

/// Products of small integers that one thread is through with before it has woken another: 768 × 3072, one row, takes
/// 30 µs alone, 17 µs on two threads that are awake, and 26 to 54 µs where they are not.
pub(crate) const FEW_PRODUCTS: usize = 1 << 22;

/// Runs `work`, so many products, on a thread of the pool, if they are worth it: what it hands out then goes to
/// neighbours that are awake. From outside it would wait for one each time that it hands something out.
pub(crate) fn enter<R: Send>(products: usize, work: impl FnOnce() -> R + Send) -> R {
    if in_pool() || products < FEW_PRODUCTS {
        return work();
    }
    rayon::scope(|_| work())
}

/// Whether the caller is a thread of a pool, whose neighbours wait for work: others must first wake one, which takes
/// as long as a hundred thousand products.
pub(crate) fn in_pool() -> bool {
    rayon::current_thread_index().is_some()
}

/// Hands out `out` in blocks of at most `rows` × `columns`, together with the place of their first element. Without
/// allocating: halves are halved.
pub(crate) fn for_blocks(
    out: ArrayViewMut2<'_, f32>,
    (rows, columns): (usize, usize),
    task: &(impl Fn((usize, usize), ArrayViewMut2<'_, f32>) + Sync),
) {
    halve(out, (0, 0), (rows.max(1), columns.max(1)), task);
}

fn halve(
    out: ArrayViewMut2<'_, f32>,
    start: (usize, usize),
    block: (usize, usize),
    task: &(impl Fn((usize, usize), ArrayViewMut2<'_, f32>) + Sync),
) {
    let (tall, wide) = (out.nrows().div_ceil(block.0), out.ncols().div_ceil(block.1));
    if tall == 0 || wide == 0 {
        return;
    }
    if tall == 1 && wide == 1 {
        return task(start, out);
    }
    // Columns first: blocks side by side share the rows that they read, which are few.
    let (axis, at) = if wide > 1 {
        (Axis(1), wide / 2 * block.1)
    } else {
        (Axis(0), tall / 2 * block.0)
    };
    let (first, second) = out.split_at(axis, at);
    let next = match axis {
        Axis(0) => (start.0 + at, start.1),
        _ => (start.0, start.1 + at),
    };
    rayon::join(
        || halve(first, start, block, task),
        || halve(second, next, block, task),
    );
}

#[cfg(test)]
mod tests {
    use super::{
        first_of_three, fold_ranges, for_blocks, for_chunks_mut, for_chunks_of_each, for_rows,
        map_chunks_mut, map_ranges,
    };

    #[test]
    fn ranges_cover_everything_once_and_in_order() {
        for len in [0, 1, 9, 10, 11, 30, 31] {
            let ranges = map_ranges(len, 10, |range| range);
            let flat: Vec<usize> = ranges.into_iter().flatten().collect();
            assert_eq!(flat, (0..len).collect::<Vec<_>>(), "length {len}");
        }
    }

    #[test]
    fn folding_counts_everything() {
        for len in [0, 1, 10, 101] {
            let sum = fold_ranges(
                len,
                10,
                || 0,
                |sum, range| *sum += range.len(),
                |a, b| a + b,
            );
            assert_eq!(sum, len);
        }
    }

    #[test]
    fn chunks_are_numbered() {
        let mut out = vec![0; 25];
        for_chunks_mut(&mut out, 10, |index, part| part.fill(index));
        assert_eq!((out[9], out[10], out[24]), (0, 1, 2));
        let lengths = map_chunks_mut(&mut out, 10, |_, part| part.len());
        assert_eq!(lengths, [10, 10, 5]);
    }

    #[test]
    fn chunks_of_several_slices_go_together() {
        for len in [0, 1, 10, 25] {
            let (mut a, mut b) = (vec![0; len], vec![0; len]);
            for_chunks_of_each([&mut a, &mut b], 10, |index, [a, b]| {
                assert_eq!(a.len(), b.len());
                a.fill(index);
                b.fill(index + 1);
            });
            assert!((0..len).all(|i| a[i] == i / 10 && b[i] == i / 10 + 1));
        }
        for_chunks_of_each::<u8, 0>([], 10, |_, []| {});
    }

    #[test]
    fn three_slices_go_together_and_the_first_result_counts() {
        for len in [0, 1, 10, 25] {
            let (mut a, mut b, mut c) = (vec![0; 2 * len], vec![0; len], vec![0; 3]);
            let first = first_of_three((&mut a, 8), (&mut b, 4), (&mut c, 4), &|task, a, b, c| {
                assert!(a.len() == 2 * b.len() && c.len() == if task == 0 { 3 } else { 0 });
                a.fill(task);
                b.fill(task);
                (task >= 1).then_some(task)
            });
            assert_eq!(first, (len > 4).then_some(1));
            assert!((0..len).all(|i| a[2 * i] == i / 4 && b[i] == i / 4));
        }
    }

    #[test]
    fn rows_are_written_whatever_their_order_in_memory() {
        use ndarray::{Array2, ShapeBuilder};
        let fill = |row: usize, values: &mut [f32], _: &mut Vec<u8>| values.fill(row as f32);
        for (rows, width) in [(0, 3), (3, 0), (5, 7), (3000, 9)] {
            let mut out = Array2::from_elem((rows, width), -1.0);
            for_rows(out.view_mut(), &fill);
            assert!(out.indexed_iter().all(|((row, _), &x)| x == row as f32));
            let mut columns = Array2::from_elem((rows, width).f(), -1.0);
            for_rows(columns.view_mut(), &fill);
            assert_eq!(columns, out);
        }
    }

    #[test]
    fn blocks_cover_everything_once() {
        for shape in [(0, 3), (3, 0), (1, 1), (5, 17), (16, 8), (1, 100)] {
            let mut out = ndarray::Array2::zeros(shape);
            for_blocks(out.view_mut(), (4, 8), &|(row, column), mut block| {
                assert!(
                    row % 4 == 0 && column % 8 == 0 && block.nrows() <= 4 && block.ncols() <= 8
                );
                block.indexed_iter_mut().for_each(|((i, j), value)| {
                    *value += ((row + i) * shape.1 + column + j) as f32 + 1.0;
                });
            });
            assert!(out.iter().enumerate().all(|(i, &x)| x == i as f32 + 1.0));
        }
    }
}
