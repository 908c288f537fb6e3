//! Quantizes and writes some rows at a time, where rows know nothing of each other.
//!
//! With a scale for each row or group, the codes of a row do not depend on other rows, and layouts store rows one after the
//! other. So a few megabytes of floats are read, coded, written and compared while a cache has them, in memory that the next
//! ones use again: a matrix as a whole took twice the time, most of it for fresh pages.

use super::change::Change;
use super::compare::Comparison;
use super::layout::{Layout, module};
use super::sink::Sink;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::formats::CompressedLayout;
use crate::quantize::{BlockFormat, BlockTensor, Granularity};
use crate::report::TensorReport;
use crate::tensors::TensorSourceExt;
use ndarray::{ArrayView2, ArrayViewMut2};

/// About how many weights are worked on at a time.
const WEIGHTS: usize = 1 << 20;
/// Rows come by as many as fill whole words together, whatever the bits of their zero points.
const TOGETHER: usize = 32;

impl Change<'_> {
    /// How many rows are worked on at a time; `None` where a row depends on others.
    pub(super) fn rows_at_once(&self) -> Option<usize> {
        let &[_, columns] = self.info.shape.as_slice() else {
            return None;
        };
        let alone = match self.step.layout {
            Layout::Compressed { weights, .. } => !matches!(
                weights.granularity(),
                Granularity::PerTensor | Granularity::PerBlock(_)
            ),
            // One number of the format is for all of the tensor.
            Layout::Blocks(format) => format != BlockFormat::Nvfp4,
            _ => false,
        };
        let together = (WEIGHTS / columns.max(1)).next_multiple_of(TOGETHER);
        let alone = alone && self.rule.prune.is_none() && !self.info.shape.contains(&0);
        alone.then_some(together.max(TOGETHER))
    }

    /// Quantizes and writes `together` rows at a time; says how far what comes back is from what was there.
    pub(super) fn write_rows<F: Float>(
        &self,
        together: usize,
        sink: &mut Sink,
    ) -> Result<TensorReport> {
        let columns = self.info.shape.last().copied().unwrap_or(0);
        let mut comparison = Comparison::new(self.info);
        let mut restored = Vec::new();
        let most = together.saturating_mul(columns).max(1);
        self.source
            .float_blocks(&self.info.name, most, &mut |from, original: &[F]| {
                restored.resize(original.len(), F::zero());
                let shape = (original.len() / columns, columns);
                let written = self.write_block(shape, original, &mut restored, sink);
                written.map_err(|error| self.moved(error, from / columns))?;
                comparison.add(from, original, &restored)
            })?;
        self.write_shape(sink)?;
        comparison.report(self.step.bytes()?)
    }

    /// Writes a block of so many rows and columns, and puts what comes back into `restored`.
    fn write_block<F: Float>(
        &self,
        shape: (usize, usize),
        original: &[F],
        restored: &mut [F],
        sink: &mut Sink,
    ) -> Result<()> {
        let no_array = |_| Error::ShapeOverflow {
            shape: vec![shape.0, shape.1],
        };
        let weights = ArrayView2::from_shape(shape, original).map_err(no_array)?;
        let mut restored = ArrayViewMut2::from_shape(shape, restored).map_err(no_array)?;
        match (self.step.layout, self.rule.quantize) {
            (Layout::Blocks(format), _) => {
                let blocks = BlockTensor::encode(&weights, format)?;
                sink.append(&self.info.name, blocks.bytes())?;
                blocks.dequantize_into(&mut restored)
            }
            (
                Layout::Compressed {
                    layout,
                    weights: kind,
                    scales,
                },
                Some(how),
            ) => {
                let codes = how.quantize(&weights.into_dyn(), scales)?;
                let name = module(&self.info.name).unwrap_or(&self.info.name);
                for (name, part) in layout.encode(name, &codes, kind, scales)? {
                    if !CompressedLayout::is_shape(&name) {
                        sink.append(&name, part.bytes())?;
                    }
                }
                codes.dequantize_into(&mut restored)
            }
            // `rows_at_once` knows no others.
            _ => Ok(()),
        }
    }

    /// Writes the part that says how large the whole is, if there is one.
    fn write_shape(&self, sink: &mut Sink) -> Result<()> {
        for info in &self.step.outputs {
            if matches!(self.step.layout, Layout::Compressed { .. })
                && CompressedLayout::is_shape(&info.name)
            {
                let lengths = self.info.shape.iter().map(|&length| length as u64);
                let bytes: Vec<u8> = lengths.flat_map(u64::to_le_bytes).collect();
                sink.append(&info.name, &bytes)?;
            }
        }
        Ok(())
    }

    /// An error about rows of which the first is number `start` of the tensor.
    fn moved(&self, error: Error, start: usize) -> Error {
        let down = |mut index: Vec<usize>| {
            if let Some(row) = index.first_mut() {
                *row += start;
            }
            index
        };
        match error {
            Error::NotANumber { what, index } => Error::NotANumber {
                what,
                index: down(index),
            },
            Error::Infinite { what, index, value } => Error::Infinite {
                what,
                index: down(index),
                value,
            },
            Error::ScaleOverflow { channel, largest } => Error::ScaleOverflow {
                channel: channel + start * self.scales_of_a_row(),
                largest,
            },
            other => other,
        }
    }

    fn scales_of_a_row(&self) -> usize {
        let columns = self.info.shape.last().copied().unwrap_or(0);
        match self.step.layout {
            Layout::Blocks(format) => columns / format.block_len(),
            Layout::Compressed { weights, .. } => match weights.granularity() {
                Granularity::PerGroup { size, .. } => columns.div_ceil(size.max(1)),
                _ => 1,
            },
            _ => 1,
        }
    }
}
