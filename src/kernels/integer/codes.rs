//! Activations as codes of eight bits, in rows as products read them.

use super::machine::Machine;
use super::panels::QUAD;
use crate::kernels::absmax::largest_of;
use crate::kernels::array::take;
use crate::kernels::dispatch::vectorize;
use crate::kernels::parallel::first_of_three;
use crate::kernels::real::{Real, Sealed};

/// How activations become codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Coding {
    /// code = round(x / scale), with the scale of each row such that its largest magnitude becomes `most`.
    Dynamic {
        /// 127, or 63 for codes of seven bits.
        most: i8,
    },
    /// code = round(x / scale) + zero, held in `least..=most`.
    Given {
        /// One for all rows.
        scale: f32,
        /// The code of 0.
        zero: i32,
        /// The lowest code, at least -128.
        least: i32,
        /// The highest, at most 127.
        most: i32,
    },
}

impl Coding {
    /// The code of 0.
    pub(crate) const fn zero(self) -> i32 {
        match self {
            Self::Dynamic { .. } => 0,
            Self::Given { zero, .. } => zero,
        }
    }

    const fn range(self) -> (i32, i32) {
        match self {
            Self::Dynamic { most } => (-(most as i32), most as i32),
            Self::Given { least, most, .. } => (least, most),
        }
    }

    /// Whether -128 is among the codes.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only instructions of x86-64 ask for it")
    )]
    pub(super) const fn has_lowest(self) -> bool {
        self.range().0 == i8::MIN as i32
    }

    /// Whether the codes have seven bits.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only instructions of x86-64 ask for it")
    )]
    pub(super) const fn has_seven_bits(self) -> bool {
        let (least, most) = self.range();
        least >= -SEVEN && most < SEVEN
    }
}

/// Half the codes of seven bits.
const SEVEN: i32 = 64;

/// Rows of codes: where they are and what was added to each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    codes: &'a [[u8; QUAD]],
    stride: usize,
    depth: usize,
    /// Of each row, or one of all.
    scales: &'a [f32],
    /// Of each row the sum of its codes, if they were asked for.
    sums: &'a [i32],
    /// What the code of 0 is stored as.
    pub(super) zero: i32,
    pub(super) coding: Coding,
}

impl<'a> Rows<'a> {
    /// Rows of `stride` groups of four codes, of which the first `depth` count. `zero` is what the code of 0 is
    /// stored as.
    pub(super) fn new(
        codes: &'a [u8],
        (stride, depth): (usize, usize),
        scales: &'a [f32],
        sums: &'a [i32],
        (coding, zero): (Coding, i32),
    ) -> Self {
        let (codes, _) = codes.as_chunks();
        Self {
            codes,
            stride,
            depth,
            scales,
            sums,
            zero,
            coding,
        }
    }

    /// One row whose codes lie in a row: its codes, its scale and what the code of 0 is stored as.
    pub(crate) fn single(&self, row: usize, inputs: usize) -> (&'a [u8], &'a [f32], i32) {
        if inputs == 0 {
            return (&[], &[1.0], self.zero);
        }
        let codes = self.codes[row * self.stride..][..self.depth].as_flattened();
        (&codes[..inputs], &self.scales[row..=row], self.zero)
    }
    /// How many there are.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.codes.len() / self.stride
    }

    /// The codes of one row, as they are stored.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &[[u8; QUAD]] {
        &self.codes[row * self.stride..][..self.depth]
    }

    #[inline(always)]
    pub(super) fn scale(&self, row: usize) -> f32 {
        self.scales[if self.scales.len() == 1 { 0 } else { row }]
    }

    #[inline(always)]
    pub(super) fn sum(&self, row: usize) -> i32 {
        self.sums.get(row).copied().unwrap_or(0)
    }
}

/// Quads from one row to the next: rows that are a multiple of a page apart would share few places of the cache.
pub(super) fn stride(depth: usize) -> usize {
    const LINE: usize = 16;
    let lines = depth.div_ceil(LINE).max(1);
    (lines + usize::from(lines.is_multiple_of(2))) * LINE
}

