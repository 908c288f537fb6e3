//! In what type a GGUF file stores a tensor.

use crate::error::{Error, FileError, Result};
use crate::quantize::BlockFormat;
use crate::shape;
use crate::tensors::DType;
use std::fmt;

/// In what type a GGUF file stores a tensor: one of ggml's types.
///
/// | types | numbers | |
/// |---|---|---|
/// | F32 F16 BF16 F64, I8 I16 I32 I64 | 0 1 30 28, 24 25 26 27 | [`Plain`](Self::Plain) |
/// | Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 | 2 3 6 7 8 | [`Blocks`](Self::Blocks) |
/// | Q2_K Q3_K Q4_K Q5_K Q6_K | 10 11 12 13 14 | [`Blocks`](Self::Blocks) |
/// | TQ1_0 TQ2_0 MXFP4 | 34 35 39 | [`Blocks`](Self::Blocks) |
/// | IQ…, NVFP4 Q1_0 | 16 to 23 and 29, 40 41 | [`Other`](Self::Other), of known size |
///
/// # Examples
///
/// ```
/// use rarefy::formats::GgufType;
/// use rarefy::quantize::BlockFormat;
///
/// let kind = GgufType::from(BlockFormat::Q4K);
/// assert_eq!((kind.number(), kind.to_string()), (Some(12), "Q4_K".to_owned()));
/// assert_eq!(GgufType::Other(23).to_string(), "IQ4_XS");
/// assert_eq!(GgufType::of_number(99), GgufType::Other(99));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GgufType {
    /// Elements one by one.
    Plain(DType),
    /// Blocks of weights with their scales.
    Blocks(BlockFormat),
    /// Another type, by its number: such tensors are listed and can be copied byte by byte if ggml's size of them is
    /// known, not decoded.
    Other(u32),
}

/// A type of ggml.
struct Known {
    number: u32,
    name: &'static str,
    /// How many values make a block, and how many bytes.
    block: (usize, usize),
    kind: Option<GgufType>,
}

const fn plain(number: u32, name: &'static str, dtype: DType) -> Known {
    Known {
        number,
        name,
        block: (1, dtype.bits() / 8),
        kind: Some(GgufType::Plain(dtype)),
    }
}

const fn blocks(
    number: u32,
    name: &'static str,
    block: (usize, usize),
    format: BlockFormat,
) -> Known {
    Known {
        number,
        name,
        block,
        kind: Some(GgufType::Blocks(format)),
    }
}

const fn other(number: u32, name: &'static str, block: (usize, usize)) -> Known {
    Known {
        number,
        name,
        block,
        kind: None,
    }
}

const KNOWN: &[Known] = &[
    plain(0, "F32", DType::F32),
    plain(1, "F16", DType::F16),
    blocks(2, "Q4_0", (32, 18), BlockFormat::Q4_0),
    blocks(3, "Q4_1", (32, 20), BlockFormat::Q4_1),
    blocks(6, "Q5_0", (32, 22), BlockFormat::Q5_0),
    blocks(7, "Q5_1", (32, 24), BlockFormat::Q5_1),
    blocks(8, "Q8_0", (32, 34), BlockFormat::Q8_0),
    blocks(10, "Q2_K", (256, 84), BlockFormat::Q2K),
    blocks(11, "Q3_K", (256, 110), BlockFormat::Q3K),
    blocks(12, "Q4_K", (256, 144), BlockFormat::Q4K),
    blocks(13, "Q5_K", (256, 176), BlockFormat::Q5K),
    blocks(14, "Q6_K", (256, 210), BlockFormat::Q6K),
    other(16, "IQ2_XXS", (256, 66)),
    other(17, "IQ2_XS", (256, 74)),
    other(18, "IQ3_XXS", (256, 98)),
    other(19, "IQ1_S", (256, 50)),
    other(20, "IQ4_NL", (32, 18)),
    other(21, "IQ3_S", (256, 110)),
    other(22, "IQ2_S", (256, 82)),
    other(23, "IQ4_XS", (256, 136)),
    plain(24, "I8", DType::I8),
    plain(25, "I16", DType::I16),
    plain(26, "I32", DType::I32),
    plain(27, "I64", DType::I64),
    plain(28, "F64", DType::F64),
    other(29, "IQ1_M", (256, 56)),
    plain(30, "BF16", DType::Bf16),
    blocks(34, "TQ1_0", (256, 54), BlockFormat::Tq1_0),
    blocks(35, "TQ2_0", (256, 66), BlockFormat::Tq2_0),
    blocks(39, "MXFP4", (32, 17), BlockFormat::Mxfp4),
    other(40, "NVFP4", (64, 36)),
    other(41, "Q1_0", (128, 18)),
];

