//! Products of integers.
//!
//! Exact: what they give is the integer that the formula means, for all inputs, at every instruction set and for any
//! number of threads. Nothing saturates on the way, and sums are split before they could overflow.

#[cfg(target_arch = "x86_64")]
mod avx2;
pub(crate) mod codes;
pub(crate) mod grouped;
pub(crate) mod machine;
pub(crate) mod outputs;
pub(crate) mod panels;
pub(crate) mod patches;
mod portable;
pub(crate) mod product;
mod tile;
#[cfg(target_arch = "x86_64")]
mod vnni;

use ndarray::ArrayViewMut2;

/// What a layer without inputs gives: in each row its bias, or zeros where there is none.
fn bias_alone(bias: &[f32], mut out: ArrayViewMut2<'_, f32>) {
    for mut row in out.rows_mut() {
        for (output, y) in row.iter_mut().enumerate() {
            *y = bias.get(output).copied().unwrap_or(0.0);
        }
    }
}
