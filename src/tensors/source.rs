//! Where the tensors of a model come from.

use super::stored::{Element, floats_from, no_floats, overflow, too_large};
use super::{StoredTensor, TensorInfo};
use crate::error::{Error, FileError, Result};
use crate::float::Float;
use ndarray::{ArrayD, IxDyn};
use std::fmt::Debug;
use std::sync::Arc;

/// Where the tensors of a model come from: a file, several, memory.
///
/// What is asked for is read and nothing else, so that models larger than memory can be gone through.
pub trait TensorSource: Debug + Send + Sync {
    /// Which tensors there are, each name once. Of each, [`TensorInfo::bytes`] is a number.
    fn infos(&self) -> &[TensorInfo];

    /// The number of the tensor with this name.
    fn position(&self, name: &str) -> Option<usize> {
        self.infos().iter().position(|info| info.name == name)
    }

    /// Reads as many bytes of tensor number `tensor` as `bytes` has, from byte `from` of it on: little-endian, row-major.
    ///
    /// # Errors
    ///
    /// [`FileError::NoSuchBytes`] if the tensor does not have them, and whatever reading can fail with.
    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()>;
}

impl<S: TensorSource + ?Sized> TensorSource for &S {
    fn infos(&self) -> &[TensorInfo] {
        (**self).infos()
    }

    fn position(&self, name: &str) -> Option<usize> {
        (**self).position(name)
    }

    fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
        (**self).read_bytes(tensor, from, bytes)
    }
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        impl<S: TensorSource + ?Sized> TensorSource for $pointer<S> {
            fn infos(&self) -> &[TensorInfo] {
                (**self).infos()
            }

            fn position(&self, name: &str) -> Option<usize> {
                (**self).position(name)
            }

            fn read_bytes(&self, tensor: usize, from: usize, bytes: &mut [u8]) -> Result<()> {
                (**self).read_bytes(tensor, from, bytes)
            }
        }
    )*};
}
forward!(Box, Arc);

/// Reads whole tensors from any [`TensorSource`].
pub trait TensorSourceExt: TensorSource {
    /// What is known of the tensor with this name.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if there is none.
    fn info(&self, name: &str) -> Result<&TensorInfo> {
        Ok(&self.infos()[self.number(name)?])
    }

    /// The number of the tensor with this name.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if there is none.
    fn number(&self, name: &str) -> Result<usize> {
        self.position(name).ok_or_else(|| {
            Error::File(FileError::NoTensor {
                name: name.to_owned(),
            })
        })
    }

    /// The tensor with this name, in its own type.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if there is none, and whatever reading can fail with.
    fn tensor(&self, name: &str) -> Result<StoredTensor> {
        let number = self.number(name)?;
        let info = &self.infos()[number];
        let mut bytes = vec![0; info.bytes()?];
        self.read_bytes(number, 0, &mut bytes)?;
        StoredTensor::new(info.dtype, info.shape.clone(), bytes)
    }

    /// The tensor with this name as floats. `F16`, `BF16` and `F32` become f32 or f64 exactly; `F64` becomes f32 by
    /// rounding to the nearest.
    ///
    /// Beside the array it takes a buffer of a megabyte.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if there is none, [`FileError::WrongDType`] if its elements are no such floats,
    /// [`FileError::TooLarge`] if a finite F64 is too large for f32, and whatever reading can fail with.
    fn floats<F: Float>(&self, name: &str) -> Result<ArrayD<F>> {
        let info = self.info(name)?;
        if !info.dtype.is_float() {
            return Err(no_floats(info.dtype).in_tensor(name));
        }
        info.bytes().map_err(|error| error.in_tensor(name))?;
        let mut values = ArrayD::zeros(IxDyn(&info.shape));
        self.floats_into(name, values.as_slice_mut().unwrap_or(&mut []))?;
        Ok(values)
    }

    /// [`floats`](Self::floats) in row-major order into memory that exists.
    ///
    /// # Errors
    ///
    /// Those of [`floats`](Self::floats), and [`Error::WrongCount`] if `values` is shorter or longer than the tensor.
    fn floats_into<F: Float>(&self, name: &str, values: &mut [F]) -> Result<()> {
        let number = self.number(name)?;
        let info = &self.infos()[number];
        let expected = info.elements()?;
        if values.len() != expected {
            return Err(Error::WrongCount {
                what: "places for values",
                given: values.len(),
                expected,
            });
        }
        self.float_blocks(name, BLOCK, &mut |from, block: &[F]| {
            values[from..from + block.len()].copy_from_slice(block);
            Ok(())
        })
    }

    /// The tensor with this name as floats, at most `most` elements at a time, in row-major order: `take` gets the place
    /// of the first and the values, and may stop the reading by an error of its own.
    ///
    /// # Errors
    ///
    /// Those of [`floats`](Self::floats) and of `take`; [`Error::NumberOutOfRange`] if `most` is 0.
    fn float_blocks<F: Float>(
        &self,
        name: &str,
        most: usize,
        take: &mut dyn FnMut(usize, &[F]) -> Result<()>,
    ) -> Result<()> {
        if most == 0 {
            return Err(Error::NumberOutOfRange {
                what: "length of a block",
                must: "at least 1",
                value: 0.0,
            });
        }
        let number = self.number(name)?;
        let info = &self.infos()[number];
        if !info.dtype.is_float() {
            return Err(no_floats(info.dtype).in_tensor(name));
        }
        let (len, size) = (info.elements()?, info.dtype.bits() / 8);
        let most = most.min(len);
        let mut bytes = vec![0; most * size];
        let mut values = vec![F::zero(); most];
        for from in (0..len).step_by(most.max(1)) {
            let count = most.min(len - from);
            let (bytes, values) = (&mut bytes[..count * size], &mut values[..count]);
            self.read_bytes(number, from * size, bytes)?;
            floats_from(info.dtype, bytes, values);
            if let Some(place) = overflow(info.dtype, bytes, values) {
                return Err(too_large(from + place, &info.shape, "F32").in_tensor(name));
            }
            take(from, values)?;
        }
        Ok(())
    }

    /// The elements of the tensor with this name, which must be of the type `T`.
    ///
    /// # Errors
    ///
    /// [`FileError::NoTensor`] if there is none, [`FileError::WrongDType`] if its elements are of another type, and
    /// whatever reading can fail with.
    fn elements<T: Element>(&self, name: &str) -> Result<ArrayD<T>> {
        let tensor = self.tensor(name)?;
        tensor.elements().map_err(|error| error.in_tensor(name))
    }
}

/// How many elements are read at a time: bytes and values stay in a cache.
const BLOCK: usize = 1 << 17;

impl<S: TensorSource + ?Sized> TensorSourceExt for S {}
