//! Products of codes of eight bits, and what they mean.
//!
//! Of weights w with zero points u and activations x with zero point z, over K inputs,
//! Σ (x − z)(w − u) = Σ x·w − z·Σ w − u·(Σ x − K·z). That integer is exact: in 32 bits while K ≤ 32 768, since
//! 255 · 255 · 32 768 < 2³¹ and what overflows on the way comes back (sums wrap around, none saturates); beyond, sums
//! over 32 768 inputs at a time are added in 64 bits. Then y = integer · scale of the row · scale of the output + bias,
//! each operation rounded once to f32 and in this order, so that all machines agree to the bit.

use super::bias_alone;
use super::codes::Rows;
use super::machine::Machine;
use super::outputs::Outputs;
use super::panels::{Panels, QUAD, WIDTH};
use super::tile::{MOST_PANELS, MOST_ROWS, Tiles};
use crate::kernels::dispatch::vectorize;
use crate::kernels::parallel::{FEW_PRODUCTS, for_blocks, in_pool};
use ndarray::{ArrayViewMut2, Axis};
use std::ops::Range;

/// Inputs over which a sum of products of codes of eight bits fits 32 bits.
const SHORT: usize = 32_768;

/// y = x · Wᵀ + bias from codes, into `out` of rows × outputs.
pub(crate) fn product(
    panels: &Panels,
    outputs: &Outputs,
    rows: &Rows<'_>,
    machine: Machine,
    out: ArrayViewMut2<'_, f32>,
) {
    if panels.inputs() == 0 {
        return bias_alone(&outputs.bias, out);
    }
    let tiles = Tiles::new(machine, panels, rows);
    let products = out.len() * panels.inputs();
    let block = if products < FEW_PRODUCTS && !in_pool() {
        out.dim()
    } else {
        block(out.nrows(), panels.inputs())
    };
    for_blocks(out, block, &|start, out| {
        vectorize(
            #[inline(always)]
            || {
                let lies_in_rows = out.ncols() <= 1 || out.strides()[1] == 1;
                if lies_in_rows {
                    compute_block(panels, outputs, rows, tiles, start, out);
                } else {
                    compute_aside(panels, outputs, rows, tiles, start, out);
                }
            },
        );
    });
}

/// Rows of a task that shares its work, and of what is computed aside.
const ROWS: usize = 8 * MOST_ROWS;
/// Outputs of a tile.
const COLUMNS: usize = MOST_PANELS * WIDTH;

/// Rows and outputs that a task takes: a multiple of tiles, and enough to be worth handing out. By the shape alone.
fn block(rows: usize, inputs: usize) -> (usize, usize) {
    const PRODUCTS: usize = 1 << 18;
    let tall = rows.clamp(1, ROWS);
    let wide = PRODUCTS / (tall * inputs.max(1));
    (tall, wide.next_multiple_of(COLUMNS).max(COLUMNS))
}

/// As [`compute_block`], where numbers of a row are apart: then columns are written, each at once.
///
/// The results of convolutions lie so. Number by number it took a third of their time.
#[inline(always)]
fn compute_aside(
    panels: &Panels,
    outputs: &Outputs,
    rows: &Rows<'_>,
    tiles: Tiles,
    (first_row, first_output): (usize, usize),
    mut out: ArrayViewMut2<'_, f32>,
) {
    let mut aside = [0.0; ROWS * COLUMNS];
    for (down, mut out) in out.axis_chunks_iter_mut(Axis(0), ROWS).enumerate() {
        let tall = out.nrows();
        for (across, mut out) in out.axis_chunks_iter_mut(Axis(1), COLUMNS).enumerate() {
            let wide = out.ncols();
            let start = (first_row + down * ROWS, first_output + across * COLUMNS);
            let aside = &mut aside[..tall * wide];
            let Ok(view) = ArrayViewMut2::from_shape((tall, wide), aside) else {
                return;
            };
            compute_block(panels, outputs, rows, tiles, start, view);
            for (j, mut column) in out.columns_mut().into_iter().enumerate() {
                let y = aside[j..].iter().step_by(wide);
                match column.as_slice_mut() {
                    Some(column) => column.iter_mut().zip(y).for_each(|(out, &y)| *out = y),
                    None => column.iter_mut().zip(y).for_each(|(out, &y)| *out = y),
                }
            }
        }
    }
}

