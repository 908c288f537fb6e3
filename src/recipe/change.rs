//! What a rule does with a tensor.

use super::Rule;
use super::compare::compare;
use super::layout::{Layout, module};
use super::plan::Step;
use super::sink::Sink;
use super::threshold::Threshold;
use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::formats::{GptqWeights, KeptWeights};
use crate::mask::Mask;
use crate::quantize::BlockTensor;
use crate::report::TensorReport;
use crate::shape;
use crate::tensors::{DType, StoredTensor, TensorInfo, TensorSource, TensorSourceExt};
use ndarray::{ArrayD, ArrayView1, IxDyn};

/// How many floats become bytes at a time.
const BLOCK: usize = 1 << 18;

/// Memory that one tensor after the other uses: fresh pages cost more than the arithmetic.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    singles: Vec<f32>,
    doubles: Vec<f64>,
}

/// A float that has a buffer.
trait Buffered: Float {
    fn buffer(buffers: &mut Buffers) -> &mut Vec<Self>;
}

impl Buffered for f32 {
    fn buffer(buffers: &mut Buffers) -> &mut Vec<Self> {
        &mut buffers.singles
    }
}

impl Buffered for f64 {
    fn buffer(buffers: &mut Buffers) -> &mut Vec<Self> {
        &mut buffers.doubles
    }
}

/// A tensor that a rule changes.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) source: &'a dyn TensorSource,
    pub(super) info: &'a TensorInfo,
    pub(super) rule: &'a Rule,
    pub(super) step: &'a Step,
    /// Where the rule ranks tensors together.
    pub(super) threshold: Option<&'a Threshold>,
}

impl Change<'_> {
    /// Prunes, quantizes and writes; says how far what comes back is from what was there.
    pub(super) fn write(&self, sink: &mut Sink, buffers: &mut Buffers) -> Result<TensorReport> {
        if self.info.dtype == DType::F64 {
            self.write_as::<f64>(sink, buffers)
        } else {
            self.write_as::<f32>(sink, buffers)
        }
    }

    fn write_as<F: Buffered>(
        &self,
        sink: &mut Sink,
        buffers: &mut Buffers,
    ) -> Result<TensorReport> {
        if let Some(together) = self.rows_at_once() {
            return self.write_rows::<F>(together, sink);
        }
        let mut values = std::mem::take(F::buffer(buffers));
        // What is there is overwritten.
        values.resize(self.info.elements()?, F::zero());
        self.source.floats_into(&self.info.name, &mut values)?;
        let weights = ArrayD::from_shape_vec(IxDyn(&self.info.shape), values);
        let mut weights = weights.map_err(|_| Error::ShapeOverflow {
            shape: self.info.shape.clone(),
        })?;
        let row = self.write_weights(&mut weights, sink)?;
        *F::buffer(buffers) = weights.into_raw_vec_and_offset().0;
        Ok(row)
    }

    /// Puts what comes back in the place of the weights.
    fn write_weights<F: Float>(
        &self,
        weights: &mut ArrayD<F>,
        sink: &mut Sink,
    ) -> Result<TensorReport> {
        let mask = self.prune(weights)?;
        match self.step.layout {
            Layout::Same => sink.copy(self.source, self.step.tensor)?,
            Layout::Dense => {
                if let Some(quantization) = self.rule.quantize {
                    let scales = quantization.scales(self.info.dtype);
                    quantization.restore(weights, scales)?;
                }
                self.write_floats(weights, sink)?;
            }
            Layout::Kept => {
                let mask = match mask {
                    Some(mask) => mask,
                    None => Mask::keep_all(weights.shape())?,
                };
                let kept = KeptWeights::new(&*weights, mask, self.info.dtype)?;
                sink.write(kept.tensors(&self.info.name)?)?;
            }
            Layout::Gptq { .. } => {
                if let Some(how) = self.rule.quantize {
                    let codes = how.quantize(weights, DType::F16)?;
                    codes.dequantize_into(&mut *weights)?;
                    let module = module(&self.info.name).unwrap_or(&self.info.name);
                    sink.write(GptqWeights::new(codes)?.encode(module)?)?;
                }
            }
            Layout::Blocks(format) => {
                let blocks = BlockTensor::encode(&*weights, format)?;
                sink.append(&self.info.name, blocks.bytes())?;
                blocks.dequantize_into(&mut *weights)?;
            }
            Layout::Compressed {
                layout,
                weights: kind,
                scales,
            } => {
                if let Some(how) = self.rule.quantize {
                    let codes = how.quantize(weights, scales)?;
                    let module = module(&self.info.name).unwrap_or(&self.info.name);
                    sink.write(layout.encode(module, &codes, kind, scales)?)?;
                    codes.dequantize_into(&mut *weights)?;
                }
            }
        }
        let restored = weights.as_slice().unwrap_or(&[]);
        compare(self.source, self.info, restored, self.step.bytes()?)
    }

    fn prune<F: Float>(&self, weights: &mut ArrayD<F>) -> Result<Option<Mask>> {
        let Some(pruning) = self.rule.prune else {
            return Ok(None);
        };
        if let Some(mask) = pruning.prune(weights)? {
            return Ok(Some(mask));
        }
        let Some(threshold) = self.threshold else {
            return Ok(None);
        };
        let mask = threshold.mask(
            self.step.tensor,
            &self.info.shape,
            weights.as_slice().unwrap_or(&[]),
        )?;
        mask.apply(weights)?;
        Ok(Some(mask))
    }

    /// Writes floats in the tensor's own type, and puts what they became in their place.
    fn write_floats<F: Float>(&self, weights: &mut ArrayD<F>, sink: &mut Sink) -> Result<()> {
        let blocks = weights.as_slice_mut().unwrap_or(&mut []).chunks_mut(BLOCK);
        for (number, block) in blocks.enumerate() {
            let stored = StoredTensor::of_floats(&ArrayView1::from(&*block), self.info.dtype);
            let stored = stored.map_err(|error| self.placed(error, number * BLOCK))?;
            sink.append(&self.info.name, stored.bytes())?;
            for (weight, stored) in block.iter_mut().zip(stored.floats::<F>()?) {
                *weight = stored;
            }
        }
        Ok(())
    }

    /// An error about an element of a block that begins at this place.
    fn placed(&self, error: Error, start: usize) -> Error {
        match error {
            Error::File(FileError::TooLarge { dtype, index }) => {
                let place = start + index.first().copied().unwrap_or(0);
                let index = shape::index_of(place, &self.info.shape);
                Error::File(FileError::TooLarge { dtype, index })
            }
            other => other,
        }
    }
}
