//! A compressed checkpoint as the model that it was.

use super::module::Module;
use super::parts::{PACKED, SCALE, SHAPE, WEIGHT, ZERO_POINT, module_of, part_name};
use super::{CompressedConfig, CompressedLayout};
use crate::error::{Error, FileError, Result};
use crate::formats::Checkpoint;
use crate::quantize::QuantizedTensor;
use crate::tensors::{DType, TensorInfo, TensorSource, TensorSourceExt};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A compressed checkpoint as the model that it was: the weight of each quantized module is one tensor again, `m.weight` of
/// floats, all other tensors are what they are.
///
/// Weights are decoded where they are read, some rows at a time, so that memory does not grow with them. A value is
/// (code − zero point) · scale, rounded once to the type of the scales, which becomes the type of the weight: the bits
/// that compressed-tensors makes. [`quantized`](Self::quantized) gives codes and scales as they are.
///
/// Which modules are quantized, and as what, is told by the tensors that are there and not by the targets of the config, so
/// patterns need not be evaluated. Of several groups in the config that one is taken which the tensors of a module fit; where
/// more than one does, that which names the module.
///
/// Scales of activations are passed through, too; weights that lie beside a scale as floats (not compressed yet) are as well.
///
/// # Examples
///
/// ```no_run
/// use rarefy::formats::Decompressed;
/// use rarefy::tensors::TensorSourceExt;
///
/// let model = Decompressed::open("TinyLlama-1.1B-Chat-v1.0-W4A16")?; // a folder with config.json
/// let weights = model.floats::<f32>("model.layers.0.mlp.up_proj.weight")?;
/// let codes = model.quantized("model.layers.0.mlp.up_proj.weight")?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone)]
pub struct Decompressed<S> {
    source: S,
    config: CompressedConfig,
    infos: Vec<TensorInfo>,
    parts: Vec<Part>,
    by_name: BTreeMap<String, usize>,
}

/// Where a tensor comes from.
#[derive(Clone, Debug)]
enum Part {
    /// The tensor of this number.
    Same(usize),
    /// Codes.
    Weight(Module),
}

impl Decompressed<Checkpoint> {
    /// Opens the checkpoint in a folder, by its `config.json`.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::open`], [`CompressedConfig::open`] and [`new`](Self::new).
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let config = CompressedConfig::open(folder.as_ref().join("config.json"))?;
        Self::new(Checkpoint::open(folder)?, config)
    }
}

impl<S: TensorSource> Decompressed<S> {
    /// The tensors of `source`, decompressed by what `config` says of them.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`], [`FileError::WrongDType`], [`FileError::WrongShape`] and [`FileError::CannotHold`] with the
    /// name of a tensor that is missing or fits no group of the config; [`FileError::Setting`] if a module fits several
    /// groups that mean different weights; [`Error::NameRepeated`] if a module has a weight twice.
    pub fn new(source: S, config: CompressedConfig) -> Result<Self> {
        let mut model = Self {
            source,
            config,
            infos: Vec::new(),
            parts: Vec::new(),
            by_name: BTreeMap::new(),
        };
        for number in 0..model.source.infos().len() {
            if let Some((info, part)) = model.part(number)? {
                if model
                    .by_name
                    .insert(info.name.clone(), model.infos.len())
                    .is_some()
                {
                    return Err(Error::NameRepeated {
                        what: "tensors",
                        name: info.name,
                    });
                }
                model.infos.push(info);
                model.parts.push(part);
            }
        }
        Ok(model)
    }

