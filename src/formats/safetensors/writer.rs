//! Writes one safetensors file, tensor by tensor.

use super::header::{LONGEST, TEXTS, encode};
use crate::error::{Error, FileError, Result};
use crate::formats::pieces::{Pieces, check_said};
use crate::tensors::{StoredTensor, TensorInfo};
use std::collections::BTreeMap;
use std::path::Path;

/// One safetensors file that is being written.
///
/// Which tensors there will be is said first; then their bytes come in any order and in pieces, so that no tensor needs
/// to be in memory as a whole. The file is written beside its place, as `NAME.partial`, brought to the disk, and renamed:
/// at any time, whatever is killed, the file is there as a whole or as it was. One at a time may write a file.
///
/// Tensors lie as the format's own writer lays them, those of the widest types first and by name among equals, so that
/// all are aligned.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::formats::{SafetensorsFile, SafetensorsWriter};
/// use rarefy::tensors::{DType, StoredTensor, TensorInfo, TensorSourceExt};
/// use std::collections::BTreeMap;
///
/// # let folder = std::env::temp_dir().join(format!("rarefy-writer-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(rarefy::Error::external)?;
/// let path = folder.join("model.safetensors");
/// let infos = vec![TensorInfo::new("bias", DType::F16, [2])];
/// let mut writer = SafetensorsWriter::create(&path, infos, BTreeMap::new())?;
/// writer.write("bias", &StoredTensor::of_floats(&array![0.5_f32, -1.0], DType::F16)?)?;
/// writer.finish()?;
/// assert_eq!(SafetensorsFile::open(&path)?.floats::<f32>("bias")?, array![0.5, -1.0].into_dyn());
/// # std::fs::remove_dir_all(&folder).map_err(rarefy::Error::external)?;
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Debug)]
pub struct SafetensorsWriter {
    pieces: Pieces,
    infos: Vec<TensorInfo>,
}

impl SafetensorsWriter {
    /// Begins a file of these tensors, with these texts in its header; `format` is `pt` unless they say otherwise, which
    /// transformers asks for.
    ///
    /// # Errors
    ///
    /// [`Error::NameRepeated`] if a name is there twice, [`FileError::CannotHold`] if one is `__metadata__` or the header
    /// is longer than the format allows, those of [`TensorInfo::bytes`], and [`FileError::Failed`].
    pub fn create(
        path: impl AsRef<Path>,
        tensors: Vec<TensorInfo>,
        mut metadata: BTreeMap<String, String>,
    ) -> Result<Self> {
        metadata
            .entry("format".to_owned())
            .or_insert_with(|| "pt".to_owned());
        let mut infos = tensors;
        infos.sort_by(|left, right| {
            let widest_first = right.dtype.bits().cmp(&left.dtype.bits());
            widest_first.then_with(|| left.name.cmp(&right.name))
        });
        let mut spans = Vec::with_capacity(infos.len());
        let mut end = 0_u64;
        for info in &infos {
            let start = end;
            let bytes = info.bytes().map_err(|error| error.in_tensor(&*info.name))?;
            end = start
                .checked_add(bytes as u64)
                .ok_or_else(|| Error::ShapeOverflow {
                    shape: info.shape.clone(),
                })?;
            spans.push((start, end));
        }
        let header = encode(&infos, &spans, &metadata);
        if header.len() as u64 > LONGEST + 8 {
            return Err(cannot(
                "a header of more than 100 MB",
                "fewer tensors in a file",
            ));
        }
        if infos.iter().any(|info| info.name == TEXTS) {
            return Err(cannot("a tensor named __metadata__", "any other name"));
        }
        let places = infos.iter().zip(&spans).map(|(info, (start, end))| {
            let len = usize::try_from(end - start).unwrap_or(usize::MAX);
            (info.name.as_str(), *start, len)
        });
        let pieces = Pieces::begin(path.as_ref(), &header, places)?;
        Ok(Self { pieces, infos })
    }

    /// The tensors in the order in which they lie in the file.
    pub fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    /// Writes the next bytes of a tensor: little-endian, row-major.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if none of this name was said, [`FileError::NoSuchBytes`] if it has no room for so many,
    /// and [`FileError::Failed`].
    pub fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.pieces.append(name, bytes)
    }

    /// Writes a whole tensor.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), [`FileError::WrongDType`] and [`FileError::WrongShape`] if it is not as it was
    /// said.
    pub fn write(&mut self, name: &str, tensor: &StoredTensor) -> Result<()> {
        let said = self.infos.iter().find(|info| info.name == name);
        if let Some(info) = said {
            let given = (tensor.dtype().name(), tensor.shape());
            let said = (info.dtype.name(), info.shape.as_slice());
            check_said(given, said).map_err(|error| Error::File(error).in_tensor(name))?;
        }
        self.append(name, tensor.bytes())
    }

    /// Brings the file to the disk and to its place.
    ///
    /// # Errors
    ///
    /// [`FileError::Unfinished`] if bytes of a tensor are missing; [`FileError::Failed`]. The file is then as it was.
    pub fn finish(self) -> Result<()> {
        self.pieces.finish()
    }
}

fn cannot(what: &str, must: &'static str) -> Error {
    Error::File(FileError::CannotHold {
        format: "safetensors",
        what: what.to_owned(),
        must,
    })
}
