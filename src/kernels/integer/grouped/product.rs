//! Whole products, in blocks of the result.

use super::super::bias_alone;
use super::super::machine::Machine;
use super::activations::{Coded, Width, code};
use super::portable;
use super::tile::{PANEL, ROWS, Rows, height, width};
use super::weights::Weights;
#[cfg(target_arch = "x86_64")]
use super::{avx2, vnni};
use crate::kernels::parallel::{FEW_PRODUCTS, for_blocks, in_pool};
use ndarray::ArrayViewMut2;

/// Memory that a product needs besides its result.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    /// Codes of activations and what is taken off: [`Room::integers`].
    pub(crate) integers: &'a mut [i32],
    /// Scales of activations: [`Room::floats`].
    pub(crate) floats: &'a mut [f32],
}

impl Room<'_> {
    /// How many integers a product of so many rows needs.
    pub(crate) fn integers(weights: &Weights, rows: usize, activations: Width) -> usize {
        let cut = weights.cut();
        rows * (cut.quads() * activations.words() + cut.piece_count())
    }

    /// How many floats it needs.
    pub(crate) fn floats(weights: &Weights, rows: usize) -> usize {
        rows * weights.cut().piece_count()
    }
}

/// Writes x · Wᵀ + bias, x in row-major order; false if x has NaN or infinity.
pub(crate) fn multiply(
    machine: Machine,
    x: &[f32],
    weights: &Weights,
    bias: &[f32],
    activations: Width,
    out: ArrayViewMut2<'_, f32>,
    room: Room<'_>,
) -> bool {
    let (cut, rows) = (weights.cut(), out.nrows());
    let (words, sides) = (cut.quads() * activations.words(), cut.piece_count());
    let Room { integers, floats } = room;
    let (integers, offsets) = integers.split_at_mut(rows * words);
    let (offsets, floats) = (&mut offsets[..rows * sides], &mut floats[..rows * sides]);
    if cut.inputs() == 0 {
        bias_alone(bias, out);
        return true;
    }
    let zero = weights.shared_zero().map_or(1, |zero| {
        i32::from(zero) - shift(machine, weights.bits(), activations)
    });
    let coded = Coded {
        words: integers,
        scales: floats,
        offsets,
    };
    if !code(x, cut, activations, zero, coded) {
        return false;
    }
    let (integers, offsets, floats) = (&*integers, &*offsets, &*floats);
    let block = block(rows, cut.inputs());
    for_blocks(out, block, &|(row, output), mut out| {
        let outputs = out.ncols();
        let mut first = 0;
        while first < out.nrows() {
            let rows = height(out.nrows() - first);
            let at = row + first;
            let tile = Rows {
                words: &integers[at * words..][..rows * words],
                scales: &floats[at * sides..][..rows * sides],
                offsets: &offsets[at * sides..][..rows * sides],
                wide: activations == Width::Sixteen,
            };
            let mut column = 0;
            while column < outputs {
                let left = (outputs - column).div_ceil(PANEL);
                let most = width(rows);
                let panels = if left < most { 1 } else { most };
                let mut results = [[0.0; PANEL]; 8];
                let results = &mut results[..rows * panels];
                let weights = weights.panels((output + column) / PANEL);
                match machine {
                    Machine::Portable => portable::tile(weights, tile, rows, results),
                    #[cfg(target_arch = "x86_64")]
                    Machine::Avx2(proof) => avx2::tile(proof, weights, tile, rows, results),
                    #[cfg(target_arch = "x86_64")]
                    Machine::Vnni(proof) => vnni::tile(proof, weights, tile, rows, results),
                }
                let end = outputs.min(column + panels * PANEL);
                let bias = bias.get(output + column..output + end).unwrap_or(&[]);
                for (row, results) in results.chunks(panels).enumerate() {
                    let mut out = out.row_mut(first + row);
                    let results = results.as_flattened();
                    match out.as_slice_mut() {
                        Some(out) => write(out[column..end].iter_mut(), results, bias),
                        None => write(out.iter_mut().skip(column), results, bias),
                    }
                }
                column = end;
            }
            first += rows;
        }
    });
    true
}

/// Writes results, and adds a bias if there is one.
#[inline(always)]
fn write<'a>(out: impl Iterator<Item = &'a mut f32>, results: &[f32], bias: &[f32]) {
    if bias.is_empty() {
        out.zip(results).for_each(|(out, result)| *out = *result);
    } else {
        let results = results.iter().zip(bias);
        out.zip(results)
            .for_each(|(out, (result, bias))| *out = result + bias);
    }
}

/// What a machine takes off codes to multiply them.
fn shift(machine: Machine, bits: u32, activations: Width) -> i32 {
    let signed = match machine {
        Machine::Portable => false,
        #[cfg(target_arch = "x86_64")]
        Machine::Vnni(_) => false,
        #[cfg(target_arch = "x86_64")]
        Machine::Avx2(_) => true,
    };
    match (signed, bits, activations) {
        (true, 8, Width::Eight) => 128,
        _ => 0,
    }
}

/// How many rows and outputs a task computes: enough that handing it out costs little, few enough that a core that
/// comes late finds some left. The weights of its outputs stay in the second-level cache from rows to rows.
fn block(rows: usize, inputs: usize) -> (usize, usize) {
    /// Products of a task, at least.
    const WORK: usize = 1 << 18;
    const TALL: usize = 16 * ROWS;
    let unit = 4 * PANEL;
    let products = rows.min(TALL) * inputs;
    let work = if in_pool() { WORK } else { FEW_PRODUCTS };
    let units = (work / unit).div_ceil(products.max(1));
    (TALL, units.max(1) * unit)
}
