//! A tensor as a file stores it.

use super::DType;
use crate::error::{Error, FileError, Result};
use crate::float::Float;
use crate::kernels::halves;
use crate::kernels::minifloat::round_to_odd;
use crate::kernels::real::{Real, Sealed};
use crate::shape;
use half::{bf16, f16};
use ndarray::{ArrayD, ArrayRef, Dimension, IxDyn};
use std::fmt;

/// A tensor as a file stores it: type, shape, and bytes, little-endian and row-major.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::tensors::{DType, StoredTensor};
///
/// let tensor = StoredTensor::of_floats(&array![[1.0_f32, 0.1]], DType::Bf16)?;
/// assert_eq!(tensor.bytes().len(), 4);
/// assert_eq!(tensor.floats::<f32>()?, array![[1.0, 0.10009765625]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StoredTensor {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl StoredTensor {
    /// A tensor of these bytes.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeOverflow`], [`FileError::PartOfAByte`], and [`Error::WrongCount`] unless there are as many bytes as
    /// type and shape need.
    pub fn new(dtype: DType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self> {
        let info = super::TensorInfo::new("", dtype, shape);
        let expected = info.bytes()?;
        if bytes.len() != expected {
            return Err(Error::WrongCount {
                what: "bytes",
                given: bytes.len(),
                expected,
            });
        }
        Ok(Self {
            dtype,
            shape: info.shape,
            bytes,
        })
    }

    /// These elements in their own type.
    pub fn of<T: Element, D: Dimension>(elements: &ArrayRef<T, D>) -> Self {
        let mut bytes = Vec::with_capacity(size_of_val(elements.as_slice().unwrap_or(&[])));
        for &element in elements {
            element.append(&mut bytes);
        }
        Self {
            dtype: T::DTYPE,
            shape: elements.shape().to_vec(),
            bytes,
        }
    }

    /// These floats, each rounded once to a type of floats, half to even.
    ///
    /// # Errors
    ///
    /// [`FileError::WrongDType`] unless `dtype` is F16, BF16, F32 or F64; [`FileError::TooLarge`] if a finite value
    /// becomes infinite.
    pub fn of_floats<F: Float, D: Dimension>(
        values: &ArrayRef<F, D>,
        dtype: DType,
    ) -> Result<Self> {
        let mut bytes = Vec::with_capacity(values.len().saturating_mul(dtype.bits() / 8));
        append_floats(values.iter().copied(), dtype, &mut bytes).map_err(|fault| match fault {
            NoFloat::Type => no_floats(dtype),
            NoFloat::Overflow(place) => too_large(place, values.shape(), dtype.name()),
        })?;
        Ok(Self {
            dtype,
            shape: values.shape().to_vec(),
            bytes,
        })
    }

    /// The type of the elements.
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// The lengths, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, little-endian and row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The elements as floats; `F64` becomes f32 by rounding to the nearest.
    ///
    /// # Errors
    ///
    /// [`FileError::WrongDType`] unless the type is F16, BF16, F32 or F64; [`FileError::TooLarge`] if a finite F64 is
    /// too large for f32.
    pub fn floats<F: Float>(&self) -> Result<ArrayD<F>> {
        if !self.dtype.is_float() {
            return Err(no_floats(self.dtype));
        }
        let mut values = vec![F::zero(); self.len()];
        floats_from(self.dtype, &self.bytes, &mut values);
        if let Some(place) = overflow(self.dtype, &self.bytes, &values) {
            return Err(too_large(place, &self.shape, "F32"));
        }
        self.array(values)
    }

    /// The elements in their own type.
    ///
    /// # Errors
    ///
    /// [`FileError::WrongDType`] if it is not `T`.
    pub fn elements<T: Element>(&self) -> Result<ArrayD<T>> {
        if T::DTYPE != self.dtype {
            return Err(Error::File(FileError::WrongDType {
                given: self.dtype.name(),
                expected: T::DTYPE.name(),
            }));
        }
        self.array(T::all(&self.bytes))
    }

    fn array<T>(&self, elements: Vec<T>) -> Result<ArrayD<T>> {
        ArrayD::from_shape_vec(IxDyn(&self.shape), elements).map_err(|_| Error::ShapeOverflow {
            shape: self.shape.clone(),
        })
    }
}

