//! Products with weights that are decoded a stretch at a time.

use super::dispatch::vectorize;
use super::parallel::for_blocks;
use super::ranges::by_halves;
use ndarray::ArrayViewMut2;

/// Inputs of a stretch: a multiple of the length of every block.
const STRETCH: usize = 256;
/// Outputs that are decoded together.
const OUTPUTS: usize = 16;
/// Rows that share what is decoded.
const ROWS: usize = 64;
/// Partial sums of a stretch.
const LANES: usize = 16;

/// Writes x · Wᵀ + bias, x in row-major order. `decode` writes weights of an output, from an input on.
///
/// Input i of a stretch goes to sum i mod 16, which are added in pairs; stretches are added in their order.
pub(crate) fn multiply(
    x: &[f32],
    inputs: usize,
    decode: &(impl Fn(usize, usize, &mut [f32]) + Sync),
    bias: &[f32],
    out: ArrayViewMut2<'_, f32>,
) {
    for_blocks(out, (ROWS, OUTPUTS), &|(row, output), mut out| {
        let (rows, outputs) = out.dim();
        let x = &x[row * inputs..][..rows * inputs];
        let mut totals = [[0.0; OUTPUTS]; ROWS];
        let mut weights = [0.0; OUTPUTS * STRETCH];
        for start in (0..inputs).step_by(STRETCH) {
            let len = STRETCH.min(inputs - start);
            let weights = &mut weights[..outputs * len];
            for (number, weights) in weights.chunks_exact_mut(len).enumerate() {
                decode(output + number, start, weights);
            }
            vectorize(
                #[inline(always)]
                || {
                    for (x, totals) in x.chunks_exact(inputs).zip(&mut totals) {
                        let x = &x[start..start + len];
                        for (weights, total) in weights.chunks_exact(len).zip(totals) {
                            *total += dot(x, weights);
                        }
                    }
                },
            );
        }
        for (mut out, totals) in out.rows_mut().into_iter().zip(&totals) {
            for (number, (out, total)) in out.iter_mut().zip(totals).enumerate() {
                *out = bias
                    .get(output + number)
                    .map_or(*total, |bias| total + bias);
            }
        }
    });
}

#[inline(always)]
fn dot(x: &[f32], weights: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (weights, weights_rest) = weights.as_chunks::<LANES>();
    for (x, weights) in x.iter().zip(weights) {
        for ((sum, x), weight) in sums.iter_mut().zip(x).zip(weights) {
            *sum += x * weight;
        }
    }
    // Blocks are a multiple of sixteen weights long: nothing is left of any format.
    for ((sum, x), weight) in sums.iter_mut().zip(x_rest).zip(weights_rest) {
        *sum += x * weight;
    }
    by_halves(sums, |a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::multiply;
    use crate::kernels::dispatch::forced;
    use ndarray::Array2;

    #[test]
    fn products_have_the_bits_of_the_formula() {
        forced::at_every_level(|level| {
            for (rows, inputs, outputs) in [(1, 32, 1), (3, 256, 17), (70, 288, 5), (2, 0, 3)] {
                let x: Vec<f32> = (0..rows * inputs).map(|i| (i as f32 * 0.7).sin()).collect();
                let w: Vec<f32> = (0..outputs * inputs)
                    .map(|i| (i as f32 * 0.3).cos())
                    .collect();
                let bias: Vec<f32> = (0..outputs).map(|i| i as f32 / 3.0).collect();
                let decode = |output: usize, input: usize, values: &mut [f32]| {
                    values.copy_from_slice(&w[output * inputs + input..][..values.len()]);
                };
                let mut out = Array2::from_elem((rows, outputs), f32::NAN);
                multiply(&x, inputs, &decode, &bias, out.view_mut());
                let right = Array2::from_shape_fn((rows, outputs), |(row, output)| {
                    let mut total = 0.0_f32;
                    for start in (0..inputs).step_by(256) {
                        let mut sums = vec![0.0_f32; 16];
                        for i in start..inputs.min(start + 256) {
                            sums[(i - start) % 16] += x[row * inputs + i] * w[output * inputs + i];
                        }
                        while sums.len() > 1 {
                            let behind = sums.split_off(sums.len() / 2);
                            sums.iter_mut().zip(behind).for_each(|(a, b)| *a += b);
                        }
                        total += sums[0];
                    }
                    total + bias[output]
                });
                assert_eq!(out, right, "{rows} x {inputs} x {outputs} at {level:?}");
            }
        });
    }
}
