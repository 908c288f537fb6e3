//! Writes one GGUF file, tensor by tensor.

use super::layout::{ALIGNMENT, DEEPEST, LONGEST_KEY, MOST_AXES, alignment, by_name};
use super::reader::format;
use super::{GgufTensorInfo, GgufType, GgufValue, encode};
use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::formats::pieces::{Pieces, check_said};
use crate::quantize::BlockTensor;
use crate::tensors::StoredTensor;
use ndarray::{ArrayRef, Dimension};
use std::path::Path;

/// The longest name of a tensor that ggml reads: it keeps a zero behind it.
const LONGEST_NAME: usize = 63;
/// The key that every model has.
const ARCHITECTURE: &str = "general.architecture";
/// The key that says what the bytes of blocks mean.
const QUANTIZATION: &str = "general.quantization_version";
/// What they have meant since 2023.
const QUANTIZATION_VERSION: u32 = 2;

/// One GGUF file that is being written, of version 3.
///
/// What it says and which tensors there will be is said first; then their bytes come in any order and in pieces, so that
/// no tensor needs to be in memory as a whole. The file is written beside its place, as `NAME.partial`, brought to the
/// disk, and renamed: at any time, whatever is killed, the file is there as a whole or as it was. One at a time may write
/// a file.
///
/// Tensors lie in the order in which they were said, without gaps, at multiples of the key `general.alignment`, 32 if
/// it is not there. What the model is, its settings and its vocabulary, is the caller's to say in the keys that programs
/// look for; `general.architecture` is in every such file and must be there. `general.quantization_version` is added, as
/// 2, if it is missing and there are blocks. Keys keep their order.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use rarefy::formats::{GgufFile, GgufTensorInfo, GgufWriter};
/// use rarefy::quantize::{BlockFormat, BlockTensor};
/// use rarefy::tensors::{DType, StoredTensor};
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-gguf-writer-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(rarefy::Error::external)?;
/// let path = folder.join("model.gguf");
/// let metadata = vec![
///     ("general.architecture".to_owned(), "llama".into()),
///     ("llama.block_count".to_owned(), 1_u32.into()),
/// ];
/// let tensors = vec![
///     GgufTensorInfo::new("blk.0.ffn_up.weight", BlockFormat::Q4K, [4, 256]),
///     GgufTensorInfo::new("blk.0.ffn_norm.weight", DType::F32, [256]),
/// ];
/// let mut writer = GgufWriter::create(&path, metadata, tensors)?;
/// let weight = Array2::from_shape_fn((4, 256), |(i, j)| (i + 3 * j) as f32);
/// writer.write_blocks("blk.0.ffn_up.weight", &BlockTensor::encode(&weight, BlockFormat::Q4K)?)?;
/// writer.write("blk.0.ffn_norm.weight", &StoredTensor::of(&weight.row(0)))?;
/// writer.finish()?;
///
/// let file = GgufFile::open(&path)?;
/// assert_eq!(file.value("llama.block_count").and_then(|count| count.as_u32()), Some(1));
/// assert_eq!(file.value("general.quantization_version"), Some(&2_u32.into()));
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug)]
pub struct GgufWriter {
    pieces: Pieces,
    tensors: Vec<GgufTensorInfo>,
    /// The numbers of tensors in the order of their names.
    names: Vec<usize>,
}

