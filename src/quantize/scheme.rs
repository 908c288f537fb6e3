//! What a code means.

use super::Minifloat;
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
/// In each of these some code means exactly 0; [`is_integer`](Self::is_integer) tells them from those whose codes are
/// not evenly spaced around one that means 0:
///
/// | scheme | codes of b bits | a code means | b | some code means 0 |
/// |---|---|---|---|---|
/// | [`float_zero_point`](Self::float_zero_point) | 0 ..= 2ᵇ−1 | (code − zero point) · scale, the zero point any f32 | 1 to 8 | only by chance |
/// | [`codebook`](Self::codebook) | 0 ..= 2ᵇ−1 | entry number code of a table, · scale | 1 to 8 | if 0 is an entry |
/// | [`float`](Self::float) | bit patterns of a [`Minifloat`] | that number · scale | 4 or 8 | yes |
/// | [`binary`](Self::binary) | 0, 1 | −scale, +scale | 1 | no |
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
    FloatZeroPoint,
    Codebook,
    Float(Minifloat),
    Binary,
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

    /// All unsigned integers, with a zero point for each scale that need not be one of them: HQQ's form.
    ///
    /// A peer whose formula is x = (code − m) · s + z (torchao's, with m = 2ᵇ⁻¹) has the zero point m − z / s here.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] unless 1 ≤ `bits` ≤ 8.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::quantize::{Granularity, Parameters, QuantizedTensor, Scheme};
    ///
    /// let scheme = Scheme::float_zero_point(2)?;
    /// let parameters = Parameters::new(scheme, Granularity::PerTensor, vec![2.0])
    ///     .with_float_zero_points(vec![1.25]);
    /// let q = QuantizedTensor::from_codes(&array![0, 1, 2, 3], parameters)?;
    /// assert_eq!(q.dequantize::<f32>(), array![-2.5, -0.5, 1.5, 3.5].into_dyn());
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    pub fn float_zero_point(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::FloatZeroPoint)
    }

    /// Numbers of entries in a table that [`Parameters::with_codebook`](super::Parameters::with_codebook) holds.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] unless 1 ≤ `bits` ≤ 8.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::quantize::{Granularity, Parameters, QuantizedTensor, Scheme};
    ///
    /// let parameters = Parameters::new(Scheme::codebook(2)?, Granularity::PerTensor, vec![2.0])
    ///     .with_codebook(vec![-1.0, 0.0, 0.25]);
    /// let q = QuantizedTensor::from_codes(&array![2, 0, 1], parameters)?;
    /// assert_eq!(q.dequantize::<f32>(), array![0.5, -2.0, 0.0].into_dyn());
    /// assert!(q.parameters().keeps_zero());
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    pub fn codebook(bits: u32) -> Result<Self> {
        Self::new(bits, Kind::Codebook)
    }

    /// The bit patterns of small floats. Those of infinity and NaN are no codes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use rarefy::quantize::{Granularity, Minifloat, Parameters, QuantizedTensor, Scheme};
    ///
    /// let parameters = Parameters::new(Scheme::float(Minifloat::E4M3), Granularity::PerTensor, vec![0.5]);
    /// let q = QuantizedTensor::from_codes(&array![0x7E, 0x38, 0xB8], parameters)?;
    /// assert_eq!(q.dequantize::<f32>(), array![224.0, 0.5, -0.5].into_dyn());
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    pub const fn float(format: Minifloat) -> Self {
        Self {
            bits: format.bits(),
            kind: Kind::Float(format),
        }
    }

    /// A sign alone: 0 means −scale, 1 means +scale.
    pub const fn binary() -> Self {
        Self {
            bits: 1,
            kind: Kind::Binary,
        }
    }

    fn new(bits: u32, kind: Kind) -> Result<Self> {
        // A sign alone is no number.
        let least = if kind == Kind::Unsigned { 1 } else { 2 };
        let (right, must) = match kind {
            Kind::FloatZeroPoint | Kind::Codebook => ((1..=MOST_BITS).contains(&bits), "1 to 8"),
            Kind::Float(format) => (bits == format.bits(), "those of the float"),
            Kind::Binary => (bits == 1, "1"),
            _ if (least..=MOST_BITS).contains(&bits) || bits == WIDE => (true, ""),
            _ => {
                return Err(Error::BitsOutOfRange {
                    bits,
                    least,
                    most: MOST_BITS,
                });
            }
        };
        if right {
            return Ok(Self { bits, kind });
        }
        Err(Error::NumberOutOfRange {
            what: "number of bits",
            must,
            value: bits.into(),
        })
    }

    /// Bits of a stored code.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The integers that a code may be: of codebooks and floats all of that many bits, of which a tensor refuses those
    /// without an entry and those that mean no finite number.
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
            _ => 0..=2 * highest + 1,
        }
    }

    /// Whether each scale has a zero point beside it, which is an integer.
    pub fn has_zero_points(self) -> bool {
        matches!(self.kind, Kind::Affine | Kind::Unsigned)
    }

    /// Whether each scale has a zero point beside it that need not be an integer.
    pub fn has_float_zero_points(self) -> bool {
        self.kind == Kind::FloatZeroPoint
    }

    /// Whether codes are numbers of entries in a table.
    pub fn has_codebook(self) -> bool {
        self.kind == Kind::Codebook
    }

    /// Whose bit patterns the codes are, if they are those of a float.
    pub fn minifloat(self) -> Option<Minifloat> {
        match self.kind {
            Kind::Float(format) => Some(format),
            _ => None,
        }
    }

    /// Whether a code means (code − zero point) · scale with an integer zero point, or none: what
    /// [`Linear`](super::Linear) makes and what can be trained through.
    pub fn is_integer(self) -> bool {
        matches!(
            self.kind,
            Kind::Symmetric | Kind::SymmetricFullRange | Kind::Affine | Kind::Unsigned
        )
    }

    /// Whether codes are stored as two's complement.
    pub fn is_signed(self) -> bool {
        matches!(
            self.kind,
            Kind::Symmetric | Kind::SymmetricFullRange | Kind::Affine
        )
    }

    /// Whether some code means exactly 0 whatever the parameters, so that what a mask dropped stays 0. So it is in
    /// every scheme of integers and of floats. [`Parameters::keeps_zero`](super::Parameters::keeps_zero) also looks
    /// at the codebook and at zero points.
    pub fn keeps_zero(self) -> bool {
        self.is_integer() || matches!(self.kind, Kind::Float(_))
    }

    /// The number of each code where that is not the code itself and no parameter; `None` elsewhere.
    pub(super) fn numbers(self) -> Option<Vec<f32>> {
        match self.kind {
            Kind::Float(format) => {
                let codes = 0..=u8::MAX >> (u8::BITS - self.bits);
                Some(codes.map(|code| format.decode(code)).collect())
            }
            Kind::Binary => Some(vec![-1.0, 1.0]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Minifloat, Scheme};

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
    #[test]
    fn codes_that_are_no_integers_have_widths_of_their_own() {
        for bits in [0, 9, 16] {
            let error = Scheme::codebook(bits).unwrap_err().to_string();
            assert_eq!(error, format!("number of bits must be 1 to 8, got {bits}"));
            assert!(Scheme::float_zero_point(bits).is_err());
        }
        for bits in 1..=8 {
            let codes = 0..=(1 << bits) - 1;
            assert_eq!(Scheme::codebook(bits).unwrap().codes(), codes);
            let shifted = Scheme::float_zero_point(bits).unwrap();
            assert_eq!(shifted.codes(), codes);
            assert!(shifted.has_float_zero_points() && !shifted.has_zero_points());
            assert!(!shifted.is_signed() && !shifted.keeps_zero() && !shifted.is_integer());
        }
        let float = Scheme::float(Minifloat::E2M1);
        assert_eq!((float.bits(), float.codes()), (4, 0..=15));
        assert!(float.keeps_zero() && float.minifloat() == Some(Minifloat::E2M1));
        let binary = Scheme::binary();
        assert_eq!((binary.bits(), binary.codes()), (1, 0..=1));
        assert!(!binary.keeps_zero());
    }
}