impl fmt::Debug for StoredTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTensor")
            .field("dtype", &self.dtype)
            .field("shape", &self.shape)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// A type of Rust that is the type of elements of a file. Sealed: it cannot be implemented outside.
pub trait Element: Copy + Send + Sync + 'static + Bytes {
    /// Its name among the types of files.
    const DTYPE: DType;
}

/// An element as bytes.
#[doc(hidden)]
pub trait Bytes: Sized {
    #[doc(hidden)]
    fn append(self, bytes: &mut Vec<u8>);
    #[doc(hidden)]
    fn all(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),* $(,)?) => {$(
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }

        impl Bytes for $type {
            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn all(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|&bytes| Self::from_le_bytes(bytes)).collect()
            }
        }
    )*};
}
elements!(
    u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64, f32 => F32, f64 => F64,
);
#[cfg(feature = "half")]
elements!(f16 => F16, bf16 => Bf16);

/// A byte, 0 for false; whatever else a file says is true.
impl Element for bool {
    const DTYPE: DType = DType::Bool;
}

impl Bytes for bool {
    fn append(self, bytes: &mut Vec<u8>) {
        bytes.push(self.into());
    }

    fn all(bytes: &[u8]) -> Vec<Self> {
        bytes.iter().map(|&byte| byte != 0).collect()
    }
}

/// Why floats cannot be stored in a type.
enum NoFloat {
    /// It is none of floats.
    Type,
    /// The value at this place is too large.
    Overflow(usize),
}

pub(super) fn no_floats(dtype: DType) -> Error {
    Error::File(FileError::WrongDType {
        given: dtype.name(),
        expected: "F16, BF16, F32 or F64",
    })
}

/// The element at this place is too large for this type.
pub(super) fn too_large(place: usize, shape: &[usize], dtype: &'static str) -> Error {
    Error::File(FileError::TooLarge {
        dtype,
        index: shape::index_of(place, shape),
    })
}

/// The first finite F64 that became infinite.
pub(super) fn overflow<F: Float>(dtype: DType, bytes: &[u8], values: &[F]) -> Option<usize> {
    if dtype != DType::F64 || size_of::<F>() == 8 {
        return None;
    }
    let wide = bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b));
    let lost = |(value, wide): (&F, f64)| wide.is_finite() && !value.is_finite();
    values.iter().zip(wide).position(lost)
}

/// Appends floats, each rounded once.
fn append_floats<F: Float>(
    values: impl Iterator<Item = F>,
    dtype: DType,
    bytes: &mut Vec<u8>,
) -> Result<(), NoFloat> {
    // Not by half's `from_f64`: it does not look at the lower half of an f64, and takes what is a little above the middle
    // of two numbers for the middle.
    for (place, value) in values.enumerate() {
        let wide = value.widen();
        let finite = match dtype {
            DType::F64 => {
                bytes.extend_from_slice(&wide.to_le_bytes());
                true
            }
            DType::F32 => {
                let single = f32::narrow(wide);
                bytes.extend_from_slice(&single.to_le_bytes());
                single.is_finite()
            }
            DType::F16 => {
                let half = f16::from_f32(round_to_odd(wide));
                bytes.extend_from_slice(&half.to_le_bytes());
                half.is_finite()
            }
            DType::Bf16 => {
                let half = bf16::from_f32(round_to_odd(wide));
                bytes.extend_from_slice(&half.to_le_bytes());
                half.is_finite()
            }
            _ => return Err(NoFloat::Type),
        };
        if !finite && value.is_finite() {
            return Err(NoFloat::Overflow(place));
        }
    }
    Ok(())
}

/// The floats that these bytes are; as many as there are values.
pub(super) fn floats_from<F: Float>(dtype: DType, bytes: &[u8], values: &mut [F]) {
    match dtype {
        DType::F16 => halves::widen_bytes([(bytes.as_chunks().0, values)].into_iter()),
        DType::Bf16 => halves::widen_upper_bytes(bytes.as_chunks().0, values),
        DType::F32 => {
            for (value, &bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = F::from_single(f32::from_le_bytes(bytes));
            }
        }
        _ => {
            for (value, &bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = F::narrow(f64::from_le_bytes(bytes));
            }
        }
    }
}