impl GgufWriter {
    /// Begins a file that says this and has these tensors.
    ///
    /// Of [`GgufType::Other`] tensors can be written whose size is known: such blocks come from another file.
    ///
    /// # Errors
    ///
    /// * [`Error::NameRepeated`]: two keys or two tensors have one name.
    /// * [`FileError::CannotHold`]: `general.architecture` is not there or no text; `general.alignment` is no power of
    ///   two in 8..=2²⁰, as an unsigned integer of 32 bits; a key has no letters or more than 65 535 bytes; arrays are
    ///   more than four deep; a tensor's name has more than 63 bytes, its shape no axes, more than four, or one of length
    ///   0, or its type is none of ggml's.
    /// * Those of [`GgufTensorInfo::bytes`], and [`FileError::Failed`].
    pub fn create(
        path: impl AsRef<Path>,
        mut metadata: Vec<(String, GgufValue)>,
        tensors: Vec<GgufTensorInfo>,
    ) -> Result<Self> {
        complete(&mut metadata, &tensors);
        let alignment = check_metadata(&metadata)?;
        let names = by_name(&tensors, |info| &info.name);
        let names = names.map_err(|name| repeated("tensors", name))?;

        let mut entries = Vec::with_capacity(tensors.len());
        let mut places = Vec::with_capacity(tensors.len());
        let (mut filled, mut end) = (0_u64, 0_u64);
        for info in &tensors {
            let number = check_tensor(info).map_err(|error| error.in_tensor(&*info.name))?;
            let len = info.bytes().map_err(|error| error.in_tensor(&*info.name))?;
            entries.push((info, number, end));
            places.push((info.name.as_str(), end, len));
            filled = end.saturating_add(len as u64);
            end = filled
                .checked_next_multiple_of(alignment as u64)
                .ok_or_else(|| {
                    let shape = info.shape.clone();
                    Error::ShapeOverflow { shape }.in_tensor(&*info.name)
                })?;
        }
        let header = encode::header(&metadata, entries.into_iter(), alignment);
        let padding = vec![0; usize::try_from(end - filled).unwrap_or(0)];
        let mut pieces = Pieces::begin(path.as_ref(), &header, places)?;
        // What lies between tensors is zero as it was never written; the last one has nothing behind it to make it so.
        if !padding.is_empty() {
            pieces.fill(filled.saturating_add(header.len() as u64), &padding)?;
        }
        Ok(Self {
            pieces,
            tensors,
            names,
        })
    }

    /// The tensors in their order.
    pub fn tensors(&self) -> &[GgufTensorInfo] {
        &self.tensors
    }

    /// Writes the next bytes of a tensor, in its type: little-endian, row-major.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if none of this name was said, [`FileError::NoSuchBytes`] if it has no room for so many,
    /// and [`FileError::Failed`].
    pub fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.pieces.append(name, bytes)
    }

    /// Writes a whole tensor of a plain type.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), [`FileError::WrongDType`] and [`FileError::WrongShape`] if it is not as it was
    /// said.
    pub fn write(&mut self, name: &str, tensor: &StoredTensor) -> Result<()> {
        self.check(name, tensor.dtype().into(), tensor.shape())?;
        self.append(name, tensor.bytes())
    }

    /// Writes a whole tensor of blocks.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), [`FileError::WrongDType`] and [`FileError::WrongShape`] if it is not as it was
    /// said, and [`FileError::CannotHold`] if it has a [mask](BlockTensor::mask) beside its bytes.
    pub fn write_blocks(&mut self, name: &str, tensor: &BlockTensor) -> Result<()> {
        self.check(name, tensor.format().into(), tensor.shape())?;
        if tensor.mask().is_some() {
            let error = cannot(
                "a mask beside blocks".to_owned(),
                "blocks of a format that keeps zeros",
            );
            return Err(error.in_tensor(name));
        }
        self.append(name, tensor.bytes())
    }

    /// Writes a whole tensor from floats: rounded to its type, or encoded in its blocks.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), of [`StoredTensor::of_floats`] and of [`BlockTensor::encode`], and
    /// [`FileError::WrongShape`] if it is not as it was said.
    pub fn write_floats<F: Float, D: Dimension>(
        &mut self,
        name: &str,
        values: &ArrayRef<F, D>,
    ) -> Result<()> {
        let said = self.said(name);
        let kind = said.map_or(GgufType::Other(u32::MAX), |info| info.kind);
        self.check(name, kind, values.shape())?;
        let bytes = if let GgufType::Plain(dtype) = kind {
            StoredTensor::of_floats(values, dtype).map(StoredTensor::into_bytes)
        } else {
            let encoded = format(kind).and_then(|format| BlockTensor::encode(values, format));
            encoded.map(BlockTensor::into_bytes)
        };
        self.append(name, &bytes.map_err(|error| error.in_tensor(name))?)
    }

    /// Brings the file to the disk and to its place.
    ///
    /// # Errors
    ///
    /// [`FileError::Unfinished`] if bytes of a tensor are missing; [`FileError::Failed`]. The file is then as it was.
    pub fn finish(self) -> Result<()> {
        self.pieces.finish()
    }

    fn said(&self, name: &str) -> Option<&GgufTensorInfo> {
        let name_of = |&number: &usize| self.tensors[number].name.as_str();
        let found = self.names.binary_search_by_key(&name, name_of).ok()?;
        Some(&self.tensors[self.names[found]])
    }

    /// Fails unless a tensor is as it was said.
    fn check(&self, name: &str, kind: GgufType, shape: &[usize]) -> Result<()> {
        let Some(info) = self.said(name) else {
            return Err(Error::File(FileError::NoTensor {
                name: name.to_owned(),
            }));
        };
        let said = (info.kind.name(), info.shape.as_slice());
        check_said((kind.name(), shape), said).map_err(|error| Error::File(error).in_tensor(name))
    }
}

