//! A table whose rows are decoded where they are looked up.

use crate::error::{Error, InferError, Result};
use crate::kernels::parallel::for_rows;
use crate::quantize::{BlockTensor, QuantizedTensor};
use crate::shape;
use ndarray::{Array2, ArrayRef2};

/// A table of vectors, one in each row, quantized in any way: embeddings of the words of a vocabulary.
///
/// Only the rows that are asked for are decoded, to the bits that decoding the whole table gives.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Axis, s};
/// use rarefy::infer::QuantizedEmbedding;
/// use rarefy::prelude::*;
/// use rarefy::quantize::Linear;
///
/// let table = Array2::from_shape_fn((1000, 64), |(word, j)| ((word * 7 + j) % 19) as f32 - 9.0);
/// let q = Linear::new(4).per_group(Axis(1), 32).quantize(&table)?;
/// let all = q.dequantize::<f32>();
/// let embedding = QuantizedEmbedding::from_tensor(q)?;
/// assert_eq!(embedding.bytes(), 1000 * (32 + 8));
///
/// let found = embedding.lookup(&[3, 999, 3])?;
/// assert_eq!(found.row(0), found.row(2));
/// assert_eq!(found.row(1).into_dyn(), all.slice(s![999, ..]).into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedEmbedding {
    table: Table,
    rows: usize,
    width: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Table {
    Codes(QuantizedTensor),
    Blocks(BlockTensor),
}

impl QuantizedEmbedding {
    /// A table of codes, of shape rows × width, of any scheme and granularity.
    ///
    /// # Errors
    ///
    /// [`Error::Infer`]: another rank.
    pub fn from_tensor(table: QuantizedTensor) -> Result<Self> {
        let [rows, width] = rank_two(table.shape())?;
        Ok(Self {
            table: Table::Codes(table),
            rows,
            width,
        })
    }

    /// A table of blocks, of shape rows × width, of any format.
    ///
    /// # Errors
    ///
    /// [`Error::Infer`]: another rank.
    pub fn from_blocks(table: BlockTensor) -> Result<Self> {
        let [rows, width] = rank_two(table.shape())?;
        Ok(Self {
            table: Table::Blocks(table),
            rows,
            width,
        })
    }

    /// How many rows the table has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many numbers a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bytes of the table: codes, scales and whatever belongs to them.
    pub fn bytes(&self) -> usize {
        match &self.table {
            Table::Codes(table) => table.bytes(),
            Table::Blocks(table) => {
                table.bytes().len() + table.mask().map_or(0, crate::mask::Mask::bytes)
            }
        }
    }

    /// The rows with these numbers, one below the other, in a new array.
    ///
    /// # Errors
    ///
    /// * [`Error::Infer`]: a number that is no row's.
    /// * [`Error::ShapeOverflow`]: more numbers than can be counted.
    pub fn lookup(&self, rows: &[usize]) -> Result<Array2<f32>> {
        self.check(rows)?;
        let shape = [rows.len(), self.width];
        shape::count(&shape)?;
        let mut out = Array2::zeros(shape);
        self.lookup_into(rows, &mut out)?;
        Ok(out)
    }

    /// The rows with these numbers in a given array of rows × width, of any memory order.
    ///
    /// # Errors
    ///
    /// * [`Error::Infer`]: a number that is no row's; `out` is as it was.
    /// * [`Error::ShapeMismatch`]: `out` has another shape.
    pub fn lookup_into(&self, rows: &[usize], out: &mut ArrayRef2<f32>) -> Result<()> {
        self.check(rows)?;
        let needed = [rows.len(), self.width];
        shape::check_same("output", out.shape(), "needed", &needed)?;
        match &self.table {
            Table::Codes(table) => {
                // The rank is 2, so there is something that decodes rows.
                if let Some(decoder) = table.decode_rows() {
                    for_rows(out.view_mut(), &|place, values, buffer| {
                        decoder.decode(rows[place], values, buffer);
                    });
                }
            }
            Table::Blocks(table) => for_rows(out.view_mut(), &|place, values, _| {
                table.decode_part(rows[place] * self.width, values);
            }),
        }
        Ok(())
    }

    fn check(&self, rows: &[usize]) -> Result<()> {
        match rows.iter().position(|&row| row >= self.rows) {
            None => Ok(()),
            Some(position) => Err(Error::Infer(InferError::RowOutOfRange {
                position,
                row: rows[position],
                rows: self.rows,
            })),
        }
    }
}

fn rank_two(shape: &[usize]) -> Result<[usize; 2]> {
    shape.try_into().map_err(|_| {
        Error::Infer(InferError::Rank {
            needed: "rows × width",
            given: shape.to_vec(),
        })
    })
}