#[inline(always)]
fn compute_block(
    panels: &Panels,
    outputs: &Outputs,
    rows: &Rows<'_>,
    tiles: Tiles,
    (first_row, first_output): (usize, usize),
    out: ArrayViewMut2<'_, f32>,
) {
    let (tall, wide) = out.dim();
    let first_panel = first_output / WIDTH;
    let mut place = Place {
        out,
        first_row,
        first_panel,
    };
    let end_panel = first_panel + wide.div_ceil(WIDTH);
    for panel in (first_panel..end_panel).step_by(MOST_PANELS) {
        let panels_of = panel..end_panel.min(panel + MOST_PANELS);
        // Passes of rows of nearly one height, so that the last is not a low one.
        let passes = tall.div_ceil(MOST_ROWS);
        for pass in 0..passes {
            let rows_of = first_row + tall * pass / passes..first_row + tall * (pass + 1) / passes;
            if panels.inputs() <= SHORT {
                compute_short(
                    panels,
                    outputs,
                    rows,
                    tiles,
                    (panels_of.clone(), rows_of),
                    &mut place,
                );
            } else {
                compute_long(
                    panels,
                    outputs,
                    rows,
                    tiles,
                    (panels_of.clone(), rows_of),
                    &mut place,
                );
            }
        }
    }
}

/// Where a task writes.
struct Place<'a> {
    out: ArrayViewMut2<'a, f32>,
    first_row: usize,
    first_panel: usize,
}

impl Place<'_> {
    /// Writes sixteen outputs of a row, or those of them that there are.
    #[inline(always)]
    fn store(&mut self, row: usize, panel: usize, y: &[f32; WIDTH]) {
        let start = (panel - self.first_panel) * WIDTH;
        let mut row = self.out.row_mut(row - self.first_row);
        // Rows are slices: `product` sees to it.
        let Some(row) = row.as_slice_mut() else {
            return;
        };
        let row = &mut row[start..];
        if let Some((out, _)) = row.split_first_chunk_mut() {
            *out = *y;
        } else {
            row.copy_from_slice(&y[..row.len()]);
        }
    }
}

#[inline(always)]
fn compute_short(
    panels: &Panels,
    outputs: &Outputs,
    rows: &Rows<'_>,
    tiles: Tiles,
    (panels_of, rows_of): (Range<usize>, Range<usize>),
    place: &mut Place<'_>,
) {
    let depth = 0..panels.depth();
    tiles.multiply(
        panels,
        panels_of,
        rows,
        rows_of,
        depth,
        #[inline(always)]
        |row, panel, products| {
            let mut exact = *products;
            let sums = &panels.sums()[panel * WIDTH..][..WIDTH];
            for (exact, sum) in exact.iter_mut().zip(sums) {
                *exact = exact.wrapping_sub(sum.wrapping_mul(rows.zero));
            }
            if outputs.have_zeros() {
                let activations = wrapping(activations(panels, rows, row));
                let zeros = &outputs.zeros[panel * WIDTH..][..WIDTH];
                for (exact, zero) in exact.iter_mut().zip(zeros) {
                    *exact = exact.wrapping_sub(zero.wrapping_mul(activations));
                }
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "the one rounding of the integer"
            )]
            let y = exact.map(|exact| exact as f32);
            place.store(row, panel, &scaled(outputs, panel, rows.scale(row), y));
        },
    );
}

