//! Half-quadratic quantization (Badri and Shaji 2023): scales are those of the range, zero points are moved until the
//! error is small.
//!
//! For the weights w of a tile, with s the range ÷ the highest code and x = w / s, all in units of s:
//!
//! ```text
//! q = hold(round(x + z))      u = x + z − q                     the error
//! v = sign(u) · max(0, |u| − |u|^(p−1) / β)                     the part of it that a norm below 1 lets stand
//! z ← z − mean(u − v)         β ← κ · β
//! ```
//!
//! and of all z on the way the one with the least Σu² is kept. u − v is written u · min(1, |u|^(p−2) / β), which is
//! one logarithm and one power of two that is at most 1.
//!
//! Sixteen small tiles lie side by side, one a lane, so that nothing is folded and no chain of operations waits for
//! another; of a large tile sixteen neighbours are a row. Nothing is fused: zero points are the same on every machine.

use crate::kernels::arithmetic::Separate;
use crate::kernels::dispatch::vectorize;
use crate::kernels::exp::softened_f32;
use crate::kernels::log::{ln_f64, normal_ln_f32};
use crate::kernels::parallel::{CHUNK, for_chunks_of_each};
use crate::kernels::real::Real;
use crate::kernels::tiling::Tiling;
use std::ops::Range;

const LANES: usize = 16;
/// Tiles of as many elements take all lanes.
const LARGE: usize = 1024;
/// Rows between two sums in f64.
const ROWS: usize = 256;
/// The error below which the power is not looked at: far below where v begins to be 0.
const LEAST_ERROR: f32 = 1e-12;

type Lanes<T> = [T; LANES];

/// What the iteration is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Solver {
    /// The highest code; the lowest is 0.
    pub(crate) highest: f32,
    /// p, above 0 and at most 1.
    pub(crate) lp_norm: f64,
    /// The first β.
    pub(crate) beta: f64,
    /// κ.
    pub(crate) kappa: f64,
    /// How often z moves.
    pub(crate) iterations: usize,
    /// Whether z starts from an integer.
    pub(crate) round_start: bool,
}

/// One turn of the iteration: |u|^(p−2) / β is 2 to the power of `power` · ln|u| + `shift`.
#[derive(Clone, Copy)]
struct Turn {
    power: f32,
    shift: f32,
}

impl Solver {
    /// One turn for each z that is looked at.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the nearest f32 is wanted, and turns are few"
    )]
    fn turns(&self) -> Vec<Turn> {
        let log2 = |x: f64| ln_f64(x) * std::f64::consts::LOG2_E;
        let power = ((self.lp_norm - 2.0) * std::f64::consts::LOG2_E) as f32;
        let turn = |number: usize| Turn {
            power,
            shift: -(log2(self.beta) + number as f64 * log2(self.kappa)) as f32,
        };
        (0..=self.iterations).map(turn).collect()
    }
}

/// Finds the scale and the zero point of each tile: a weight is about (code − zero) · scale.
///
/// Values are finite, or their tile has no scale. Fails with the first tile that has none which fits an f32.
pub(crate) fn solve(
    values: &[f32],
    tiling: &Tiling,
    solver: &Solver,
    scales: &mut [f32],
    zeros: &mut [f32],
) -> Result<(), usize> {
    let turns = solver.turns();
    // The first tile is whole.
    let size = tiling.size(0);
    let (per_batch, rows) = if size < LARGE {
        (LANES, size)
    } else {
        (1, size.div_ceil(LANES))
    };
    let per_task = per_batch * (CHUNK / (per_batch * size).max(1)).max(1);
    for_chunks_of_each(
        [&mut *scales, &mut *zeros],
        per_task,
        |task, [scales, zeros]| {
            let mut batch = Batch {
                rows: vec![[0.0; LANES]; rows],
                lengths: [0; LANES],
            };
            let batches = scales
                .chunks_mut(per_batch)
                .zip(zeros.chunks_mut(per_batch));
            for (number, (scales, zeros)) in batches.enumerate() {
                let first = task * per_task + number * per_batch;
                let one = per_batch == 1;
                if one {
                    batch.gather_one(values, tiling, first);
                } else {
                    batch.gather(values, tiling, first..first + scales.len());
                }
                // One function for both, as the compiler makes worse loops where it knows that zero points are equal.
                let found = vectorize(
                    #[inline(always)]
                    || batch.solve(solver, &turns, one),
                );
                scales.copy_from_slice(&found.0[..scales.len()]);
                zeros.copy_from_slice(&found.1[..zeros.len()]);
            }
        },
    );
    match scales.iter().position(|scale| !scale.is_finite()) {
        Some(tile) => Err(tile),
        None => Ok(()),
    }
}