/// Memory for codes, which grows as needed.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    pub(crate) codes: &'a mut Vec<u8>,
    pub(crate) scales: &'a mut Vec<f32>,
    /// None where sums of rows are not needed.
    pub(crate) sums: Option<&'a mut Vec<i32>>,
}

/// What is added to a code where it is stored: products of bytes take one side without a sign.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(unused_variables, reason = "only instructions of x86-64 ask")
)]
fn shift(machine: Machine, coding: Coding) -> i32 {
    match machine {
        #[cfg(target_arch = "x86_64")]
        Machine::Vnni(_) => 128,
        #[cfg(target_arch = "x86_64")]
        Machine::Avx2(_) if coding.has_seven_bits() => SEVEN,
        _ => 0,
    }
}

/// Codes of `x`, rows of so many inputs. An error is the place of the first number that is not finite.
pub(crate) fn encode<'a>(
    x: &[f32],
    inputs: usize,
    coding: Coding,
    machine: Machine,
    room: Room<'a>,
) -> Result<Rows<'a>, usize> {
    let depth = inputs.div_ceil(QUAD);
    let stride = stride(depth);
    let rows = x.len().checked_div(inputs).unwrap_or(0);
    let shift = shift(machine, coding);
    let codes = take(room.codes, rows * stride * QUAD);
    let scales = take(room.scales, rows);
    let sums: &'a mut [i32] = match room.sums {
        Some(sums) => take(sums, rows),
        None => &mut [],
    };
    let per_task = (NUMBERS_OF_TASK / inputs.max(1)).max(1);
    let bytes = stride * QUAD;
    let fault = first_of_three(
        (&mut *codes, per_task * bytes),
        (&mut *scales, per_task),
        (&mut *sums, per_task),
        &|task, codes, scales, sums| {
            let first = task * per_task;
            let x = x[first * inputs..].chunks_exact(inputs);
            for (row, (codes, x)) in codes.chunks_exact_mut(bytes).zip(x).enumerate() {
                let codes = &mut codes[..inputs];
                let Some(scale) = encode_row(x, codes, coding, shift) else {
                    let fault = x.iter().position(|x| !x.is_finite()).unwrap_or(0);
                    return Some((first + row) * inputs + fault);
                };
                scales[row] = scale;
                if let Some(sum) = sums.get_mut(row) {
                    *sum = codes.iter().map(|&code| read(code, shift)).sum();
                }
            }
            None
        },
    );
    if let Some(fault) = fault {
        return Err(fault);
    }
    let coding_and_zero = (coding, coding.zero() + shift);
    Ok(Rows::new(
        codes,
        (stride, depth),
        scales,
        sums,
        coding_and_zero,
    ))
}

/// Numbers that a task takes: so many that it is worth handing out.
const NUMBERS_OF_TASK: usize = 1 << 14;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a code and what is added to it are at most eight bits"
)]
#[inline(always)]
const fn write(code: i32, shift: i32) -> u8 {
    (code + shift) as u8
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is added is at most 128"
)]
#[inline(always)]
pub(super) fn read(code: u8, shift: i32) -> i32 {
    i32::from(code.wrapping_sub(shift as u8).cast_signed())
}

