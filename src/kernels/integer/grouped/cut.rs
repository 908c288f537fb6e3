//! How a row of inputs falls into groups, pieces and blocks.

/// Groups along the inputs, each with scales of its own; pieces of groups, each summed as integers; blocks, which
/// fill whole vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Inputs in all.
    inputs: usize,
    /// Inputs of a group; the last may have fewer.
    group: usize,
    /// Inputs of a block.
    block: usize,
    /// Lines of a block.
    lines: usize,
}

/// The longest piece. 255 · 32767 · 256 is less than 2³¹: no sum of codes of 8 and 16 bits overflows.
pub(crate) const PIECE: usize = 256;

/// Fours of inputs of a block.
pub(super) const fn quads_of_block(bits: u32) -> usize {
    match bits {
        2 => 4,
        3 => 8,
        4 => 2,
        _ => 1,
    }
}

/// Lines of a block.
pub(super) const fn lines_of_block(bits: u32) -> usize {
    if bits == 3 { 3 } else { 1 }
}

impl Cut {
    /// Groups of so many inputs, for codes of so many bits.
    pub(crate) fn new(inputs: usize, group: usize, bits: u32) -> Self {
        Self {
            inputs,
            group: group.clamp(1, inputs.max(1)),
            block: 4 * quads_of_block(bits),
            lines: lines_of_block(bits),
        }
    }

    pub(crate) fn inputs(self) -> usize {
        self.inputs
    }

    pub(crate) fn group(self) -> usize {
        self.group
    }

    pub(crate) fn groups(self) -> usize {
        self.inputs.div_ceil(self.group)
    }

    /// Inputs of a block.
    pub(crate) fn block(self) -> usize {
        self.block
    }

    /// How many inputs group number `group` has.
    #[inline(always)]
    pub(crate) fn group_len(self, group: usize) -> usize {
        self.group.min(self.inputs - group * self.group)
    }

    /// `of(length)` summed over all groups.
    fn total(self, of: impl Fn(usize) -> usize) -> usize {
        let (whole, rest) = (self.inputs / self.group, self.inputs % self.group);
        whole * of(self.group) + of(rest)
    }

    /// How many pieces a row has.
    pub(crate) fn piece_count(self) -> usize {
        self.total(|len| len.div_ceil(PIECE))
    }

    /// Blocks of a row.
    pub(crate) fn blocks(self) -> usize {
        self.total(|len| len.div_ceil(self.block))
    }

    /// Lines of a panel: of each group one with scales, then its blocks.
    pub(super) fn lines(self) -> usize {
        self.groups() + self.blocks() * self.lines
    }

    /// Fours of inputs of a row, with those that fill up blocks.
    pub(crate) fn quads(self) -> usize {
        self.blocks() * self.block / 4
    }

    /// The pieces of a row in their order.
    #[inline(always)]
    pub(super) fn pieces(self) -> Pieces {
        Pieces {
            cut: self,
            group: 0,
            left: 0,
            block: 0,
            scales: 0,
            line: 0,
        }
    }
}

/// A piece of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) group: usize,
    /// How many inputs it has.
    pub(super) len: usize,
    /// Its first block, of all of a row.
    pub(super) block: usize,
    /// How many blocks it has.
    pub(super) blocks: usize,
    /// Where the scales of its group are among the lines of a panel.
    pub(super) scales: usize,
    /// Where its own lines begin.
    pub(super) line: usize,
}

/// The pieces of a row in their order.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    cut: Cut,
    /// The group behind the one that is under way.
    group: usize,
    /// Inputs that are left of that under way.
    left: usize,
    block: usize,
    scales: usize,
    line: usize,
}

impl Iterator for Pieces {
    type Item = Piece;

    #[inline(always)]
    fn next(&mut self) -> Option<Piece> {
        let cut = self.cut;
        if self.left == 0 {
            if self.group * cut.group >= cut.inputs {
                return None;
            }
            self.left = cut.group_len(self.group);
            self.group += 1;
            self.scales = self.line;
            self.line += 1;
        }
        let len = self.left.min(PIECE);
        let piece = Piece {
            group: self.group - 1,
            len,
            block: self.block,
            blocks: len.div_ceil(cut.block),
            scales: self.scales,
            line: self.line,
        };
        self.left -= len;
        self.block += piece.blocks;
        self.line += piece.blocks * cut.lines;
        Some(piece)
    }
}
