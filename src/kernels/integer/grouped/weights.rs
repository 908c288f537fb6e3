//! Codes of weights, packed into panels.

use super::cut::{Cut, lines_of_block};
use super::tile::{Line, PANEL, Panels};

/// Zero points of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Zeros {
    /// The same for all.
    Shared(u8),
    /// One for each scale.
    Each(Vec<[u8; PANEL]>),
}

/// Weights of outputs × inputs in panels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    cut: Cut,
    bits: u32,
    outputs: usize,
    lines: Vec<Line>,
    zeros: Zeros,
}

impl Weights {
    /// Packs codes without sign, of 2, 3, 4 or 8 bits.
    ///
    /// `row` writes the codes of an output; `side` tells its scale and zero point for each group. Outputs that fill up
    /// the last panel have the code and the scale 0.
    pub(crate) fn pack(
        (bits, outputs): (u32, usize),
        cut: Cut,
        shared_zero: Option<u8>,
        mut row: impl FnMut(usize, &mut [u8]),
        side: impl Fn(usize, usize) -> (f32, u8),
    ) -> Self {
        let panels = outputs.div_ceil(PANEL);
        let stride = cut.lines();
        let mut lines = vec![Line([0; 64]); panels * stride];
        let mut each = match shared_zero {
            Some(_) => Vec::new(),
            None => vec![[0; PANEL]; panels * cut.groups()],
        };
        let of_block = lines_of_block(bits);
        let mut codes = vec![0; cut.inputs()];
        for output in 0..outputs {
            let (panel, place) = (output / PANEL, output % PANEL);
            row(output, &mut codes);
            let lines = &mut lines[panel * stride..][..stride];
            let mut rest = &codes[..];
            for piece in cut.pieces() {
                let (codes, behind) = rest.split_at(piece.len);
                rest = behind;
                let (scale, zero) = side(output, piece.group);
                lines[piece.scales].0[4 * place..][..4].copy_from_slice(&scale.to_le_bytes());
                if let Some(zeros) = each.get_mut(panel * cut.groups() + piece.group) {
                    zeros[place] = zero;
                }
                let blocks = lines[piece.line..].chunks_mut(of_block);
                for (block, codes) in blocks.zip(codes.chunks(cut.block())) {
                    for (input, &code) in codes.iter().enumerate() {
                        put(bits, block, place, input, code);
                    }
                }
            }
        }
        let zeros = shared_zero.map_or(Zeros::Each(each), Zeros::Shared);
        Self {
            cut,
            bits,
            outputs,
            lines,
            zeros,
        }
    }

    pub(crate) fn cut(&self) -> Cut {
        self.cut
    }

    pub(crate) fn bits(&self) -> u32 {
        self.bits
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// The zero point, where all have the same.
    pub(super) fn shared_zero(&self) -> Option<u8> {
        match self.zeros {
            Zeros::Shared(zero) => Some(zero),
            Zeros::Each(_) => None,
        }
    }

    /// Bytes of codes, scales and zero points.
    pub(crate) fn bytes(&self) -> usize {
        let zeros = match &self.zeros {
            Zeros::Shared(_) => 1,
            Zeros::Each(zeros) => size_of_val(zeros.as_slice()),
        };
        size_of_val(self.lines.as_slice()) + zeros
    }

    /// Panels from number `first` on.
    pub(super) fn panels(&self, first: usize) -> Panels<'_> {
        let (stride, groups) = (self.cut.lines(), self.cut.groups());
        Panels {
            cut: self.cut,
            groups,
            bits: self.bits,
            lines: &self.lines[first * stride..],
            stride,
            zeros: match &self.zeros {
                Zeros::Shared(_) => &[],
                Zeros::Each(zeros) => &zeros[first * groups..],
            },
        }
    }
}

/// Puts a code where this input of a block lies, in which there are zeros.
fn put(bits: u32, block: &mut [Line], output: usize, input: usize, code: u8) {
    let (byte, quad) = (4 * output + input % 4, input / 4);
    match bits {
        2 => block[0].0[byte] |= (code & 3) << (2 * quad),
        3 => {
            block[quad / 4].0[byte] |= (code & 3) << (2 * (quad % 4));
            block[2].0[byte] |= (code >> 2 & 1) << quad;
        }
        4 => block[0].0[byte] |= (code & 15) << (4 * quad),
        _ => block[0].0[byte] = code,
    }
}
