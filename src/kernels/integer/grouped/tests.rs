//! Every machine against a twin that multiplies whole numbers one by one.

use super::{Cut, Room, Weights, Width, multiply};
use crate::kernels::dispatch::forced;
use crate::kernels::integer::machine::Machine;
use crate::kernels::stream;
use ndarray::Array2;

struct Case {
    bits: u32,
    inputs: usize,
    group: usize,
    outputs: usize,
    /// Codes of outputs × inputs.
    codes: Vec<u8>,
    /// Scale and zero point of outputs × groups.
    sides: Vec<(f32, u8)>,
    shared: Option<u8>,
}

impl Case {
    fn weights(&self) -> Weights {
        let groups = self.inputs.div_ceil(self.group);
        Weights::pack(
            (self.bits, self.outputs),
            Cut::new(self.inputs, self.group, self.bits),
            self.shared,
            |output, to| to.copy_from_slice(&self.codes[output * self.inputs..][..self.inputs]),
            |output, group| self.sides[output * groups + group],
        )
    }

    /// The formula, in i64 and with one rounding for each operation on floats.
    fn slow(&self, x: &[f32], bias: &[f32], width: Width) -> Array2<f32> {
        let largest = match width {
            Width::Eight => 127.0,
            Width::Sixteen => 32767.0,
        };
        let groups = self.inputs.div_ceil(self.group);
        Array2::from_shape_fn((x.len() / self.inputs, self.outputs), |(row, output)| {
            let x = &x[row * self.inputs..][..self.inputs];
            let codes = &self.codes[output * self.inputs..][..self.inputs];
            let mut total = 0.0_f32;
            for (group, x) in x.chunks(self.group).enumerate() {
                let codes = &codes[group * self.group..];
                let (scale, zero) = self.sides[output * groups + group];
                for (piece, x) in x.chunks(256).enumerate() {
                    let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                    let x_scale = (most / largest).max(f32::MIN_POSITIVE);
                    let products = x.iter().zip(&codes[piece * 256..]).map(|(x, code)| {
                        let x = (x / x_scale).round_ties_even() as i64;
                        (i64::from(*code) - i64::from(zero)) * x
                    });
                    let sum: i64 = products.sum();
                    total += i32::try_from(sum).unwrap() as f32 * (scale * x_scale);
                }
            }
            total + bias.get(output).unwrap_or(&0.0)
        })
    }

    /// The same bits everywhere.
    fn check(&self, x: &[f32], bias: &[f32], at: &str) {
        let weights = self.weights();
        for width in [Width::Eight, Width::Sixteen] {
            let right = self.slow(x, bias, width);
            Machine::each(|machine| {
                let mut out = Array2::from_elem(right.dim(), f32::NAN);
                let rows = out.nrows();
                let mut integers = vec![-1; Room::integers(&weights, rows, width)];
                let mut floats = vec![f32::NAN; Room::floats(&weights, rows)];
                let room = Room {
                    integers: &mut integers,
                    floats: &mut floats,
                };
                let finite = multiply(machine, x, &weights, bias, width, out.view_mut(), room);
                assert!(finite, "{at}");
                let same = out
                    .iter()
                    .zip(&right)
                    .all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(
                    same,
                    "{at}, {width:?} at {machine:?}: {out} instead of {right}"
                );
            });
        }
    }
}

/// Random codes, scales and zero points.
fn random(bits: u32, [outputs, inputs, group]: [usize; 3], shared: bool) -> Case {
    let seed = u64::from(bits) + inputs as u64;
    let code = |index: usize| (stream::bits(seed, index as u64) >> (64 - bits)) as u8;
    let sides = outputs * inputs.div_ceil(group);
    let middle = 1 << (bits - 1);
    Case {
        bits,
        inputs,
        group,
        outputs,
        codes: (0..outputs * inputs).map(code).collect(),
        sides: (0..sides)
            .map(|side| {
                let zero = if shared { middle } else { code(side + 7) };
                (0.01 + 0.3 * (side % 7) as f32, zero)
            })
            .collect(),
        shared: shared.then_some(middle),
    }
}

fn wave(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| ((i * i) as f32 * 0.37).sin() * (1 + i % 5) as f32)
        .collect()
}

#[test]
fn machines_agree_with_the_twin_to_the_bit() {
    forced::at_every_level(|level| {
        for bits in [2, 3, 4, 8] {
            for shape in [
                [5, 7, 1],
                [17, 33, 8],
                [40, 70, 32],
                [33, 100, 100],
                [80, 90, 33],
            ] {
                for shared in [true, false] {
                    for rows in [1, 2, 7, 12] {
                        let bias: Vec<f32> = (0..shape[0]).map(|i| i as f32 / 3.0).collect();
                        let at = format!("{bits} bits, {shape:?}, {rows} rows at {level:?}");
                        let case = random(bits, shape, shared);
                        case.check(&wave(rows * shape[1]), &bias, &at);
                    }
                }
            }
        }
    });
}

#[test]
fn extremes_do_not_overflow() {
    for bits in [2, 3, 4, 8] {
        let top = u8::MAX >> (8 - bits);
        for (code, zero) in [
            (top, 0),
            (0, top),
            (top, top),
            (0, 0),
            (top, 1 << (bits - 1)),
        ] {
            for (inputs, group) in [(1024, 1024), (600, 256), (300, 300)] {
                let outputs = 19;
                let case = Case {
                    bits,
                    inputs,
                    group,
                    outputs,
                    codes: vec![code; outputs * inputs],
                    sides: vec![(1.0, zero); outputs * inputs.div_ceil(group)],
                    shared: (zero == 0).then_some(zero),
                };
                let at = format!("{bits} bits, all {code}, zero {zero}, groups of {group}");
                // All the largest code, all its opposite, and both in turn.
                let x: Vec<f32> = [1.0, -1.0, 0.0]
                    .iter()
                    .flat_map(|&sign| {
                        (0..inputs).map(move |i| match sign {
                            0.0 if i % 2 == 0 => 32767.0,
                            0.0 => -32767.0,
                            sign => sign * 32767.0,
                        })
                    })
                    .collect();
                case.check(&x, &[], &at);
            }
        }
    }
}

#[test]
fn zeros_and_tiny_inputs_are_coded() {
    let case = random(4, [3, 40, 8], true);
    let mut x = wave(40);
    x[8..16].fill(0.0);
    x[16..24].fill(f32::MIN_POSITIVE / 1000.0);
    x[24..32].fill(-0.0);
    case.check(&x, &[], "zeros");
}
