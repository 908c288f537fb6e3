//! A whole checkpoint.

use super::state::{PARTS, STATE, State};
use crate::error::{Error, FileError, Result};
use crate::formats::dense::{Decoder, Dense, Made, read_dense};
use crate::quantize::{Granularity, Parameters, QuantizedTensor, Scheme};
use crate::tensors::{TensorSource, TensorSourceExt};
use ndarray::Axis;
use std::collections::BTreeSet;

/// Bits of a code.
const BITS: u32 = 4;

/// A checkpoint of bitsandbytes as the dense model that it stands for: tensors in NF4 or FP4, with absmax in f32 or
/// quantized itself ("double quantization").
///
/// A tensor with a `quant_state` is one of the shape and type that the state says; its parts are not to be seen, all other
/// tensors are what they are. Elements are, in f32,
///
/// ```text
/// map[code] · absmax,    absmax = nested_map[absmax_code] · nested_absmax + nested_offset    where it is quantized
/// ```
///
/// each operation rounded, and at last rounded once to the type of the tensor: the bits that bitsandbytes gives on a CPU.
/// Nothing is held but the tables; reading a part reads the bytes that it needs.
///
/// Weights of 8 bits (`LLM.int8()`, with `SCB` beside them) are passed through as they are stored.
///
/// # Examples
///
/// ```no_run
/// use rarefy::formats::{BitsAndBytesCheckpoint, Checkpoint};
/// use rarefy::tensors::TensorSourceExt;
///
/// let model = BitsAndBytesCheckpoint::new(Checkpoint::open("model-nf4")?)?;
/// let dense = model.floats::<f32>("model.layers.0.mlp.up_proj.weight")?;
/// let codes = model.quantized("model.layers.0.mlp.up_proj.weight")?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug)]
pub struct BitsAndBytesCheckpoint<S> {
    dense: Dense<S, States>,
}

#[derive(Debug)]
struct States {
    states: Vec<State>,
    names: Vec<String>,
}

