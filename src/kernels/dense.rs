//! Products with float weights that stand unit by unit, each a row: x · Wᵀ + bias.
//!
//! For few rows of x a unit's weights are read once and meet each row while they are in the first cache: it is the
//! reading that takes the time. For many it is the multiplying, and rows become lanes: [`full`].

use super::arithmetic::{Arithmetic, Kernel, multiply_add};
use super::dispatch::vectorize_arithmetic;
use super::parallel::for_blocks;
use super::ranges::by_halves;
use super::sparse::full;
use ndarray::{ArrayView2, ArrayViewMut2};

/// Up to so many rows of x, units are read one by one. Measured on 4096 × 4096 (AMD EPYC Zen 4, two threads): 1.5 ms
/// for 1 row, 3.2 for 4.
pub(crate) const FEW: usize = 3;
/// Multiplications of one task at least: fewer take less time than handing them to a thread.
const WORK: usize = 1 << 17;
/// Sums that run side by side. With 16, or with two units at a time, the compiler keeps them in memory or in short
/// vectors, which took twice as long.
const LANES: usize = 32;

/// One sum each.
type Lanes = [f32; LANES];

/// Numbers that [`dense`] needs to lay so many rows out.
pub(crate) fn room(rows: usize, inputs: usize) -> usize {
    if rows <= FEW {
        rows * inputs
    } else {
        full::room(rows, inputs)
    }
}

/// x · Wᵀ + bias into `out`. `weights` has as many numbers for each unit as `x` has columns; `bias` may be empty. `room`
/// is for [`room`] numbers.
pub(crate) fn dense(
    x: &ArrayView2<'_, f32>,
    weights: &[f32],
    bias: &[f32],
    out: ArrayViewMut2<'_, f32>,
    room: &mut [f32],
) {
    let (rows, inputs) = x.dim();
    if rows > FEW {
        return full::product(weights, bias, x, out, room);
    }
    let x = match x.as_slice() {
        Some(x) => x,
        None => {
            room.iter_mut().zip(x).for_each(|(to, &x)| *to = x);
            room
        }
    };
    let columns = WORK.div_ceil(rows.max(1) * inputs.max(1)).max(16);
    for_blocks(out, (rows, columns), &|(_, first), block| {
        vectorize_arithmetic(Few {
            x,
            weights,
            bias,
            inputs,
            first,
            block,
        });
    });
}

/// Some units for all of few rows.
struct Few<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    inputs: usize,
    /// The unit of the block's first column.
    first: usize,
    block: ArrayViewMut2<'a, f32>,
}

impl Kernel for Few<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for (column, mut values) in self.block.columns_mut().into_iter().enumerate() {
            let unit = self.first + column;
            let weights = &self.weights[unit * self.inputs..][..self.inputs];
            let bias = self.bias.get(unit).copied().unwrap_or(0.0);
            for (row, value) in values.iter_mut().enumerate() {
                let x = &self.x[row * self.inputs..][..self.inputs];
                *value = dot::<A>(x, weights) + bias;
            }
        }
    }
}

/// Σ x·w: sums side by side, folded in halves. What is left over at the end is filled up with zeros: one by one it
/// took longer than all the rest of short rows.
#[inline(always)]
fn dot<A: Arithmetic>(x: &[f32], weights: &[f32]) -> f32 {
    let (x, x_rest) = x.as_chunks();
    let (weights, weights_rest) = weights.as_chunks();
    let mut sums = [0.0; LANES];
    for (x, weights) in x.iter().zip(weights) {
        sums = add::<A>(sums, x, weights);
    }
    if !x_rest.is_empty() {
        sums = add::<A>(sums, &filled_up(x_rest), &filled_up(weights_rest));
    }
    by_halves(sums, |a, b| a + b)
}

#[inline(always)]
fn add<A: Arithmetic>(mut sums: Lanes, x: &Lanes, weights: &Lanes) -> Lanes {
    for ((sum, &x), &weight) in sums.iter_mut().zip(x).zip(weights) {
        *sum = multiply_add::<A, f32>(x, weight, *sum);
    }
    sums
}

/// The rest of a row and zeros. Eight at a time: copying an unknown number calls a function.
#[inline(always)]
fn filled_up(rest: &[f32]) -> Lanes {
    let mut lanes = [0.0; LANES];
    let (rest, last) = rest.as_chunks::<8>();
    let to = lanes.as_chunks_mut::<8>().0;
    for (to, rest) in to.iter_mut().zip(rest) {
        *to = *rest;
    }
    if let Some(to) = to.get_mut(rest.len()) {
        for (to, last) in to.iter_mut().zip(last) {
            *to = *last;
        }
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::{FEW, dense, room};
    use crate::kernels::dispatch::forced;
    use ndarray::{Array2, ArrayView2};

    #[test]
    fn whole_numbers_multiply_exactly_at_every_instruction_set() {
        let number = |seed: usize| move |i: usize| ((i * 31 + seed * 17) % 23) as f32 - 11.0;
        forced::at_every_level(|level| {
            for (rows, inputs, units) in [
                (0, 3, 2),
                (1, 0, 3),
                (1, 1, 1),
                (1, 200, 700),
                (FEW, 64, 5),
                (FEW + 1, 130, 19),
                (300, 70, 300),
            ] {
                let x: Vec<f32> = (0..rows * inputs).map(number(1)).collect();
                let weights: Vec<f32> = (0..units * inputs).map(number(2)).collect();
                for bias in [Vec::new(), (0..units).map(number(3)).collect()] {
                    let mut out = Array2::from_elem((rows, units), f32::NAN);
                    let view = ArrayView2::from_shape((rows, inputs), &x).expect("as many numbers");
                    let mut room = vec![f32::NAN; room(rows, inputs)];
                    dense(&view, &weights, &bias, out.view_mut(), &mut room);
                    let slow = Array2::from_shape_fn((rows, units), |(i, j)| {
                        let terms =
                            (0..inputs).map(|k| x[i * inputs + k] * weights[j * inputs + k]);
                        terms.sum::<f32>() + bias.get(j).copied().unwrap_or(0.0)
                    });
                    assert_eq!(out, slow, "{rows} × {inputs} × {units} at {level:?}");
                }
            }
        });
    }
}