/// Writes the codes of a row and gives their scale; none if a number is not finite.
#[expect(clippy::cast_precision_loss, reason = "codes are small")]
fn encode_row(x: &[f32], codes: &mut [u8], coding: Coding, shift: i32) -> Option<f32> {
    vectorize(
        #[inline(always)]
        || {
            let largest = largest_of(x);
            if largest >= f32::INFINITE {
                return None;
            }
            match coding {
                Coding::Dynamic { most } => {
                    // Below the least normal number a quotient would lose its digits.
                    let scale = (f32::from_bits(largest) / f32::from(most)).max(f32::MIN_POSITIVE);
                    for (code, &x) in codes.iter_mut().zip(x) {
                        *code = write((x / scale).nearest_even(), shift);
                    }
                    Some(scale)
                }
                Coding::Given {
                    scale,
                    zero,
                    least,
                    most,
                } => {
                    let (low, high) = ((least - zero) as f32, (most - zero) as f32);
                    for (code, &x) in codes.iter_mut().zip(x) {
                        let held = (x / scale).max(low).min(high);
                        *code = write(held.nearest_even() + zero, shift);
                    }
                    Some(scale)
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{Coding, Room, encode, read};
    use crate::kernels::dispatch::forced::at_every_level;
    use crate::kernels::integer::machine::Machine;

    fn encoded(
        x: &[f32],
        inputs: usize,
        coding: Coding,
        machine: Machine,
    ) -> Result<Vec<(Vec<i32>, f32, i32)>, usize> {
        let (mut codes, mut scales, mut sums) = (vec![7; 3], vec![9.0; 3], vec![9; 3]);
        let room = Room {
            codes: &mut codes,
            scales: &mut scales,
            sums: Some(&mut sums),
        };
        let rows = encode(x, inputs, coding, machine, room)?;
        let shift = rows.zero - coding.zero();
        let row = |row| {
            let codes = rows.row(row).as_flattened()[..inputs].iter();
            let codes = codes.map(|&code| read(code, shift)).collect();
            (codes, rows.scale(row), rows.sum(row))
        };
        Ok((0..rows.len()).map(row).collect())
    }

    #[test]
    fn rows_become_codes_at_every_level() {
        let inputs = 133;
        let x: Vec<f32> = (0..7 * inputs)
            .map(|i| ((i * i + 3) % 1009) as f32 / 31.0 - 16.0)
            .collect();
        at_every_level(|_| {
            Machine::each(|machine| {
                for most in [127_i8, 63] {
                    let rows = encoded(&x, inputs, Coding::Dynamic { most }, machine).unwrap();
                    for (x, (codes, scale, sum)) in x.chunks(inputs).zip(rows) {
                        let largest = x.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
                        assert_eq!(scale, largest / f32::from(most));
                        let right: Vec<i32> = x
                            .iter()
                            .map(|x| (x / scale).round_ties_even() as i32)
                            .collect();
                        assert_eq!(codes, right);
                        assert_eq!(sum, right.iter().sum::<i32>());
                    }
                }
                let given = Coding::Given {
                    scale: 0.125,
                    zero: -5,
                    least: -128,
                    most: 100,
                };
                let rows = encoded(&x, inputs, given, machine).unwrap();
                for (x, (codes, _, sum)) in x.chunks(inputs).zip(rows) {
                    let code =
                        |x: &f32| ((x / 0.125).round_ties_even() as i32 - 5).clamp(-128, 100);
                    let right: Vec<i32> = x.iter().map(code).collect();
                    assert_eq!(codes, right);
                    assert_eq!(sum, right.iter().sum::<i32>());
                }
            });
        });
    }

    #[test]
    fn zeros_tiny_and_huge_numbers_have_codes_and_others_are_found() {
        let machine = Machine::detected();
        let dynamic = Coding::Dynamic { most: 127 };
        let rows = encoded(&[0.0, -0.0, 0.0, 0.0], 2, dynamic, machine).unwrap();
        assert!(rows.iter().all(|(codes, ..)| codes == &[0, 0]));
        let tiny = f32::from_bits(200);
        let rows = encoded(&[tiny, -tiny], 2, dynamic, machine).unwrap();
        assert!(rows[0].0.iter().all(|code| code.abs() <= 127));
        let rows = encoded(&[f32::MAX, -f32::MAX], 2, dynamic, machine).unwrap();
        assert_eq!(rows[0].0, [127, -127]);
        let mut x = vec![1.0; 40_000];
        x[39_999] = f32::INFINITY;
        x[30_001] = f32::NAN;
        for inputs in [1, 100, 20_000] {
            assert_eq!(encoded(&x, inputs, dynamic, machine), Err(30_001));
        }
    }
}
