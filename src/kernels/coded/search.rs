//! Which step and offset suit a group of values best: a search for the least sum of squared errors.
//!
//! Groups lie side by side, value i of group g in lane g of row i, so that one operation serves all
//! groups and a sum needs no folding: it runs over i, in order, whatever the instruction set.
//!
//! For given codes q the best straight line x ≈ s·q + low is known (least squares); for a given line the
//! nearest codes are. Trials begin with lines of several steps, each is fitted, the best is kept, and
//! then codes and line are fitted in turn. The sum of squared errors is Σx² less a gain; the gain needs
//! no second sweep.

use super::nibbles::{MAGIC, even};

/// Below this a group counts as constant: halves cannot hold its step.
const NO_RANGE: f32 = 1e-30;

/// The best lines found, one a group.
#[derive(Clone, Copy)]
pub(super) struct Lines<const GROUPS: usize> {
    /// The step between neighbouring codes.
    pub(super) step: [f32; GROUPS],
    /// The value of code 0; never above 0.
    pub(super) low: [f32; GROUPS],
    gain: [f32; GROUPS],
}

/// Sums over a group that a line is fitted from.
struct Sums<const GROUPS: usize> {
    q: [f32; GROUPS],
    qq: [f32; GROUPS],
    xq: [f32; GROUPS],
}

/// Lines x ≈ step · q + low with codes 0 ≤ q ≤ `most`, low ≤ 0 ≤ step.
///
/// A trial spreads the range of the values over `most` + trial steps.
#[inline(always)]
pub(super) fn affine<const N: usize, const GROUPS: usize>(
    x: &[[f32; GROUPS]; N],
    most: f32,
    trials: &[f32],
    turns: usize,
) -> Lines<GROUPS> {
    let (mut least, mut largest) = ([0.0; GROUPS], x[0]);
    let mut sum = [0.0; GROUPS];
    for row in x {
        for g in 0..GROUPS {
            let value = row[g];
            least[g] = if value < least[g] { value } else { least[g] };
            largest[g] = if value > largest[g] {
                value
            } else {
                largest[g]
            };
            sum[g] += value;
        }
    }
    let mut inverse_range = [0.0; GROUPS];
    for g in 0..GROUPS {
        let range = largest[g] - least[g];
        inverse_range[g] = if range > NO_RANGE { range.recip() } else { 0.0 };
    }
    let mut best = Lines {
        step: [0.0; GROUPS],
        low: [0.0; GROUPS],
        gain: [-1.0; GROUPS],
    };
    for trial in trials {
        let inverse_step = inverse_range.map(|inverse| (most + trial) * inverse);
        try_line(x, &sum, &inverse_step, &least, most, &mut best);
    }
    for _ in 0..turns {
        let inverse_step = best
            .step
            .map(|step| if step > NO_RANGE { step.recip() } else { 0.0 });
        let low = best.low;
        try_line(x, &sum, &inverse_step, &low, most, &mut best);
    }
    best
}

/// Codes by this line, the line that fits them, and the better of it and the best so far.
#[inline(always)]
fn try_line<const N: usize, const GROUPS: usize>(
    x: &[[f32; GROUPS]; N],
    sum: &[f32; GROUPS],
    inverse_step: &[f32; GROUPS],
    low: &[f32; GROUPS],
    most: f32,
    best: &mut Lines<GROUPS>,
) {
    let sums = affine_sums(x, inverse_step, low, most);
    #[expect(clippy::cast_precision_loss, reason = "groups have 16 or 32 values")]
    let count = N as f32;
    for g in 0..GROUPS {
        let (q, qq, xq, sum) = (sums.q[g], sums.qq[g], sums.xq[g], sum[g]);
        let determinant = count * qq - q * q;
        let step = (count * xq - sum * q) / determinant;
        let low = (qq * sum - q * xq) / determinant;
        // Code 0 must not lie above 0. Where it would, the line goes through 0.
        let free = determinant > 0.0 && low <= 0.0;
        let through_zero = if qq > 0.0 { xq / qq } else { 0.0 };
        let mean = sum / count;
        let level = if qq > 0.0 || mean > 0.0 { 0.0 } else { mean };
        let step = if free { step } else { through_zero };
        let low = if free { low } else { level };
        let gain = step * xq + low * sum;
        let better = step >= 0.0 && gain > best.gain[g];
        best.step[g] = if better { step } else { best.step[g] };
        best.low[g] = if better { low } else { best.low[g] };
        best.gain[g] = if better { gain } else { best.gain[g] };
    }
}

