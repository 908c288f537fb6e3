//! A checkpoint of packed weights as the dense tensors that they stand for.

use super::round::round_into;
use crate::error::{Error, FileError, Result};
use crate::tensors::{TensorInfo, TensorSource};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::Range;

/// How many elements are decoded at a time: values and bytes stay in a cache.
const BLOCK: usize = 1 << 16;

/// Decodes the tensors that a checkpoint does not store as they are.
pub(super) trait Decoder: Debug + Send + Sync {
    /// The elements of decoded tensor number `made` from `from` on, in row-major order; all are there.
    fn decode(
        &self,
        source: &dyn TensorSource,
        made: usize,
        from: usize,
        values: &mut [f32],
    ) -> Result<()>;
}

/// A tensor that stands for others.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) info: TensorInfo,
    /// The stored tensor whose place in the order it takes.
    pub(super) leader: String,
    /// The stored tensors that are no longer to be seen, the leader among them.
    pub(super) parts: Vec<String>,
}

/// The tensors of a source, of which some stand for others and are decoded when they are read.
#[derive(Debug)]
pub(super) struct Dense<S, D> {
    source: S,
    decoder: D,
    infos: Vec<TensorInfo>,
    places: Vec<Place>,
    by_name: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Number in the source.
    Stored(usize),
    /// Number among the decoded.
    Made(usize),
}

impl<S: TensorSource, D: Decoder> Dense<S, D> {
    /// `made` in the order of the decoder's numbers.
    pub(super) fn new(source: S, decoder: D, made: &[Made]) -> Result<Self> {
        let parts: BTreeSet<&str> = made
            .iter()
            .flat_map(|made| &made.parts)
            .map(|part| &**part)
            .collect();
        let leaders: BTreeMap<&str, usize> = made
            .iter()
            .enumerate()
            .map(|(number, made)| (&*made.leader, number))
            .collect();
        let (mut infos, mut places) = (Vec::new(), Vec::new());
        for (number, info) in source.infos().iter().enumerate() {
            if let Some(&leading) = leaders.get(&*info.name) {
                infos.push(made[leading].info.clone());
                places.push(Place::Made(leading));
            } else if !parts.contains(&*info.name) {
                infos.push(info.clone());
                places.push(Place::Stored(number));
            }
        }
        let mut by_name = BTreeMap::new();
        for (number, info) in infos.iter().enumerate() {
            if by_name.insert(info.name.clone(), number).is_some() {
                return Err(Error::NameRepeated {
                    what: "tensors",
                    name: info.name.clone(),
                });
            }
        }
        Ok(Self {
            source,
            decoder,
            infos,
            places,
            by_name,
        })
    }

    pub(super) const fn source(&self) -> &S {
        &self.source
    }

    pub(super) const fn decoder(&self) -> &D {
        &self.decoder
    }

    /// Decodes the elements that these bytes of a tensor belong to.
    fn read_made(
        &self,
        made: usize,
        info: &TensorInfo,
        from: usize,
        bytes: &mut [u8],
    ) -> Result<()> {
        let len = info.bytes()?;
        let end = from.checked_add(bytes.len()).filter(|&end| end <= len);
        let Some(end) = end else {
            return Err(Error::File(FileError::NoSuchBytes {
                from,
                count: bytes.len(),
                len,
            }));
        };
        let size = info.dtype.bits() / 8;
        let elements = from / size..end.div_ceil(size);
        let most = elements.len().min(BLOCK);
        let (mut values, mut encoded) = (vec![0.0; most], vec![0; most * size]);
        for first in elements.clone().step_by(BLOCK) {
            let values = &mut values[..BLOCK.min(elements.end - first)];
            let decoded = self.decoder.decode(&self.source, made, first, values);
            decoded.map_err(|error| error.in_tensor(&*info.name))?;
            let encoded = &mut encoded[..values.len() * size];
            // What is too large becomes infinite, as it does for those who multiply in that type.
            round_into(values, info.dtype, encoded);
            // The first and the last element may be asked for in part.
            let there = first * size..first * size + encoded.len();
            let wanted = there.start.max(from)..there.end.min(end);
            let part = &encoded[shifted(&wanted, there.start)];
            bytes[shifted(&wanted, from)].copy_from_slice(part);
        }
        Ok(())
    }
}

fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start - by..range.end - by
}

impl<S: TensorSource, D: Decoder> TensorSource for Dense<S, D> {
    fn infos(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        match self.places.get(tensor) {
            Some(&Place::Stored(number)) => self.source.read_bytes(number, from, bytes),
            Some(&Place::Made(made)) => self.read_made(made, &self.infos[tensor], from, bytes),
            None => Err(Error::File(FileError::NoSuchBytes {
                from,
                count: bytes.len(),
                len: 0,
            })),
        }
    }
}

/// Lets a checkpoint be read as the dense tensors in its field `dense`.
macro_rules! read_dense {
    ($checkpoint:ident) => {
        impl<S: $crate::tensors::TensorSource> $crate::tensors::TensorSource for $checkpoint<S> {
            fn infos(&self) -> &[$crate::tensors::TensorInfo] {
                self.dense.infos()
            }

            fn position(&self, name: &str) -> Option<usize> {
                self.dense.position(name)
            }

            fn read_bytes(
                &self,
                tensor: usize,
                from: usize,
                bytes: &mut [u8],
            ) -> $crate::error::Result<()> {
                self.dense.read_bytes(tensor, from, bytes)
            }
        }
    };
}
pub(super) use read_dense;