/// As `compute_short`, in 64 bits.
#[cold]
#[inline(never)]
fn compute_long(
    panels: &Panels,
    outputs: &Outputs,
    rows: &Rows<'_>,
    tiles: Tiles,
    (panels_of, rows_of): (Range<usize>, Range<usize>),
    place: &mut Place<'_>,
) {
    let mut products = [[[0_i64; WIDTH]; MOST_PANELS]; MOST_ROWS];
    for start in (0..panels.depth()).step_by(SHORT / QUAD) {
        let depth = start..panels.depth().min(start + SHORT / QUAD);
        let (panels_of, rows_of) = (panels_of.clone(), rows_of.clone());
        let (first_row, first_panel) = (rows_of.start, panels_of.start);
        tiles.multiply(
            panels,
            panels_of,
            rows,
            rows_of,
            depth,
            |row, panel, part| {
                let products = &mut products[row - first_row][panel - first_panel];
                for (sum, &part) in products.iter_mut().zip(part) {
                    *sum += i64::from(part);
                }
            },
        );
    }
    for row in rows_of.clone() {
        let activations = activations(panels, rows, row);
        for panel in panels_of.clone() {
            let mut y = [0.0; WIDTH];
            for (j, y) in y.iter_mut().enumerate() {
                let output = panel * WIDTH + j;
                let zero = outputs.zeros.get(output).copied().unwrap_or(0);
                let exact = products[row - rows_of.start][panel - panels_of.start][j]
                    - i64::from(panels.sums()[output]) * i64::from(rows.zero)
                    - i64::from(zero) * activations;
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "the one rounding of the integer"
                )]
                let rounded = exact as f32;
                *y = rounded;
            }
            place.store(row, panel, &scaled(outputs, panel, rows.scale(row), y));
        }
    }
}

/// Σ x − K·z of a row.
#[inline(always)]
fn activations(panels: &Panels, rows: &Rows<'_>, row: usize) -> i64 {
    #[expect(clippy::cast_possible_wrap, reason = "there are at most 2²³ inputs")]
    let inputs = panels.inputs() as i64;
    i64::from(rows.sum(row)) - inputs * i64::from(rows.coding.zero())
}

#[expect(clippy::cast_possible_truncation, reason = "what overflows comes back")]
#[inline(always)]
const fn wrapping(sum: i64) -> i32 {
    sum as i32
}

