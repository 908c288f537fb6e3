//! What a code means.

use crate::error::{Error, Result};
use std::ops::RangeInclusive;

const MOST_BITS: u32 = 8;
/// The one width beyond.
const WIDE: u32 = 16;

/// What the codes of a tensor mean: how many bits they have, which integers they may be, and whether
/// there is a zero point.
///
/// | scheme | codes of b bits | a code means | b |
/// |---|---|---|---|
/// | [`symmetric`](Self::symmetric) | −(2ᵇ⁻¹−1) ..= 2ᵇ⁻¹−1 | code · scale | 2 to 8, 16 |
/// | [`symmetric_full_range`](Self::symmetric_full_range) | −2ᵇ⁻¹ ..= 2ᵇ⁻¹−1 | code · scale | 2 to 8, 16 |
/// | [`affine`](Self::affine) | −2ᵇ⁻¹ ..= 2ᵇ⁻¹−1 | (code − zero point) · scale | 2 to 8, 16 |
/// | [`unsigned`](Self::unsigned) | 0 ..= 2ᵇ−1 | (code − zero point) · scale | 1 to 8, 16 |
///
/// In each of them some code means exactly 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct Scheme {
    bits: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Kind {
    Symmetric,
    SymmetricFullRange,
    Affine,
    Unsigned,
}

/// A scheme as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    bits: u32,
    kind: Kind,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for Scheme {
    type Error = Error;

    fn try_from(Written { bits, kind }: Written) -> Result<Self> {
        Self::new(bits, kind)
    }
}

impl Scheme {
    /// Signed integers without the most negative one, so that a number and its opposite have
    /// opposite codes.
    ///
    /// # Errors
    ///
    /// [`Error::BitsOutOfRange`] unless 2 ≤ `bits` ≤ 8 or `bits` is 16.
    pub fn symmetric(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::Symmetric)
    }

    /// All signed integers; what PyTorch calls symmetric.
    ///
    /// # Errors
    ///
    /// [`Error::BitsOutOfRange`] unless 2 ≤ `bits` ≤ 8 or `bits` is 16.
    pub fn symmetric_full_range(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::SymmetricFullRange)
    }

    /// All signed integers, with a zero point for each scale: the code that means 0.
    ///
    /// # Errors
    ///
    /// [`Error::BitsOutOfRange`] unless 2 ≤ `bits` ≤ 8 or `bits` is 16.
    pub fn affine(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::Affine)
    }

    /// All unsigned integers, with a zero point for each scale: the code that means 0.
    ///
    /// # Errors
    ///
    /// [`Error::BitsOutOfRange`] unless 1 ≤ `bits` ≤ 8 or `bits` is 16.
    pub fn unsigned(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::Unsigned)
    }

    fn new(bits: u32, kind: Kind) -> Result<Self> {
        // A sign alone is no number.
        let least = if kind == Kind::Unsigned { 1 } else { 2 };
        if (least..=MOST_BITS).contains(&bits) || bits == WIDE {
            return Ok(Self { bits, kind });
        }
        Err(Error::BitsOutOfRange {
            bits,
            least,
            most: MOST_BITS,
        })
    }

    /// Bits of a stored code.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The integers that a code may be.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::quantize::Scheme;
    ///
    /// assert_eq!(Scheme::symmetric(8)?.codes(), -127..=127);
    /// assert_eq!(Scheme::affine(4)?.codes(), -8..=7);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    pub fn codes(self) -> RangeInclusive<i32> {
        let highest = (1 << (self.bits - 1)) - 1;
        match self.kind {
            Kind::Symmetric => -highest..=highest,
            Kind::SymmetricFullRange | Kind::Affine => -highest - 1..=highest,
            Kind::Unsigned => 0..=2 * highest + 1,
        }
    }

    /// Whether each scale has a zero point beside it.
    pub fn has_zero_points(self) -> bool {
        matches!(self.kind, Kind::Affine | Kind::Unsigned)
    }

    /// Whether codes are stored as two's complement.
    pub fn is_signed(self) -> bool {
        self.kind != Kind::Unsigned
    }

    /// Whether some code means exactly 0, so that what a mask dropped stays 0. So it is in every scheme of
    /// integers.
    pub fn keeps_zero(self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Scheme;

    #[test]
    fn widths_outside_two_to_eight_are_refused() {
        for bits in [0, 1, 9, u32::MAX] {
            let message = Scheme::symmetric(bits).unwrap_err().to_string();
            let right = format!("bits must lie in 2..=8 or be 16, got {bits}");
            assert_eq!(message, right);
            assert!(Scheme::affine(bits).is_err() && Scheme::symmetric_full_range(bits).is_err());
            assert_eq!(Scheme::unsigned(bits).is_ok(), bits == 1);
        }
    }

    #[test]
    fn ranges_fit_the_bits() {
        for bits in (2..=8).chain([16]) {
            let half = 1 << (bits - 1);
            assert_eq!(
                Scheme::symmetric(bits).unwrap().codes(),
                1 - half..=half - 1
            );
            assert_eq!(
                Scheme::symmetric_full_range(bits).unwrap().codes(),
                -half..=half - 1
            );
            assert_eq!(Scheme::affine(bits).unwrap().codes(), -half..=half - 1);
            let unsigned = Scheme::unsigned(bits).unwrap();
            assert_eq!(unsigned.codes(), 0..=2 * half - 1);
            assert!(unsigned.has_zero_points() && !unsigned.is_signed());
        }
    }
}