/// Elements in lanes: those of lane l are the first `lengths[l]` in column l.
struct Batch {
    rows: Vec<Lanes<f32>>,
    lengths: Lanes<usize>,
}

impl Batch {
    /// One tile a lane.
    fn gather(&mut self, values: &[f32], tiling: &Tiling, tiles: Range<usize>) {
        self.lengths = [0; LANES];
        for (lane, tile) in tiles.enumerate() {
            let length = &mut self.lengths[lane];
            tiling.runs(tile, |run| {
                let rows = &mut self.rows[*length..];
                *length += run.len();
                for (row, &value) in rows.iter_mut().zip(&values[run]) {
                    row[lane] = value;
                }
            });
        }
    }

    /// One tile for all lanes.
    fn gather_one(&mut self, values: &[f32], tiling: &Tiling, tile: usize) {
        let mut length = 0;
        let flat = self.rows.as_flattened_mut();
        tiling.runs(tile, |run| {
            flat[length..length + run.len()].copy_from_slice(&values[run.clone()]);
            length += run.len();
        });
        for (lane, of_lane) in self.lengths.iter_mut().enumerate() {
            *of_lane = length / LANES + usize::from(lane < length % LANES);
        }
    }

    /// How many rows all lanes have, and how many any has.
    fn whole(&self) -> (usize, usize) {
        let fold = |by: fn(usize, usize) -> usize| self.lengths.into_iter().reduce(by);
        let (Some(least), Some(most)) = (fold(usize::min), fold(usize::max)) else {
            return (0, 0);
        };
        (least, most)
    }

    /// The least and the largest number of each lane.
    #[inline(always)]
    fn extremes(&self) -> (Lanes<f32>, Lanes<f32>) {
        let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let (whole, most) = self.whole();
        for (number, row) in self.rows[..most].iter().enumerate() {
            for lane in 0..LANES {
                let live = number < whole || number < self.lengths[lane];
                let value = row[lane];
                low[lane] = if live && value < low[lane] {
                    value
                } else {
                    low[lane]
                };
                high[lane] = if live && value > high[lane] {
                    value
                } else {
                    high[lane]
                };
            }
        }
        (low, high)
    }

