//! What a code means.

use crate::error::{Error, Result};
use std::ops::RangeInclusive;

const LEAST_BITS: u32 = 2;
const MOST_BITS: u32 = 8;

/// What the codes of a tensor mean: how many bits they have, which integers they may be, and whether
/// there is a zero point.
///
/// | scheme | codes of b bits | a code means |
/// |---|---|---|
/// | [`symmetric`](Self::symmetric) | −(2ᵇ⁻¹−1) ..= 2ᵇ⁻¹−1 | code · scale |
/// | [`symmetric_full_range`](Self::symmetric_full_range) | −2ᵇ⁻¹ ..= 2ᵇ⁻¹−1 | code · scale |
/// | [`affine`](Self::affine) | −2ᵇ⁻¹ ..= 2ᵇ⁻¹−1 | (code − zero point) · scale |
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
    /// [`Error::BitsOutOfRange`] unless 2 ≤ `bits` ≤ 8.
    pub fn symmetric(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::Symmetric)
    }

    /// All signed integers; what PyTorch calls symmetric.
    ///
    /// # Errors
    ///
    /// [`Error::BitsOutOfRange`] unless 2 ≤ `bits` ≤ 8.
    pub fn symmetric_full_range(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::SymmetricFullRange)
    }

    /// All signed integers, with a zero point for each scale: the code that means 0.
    ///
    /// # Errors
    ///
    /// [`Error::BitsOutOfRange`] unless 2 ≤ `bits` ≤ 8.
    pub fn affine(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::Affine)
    }

    fn new(bits: u32, kind: Kind) -> Result<Self> {
        if (LEAST_BITS..=MOST_BITS).contains(&bits) {
            return Ok(Self { bits, kind });
        }
        Err(Error::BitsOutOfRange {
            bits,
            least: LEAST_BITS,
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
        }
    }

    /// Whether each scale has a zero point beside it.
    pub fn has_zero_points(self) -> bool {
        self.kind == Kind::Affine
    }
}

#[cfg(test)]
mod tests {
    use super::Scheme;

    #[test]
    fn widths_outside_two_to_eight_are_refused() {
        for bits in [0, 1, 9, u32::MAX] {
            let message = Scheme::symmetric(bits).unwrap_err().to_string();
            assert_eq!(message, format!("bits must lie in 2..=8, got {bits}"));
            assert!(Scheme::affine(bits).is_err() && Scheme::symmetric_full_range(bits).is_err());
        }
    }

    #[test]
    fn ranges_fit_the_bits() {
        for bits in 2..=8 {
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
        }
    }
}
