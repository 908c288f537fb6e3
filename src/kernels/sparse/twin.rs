//! Every pattern against a twin in f64 that is right at a glance, at every instruction set.

use super::bits::Bits;
use super::runs::Runs;
use super::{Finish, Pattern, Stored, eights, expand, few, full, lanes};
use crate::kernels::dispatch::forced;
use crate::kernels::stream;
use ndarray::{Array2, ArrayView2};

fn number(seed: u64, place: usize) -> f32 {
    stream::uniform::<f32>(seed, place as u64) * 2.0 - 1.0
}

/// Weights of which about `kept` of 64 are not zero.
fn weights((outputs, inputs): (usize, usize), kept: u64, seed: u64) -> Vec<f32> {
    (0..outputs * inputs)
        .map(
            |place| match stream::bits(seed + 1, place as u64) % 64 < kept {
                true => number(seed, place),
                false => 0.0,
            },
        )
        .collect()
}

/// Fails unless each result is as near to the twin's as rounding allows.
fn near(y: &Array2<f32>, weights: &[f32], x: &Array2<f32>, finish: Finish<'_>, what: &str) {
    let inputs = x.ncols();
    for ((row, output), &y) in y.indexed_iter() {
        let (mut sum, mut size) = (0.0, 0.0);
        for input in 0..inputs {
            let term = f64::from(weights[output * inputs + input]) * f64::from(x[[row, input]]);
            sum += term;
            size += term.abs();
        }
        let scale = f64::from(finish.scales.get(output).copied().unwrap_or(1.0));
        let bias = f64::from(finish.bias.get(output).copied().unwrap_or(0.0));
        let right = sum * scale + bias;
        let bound = ((inputs + 2) as f64 * size * scale + bias.abs()) * 2_f64.powi(-24);
        let error = (f64::from(y) - right).abs();
        assert!(error <= bound, "{what}: {y} for {right} at {row}, {output}");
    }
}

/// Both ways of both stored types, into memory that holds something.
fn check(pattern: &impl Pattern, values: &[f32], weights: &[f32], outputs: usize, inputs: usize) {
    let codes: Vec<i8> = values.iter().map(|value| (value * 127.0) as i8).collect();
    let coded: Vec<f32> = weights
        .iter()
        .map(|w| f32::from((w * 127.0) as i8))
        .collect();
    let scales: Vec<f32> = (0..outputs).map(|output| 0.5 + output as f32).collect();
    let bias: Vec<f32> = (0..outputs).map(|output| number(9, output)).collect();
    for rows in [0, 1, 4, 5, 16, 17, 50, 64, 67] {
        let x = Array2::from_shape_fn((rows, inputs), |(i, j)| number(3, i * inputs + j));
        let plain = Finish {
            scales: &[],
            bias: &[],
        };
        let whole = Finish {
            scales: &scales,
            bias: &bias,
        };
        near(
            &both(pattern, values, plain, &x.view(), outputs),
            weights,
            &x,
            plain,
            "floats",
        );
        near(
            &both(pattern, &codes, whole, &x.view(), outputs),
            &coded,
            &x,
            whole,
            "codes",
        );
    }
}

/// Results of many rows after those of few have been compared with them.
fn both<V: Stored>(
    pattern: &impl Pattern,
    values: &[V],
    finish: Finish<'_>,
    x: &ArrayView2<'_, f32>,
    outputs: usize,
) -> Array2<f32> {
    let width = pattern.width();
    let mut room = vec![f32::NAN; lanes::room(x.nrows(), width).max(few::room(x.nrows(), width))];
    let mut many = Array2::from_elem((x.nrows(), outputs), f32::NAN);
    lanes::product(pattern, values, finish, x, many.view_mut(), &mut room);
    let mut out = Array2::from_elem((x.nrows(), outputs), f32::NAN);
    few::product(pattern, values, finish, x, out.view_mut(), &mut room);
    let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-3 * (1.0 + a.abs().max(b.abs()));
    assert!(!many.iter().zip(&out).any(far), "few and many differ");
    many
}

const SHAPES: [(usize, usize); 6] = [(1, 1), (3, 0), (0, 5), (5, 63), (70, 130), (33, 64)];

#[test]
fn bits_are_near_the_twin() {
    forced::at_every_level(|_| {
        for shape @ (outputs, inputs) in SHAPES {
            for kept in [0, 4, 32, 64] {
                let weights = weights(shape, kept, 1);
                let bits = Bits::of_nonzero(&weights, shape).unwrap();
                check(&bits, &bits.values_of(&weights), &weights, outputs, inputs);
            }
            for (keep, of) in [(2, 4), (4, 8), (8, 16), (1, 3), (5, 5), (0, 2)] {
                let group = |place: usize| {
                    let (output, input) = (place / inputs, place % inputs);
                    if (input % of + output) % of < keep {
                        number(2, place)
                    } else {
                        0.0
                    }
                };
                let weights: Vec<f32> = (0..outputs * inputs).map(group).collect();
                let bits = Bits::of_groups(&weights, shape, (keep, of)).unwrap();
                check(&bits, &bits.values_of(&weights), &weights, outputs, inputs);
            }
        }
    });
}