#[inline(always)]
fn scaled(outputs: &Outputs, panel: usize, scale: f32, mut y: [f32; WIDTH]) -> [f32; WIDTH] {
    let scales = &outputs.scales[panel * WIDTH..][..WIDTH];
    for (y, &of_output) in y.iter_mut().zip(scales) {
        *y = *y * scale * of_output;
    }
    if !outputs.bias.is_empty() {
        let bias = &outputs.bias[panel * WIDTH..][..WIDTH];
        for (y, &bias) in y.iter_mut().zip(bias) {
            *y += bias;
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::{Outputs, Panels, product};
    use crate::kernels::integer::codes::{Coding, Room, encode};
    use crate::kernels::integer::machine::Machine;
    use ndarray::Array2;

    /// Codes that meet each other at both ends, and everything between.
    fn codes(len: usize, seed: usize, least: i32) -> Vec<i8> {
        let code = |i: usize| match (i * 7 + seed) % 5 {
            0 => least,
            1 => 127,
            _ => ((i * 131 + seed * 17) % 255) as i32 - 127,
        };
        (0..len).map(|i| code(i) as i8).collect()
    }

    struct Case {
        rows: usize,
        inputs: usize,
        outputs: usize,
        least_weight: i32,
        weight_zeros: bool,
        coding: Coding,
    }

    /// The formula in 64 bits against the product, whose scales are 1.
    fn check(case: &Case, weights: &[i8], x: &[f32], machine: Machine) {
        let Case {
            rows,
            inputs,
            outputs,
            coding,
            ..
        } = *case;
        let zeros: Vec<i32> = match case.weight_zeros {
            true => (0..outputs).map(|o| (o as i32 * 29) % 256 - 128).collect(),
            false => Vec::new(),
        };
        let panels = Panels::new(weights, inputs, outputs);
        let of_outputs = Outputs::new(vec![1.0; outputs], zeros.clone(), vec![0.5; outputs]);
        let (mut codes, mut scales, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        let room = Room {
            codes: &mut codes,
            scales: &mut scales,
            sums: of_outputs.have_zeros().then_some(&mut sums),
        };
        let encoded = encode(x, inputs, coding, machine, room).unwrap();
        let mut out = Array2::from_elem((rows, outputs), f32::NAN);
        product(&panels, &of_outputs, &encoded, machine, out.view_mut());
        for row in 0..rows {
            // All scales of rows are 1, so numbers are codes.
            assert_eq!(encoded.scale(row), 1.0);
            for output in 0..outputs {
                let weight_zero = i64::from(zeros.get(output).copied().unwrap_or(0));
                let exact: i64 = (0..inputs)
                    .map(|i| {
                        let w = i64::from(weights[output * inputs + i]) - weight_zero;
                        w * x[row * inputs + i] as i64
                    })
                    .sum();
                let right = exact as f32 + 0.5;
                assert_eq!(
                    out[[row, output]],
                    right,
                    "{machine:?} {row} {output} of {inputs}"
                );
            }
        }
    }

    fn run(case: &Case) {
        let weights = codes(case.inputs * case.outputs, 3, case.least_weight);
        let x: Vec<f32> = match case.coding {
            Coding::Dynamic { most } => {
                let mut x: Vec<f32> = codes(case.rows * case.inputs, 1, -127)
                    .iter()
                    .map(|&code| f32::from(code.clamp(-most, most)))
                    .collect();
                for row in x.chunks_mut(case.inputs.max(1)) {
                    row[0] = f32::from(most);
                }
                x
            }
            Coding::Given {
                zero, least, most, ..
            } => codes(case.rows * case.inputs, 1, -128)
                .iter()
                .map(|&code| (i32::from(code).clamp(least, most) - zero) as f32)
                .collect(),
        };
        Machine::each(|machine| check(case, &weights, &x, machine));
    }

    fn given(zero: i32, least: i32, most: i32) -> Coding {
        Coding::Given {
            scale: 1.0,
            zero,
            least,
            most,
        }
    }

    #[test]
    fn integers_are_exact_for_all_codes_and_shapes() {
        let codings = [
            Coding::Dynamic { most: 127 },
            Coding::Dynamic { most: 63 },
            given(-128, -128, 127),
            given(7, -128, 127),
            given(-64, -64, 63),
        ];
        for (rows, inputs, outputs) in
            [(1, 1, 1), (2, 5, 3), (5, 67, 17), (9, 96, 64), (13, 40, 95)]
        {
            for coding in codings {
                for least_weight in [-127, -128] {
                    for weight_zeros in [false, true] {
                        run(&Case {
                            rows,
                            inputs,
                            outputs,
                            least_weight,
                            weight_zeros,
                            coding,
                        });
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_saturates_or_overflows_at_the_ends() {
        for inputs in [64, 32_768, 32_769, 140_000] {
            for (weight, activation) in [(127, 127), (-127, 127), (-128, -127), (-128, 127)] {
                let weights = vec![weight as i8; inputs * 2];
                let x = vec![activation as f32; inputs];
                let case = Case {
                    rows: 1,
                    inputs,
                    outputs: 2,
                    least_weight: 0,
                    weight_zeros: true,
                    coding: Coding::Dynamic { most: 127 },
                };
                Machine::each(|machine| check(&case, &weights, &x, machine));
            }
            // 255 steps on both sides.
            let weights = vec![-128; inputs];
            let x = vec![255.0; inputs];
            let case = Case {
                rows: 1,
                inputs,
                outputs: 1,
                least_weight: 0,
                weight_zeros: false,
                coding: given(-128, -128, 127),
            };
            Machine::each(|machine| check(&case, &weights, &x, machine));
        }
    }
}
