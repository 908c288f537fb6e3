//! What a kernel multiplies: some rows of activations and some panels of weights.

use super::cut::Cut;

/// Outputs of a panel.
pub(crate) const PANEL: usize = 16;

/// 64 bytes, aligned so that no vector crosses two lines of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

/// The most rows of a tile.
pub(super) const ROWS: usize = 8;

/// How many rows the next tile has where so many are left: each height is a kernel of its own.
pub(super) fn height(left: usize) -> usize {
    match left {
        ROWS.. => ROWS,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

/// How many panels a tile of so many rows has at most: more rows need more registers each.
pub(super) fn width(rows: usize) -> usize {
    match rows {
        ROWS.. => 1,
        4.. => 2,
        _ => 4,
    }
}

/// Panels of weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panels<'a> {
    pub(super) cut: Cut,
    pub(super) groups: usize,
    pub(super) bits: u32,
    /// Panel after panel, each group after group: a line of sixteen scales, then blocks.
    pub(super) lines: &'a [Line],
    /// Lines of a panel.
    pub(super) stride: usize,
    /// Panel after panel, each group after group; empty where the zero point is in the activations' offsets.
    pub(super) zeros: &'a [[u8; PANEL]],
}

/// Rows of activations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    /// Fours of codes: a word of four bytes, or two of two halves, codes 0 and 2 and codes 1 and 3. Of each four all
    /// rows.
    pub(super) words: &'a [i32],
    /// Of each piece all rows.
    pub(super) scales: &'a [f32],
    /// −Σ x, times the zero point where all weights have the same. Of each piece all rows.
    pub(super) offsets: &'a [i32],
    /// Whether codes have 16 bits.
    pub(super) wide: bool,
}
