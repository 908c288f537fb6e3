//! The product of a few rows with a few panels, by what the machine has.

#[cfg(target_arch = "x86_64")]
use super::avx2::Way;
use super::codes::Rows;
use super::machine::Machine;
#[cfg(target_arch = "x86_64")]
use super::panels::Quads;
use super::panels::{Panels, WIDTH};
use super::portable;
use std::ops::Range;

/// Rows of a tile at the most.
pub(super) const MOST_ROWS: usize = 6;
/// Panels of a tile at the most: with six rows, 24 of the 32 vectors of AVX-512 hold sums.
pub(super) const MOST_PANELS: usize = 4;

/// What multiplies tiles here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tiles {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(super::machine::Avx2, Way),
    #[cfg(target_arch = "x86_64")]
    Vnni(super::machine::Vnni),
}

impl Tiles {
    /// What multiplies these codes exactly.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "only instructions of x86-64 ask")
    )]
    pub(super) fn new(machine: Machine, panels: &Panels, rows: &Rows<'_>) -> Self {
        match machine {
            Machine::Portable => Self::Portable,
            #[cfg(target_arch = "x86_64")]
            Machine::Avx2(avx2) => match (
                rows.coding.has_seven_bits(),
                panels.has_lowest(),
                rows.coding.has_lowest(),
            ) {
                (true, ..) => Self::Avx2(avx2, Way::SevenBits),
                // Magnitudes of weights serve all rows of a tile.
                (false, _, false) => Self::Avx2(avx2, Way::MagnitudesOfWeights),
                (false, false, true) => Self::Avx2(avx2, Way::MagnitudesOfActivations),
                // -128 times -128 has no exact way by pairs of 16 bits.
                (false, true, true) => Self::Portable,
            },
            #[cfg(target_arch = "x86_64")]
            Machine::Vnni(vnni) => Self::Vnni(vnni),
        }
    }

    /// Calls `finish` with row, panel and the sums of products of their codes, as they are stored, for every pair of
    /// a row of `rows_of` and a panel of `panels_of`; over the groups of four inputs `depth` alone.
    ///
    /// There are at most [`MOST_ROWS`] and [`MOST_PANELS`] of them.
    #[inline(always)]
    pub(super) fn multiply(
        self,
        panels: &Panels,
        panels_of: Range<usize>,
        rows: &Rows<'_>,
        rows_of: Range<usize>,
        depth: Range<usize>,
        mut finish: impl FnMut(usize, usize, &[i32; WIDTH]),
    ) {
        let (start, end) = (depth.start, depth.end);
        match self {
            Self::Portable => {
                for r in rows_of {
                    for p in panels_of.clone() {
                        finish(
                            r,
                            p,
                            &portable::row(&panels.panel(p)[start..end], &rows.row(r)[start..end]),
                        );
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2, way) => {
                for p in panels_of {
                    let mut r = rows_of.start;
                    while r < rows_of.end {
                        let left = rows_of.end - r;
                        macro_rules! rows {
                            ($count:literal) => {{
                                let rows: [_; $count] = std::array::from_fn(
                                    #[inline(always)]
                                    |i| &rows.row(r + i)[start..end],
                                );
                                let mut sums = [[0; WIDTH]; $count];
                                avx2.tile(&panels.panel(p)[start..end], rows, way, &mut sums);
                                for (i, sums) in sums.iter().enumerate() {
                                    finish(r + i, p, sums);
                                }
                                r += $count;
                            }};
                        }
                        // Four would be next to be spilled: sixteen vectors hold 8 sums, weights and magnitudes.
                        match left {
                            1 => rows!(1),
                            2 => rows!(2),
                            3 => rows!(3),
                            _ => rows!(4),
                        }
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(vnni) => {
                macro_rules! tile {
                    ($rows:literal, $panels:literal, $first:expr) => {{
                        let panels: [&[Quads]; $panels] = std::array::from_fn(
                            #[inline(always)]
                            |i| &panels.panel($first + i)[start..end],
                        );
                        let rows: [_; $rows] = std::array::from_fn(
                            #[inline(always)]
                            |i| &rows.row(rows_of.start + i)[start..end],
                        );
                        let mut sums = [[[0; WIDTH]; $panels]; $rows];
                        vnni.tile(panels, rows, &mut sums);
                        for (i, sums) in sums.iter().enumerate() {
                            for (j, sums) in sums.iter().enumerate() {
                                finish(rows_of.start + i, $first + j, sums);
                            }
                        }
                    }};
                }
                macro_rules! rows {
                    ($panels:literal, $first:expr) => {
                        match rows_of.len() {
                            1 => tile!(1, $panels, $first),
                            2 => tile!(2, $panels, $first),
                            3 => tile!(3, $panels, $first),
                            4 => tile!(4, $panels, $first),
                            5 => tile!(5, $panels, $first),
                            _ => tile!(6, $panels, $first),
                        }
                    };
                }
                if panels_of.len() == MOST_PANELS {
                    rows!(4, panels_of.start);
                } else {
                    for p in panels_of {
                        rows!(1, p);
                    }
                }
            }
        }
    }
}
