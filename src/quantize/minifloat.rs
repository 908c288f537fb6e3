//! Floats of 4 and 8 bits, one number at a time.

use crate::float::Float;
use crate::kernels::lookup::Formula;
use crate::kernels::minifloat::{E2M1, E4M3, E5M2, nearest, round_to_odd, value};
use crate::kernels::real::Real;

/// A float of 4 or 8 bits, as the OCP specifications define it.
///
/// | | exponent, fraction bits | largest | smallest above 0 | infinity | NaN |
/// |---|---|--:|--:|---|---|
/// | `E4M3` (PyTorch's `float8_e4m3fn`) | 4, 3 | 448 | 2⁻⁹ | no | 0x7F, 0xFF |
/// | `E5M2` (PyTorch's `float8_e5m2`) | 5, 2 | 57344 | 2⁻¹⁶ | 0x7C, 0xFC | 0x7D to 0x7F, 0xFD to 0xFF |
/// | `E2M1` (FP4) | 2, 1 | 6 | 0.5 | no | no |
///
/// The highest bit is the sign, then come exponent and fraction.
///
/// # Examples
///
/// ```
/// use rarefy::quantize::Minifloat;
///
/// assert_eq!(Minifloat::E4M3.encode(1.0_f32), Some(0x38));
/// assert_eq!(Minifloat::E4M3.decode(0x38), 1.0);
/// assert_eq!(Minifloat::E4M3.decode(0x7E), 448.0);
/// assert_eq!(Minifloat::E2M1.encode(2.5), Some(4)); // a tie goes to the even code, which is 2
/// assert_eq!(Minifloat::E5M2.encode(1e9), Some(0x7B)); // held at the largest
/// assert_eq!(Minifloat::E2M1.encode(f32::NAN), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Minifloat {
    /// 8 bits with more digits and less range.
    E4M3,
    /// 8 bits with fewer digits and the range of a half.
    E5M2,
    /// 4 bits.
    E2M1,
}

impl Minifloat {
    /// Bits of a code.
    pub const fn bits(self) -> u32 {
        match self {
            Self::E4M3 | Self::E5M2 => 8,
            Self::E2M1 => 4,
        }
    }

    /// The largest finite number.
    pub const fn largest(self) -> f32 {
        match self {
            Self::E4M3 => 448.0,
            Self::E5M2 => 57_344.0,
            Self::E2M1 => 6.0,
        }
    }

    /// How the numbers of codes of a byte are computed side by side.
    pub(super) const fn formula(self) -> Option<Formula> {
        match self {
            Self::E4M3 => Some(Formula::E4M3),
            Self::E5M2 => Some(Formula::E5M2),
            Self::E2M1 => None,
        }
    }

    /// The code of the nearest number, of two equally near the even one; rounded once, also from f64.
    ///
    /// What is larger than the largest number, infinity too, becomes that number. NaN becomes 0x7F, or
    /// `None` in `E2M1`, which has none.
    pub fn encode<F: Float>(self, number: F) -> Option<u8> {
        if number.is_nan() {
            return (self != Self::E2M1).then_some(0x7F);
        }
        let single = round_to_odd(number.widen());
        #[expect(clippy::cast_possible_truncation, reason = "at most 8 bits")]
        Some(match self {
            Self::E4M3 => nearest::<E4M3>(single) as u8,
            Self::E5M2 => nearest::<E5M2>(single) as u8,
            Self::E2M1 => nearest::<E2M1>(single) as u8,
        })
    }

    /// The number of a code. Of `E2M1` the lower four bits count.
    pub fn decode(self, code: u8) -> f32 {
        match self {
            Self::E4M3 => value::<E4M3>(code.into()),
            Self::E5M2 => value::<E5M2>(code.into()),
            Self::E2M1 => value::<E2M1>((code & 15).into()),
        }
    }
}
