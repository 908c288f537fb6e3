//! How a sparse layer says where its weights belong.

use crate::error::{Error, Result};

/// How a [`SparseLinear`](super::SparseLinear) says where its weights belong.
///
/// A stored value takes 4 bytes, or 1 where it is quantized.
///
/// | format | bytes beside the values | at its best |
/// |---|---|---|
/// | `Bitmask` | a bit for each weight, rows padded to 64; 4 a row | 30 % to 80 % zeros |
/// | `Csr` | 2 for each value (4 from 65537 inputs on); 4 a row | from about 82 % on |
/// | `SemiStructured` | a bit for each weight, rows padded to 64 | what N:M pruning leaves |
/// | `Blocks` | 2 for each block (4 beyond 65536 in a row); 4 a row of blocks | wherever pruning was by blocks along the inputs |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SparseFormat {
    /// A bit for each weight, and the values that are not zero.
    Bitmask,
    /// The input of each value that is not zero, output by output.
    Csr,
    /// N of every M neighbours along the inputs: as a bitmask, but groups have so many values exactly, zeros among
    /// them where there are not so many weights. So no row has to say where it begins.
    SemiStructured {
        /// N, how many of a group are stored; of a shorter last group as many, or all.
        keep: usize,
        /// M, how many neighbours make a group.
        of: usize,
    },
    /// Blocks of weights, those with any that is not zero. A block that reaches beyond the weights is stored whole,
    /// but none is longer than they are.
    ///
    /// Inputs that are a multiple of 8 wide become vectors; other widths are single weights with less to store.
    Blocks {
        /// Its length along the outputs.
        outputs: usize,
        /// Its length along the inputs.
        inputs: usize,
    },
}

impl SparseFormat {
    pub(super) fn check(self) -> Result<()> {
        let outside = |what, must, value: usize| {
            #[expect(clippy::cast_precision_loss, reason = "a number for a message")]
            let value = value as f64;
            Err(Error::NumberOutOfRange { what, must, value })
        };
        match self {
            Self::Bitmask | Self::Csr => Ok(()),
            Self::SemiStructured { of: 0, .. } => outside("neighbours of a group", "at least 1", 0),
            Self::SemiStructured { keep, of } if keep > of => outside(
                "kept neighbours of a group",
                "at most as many as make one",
                keep,
            ),
            Self::Blocks { outputs: 0, .. } | Self::Blocks { inputs: 0, .. } => {
                outside("length of a block", "at least 1", 0)
            }
            Self::SemiStructured { .. } | Self::Blocks { .. } => Ok(()),
        }
    }
}
