//! Whose arithmetic to follow.

use super::Scheme;
use crate::error::{Error, Result};
use crate::kernels::coding::{Coding, Known, Rounded, Scaling};
use crate::kernels::fit::{Fit, Zero};
use crate::kernels::ranges::Finite;

/// Whose arithmetic to follow, to the bit.
///
/// For codes from l to h, with x the largest |w|, [a, b] the range of the weights widened to hold 0, `rhe` rounding
/// half to even, ε = 1.1920929e-7 and m = 1.1754944e-38, the smallest normal f32:
///
/// | | [`Rarefy`](Self::Rarefy) | [`Torch`](Self::Torch) | [`Torchao`](Self::Torchao) | [`Onnx`](Self::Onnx) | [`CompressedTensors`](Self::CompressedTensors) |
/// |---|---|---|---|---|---|
/// | symmetric codes of b bits | ±(2ᵇ⁻¹−1) | −2ᵇ⁻¹ ..= 2ᵇ⁻¹−1 | −2ᵇ⁻¹ ..= 2ᵇ⁻¹−1 | ±(2ᵇ⁻¹−1) | −2ᵇ⁻¹ ..= 2ᵇ⁻¹−1 |
/// | symmetric scale s | x / h | x / ((h−l)/2), for int8 127.5 | x / ((h−l)/2) | 2x / (h−l) | x / ((h−l)/2) |
/// | symmetric unsigned zero point | 2ᵇ⁻¹ | 128 for b = 8, else 2ᵇ⁻¹−1 | 2ᵇ⁻¹ | 2ᵇ⁻¹ | 2ᵇ⁻¹ |
/// | affine scale s | (b−a) / (h−l) | (b−a) / (h−l) | (b−a) / (h−l) | (b−a) / (h−l) | (b−a) / (h−l) |
/// | least scale | m | ε | m | below m it is 1, and z is 0 | 0 becomes ε |
/// | zero point, held within the codes | l − rhe(a / s) | l − rhe(a / s) | l − rhe(a / s) | rhe(l − a / s), s not yet rounded to f32 | rhe(l − a / s), held before rounding |
/// | code, held within the codes | rhe(w / s) + z | rhe(w · (1/s)) + z | rhe(w · (1/s)) + z | rhe(w / s) + z | rhe(w / s + z) |
/// | arithmetic | scale in f64, stored in f32 | f32 | f32 | scale in f64 | f32 |
///
/// `Torch` is what PyTorch's `MinMaxObserver` and `PerChannelMinMaxObserver` followed by `quantize_per_tensor` and
/// `quantize_per_channel` give for f32. For f64 weights, which the peers do not quantize, the same formulas are
/// taken in f64.
///
/// Only in `Rarefy` do the largest weights always come back to the last bit or two of a float, and finite; where s is
/// x / 127.5 the largest positive weight moves by half a step. Where the lowest code has one step more than the highest
/// (`full_range`, symmetric `unsigned`), weights within that step of the largest float move by up to a step, so that no
/// code comes back as infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Profile {
    /// Ours: opposite numbers have opposite codes, the largest weight is kept, one rounding.
    #[default]
    Rarefy,
    /// PyTorch's observers and quantizers.
    Torch,
    /// torchao's `choose_qparams_affine` and `quantize_affine`.
    Torchao,
    /// ONNX Runtime's calibration and the operator `QuantizeLinear`.
    Onnx,
    /// compressed-tensors, which llm-compressor and vLLM use.
    CompressedTensors,
}

/// Which of its two neighbours a number between codes becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Rounding {
    /// The nearest, of two equally near ones the even code: all profiles do so.
    #[default]
    HalfEven,
    /// The nearest, of two equally near ones that further from 0.
    HalfAway,
    /// The upper one with the probability of the fraction, so that the mean error is 0. Weight i in row-major order
    /// takes number i of the stream of the seed, whatever the pool.
    Stochastic {
        /// Another seed, other codes.
        seed: u64,
    },
}

/// What becomes of weights that are not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum NonFinite {
    /// The first is an error.
    #[default]
    Error,
    /// They do not count for the range. Infinity gets the outermost code, NaN the code of 0, or what is nearest to it.
    Clamp,
    /// NaN stays NaN, infinity becomes the outermost number: for a [`FakeQuantizer`](super::FakeQuantizer), whose
    /// caller looks at the loss. No code means NaN, so [`Linear`](super::Linear) and its siblings refuse it.
    Propagate,
}