#[test]
fn runs_are_near_the_twin() {
    forced::at_every_level(|_| {
        for shape @ (outputs, inputs) in SHAPES {
            for (block, kept) in [
                ((1, 1), 0),
                ((1, 1), 5),
                ((1, 1), 64),
                ((1, 8), 5),
                ((4, 16), 1),
                ((2, 3), 20),
                ((3, 200), 1),
            ] {
                let weights = weights(shape, kept, 1);
                let runs = Runs::of_nonzero(&weights, shape, block).unwrap();
                check(&runs, &runs.values_of(&weights), &weights, outputs, inputs);
            }
        }
    });
}

#[test]
fn runs_longer_than_a_buffer_and_rows_deeper_than_a_walk_work() {
    let shape @ (outputs, inputs) = (2, 9001);
    let weights = weights(shape, 32, 4);
    for block in [(1, 1), (2, 2500), (1, 7)] {
        let runs = Runs::of_nonzero(&weights, shape, block).unwrap();
        check(&runs, &runs.values_of(&weights), &weights, outputs, inputs);
    }
    let bits = Bits::of_nonzero(&weights, shape).unwrap();
    check(&bits, &bits.values_of(&weights), &weights, outputs, inputs);
}

#[test]
fn full_weights_are_near_the_twin() {
    forced::at_every_level(|level| {
        for (outputs, inputs) in SHAPES {
            let weights = weights((outputs, inputs), 64, 5);
            let bias: Vec<f32> = (0..outputs).map(|output| number(9, output)).collect();
            for rows in [0, 1, 16, 17, 64, 67] {
                let x = Array2::from_shape_fn((rows, inputs), |(i, j)| number(3, i * inputs + j));
                let mut out = Array2::from_elem((rows, outputs), f32::NAN);
                let mut room = vec![f32::NAN; full::room(rows, inputs)];
                full::product(&weights, &bias, &x.view(), out.view_mut(), &mut room);
                let finish = Finish {
                    scales: &[],
                    bias: &bias,
                };
                near(&out, &weights, &x, finish, &format!("{level:?}"));
            }
        }
    });
}

#[test]
fn small_whole_numbers_are_exact_in_every_lane() {
    let whole = |seed, count: usize| -> Vec<f32> {
        (0..count as u64)
            .map(|i| (stream::bits(seed, i) % 17) as f32 - 8.0)
            .collect()
    };
    forced::at_every_level(|level| {
        for count in [1, 2, 5] {
            let x: Vec<Vec<f32>> = (0..4).map(|row| whole(row, 64 * count)).collect();
            let rows: [&[[f32; 64]]; 4] = std::array::from_fn(|row| x[row].as_chunks().0);
            for seed in 0..20 {
                let words: Vec<u64> = (0..count as u64)
                    .map(|i| match seed {
                        0 => 0,
                        1 => u64::MAX,
                        _ => stream::bits(seed, i) & stream::bits(seed + 99, i),
                    })
                    .collect();
                let stored: u32 = words.iter().map(|word| word.count_ones()).sum();
                let mut values = whole(seed + 7, stored as usize);
                let mut next = values.iter();
                let mut right = [0.0; 4];
                for place in
                    (0..64 * count).filter(|place| words[place / 64] >> (place % 64) & 1 == 1)
                {
                    let value = next.next().unwrap();
                    right
                        .iter_mut()
                        .zip(&x)
                        .for_each(|(right, x)| *right += value * x[place]);
                }
                values.extend([f32::MAX; 64]);
                let codes: Vec<i8> = values.iter().map(|&value| value as i8).collect();
                assert_eq!(expand::dot(&words, &values, rows), right, "{level:?}");
                assert_eq!(expand::dot(&words, &codes, rows), right, "{level:?}");
                assert_eq!(
                    expand::dot(&words, &values, [rows[1]]),
                    [right[1]],
                    "{level:?}"
                );
            }
            for run in [8, 16, 24, 32] {
                let columns: Vec<u16> = (0..(64 * count / run) as u16).step_by(2).collect();
                let weights = whole(5, columns.len() * run);
                let codes: Vec<i8> = weights.iter().map(|&weight| weight as i8).collect();
                let x = &x[0];
                let right: f32 = (0..weights.len())
                    .map(|i| weights[i] * x[usize::from(columns[i / run]) * run + i % run])
                    .sum();
                assert_eq!(
                    eights::dot_runs(&columns, &weights, run, x),
                    right,
                    "{level:?}"
                );
                assert_eq!(
                    eights::dot_runs(&columns, &codes, run, x),
                    right,
                    "{level:?}"
                );
            }
        }
    });
}
