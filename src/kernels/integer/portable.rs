//! The product of a tile as a plain loop, for any machine.

use super::panels::{QUAD, Quads, WIDTH};

/// Sums of products of one row of codes with each output of a panel.
///
/// A row has codes as [`codes`](super::codes) writes them for this machine: as they are, in two's complement.
#[inline(always)]
pub(super) fn row(panel: &[Quads], row: &[[u8; QUAD]]) -> [i32; WIDTH] {
    let mut sums = [0_i32; WIDTH];
    for (quads, row) in panel.iter().zip(row) {
        let row = row.map(|code| i32::from(code.cast_signed()));
        for (sum, codes) in sums.iter_mut().zip(&quads.0) {
            for (&code, &activation) in codes.iter().zip(&row) {
                *sum += i32::from(code) * activation;
            }
        }
    }
    sums
}
