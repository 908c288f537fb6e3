//! In what type a file stores the elements of a tensor.

use std::fmt;

/// In what type a file stores the elements of a tensor: the types of safetensors.
///
/// It is not what we compute in ([`Float`](crate::Float)): tensors that are passed through keep their type and their
/// bits.
///
/// | types | bits |
/// |---|--:|
/// | `Bool` `U8` `I8` `F8E4M3` `F8E5M2` `F8E8M0` `F8E4M3Fnuz` `F8E5M2Fnuz` | 8 |
/// | `I16` `U16` `F16` `Bf16` | 16 |
/// | `I32` `U32` `F32` | 32 |
/// | `I64` `U64` `F64` `C64` | 64 |
/// | `F4`; `F6E2M3` `F6E3M2` | 4; 6 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DType {
    /// A truth value in a byte.
    #[cfg_attr(feature = "serde", serde(rename = "BOOL"))]
    Bool,
    /// The OCP's float of 4 bits, E2M1.
    F4,
    /// The OCP's float of 6 bits, E2M3.
    #[cfg_attr(feature = "serde", serde(rename = "F6_E2M3"))]
    F6E2M3,
    /// The OCP's float of 6 bits, E3M2.
    #[cfg_attr(feature = "serde", serde(rename = "F6_E3M2"))]
    F6E3M2,
    /// An unsigned integer.
    U8,
    /// A signed integer.
    I8,
    /// A float of 8 bits with infinities.
    #[cfg_attr(feature = "serde", serde(rename = "F8_E5M2"))]
    F8E5M2,
    /// A float of 8 bits without infinities.
    #[cfg_attr(feature = "serde", serde(rename = "F8_E4M3"))]
    F8E4M3,
    /// A power of two.
    #[cfg_attr(feature = "serde", serde(rename = "F8_E8M0"))]
    F8E8M0,
    /// A float of 8 bits without infinities and negative zero.
    #[cfg_attr(feature = "serde", serde(rename = "F8_E4M3FNUZ"))]
    F8E4M3Fnuz,
    /// A float of 8 bits without infinities and negative zero.
    #[cfg_attr(feature = "serde", serde(rename = "F8_E5M2FNUZ"))]
    F8E5M2Fnuz,
    /// A signed integer.
    I16,
    /// An unsigned integer.
    U16,
    /// IEEE 754's float of 16 bits.
    F16,
    /// The upper half of an f32.
    #[cfg_attr(feature = "serde", serde(rename = "BF16"))]
    Bf16,
    /// A signed integer.
    I32,
    /// An unsigned integer.
    U32,
    /// An f32.
    F32,
    /// A complex number of two f32.
    C64,
    /// An f64.
    F64,
    /// A signed integer.
    I64,
    /// An unsigned integer.
    U64,
}

impl DType {
    /// All types, those of fewer bits first.
    pub const ALL: &[Self] = &[
        Self::F4,
        Self::F6E2M3,
        Self::F6E3M2,
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::F8E5M2,
        Self::F8E4M3,
        Self::F8E8M0,
        Self::F8E4M3Fnuz,
        Self::F8E5M2Fnuz,
        Self::I16,
        Self::U16,
        Self::F16,
        Self::Bf16,
        Self::I32,
        Self::U32,
        Self::F32,
        Self::C64,
        Self::F64,
        Self::I64,
        Self::U64,
    ];

    /// Bits of an element.
    pub const fn bits(self) -> usize {
        match self {
            Self::F4 => 4,
            Self::F6E2M3 | Self::F6E3M2 => 6,
            Self::Bool
            | Self::U8
            | Self::I8
            | Self::F8E5M2
            | Self::F8E4M3
            | Self::F8E8M0
            | Self::F8E4M3Fnuz
            | Self::F8E5M2Fnuz => 8,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 16,
            Self::I32 | Self::U32 | Self::F32 => 32,
            Self::C64 | Self::F64 | Self::I64 | Self::U64 => 64,
        }
    }

    /// Whether elements are floats that an array of f32 or f64 holds exactly and that weights are trained in: `F16`,
    /// `Bf16`, `F32` and `F64`.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// The name in the header of a safetensors file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::F4 => "F4",
            Self::F6E2M3 => "F6_E2M3",
            Self::F6E3M2 => "F6_E3M2",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::F8E5M2 => "F8_E5M2",
            Self::F8E4M3 => "F8_E4M3",
            Self::F8E8M0 => "F8_E8M0",
            Self::F8E4M3Fnuz => "F8_E4M3FNUZ",
            Self::F8E5M2Fnuz => "F8_E5M2FNUZ",
            Self::I16 => "I16",
            Self::U16 => "U16",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I32 => "I32",
            Self::U32 => "U32",
            Self::F32 => "F32",
            Self::C64 => "C64",
            Self::F64 => "F64",
            Self::I64 => "I64",
            Self::U64 => "U64",
        }
    }

    /// The type of this name.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::tensors::DType;
    ///
    /// assert_eq!(DType::named("BF16"), Some(DType::Bf16));
    /// assert_eq!(DType::named("float"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