impl<S: TensorSource> BitsAndBytesCheckpoint<S> {
    /// The checkpoint with these tensors. Only names, types and shapes are read, and of each quantized tensor the state and
    /// the tables.
    ///
    /// # Errors
    ///
    /// * [`FileError::NoTensor`](crate::FileError::NoTensor), [`FileError::WrongDType`](crate::FileError::WrongDType),
    ///   [`FileError::WrongShape`](crate::FileError::WrongShape), [`Error::WrongCount`](crate::Error::WrongCount): a part
    ///   is missing or not as the state says.
    /// * [`FileError::CannotHold`](crate::FileError::CannotHold): a state that is no JSON.
    /// * [`FileError::Setting`](crate::FileError::Setting): the first of its settings that is missing or not understood.
    /// * [`Error::NameRepeated`](crate::Error::NameRepeated): a tensor with two states.
    /// * Whatever reading can fail with.
    pub fn new(source: S) -> Result<Self> {
        let (mut states, mut names, mut made) = (Vec::new(), Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        for info in source.infos() {
            let Some((name, kind)) = info.name.split_once(STATE) else {
                continue;
            };
            if !matches!(kind, "nf4" | "fp4") {
                continue;
            }
            if !known.insert(name) {
                return Err(Error::NameRepeated {
                    what: "quantized tensors",
                    name: name.to_owned(),
                });
            }
            let state = State::read(&source, name, kind)?;
            let parts = PARTS.iter().map(|part| format!("{name}{part}"));
            made.push(Made {
                info: state.info.clone(),
                leader: name.to_owned(),
                parts: parts.chain([info.name.clone()]).collect(),
            });
            states.push(state);
            names.push(name.to_owned());
        }
        let dense = Dense::new(source, States { states, names }, &made)?;
        Ok(Self { dense })
    }

    /// The names of the quantized tensors.
    pub fn quantized_names(&self) -> &[String] {
        &self.dense.decoder().names
    }

    /// The tensors as they are stored.
    pub const fn source(&self) -> &S {
        self.dense.source()
    }

    /// A tensor as it is quantized: codes of [`Scheme::codebook`], the table of the file, absmax as scales.
    ///
    /// Blocks of bitsandbytes are neighbours in row-major order, whatever the shape. Where rows are whole blocks, the tensor
    /// has its shape and groups along its last axis; where they are not, it is flat, of shape `[len]`, with groups along
    /// that axis, and the shape is in [`infos`](TensorSource::infos).
    ///
    /// A block whose absmax is 0 gets the least scale, 1.1754944e-38, and the code of 0, as scales must be positive: it is +0.
    ///
    /// # Errors
    ///
    /// * [`FileError::NoTensor`](crate::FileError::NoTensor): no such tensor, or it is not quantized.
    /// * [`Error::ScaleOutOfRange`](crate::Error::ScaleOutOfRange): an absmax that is negative (a small one that was
    ///   quantized can become that), infinite or NaN; and the errors of an entry of the table that is not finite. Read such
    ///   a tensor as a dense one.
    /// * Whatever reading can fail with.
    pub fn quantized(&self, name: &str) -> Result<QuantizedTensor> {
        let states = &self.dense.decoder().states;
        let state = states.iter().find(|state| state.info.name == name);
        let state = state.ok_or_else(|| {
            let name = name.to_owned();
            Error::File(FileError::NoTensor { name })
        })?;
        self.tensor_of(state).map_err(|error| error.in_tensor(name))
    }

    fn tensor_of(&self, state: &State) -> Result<QuantizedTensor> {
        let (source, len) = (self.source(), state.len());
        let mut packed = vec![0; len.div_ceil(2)];
        source.read_bytes(source.number(&state.info.name)?, 0, &mut packed)?;
        // First elements are in high nibbles there and in low ones here.
        packed
            .iter_mut()
            .for_each(|pair| *pair = pair.rotate_left(4));
        if len % 2 == 1 {
            packed
                .iter_mut()
                .last()
                .into_iter()
                .for_each(|last| *last &= 0xF);
        }
        let mut scales = state.absmax(source, 0, len.div_ceil(state.block))?;
        let zero = state.map.iter().position(|&entry| entry == 0.0);
        if let Some(zero) = zero.and_then(|zero| u8::try_from(zero).ok()) {
            for (number, scale) in scales
                .iter_mut()
                .enumerate()
                .filter(|(_, scale)| **scale == 0.0)
            {
                *scale = f32::MIN_POSITIVE;
                for element in number * state.block..len.min((number + 1) * state.block) {
                    let shift = 4 * (element % 2);
                    packed[element / 2] = packed[element / 2] & !(0xF << shift) | zero << shift;
                }
            }
        }
        let last = state.info.shape.len().saturating_sub(1);
        let (shape, axis) = match state.info.shape.last() {
            Some(columns) if columns % state.block == 0 => (state.info.shape.clone(), last),
            _ => (vec![len], 0),
        };
        let granularity = Granularity::PerGroup {
            axis: Axis(axis),
            size: state.block,
        };
        let parameters = Parameters::new(Scheme::codebook(BITS)?, granularity, scales)
            .with_codebook(state.map.clone());
        QuantizedTensor::from_packed(shape, packed, parameters)
    }
}

impl Decoder for States {
    fn decode(
        &self,
        source: &dyn TensorSource,
        made: usize,
        from: usize,
        values: &mut [f32],
    ) -> Result<()> {
        let Some(state) = self.states.get(made) else {
            return Ok(());
        };
        let end = from + values.len();
        let mut pairs = vec![0; end.div_ceil(2) - from / 2];
        source.read_bytes(source.number(&state.info.name)?, from / 2, &mut pairs)?;
        let first = from / state.block;
        let absmax = state.absmax(source, first, end.div_ceil(state.block) - first)?;
        for (place, value) in values.iter_mut().enumerate() {
            let element = from + place;
            let pair = pairs[element / 2 - from / 2];
            let code = if element.is_multiple_of(2) {
                pair >> 4
            } else {
                pair & 0xF
            };
            *value = state.map[usize::from(code)] * absmax[element / state.block - first];
        }
        Ok(())
    }
}

read_dense!(BitsAndBytesCheckpoint);