impl GgufType {
    /// The type with this number in a file.
    pub fn of_number(number: u32) -> Self {
        let known = KNOWN.iter().find(|known| known.number == number);
        known
            .and_then(|known| known.kind)
            .unwrap_or(Self::Other(number))
    }

    /// Its number in a file; `None` if ggml has no such type.
    pub fn number(self) -> Option<u32> {
        match self {
            Self::Other(number) => Some(number),
            _ => self.known().map(|known| known.number),
        }
    }

    fn known(self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| match self {
            Self::Other(number) => known.number == number,
            _ => known.kind == Some(self),
        })
    }

    /// The type that a [`TensorSource`](crate::tensors::TensorSource) gives such tensors in: `F32` for blocks, which are
    /// decoded, and what cannot be decoded would be too.
    pub const fn read_as(self) -> DType {
        match self {
            Self::Plain(dtype) => dtype,
            Self::Blocks(_) | Self::Other(_) => DType::F32,
        }
    }

    /// How many values share a block, 1 for plain types; `None` if that is not known.
    pub fn block_len(self) -> Option<usize> {
        self.known().map(|known| known.block.0)
    }

    /// How many bytes a tensor of this type and shape takes in a file.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`] if that cannot be counted, [`Error::AxisOutOfRange`] if the shape has no axes and
    /// [`Error::NotDivisible`] if its last one does not fall into whole blocks; [`FileError::TypeNotRead`] if it is not
    /// known how large such tensors are.
    pub fn bytes_for(self, shape: &[usize]) -> Result<usize> {
        let Some(known) = self.known() else {
            return Err(self.not_read());
        };
        let (values, bytes) = known.block;
        let Some((&length, leading)) = shape.split_last() else {
            return Err(Error::AxisOutOfRange { axis: 0, ndim: 0 });
        };
        if length % values != 0 {
            return Err(Error::NotDivisible {
                axis: leading.len(),
                length,
                by: values,
            });
        }
        (shape::count(shape)? / values)
            .checked_mul(bytes)
            .ok_or_else(|| Error::ShapeOverflow {
                shape: shape.to_vec(),
            })
    }

    /// Its name where only a constant will do.
    pub(super) fn name(self) -> &'static str {
        match (self.known(), self) {
            (Some(known), _) => known.name,
            (None, Self::Plain(dtype)) => dtype.name(),
            (None, _) => "blocks that ggml does not have",
        }
    }

    /// What is said where its elements or its size were asked for and are not known.
    pub(super) fn not_read(self) -> Error {
        Error::File(FileError::TypeNotRead {
            name: self.to_string(),
        })
    }
}

impl From<DType> for GgufType {
    fn from(dtype: DType) -> Self {
        Self::Plain(dtype)
    }
}

impl From<BlockFormat> for GgufType {
    fn from(format: BlockFormat) -> Self {
        Self::Blocks(format)
    }
}

/// The name that ggml gives it.
impl fmt::Display for GgufType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.known(), self) {
            (None, Self::Other(number)) => write!(f, "number {number}"),
            (None, Self::Blocks(format)) => write!(f, "{format:?}"),
            _ => f.write_str(self.name()),
        }
    }
}
