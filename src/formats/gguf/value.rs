//! What a key of a GGUF file says.

use super::GgufStrings;
use std::fmt;

/// What a key of a GGUF file says: one of the format's thirteen types.
///
/// Numbers keep the type that they have in the file, as programs ask for it; the getters of integers take any type whose
/// value fits.
///
/// # Examples
///
/// ```
/// use rarefy::formats::{GgufArray, GgufValue};
///
/// let heads = GgufValue::from(12_u32);
/// assert_eq!((heads.as_u32(), heads.as_i64(), heads.as_f64()), (Some(12), Some(12), None));
/// let tokens = GgufValue::from(vec!["<s>", "</s>"]);
/// assert_eq!(tokens.as_strings().and_then(|tokens| tokens.get(1)), Some("</s>"));
/// assert_eq!(GgufValue::from(vec![1.5_f32]), GgufValue::Array(GgufArray::F32(vec![1.5])));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum GgufValue {
    /// An unsigned integer of 8 bits.
    U8(u8),
    /// A signed integer of 8 bits.
    I8(i8),
    /// An unsigned integer of 16 bits.
    U16(u16),
    /// A signed integer of 16 bits.
    I16(i16),
    /// An unsigned integer of 32 bits.
    U32(u32),
    /// A signed integer of 32 bits.
    I32(i32),
    /// A float of 32 bits.
    F32(f32),
    /// A truth value.
    Bool(bool),
    /// A text.
    String(String),
    /// Many values of one type.
    Array(GgufArray),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// A signed integer of 64 bits.
    I64(i64),
    /// A float of 64 bits.
    F64(f64),
}

/// Values of one type, in a GGUF file.
///
/// Arrays of arrays may be four deep. llama.cpp reads none.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum GgufArray {
    /// Unsigned integers of 8 bits.
    U8(Vec<u8>),
    /// Signed integers of 8 bits.
    I8(Vec<i8>),
    /// Unsigned integers of 16 bits.
    U16(Vec<u16>),
    /// Signed integers of 16 bits.
    I16(Vec<i16>),
    /// Unsigned integers of 32 bits.
    U32(Vec<u32>),
    /// Signed integers of 32 bits.
    I32(Vec<i32>),
    /// Floats of 32 bits.
    F32(Vec<f32>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Texts.
    Strings(GgufStrings),
    /// Arrays, each of a type of its own.
    Arrays(Vec<Self>),
    /// Unsigned integers of 64 bits.
    U64(Vec<u64>),
    /// Signed integers of 64 bits.
    I64(Vec<i64>),
    /// Floats of 64 bits.
    F64(Vec<f64>),
}

macro_rules! integers {
    ($($as:ident $type:ty),*) => {$(
        #[doc = concat!("The integer, of whichever type, if a `", stringify!($type), "` can be it.")]
        pub fn $as(&self) -> Option<$type> {
            self.integer()?.try_into().ok()
        }
    )*};
}

impl GgufValue {
    integers!(as_u32 u32, as_i32 i32, as_u64 u64, as_i64 i64, as_usize usize);

    fn integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(value) => value.into(),
            Self::I8(value) => value.into(),
            Self::U16(value) => value.into(),
            Self::I16(value) => value.into(),
            Self::U32(value) => value.into(),
            Self::I32(value) => value.into(),
            Self::U64(value) => value.into(),
            Self::I64(value) => value.into(),
            _ => return None,
        })
    }

    /// The float of 32 bits.
    pub const fn as_f32(&self) -> Option<f32> {
        match self {
            Self::F32(value) => Some(*value),
            _ => None,
        }
    }

    /// The float, of 32 bits or 64.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(value) => Some(value.into()),
            Self::F64(value) => Some(value),
            _ => None,
        }
    }

    /// The truth value.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The array.
    pub const fn as_array(&self) -> Option<&GgufArray> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The array of texts.
    pub const fn as_strings(&self) -> Option<&GgufStrings> {
        match self {
            Self::Array(GgufArray::Strings(texts)) => Some(texts),
            _ => None,
        }
    }

    /// The number of its type in a file.
    pub(super) const fn type_number(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::String(_) => 8,
            Self::Array(_) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }
}

impl GgufArray {
    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Strings(values) => values.len(),
            Self::Arrays(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of the type of its values in a file.
    pub(super) const fn type_number(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Strings(_) => 8,
            Self::Arrays(_) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    /// Whether arrays in it go no deeper than this; an array of numbers is one deep.
    pub(super) fn is_at_most_deep(&self, deep: usize) -> bool {
        match (deep, self) {
            (0, _) => false,
            (_, Self::Arrays(arrays)) => arrays.iter().all(|array| array.is_at_most_deep(deep - 1)),
            _ => true,
        }
    }
}

macro_rules! from {
    ($($variant:ident $type:ty),* $(,)?) => {$(
        impl From<$type> for GgufValue {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }

        impl From<Vec<$type>> for GgufArray {
            fn from(values: Vec<$type>) -> Self {
                Self::$variant(values)
            }
        }

        impl From<Vec<$type>> for GgufValue {
            fn from(values: Vec<$type>) -> Self {
                Self::Array(values.into())
            }
        }
    )*};
}
from!(
    U8 u8, I8 i8, U16 u16, I16 i16, U32 u32, I32 i32, F32 f32, Bool bool, U64 u64, I64 i64, F64 f64,
);

macro_rules! from_texts {
    ($($texts:ty),* $(,)?) => {$(
        impl From<$texts> for GgufArray {
            fn from(texts: $texts) -> Self {
                Self::Strings(texts.into_iter().collect())
            }
        }

        impl From<$texts> for GgufValue {
            fn from(texts: $texts) -> Self {
                Self::Array(texts.into())
            }
        }
    )*};
}
from_texts!(Vec<String>, Vec<&str>);

impl From<String> for GgufValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<&str> for GgufValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<GgufStrings> for GgufValue {
    fn from(texts: GgufStrings) -> Self {
        Self::Array(GgufArray::Strings(texts))
    }
}

impl From<GgufArray> for GgufValue {
    fn from(array: GgufArray) -> Self {
        Self::Array(array)
    }
}

/// The first few, and how many more there are: a vocabulary would flood a log.
impl fmt::Debug for GgufArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U8(values) => few(f, "U8", values.iter()),
            Self::I8(values) => few(f, "I8", values.iter()),
            Self::U16(values) => few(f, "U16", values.iter()),
            Self::I16(values) => few(f, "I16", values.iter()),
            Self::U32(values) => few(f, "U32", values.iter()),
            Self::I32(values) => few(f, "I32", values.iter()),
            Self::F32(values) => few(f, "F32", values.iter()),
            Self::Bool(values) => few(f, "Bool", values.iter()),
            Self::Strings(texts) => texts.fmt(f),
            Self::Arrays(arrays) => few(f, "Arrays", arrays.iter()),
            Self::U64(values) => few(f, "U64", values.iter()),
            Self::I64(values) => few(f, "I64", values.iter()),
            Self::F64(values) => few(f, "F64", values.iter()),
        }
    }
}

/// The first few of many values.
pub(super) fn few<T: fmt::Debug>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    values: impl ExactSizeIterator<Item = T>,
) -> fmt::Result {
    const MOST: usize = 8;
    let more = values.len().saturating_sub(MOST);
    f.write_str(what)?;
    f.debug_list().entries(values.take(MOST)).finish()?;
    match more {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}