impl NonFinite {
    /// The same for who makes codes, none of which means NaN.
    pub(super) fn for_codes(self) -> Result<Finite> {
        match self {
            Self::Error => Ok(Finite::Required),
            Self::Clamp => Ok(Finite::Skipped),
            Self::Propagate => Err(Error::NoCodeForNan),
        }
    }
}

/// How the range of codes lies around 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Shape {
    /// As the profile has it.
    Symmetric,
    /// All codes, as many as there are on each side.
    FullRange,
    /// With a zero point.
    Affine,
}

impl Profile {
    pub(super) fn scheme(self, bits: u32, shape: Shape, signed: bool) -> Result<Scheme> {
        match (shape, signed) {
            // With one bit 0 would be one of both codes, and one side of it would have none.
            (Shape::Symmetric | Shape::FullRange, false) if bits == 1 => Scheme::symmetric(bits),
            (_, false) => Scheme::unsigned(bits),
            (Shape::Affine, true) => Scheme::affine(bits),
            (Shape::FullRange, true) => Scheme::symmetric_full_range(bits),
            (Shape::Symmetric, true) => match self {
                Self::Rarefy | Self::Onnx => Scheme::symmetric(bits),
                Self::Torch | Self::Torchao | Self::CompressedTensors => {
                    Scheme::symmetric_full_range(bits)
                }
            },
        }
    }

    /// How scales are found. `single`: the weights are f32.
    pub(super) fn fit(self, scheme: Scheme, shape: Shape, single: bool) -> Fit {
        let codes = scheme.codes();
        let (lowest, highest) = (*codes.start(), *codes.end());
        let middle = match self {
            _ if scheme.is_signed() => 0,
            // PyTorch's own range has 128; any other is "custom" there, and halved downwards.
            Self::Torch if scheme.bits() != 8 => (lowest + highest) / 2,
            _ => (lowest + highest + 1) / 2,
        };
        let width = f64::from(highest - lowest);
        let (above, below) = (f64::from(highest - middle), f64::from(middle - lowest));
        let (divisor, divisor_below) = match (shape, self) {
            (Shape::Affine, _) => (width, width),
            // The side that is larger for its codes decides: nothing is cut off.
            (Shape::FullRange, Self::Rarefy) => (above, below),
            (_, Self::Rarefy) => (above, above),
            (_, _) => (width / 2.0, width / 2.0),
        };
        let zero = match (shape, self) {
            (Shape::Affine, Self::Onnx | Self::CompressedTensors) => Zero::Held,
            (Shape::Affine, _) => Zero::Rounded,
            _ => Zero::Fixed(middle),
        };
        let (least, instead) = match self {
            Self::Rarefy | Self::Torchao => (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
            Self::Torch => (f32::EPSILON, f32::EPSILON),
            Self::Onnx => (f32::MIN_POSITIVE, 1.0),
            // The least that is above 0.
            Self::CompressedTensors => (f32::from_bits(1), f32::EPSILON),
        };
        Fit {
            lowest,
            highest,
            zero,
            divisor,
            divisor_below,
            least,
            instead,
            instead_zero: (self == Self::Onnx).then_some(0),
            single: single && !matches!(self, Self::Rarefy | Self::Onnx),
            finite: self == Self::Rarefy,
        }
    }

    pub(super) fn coding(self, scheme: Scheme, rounding: Rounding) -> Coding {
        let codes = scheme.codes();
        Coding {
            bits: scheme.bits(),
            lowest: *codes.start(),
            highest: *codes.end(),
            scaling: match self {
                Self::Torch | Self::Torchao => Scaling::MultiplyByInverse,
                Self::Rarefy | Self::Onnx | Self::CompressedTensors => Scaling::Divide,
            },
            rounded: match rounding {
                Rounding::HalfEven => Rounded::HalfEven,
                Rounding::HalfAway => Rounded::HalfAway,
                Rounding::Stochastic { seed } => Rounded::Stochastic(seed),
            },
            shift_first: self == Self::CompressedTensors,
            known: Known::Nothing,
        }
    }
}