/// Adds what says how blocks are to be read.
fn complete(metadata: &mut Vec<(String, GgufValue)>, tensors: &[GgufTensorInfo]) {
    let plain = |info: &GgufTensorInfo| matches!(info.kind, GgufType::Plain(_));
    let said = metadata.iter().any(|(key, _)| key == QUANTIZATION);
    if !said && !tensors.iter().all(plain) {
        metadata.push((QUANTIZATION.to_owned(), QUANTIZATION_VERSION.into()));
    }
}

/// What tensors begin at multiples of, if the file can say all this.
fn check_metadata(metadata: &[(String, GgufValue)]) -> Result<usize> {
    by_name(metadata, |(key, _)| key).map_err(|key| repeated("keys", key))?;
    for (key, value) in metadata {
        if !(1..=LONGEST_KEY).contains(&key.len()) {
            let what = format!("a key of {} bytes", key.len());
            return Err(cannot(what, "1 to 65535 bytes"));
        }
        let array = value.as_array();
        if array.is_some_and(|array| !array.is_at_most_deep(DEEPEST)) {
            let what = format!("the array of key {key:?}");
            return Err(cannot(what, "arrays that are at most 4 deep"));
        }
    }
    let said = |wanted: &str| {
        let found = metadata.iter().find(|(key, _)| key == wanted);
        found.map(|(_, value)| value)
    };
    if said(ARCHITECTURE).and_then(GgufValue::as_str).is_none() {
        return Err(cannot(
            "a model without a text general.architecture".to_owned(),
            "what programs know the model by, such as \"llama\"",
        ));
    }
    let alignment = alignment(said(ALIGNMENT));
    let alignment = alignment.map_err(|why| cannot(why, "8, 16, ... 1048576, or leave it out"))?;
    Ok(usize::try_from(alignment).unwrap_or(usize::MAX))
}

/// The number of the type of a tensor, if the file can hold it.
fn check_tensor(info: &GgufTensorInfo) -> Result<u32> {
    let len = info.name.len();
    if len > LONGEST_NAME {
        return Err(cannot(format!("a name of {len} bytes"), "at most 63 bytes"));
    }
    let shape = &info.shape;
    if !(1..=MOST_AXES).contains(&shape.len()) || shape.contains(&0) {
        return Err(cannot(
            format!("shape {shape:?}"),
            "1 to 4 axes, each at least 1 long",
        ));
    }
    info.kind.number().ok_or_else(|| {
        cannot(
            format!("elements of type {}", info.kind),
            "F16, BF16, F32, F64, I8, I16, I32, I64 or blocks that ggml has",
        )
    })
}

fn repeated(what: &'static str, name: &str) -> Error {
    Error::NameRepeated {
        what,
        name: name.to_owned(),
    }
}

fn cannot(what: String, must: &'static str) -> Error {
    Error::File(FileError::CannotHold {
        format: "GGUF",
        what,
        must,
    })
}