#[inline(always)]
fn affine_sums<const N: usize, const GROUPS: usize>(
    x: &[[f32; GROUPS]; N],
    inverse_step: &[f32; GROUPS],
    low: &[f32; GROUPS],
    most: f32,
) -> Sums<GROUPS> {
    let mut sums = Sums {
        q: [0.0; GROUPS],
        qq: [0.0; GROUPS],
        xq: [0.0; GROUPS],
    };
    for row in x {
        for g in 0..GROUPS {
            let q = held((row[g] - low[g]) * inverse_step[g], 0.0, most);
            sums.q[g] += q;
            sums.qq[g] += q * q;
            sums.xq[g] += row[g] * q;
        }
    }
    sums
}

/// Steps, of either sign, for x ≈ step · q with codes −`middle` ≤ q < `middle`.
///
/// A trial gives the value of the largest magnitude the code −trial; only a code of −`middle` or more can
/// have it, the rest is cut off.
#[inline(always)]
pub(super) fn through_zero<const N: usize, const GROUPS: usize>(
    x: &[[f32; GROUPS]; N],
    middle: f32,
    trials: &[f32],
    turns: usize,
) -> [f32; GROUPS] {
    let (mut least, mut largest) = ([0.0; GROUPS], [0.0; GROUPS]);
    for row in x {
        for g in 0..GROUPS {
            let value = row[g];
            least[g] = if value < least[g] { value } else { least[g] };
            largest[g] = if value > largest[g] {
                value
            } else {
                largest[g]
            };
        }
    }
    let mut inverse = [0.0; GROUPS];
    for g in 0..GROUPS {
        let extreme = if largest[g] > -least[g] {
            largest[g]
        } else {
            least[g]
        };
        inverse[g] = if extreme.abs() > NO_RANGE {
            extreme.recip()
        } else {
            0.0
        };
    }
    let (mut step, mut gain) = ([0.0; GROUPS], [0.0; GROUPS]);
    for trial in trials {
        let inverse_step = inverse.map(|inverse| -trial * inverse);
        try_step(x, &inverse_step, middle, &mut step, &mut gain);
    }
    for _ in 0..turns {
        let inverse_step = step.map(|step: f32| {
            if step.abs() > NO_RANGE {
                step.recip()
            } else {
                0.0
            }
        });
        try_step(x, &inverse_step, middle, &mut step, &mut gain);
    }
    step
}

#[inline(always)]
fn try_step<const N: usize, const GROUPS: usize>(
    x: &[[f32; GROUPS]; N],
    inverse_step: &[f32; GROUPS],
    middle: f32,
    step: &mut [f32; GROUPS],
    gain: &mut [f32; GROUPS],
) {
    let (mut qq, mut xq) = ([0.0; GROUPS], [0.0; GROUPS]);
    for row in x {
        for g in 0..GROUPS {
            let q = held(row[g] * inverse_step[g], -middle, middle - 1.0);
            qq[g] += q * q;
            xq[g] += row[g] * q;
        }
    }
    for g in 0..GROUPS {
        let fitted = if qq[g] > 0.0 { xq[g] / qq[g] } else { 0.0 };
        let gained = fitted * xq[g];
        let better = gained > gain[g];
        step[g] = if better { fitted } else { step[g] };
        gain[g] = if better { gained } else { gain[g] };
    }
}

/// The nearest integer within a range whose ends are integers.
#[inline(always)]
fn held(value: f32, least: f32, most: f32) -> f32 {
    let value = if value > most { most } else { value };
    let value = if value < least { least } else { value };
    even(value)
}

/// The codes of values on given lines, group by group.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low byte is the code, in two's complement"
)]
pub(super) fn codes<const N: usize, const GROUPS: usize>(
    x: &[[f32; GROUPS]; N],
    inverse_step: &[f32; GROUPS],
    low: &[f32; GROUPS],
    (least, most): (f32, f32),
) -> [[u8; N]; GROUPS] {
    let mut rows = [[0; GROUPS]; N];
    for (codes, row) in rows.iter_mut().zip(x) {
        for g in 0..GROUPS {
            let q = held((row[g] - low[g]) * inverse_step[g], least, most);
            codes[g] = (q + MAGIC).to_bits() as u8;
        }
    }
    let mut groups = [[0; N]; GROUPS];
    for (i, row) in rows.iter().enumerate() {
        for (group, &code) in groups.iter_mut().zip(row) {
            group[i] = code;
        }
    }
    groups
}

/// Value i of group g in lane g of row i.
#[inline(always)]
pub(super) fn side_by_side<const N: usize, const GROUPS: usize>(
    values: &[f32; 256],
) -> [[f32; GROUPS]; N] {
    let mut rows = [[0.0; GROUPS]; N];
    for (i, row) in rows.iter_mut().enumerate() {
        for (g, lane) in row.iter_mut().enumerate() {
            *lane = values[g * N + i];
        }
    }
    rows
}
