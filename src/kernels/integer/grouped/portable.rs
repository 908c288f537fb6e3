//! Any machine: plain loops over sixteen outputs.

use super::cut::{lines_of_block, quads_of_block};
use super::tile::{Line, PANEL, Panels, ROWS, Rows};

/// The codes of four inputs of a block, four bytes an output.
#[inline(always)]
fn codes(bits: u32, lines: &[Line], quad: usize) -> [u8; 64] {
    let first = &lines[0].0;
    match bits {
        2 => first.map(|byte| byte >> (2 * quad) & 3),
        3 => {
            let mut codes = lines[quad / 4].0.map(|byte| byte >> (2 * (quad % 4)) & 3);
            for (code, bits) in codes.iter_mut().zip(&lines[2].0) {
                *code |= (bits >> quad & 1) << 2;
            }
            codes
        }
        4 => first.map(|byte| byte >> (4 * quad) & 15),
        _ => *first,
    }
}

/// The codes of activations in the words of a quad.
#[inline(always)]
fn activations(words: [i32; 2], wide: bool) -> [i32; 4] {
    if wide {
        let [a, b] = words.map(|word| [word << 16 >> 16, word >> 16]);
        [a[0], b[0], a[1], b[1]]
    } else {
        words[0]
            .to_le_bytes()
            .map(|byte| i32::from(byte.cast_signed()))
    }
}

/// Writes the products of all rows and panels, row after row.
#[expect(
    clippy::cast_precision_loss,
    reason = "rounded once, as the formula says"
)]
pub(super) fn tile(panels: Panels<'_>, rows: Rows<'_>, height: usize, out: &mut [[f32; PANEL]]) {
    let Panels { cut, bits, .. } = panels;
    let words = if rows.wide { 2 } else { 1 };
    let (quads, of_block) = (quads_of_block(bits), lines_of_block(bits));
    let width = out.len() / height;
    for panel in 0..width {
        let lines = &panels.lines[panel * panels.stride..];
        let mut totals = [[0.0; PANEL]; ROWS];
        for (number, piece) in cut.pieces().enumerate() {
            let mut sums = [[0_i32; PANEL]; ROWS];
            let offsets = &rows.offsets[number * height..][..height];
            for (sums, &offset) in sums.iter_mut().zip(offsets) {
                *sums = match panels.zeros.get(panel * panels.groups + piece.group) {
                    None => [offset; PANEL],
                    Some(zeros) => zeros.map(|zero| offset.wrapping_mul(i32::from(zero))),
                };
            }
            let lines = lines[piece.line..].chunks(of_block).take(piece.blocks);
            for (block, lines) in lines.enumerate() {
                for quad in 0..quads {
                    let codes = codes(bits, lines, quad);
                    let first = ((piece.block + block) * quads + quad) * words * height;
                    let x = &rows.words[first..][..words * height];
                    for (row, sums) in sums[..height].iter_mut().enumerate() {
                        let x = activations([x[row], x[(words - 1) * height + row]], rows.wide);
                        for (sum, codes) in sums.iter_mut().zip(codes.as_chunks::<4>().0) {
                            let products =
                                codes.iter().zip(x).map(|(&code, x)| i32::from(code) * x);
                            *sum = products.fold(*sum, i32::wrapping_add);
                        }
                    }
                }
            }
            let scales = panels.lines[panel * panels.stride + piece.scales].0;
            let x_scales = &rows.scales[number * height..][..height];
            for ((totals, sums), x_scale) in totals.iter_mut().zip(sums).zip(x_scales) {
                let scales = scales.as_chunks::<4>().0;
                for ((total, sum), scale) in totals.iter_mut().zip(sums).zip(scales) {
                    *total += sum as f32 * (f32::from_le_bytes(*scale) * x_scale);
                }
            }
        }
        for (row, totals) in totals[..height].iter().enumerate() {
            out[row * width + panel] = *totals;
        }
    }
}