    /// What becomes of a tensor of the source: nothing, if another one stands for its module.
    fn part(&self, number: usize) -> Result<Option<(TensorInfo, Part)>> {
        let info = &self.source.infos()[number];
        if let Some(module) = module_of(&info.name, PACKED) {
            let module = (module, CompressedLayout::PackQuantized);
            return self.weight(module).map(Some);
        }
        if let Some(module) = module_of(&info.name, WEIGHT)
            && is_coded(info.dtype)
            && self.has(module, SCALE)
        {
            let module = (module, CompressedLayout::NaiveQuantized);
            return self.weight(module).map(Some);
        }
        let of_weight = [SCALE, ZERO_POINT, SHAPE].map(|part| module_of(&info.name, part));
        if let Some(module) = of_weight.into_iter().flatten().next() {
            match self.source.position(&part_name(module, WEIGHT)) {
                // Floats that were rounded to codes, but are stored as floats.
                Some(weight) if !is_coded(self.source.infos()[weight].dtype) => {}
                Some(_) if self.has(module, SCALE) => return Ok(None),
                _ if self.has(module, PACKED) => return Ok(None),
                _ => {
                    let codes = if module_of(&info.name, SHAPE).is_some() {
                        PACKED
                    } else {
                        WEIGHT
                    };
                    let name = part_name(module, codes);
                    return Err(Error::File(FileError::NoTensor { name }));
                }
            }
        }
        Ok(Some((info.clone(), Part::Same(number))))
    }

    fn has(&self, module: &str, part: &str) -> bool {
        self.source.position(&part_name(module, part)).is_some()
    }

    fn weight(&self, (name, layout): (&str, CompressedLayout)) -> Result<(TensorInfo, Part)> {
        let module = self.config.module(layout, &self.source, name)?;
        let info = TensorInfo::new(part_name(name, WEIGHT), module.dtype(), module.shape());
        Ok((info, Part::Weight(module)))
    }

    /// What the config says.
    pub fn config(&self) -> &CompressedConfig {
        &self.config
    }

    /// The checkpoint as it is.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Codes, scales and zero points of the weight with this name, without turning them into floats; nothing if the tensor is
    /// not quantized.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if there is no tensor of this name; those of [`CompressedLayout::read`].
    pub fn quantized(&self, name: &str) -> Result<Option<QuantizedTensor>> {
        match &self.parts[self.number(name)?] {
            Part::Same(_) => Ok(None),
            Part::Weight(module) => {
                let rows = 0..module.shape()[0];
                module.rows(&self.source, rows).map(Some)
            }
        }
    }
}

/// Whether elements beside a scale are codes, maybe of a kind that is not read.
const fn is_coded(dtype: DType) -> bool {
    !dtype.is_float()
}

impl<S: TensorSource> TensorSource for Decompressed<S> {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        /// How many values are decoded at a time.
        const MOST: usize = 1 << 17;
        let len = self.infos.get(tensor).map_or(Ok(0), TensorInfo::bytes)?;
        let end = from.checked_add(bytes.len()).filter(|&end| end <= len);
        let (Some(end), Some(part)) = (end, self.parts.get(tensor)) else {
            return Err(Error::File(FileError::NoSuchBytes {
                from,
                count: bytes.len(),
                len,
            }));
        };
        let module = match part {
            Part::Same(number) => return self.source.read_bytes(*number, from, bytes),
            Part::Weight(module) => module,
        };
        let [rows, columns] = module.shape();
        let row = columns * (module.dtype().bits() / 8);
        if bytes.is_empty() || row == 0 {
            return Ok(());
        }
        let high = module.high();
        let step = (MOST / columns / high).max(1).saturating_mul(high);
        let last = end.div_ceil(row).min(rows);
        let mut first = from / row / high * high;
        while first < last {
            let next = first.saturating_add(step).min(last);
            let values = module.values(&self.source, first..next)?;
            let begins = first * row;
            let (start, stop) = (from.max(begins), end.min(next * row));
            if start < stop {
                bytes[start - from..stop - from]
                    .copy_from_slice(&values[start - begins..stop - begins]);
            }
            first = next;
        }
        Ok(())
    }
}

impl<S: fmt::Debug> fmt::Debug for Decompressed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressed")
            .field("source", &self.source)
            .field("tensors", &self.infos.len())
            .finish_non_exhaustive()
    }
}