    /// The scale and the zero point of each lane; if all lanes are of `one` tile, those of the tile.
    #[inline(always)]
    fn solve(&mut self, solver: &Solver, turns: &[Turn], one: bool) -> (Lanes<f32>, Lanes<f32>) {
        let (mut low, mut high) = self.extremes();
        if one {
            low = [low.into_iter().fold(f32::INFINITY, f32::min); LANES];
            high = [high.into_iter().fold(f32::NEG_INFINITY, f32::max); LANES];
        }
        let (mut scales, mut inverses, mut zeros) = ([1.0; LANES], [1.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            if self.lengths[lane] == 0 && !one {
                continue;
            }
            scales[lane] = scale(low[lane], high[lane], solver.highest);
            inverses[lane] = scales[lane].recip();
            let start = -low[lane] * inverses[lane];
            zeros[lane] = if solver.round_start {
                start.round_ties_even()
            } else {
                start
            };
        }
        for row in &mut self.rows {
            for lane in 0..LANES {
                row[lane] *= inverses[lane];
            }
        }
        let mut counts = self.lengths;
        if one {
            counts = [counts.iter().sum(); LANES];
        }
        let mut best = zeros;
        let mut least = [f64::INFINITY; LANES];
        for turn in turns {
            let [mut moves, mut squares] = self.sweep(&zeros, solver.highest, *turn);
            if one {
                moves = [moves.iter().sum(); LANES];
                squares = [squares.iter().sum(); LANES];
            }
            for lane in 0..LANES {
                if squares[lane] < least[lane] {
                    least[lane] = squares[lane];
                    best[lane] = zeros[lane];
                }
                zeros[lane] = moved(zeros[lane], moves[lane], counts[lane]);
            }
        }
        for lane in 0..LANES {
            if high[lane] == low[lane] && high[lane].is_finite() {
                // The other codes may be infinite, but are not used.
                (scales[lane], best[lane]) = constant(low[lane]);
                continue;
            }
            let reaches = |code: f32| ((code - best[lane]) * scales[lane]).is_finite();
            if !(reaches(0.0) && reaches(solver.highest)) {
                scales[lane] = f32::INFINITY;
            }
        }
        (scales, best)
    }

    /// Σ(u − v) and Σu² of each lane.
    #[inline(always)]
    fn sweep(&self, zeros: &Lanes<f32>, highest: f32, turn: Turn) -> [Lanes<f64>; 2] {
        let mut totals = [[0.0; LANES]; 2];
        let (whole, most) = self.whole();
        for rows in self.rows[..whole].chunks(ROWS) {
            let mut sums = [[0.0; LANES]; 2];
            for row in rows {
                let terms = terms(row, zeros, highest, turn);
                for lane in 0..LANES {
                    sums[0][lane] += terms[0][lane];
                    sums[1][lane] += terms[1][lane];
                }
            }
            for lane in 0..LANES {
                totals[0][lane] += f64::from(sums[0][lane]);
                totals[1][lane] += f64::from(sums[1][lane]);
            }
        }
        for number in whole..most {
            let terms = terms(&self.rows[number], zeros, highest, turn);
            for lane in 0..LANES {
                if number < self.lengths[lane] {
                    totals[0][lane] += f64::from(terms[0][lane]);
                    totals[1][lane] += f64::from(terms[1][lane]);
                }
            }
        }
        totals
    }
}

/// u − v and u² of each number of a row.
#[inline(always)]
fn terms(row: &Lanes<f32>, zeros: &Lanes<f32>, highest: f32, turn: Turn) -> [Lanes<f32>; 2] {
    let mut terms = [[0.0; LANES]; 2];
    for lane in 0..LANES {
        let place = row[lane] + zeros[lane];
        let held = if place > highest { highest } else { place };
        let held = if held < 0.0 { 0.0 } else { held };
        let error = place - held.rounded();
        terms[0][lane] = error * share(error.abs(), turn);
        terms[1][lane] = error * error;
    }
    terms
}

/// min(1, |u|^(p−2) / β).
#[inline(always)]
fn share(error: f32, turn: Turn) -> f32 {
    let error = if error < LEAST_ERROR {
        LEAST_ERROR
    } else {
        error
    };
    let power = normal_ln_f32(error) * turn.power + turn.shift;
    softened_f32::<Separate>(if power > 0.0 { 0.0 } else { power }, 1.0)
}

/// The range ÷ the highest code, at least the smallest normal number; infinite for what is no number.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "scales are stored in f32; what does not fit is found"
)]
fn scale(low: f32, high: f32, highest: f32) -> f32 {
    let range = f64::from(high) - f64::from(low);
    let scale = (range / f64::from(highest)) as f32;
    if scale.is_nan() {
        return f32::INFINITY;
    }
    if scale < f32::MIN_POSITIVE {
        f32::MIN_POSITIVE
    } else {
        scale
    }
}

/// The zero point after a move.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "zero points are stored in f32; counts beyond 2⁵³ do not occur"
)]
fn moved(zero: f32, moves: f64, count: usize) -> f32 {
    (f64::from(zero) - moves / count.max(1) as f64) as f32
}

/// Scale and zero point with which code 0 is this number, exactly.
#[inline(always)]
fn constant(value: f32) -> (f32, f32) {
    let scale = if value.abs() < f32::MIN_POSITIVE {
        f32::MIN_POSITIVE
    } else {
        value.abs()
    };
    // Below the smallest normal number the quotient is a multiple of 2⁻²³, otherwise it is −1 or 1.
    (scale, 0.0 - value / scale)
}

#[cfg(test)]
mod tests;
