//! Any machine: one output after the other.

use super::cut::{lines_of_block, quads_of_block};
use super::tile::{Line, PANEL, Panels, Rows};

/// Code number `input` of a block, of the output in this place of the panel.
fn code(bits: u32, lines: &[Line], output: usize, input: usize) -> u8 {
    let (word, byte) = (4 * output, input % 4);
    let quad = input / 4;
    let at = |line: usize| lines[line].0[word + byte];
    match bits {
        2 => at(0) >> (2 * quad) & 3,
        3 => at(quad / 4) >> (2 * (quad % 4)) & 3 | (at(2) >> quad & 1) << 2,
        4 => at(0) >> (4 * quad) & 15,
        _ => at(0),
    }
}

/// The codes of activations in the words of a quad.
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
    for (place, out) in out.iter_mut().enumerate() {
        let (row, panel) = (place / width, place % width);
        let lines = &panels.lines[panel * panels.stride..];
        *out = [0.0; PANEL];
        for (number, piece) in cut.pieces().enumerate() {
            let offset = rows.offsets[number * height + row];
            let mut sums = match panels.zeros.get(panel * panels.groups + piece.group) {
                None => [offset; PANEL],
                Some(zeros) => zeros.map(|zero| offset.wrapping_mul(i32::from(zero))),
            };
            for (block, lines) in lines[piece.line..]
                .chunks(of_block)
                .take(piece.blocks)
                .enumerate()
            {
                for quad in 0..quads {
                    let first = ((piece.block + block) * quads + quad) * words;
                    let word = |number| rows.words[(first + number) * height + row];
                    let x = activations([word(0), word(words - 1)], rows.wide);
                    for (byte, x) in x.into_iter().enumerate() {
                        for (output, sum) in sums.iter_mut().enumerate() {
                            let code = code(bits, lines, output, 4 * quad + byte);
                            *sum = sum.wrapping_add(i32::from(code) * x);
                        }
                    }
                }
            }
            let x_scale = rows.scales[number * height + row];
            let scales = lines[piece.scales].0.as_chunks::<4>().0;
            for ((out, sum), scale) in out.iter_mut().zip(sums).zip(scales) {
                *out += sum as f32 * (f32::from_le_bytes(*scale) * x_scale);
            }
        }
    }
}
