//! Which bytes a block of weights becomes.

use super::faults::not_finite;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::coded::{self, Codec, Fault};
use crate::kernels::minifloat::{half_value, power_of_two};
use crate::kernels::ranges::{self, Finite};
use crate::kernels::real::Real;
use crate::kernels::tiling::Tiling;
use crate::shape;
use ndarray::{ArrayRef, Dimension};

/// A layout of bytes that holds blocks of weights, scales included.
///
/// The last axis of an array falls into blocks; a block becomes a fixed number of bytes, one after the
/// other in row-major order.
///
/// | format | block | bytes | bits a weight | a weight comes back as | keeps 0 |
/// |---|--:|--:|--:|---|---|
/// | [`Q8_0`](Self::Q8_0) | 32 | 34 | 8.5 | d · q, −127 ≤ q ≤ 127 | yes |
/// | [`Q4_0`](Self::Q4_0) | 32 | 18 | 4.5 | d · (q − 8), q of 4 bits | yes |
/// | [`Q4_1`](Self::Q4_1) | 32 | 20 | 5 | d · q + m | no |
/// | [`Q5_0`](Self::Q5_0) | 32 | 22 | 5.5 | d · (q − 16), q of 5 bits | yes |
/// | [`Q5_1`](Self::Q5_1) | 32 | 24 | 6 | d · q + m | no |
/// | [`Q2K`](Self::Q2K) | 256 | 84 | 2.625 | d·s · q − dmin·o, s and o of 4 bits for each 16, q of 2 | no |
/// | [`Q3K`](Self::Q3K) | 256 | 110 | 3.4375 | d·(s − 32) · (q − 4), s of 6 bits for each 16, q of 3 | yes |
/// | [`Q4K`](Self::Q4K) | 256 | 144 | 4.5 | d·s · q − dmin·o, s and o of 6 bits for each 32, q of 4 | no |
/// | [`Q5K`](Self::Q5K) | 256 | 176 | 5.5 | the same, q of 5 bits | no |
/// | [`Q6K`](Self::Q6K) | 256 | 210 | 6.5625 | d·s · (q − 32), s of 8 bits for each 16, q of 6 | yes |
/// | [`Tq1_0`](Self::Tq1_0) | 256 | 54 | 1.6875 | d · q, q of −1, 0 and 1, five a byte | yes |
/// | [`Tq2_0`](Self::Tq2_0) | 256 | 66 | 2.0625 | d · q, q of −1, 0 and 1, four a byte | yes |
/// | [`Mxfp4`](Self::Mxfp4) | 32 | 17 | 4.25 | 2^e · q, q of E2M1 | yes |
/// | [`Mxfp8E4M3`](Self::Mxfp8E4M3) | 32 | 33 | 8.25 | 2^e · q | yes |
/// | [`Mxfp8E5M2`](Self::Mxfp8E5M2) | 32 | 33 | 8.25 | 2^e · q | yes |
/// | [`Nvfp4`](Self::Nvfp4) | 16 | 9 | 4.5 | t · s · q, s of E4M3, q of E2M1, one t of f32 for the tensor in four bytes behind all blocks | yes |
///
/// d, dmin and m are halves. "Keeps 0" says whether a weight of 0 comes back as exactly 0, which a pruned
/// tensor needs to stay sparse: [`keeps_zero`](Self::keeps_zero).
///
/// The layouts of `Q…`, of `Tq…` and of `Mxfp4` are those of GGUF files (ggml), and so is what bytes decode to, to
/// the bit in f32. The names with an underscore, `Q8_0` to `Q5_1` and `Tq…`, are also encoded to the same bytes as
/// by the reference. How the codes of `Q…K` are chosen is free: here by a search for the least sum of
/// squared errors. The scales of `Mxfp…` follow the OCP microscaling specification 1.0 (2023): e =
/// ⌊log₂ max|w|⌋ − the exponent of the largest code, codes rounded to the nearest, ties to even, held at
/// the largest. `Nvfp4` has t = max|w| / (6 · 448) over the tensor and s = max|w| / (6 · t) over the
/// block, as NVIDIA defines them; how they lie in bytes is ours, as other tools keep codes, scales and t
/// in arrays of their own. Its nibbles lie as GGUF's do, value j low and j + 8 high in byte j.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use rarefy::quantize::{BlockFormat, BlockTensor};
///
/// let weights = Array2::from_shape_fn((4, 256), |(i, j)| ((7 * i + j) % 31) as f32 / 31.0 - 0.5);
/// let packed = BlockTensor::encode(&weights, BlockFormat::Q4K)?;
/// assert_eq!(packed.bytes().len(), 4 * 144);
/// assert_eq!(packed.bits_per_weight(), 4.5);
/// let restored = packed.dequantize::<f32>();
/// assert!(restored.iter().zip(&weights).all(|(a, b)| (a - b).abs() < 0.05));
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum BlockFormat {
    /// 8 bits and one scale: d = max|w| / 127, q = round_half_away(w / d).
    Q8_0,
    /// 4 bits and one scale: d = −w_max / 8 with w_max the weight of the largest magnitude, q = ⌊w / d + 8.5⌋, at most 15.
    Q4_0,
    /// 4 bits, one scale and a least weight: d = (max − min) / 15, m = min, q = ⌊(w − m) / d + 0.5⌋.
    Q4_1,
    /// 5 bits and one scale: as `Q4_0` with 16 for 8.
    Q5_0,
    /// 5 bits, one scale and a least weight: as `Q4_1` with 31 for 15.
    Q5_1,
    /// 2 bits, searched.
    Q2K,
    /// 3 bits, searched.
    Q3K,
    /// 4 bits, searched.
    Q4K,
    /// 5 bits, searched.
    Q5K,
    /// 6 bits, searched.
    Q6K,
    /// Ternary, five codes a byte: d = max|w|, q = round_half_away(w / d). Meant for weights of −d, 0 and d: they
    /// come back with d rounded to a half.
    Tq1_0,
    /// Ternary, 2 bits: the codes of `Tq1_0`, faster to read.
    Tq2_0,
    /// OCP MXFP4: floats of 4 bits (E2M1) and a power of two.
    Mxfp4,
    /// OCP MXFP8: floats of 8 bits (E4M3) and a power of two. A byte of e + 127, then 32 codes.
    Mxfp8E4M3,
    /// OCP MXFP8: floats of 8 bits (E5M2) and a power of two. A byte of e + 127, then 32 codes.
    Mxfp8E5M2,
    /// NVIDIA's NVFP4: floats of 4 bits (E2M1), a float of 8 bits (E4M3) for each 16, one scale for all.
    Nvfp4,
}

impl BlockFormat {
    /// All formats.
    pub const ALL: &[Self] = &[
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Tq1_0,
        Self::Tq2_0,
        Self::Mxfp4,
        Self::Mxfp8E4M3,
        Self::Mxfp8E5M2,
        Self::Nvfp4,
    ];

    pub(super) fn codec(self) -> &'static Codec {
        match self {
            Self::Q8_0 => &coded::Q8_0,
            Self::Q4_0 => &coded::Q4_0,
            Self::Q4_1 => &coded::Q4_1,
            Self::Q5_0 => &coded::Q5_0,
            Self::Q5_1 => &coded::Q5_1,
            Self::Q2K => &coded::Q2_K,
            Self::Q3K => &coded::Q3_K,
            Self::Q4K => &coded::Q4_K,
            Self::Q5K => &coded::Q5_K,
            Self::Q6K => &coded::Q6_K,
            Self::Tq1_0 => &coded::TQ1_0,
            Self::Tq2_0 => &coded::TQ2_0,
            Self::Mxfp4 => &coded::MXFP4,
            Self::Mxfp8E4M3 => &coded::MXFP8_E4M3,
            Self::Mxfp8E5M2 => &coded::MXFP8_E5M2,
            Self::Nvfp4 => &coded::NVFP4,
        }
    }

    /// How many weights make a block.
    pub fn block_len(self) -> usize {
        self.codec().values
    }

    /// How many bytes hold a block.
    pub fn block_bytes(self) -> usize {
        self.codec().bytes
    }

    /// Bytes that hold what belongs to the tensor and not to a block: 4 for `Nvfp4`, else 0.
    pub(super) fn tensor_bytes(self) -> usize {
        if self == Self::Nvfp4 { 4 } else { 0 }
    }

    /// Bits for each weight, scales of blocks counted; what belongs to the whole tensor is not.
    #[expect(clippy::cast_precision_loss, reason = "at most a few hundred")]
    pub fn bits_per_weight(self) -> f64 {
        8.0 * self.block_bytes() as f64 / self.block_len() as f64
    }

    /// Whether a weight of 0 comes back as exactly 0, whatever else is in its block.
    ///
    /// Not where codes count from a least weight: `Q4_1`, `Q5_1`, `Q2K`, `Q4K`, `Q5K`.
    pub fn keeps_zero(self) -> bool {
        !matches!(
            self,
            Self::Q4_1 | Self::Q5_1 | Self::Q2K | Self::Q4K | Self::Q5K
        )
    }

    /// How far a weight moves at most, in a block whose largest magnitude is `block` and a tensor whose
    /// largest is `tensor` (which matters to `Nvfp4` only).
    ///
    /// | format | bound |
    /// |---|---|
    /// | `Q8_0` | block · (1/254 + 2⁻¹¹) + 127 · 2⁻²⁵ |
    /// | `Q4_0` | block · (1/8 + 2⁻¹¹) + 8 · 2⁻²⁵: the far end is cut off |
    /// | `Q5_0` | block · (1/16 + 2⁻¹¹) + 16 · 2⁻²⁵ |
    /// | `Q4_1`, `Q5_1` | block · (1/15 or 1/31 + 3 · 2⁻¹¹) + 16 or 32 · 2⁻²⁵ |
    /// | `Tq1_0`, `Tq2_0` | block · (1/2 + 2⁻¹¹) + 2⁻²⁵ |
    /// | `Mxfp4` | block / 4 + 2⁻¹²⁸ |
    /// | `Mxfp8E4M3`, `Mxfp8E5M2` | block / 8 + 2⁻¹³⁰ |
    /// | `Nvfp4` | block · 17/96 + tensor · 2⁻¹⁸ + 2⁻¹³⁰ |
    ///
    /// 2⁻¹¹ is the rounding of a half, 2⁻²⁵ half the smallest one: weights near that are lost, as in every
    /// tool that writes these formats. Each bound has room for a few roundings of an f32.
    ///
    /// `None` for `Q2K` to `Q6K`, whose search makes the sum of squares small and not the largest error.
    pub fn error_bound(self, block: f64, tensor: f64) -> Option<f64> {
        let half = 2_f64.powi(-11);
        let least = 2_f64.powi(-25);
        let bound = match self {
            Self::Q8_0 => block * (1.0 / 254.0 + half) + 127.0 * least,
            Self::Q4_0 => block * (1.0 / 8.0 + half) + 8.0 * least,
            Self::Q5_0 => block * (1.0 / 16.0 + half) + 16.0 * least,
            Self::Q4_1 => block * (1.0 / 15.0 + 3.0 * half) + 16.0 * least,
            Self::Q5_1 => block * (1.0 / 31.0 + 3.0 * half) + 32.0 * least,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => return None,
            Self::Tq1_0 | Self::Tq2_0 => block * (1.0 / 2.0 + half) + least,
            Self::Mxfp4 => block / 4.0 + 2_f64.powi(-128),
            Self::Mxfp8E4M3 | Self::Mxfp8E5M2 => block / 8.0 + 2_f64.powi(-130),
            Self::Nvfp4 => block * (17.0 / 96.0) + tensor * 2_f64.powi(-18) + 2_f64.powi(-130),
        };
        Some(bound * (1.0 + 2_f64.powi(-20)))
    }

    /// How many bytes an array of this shape becomes.
    ///
    /// # Errors
    ///
    /// * [`Error::AxisOutOfRange`]: no axes, so there is none to cut into blocks.
    /// * [`Error::NotDivisible`]: the last axis does not fall into whole blocks.
    /// * [`Error::ShapeOverflow`]: more elements than can be counted.
    pub fn bytes_for(self, shape: &[usize]) -> Result<usize> {
        let Some((&length, leading)) = shape.split_last() else {
            return Err(Error::AxisOutOfRange { axis: 0, ndim: 0 });
        };
        if length % self.block_len() != 0 {
            return Err(Error::NotDivisible {
                axis: leading.len(),
                length,
                by: self.block_len(),
            });
        }
        let blocks = shape::count(shape)? / self.block_len();
        blocks
            .checked_mul(self.block_bytes())
            .and_then(|bytes| bytes.checked_add(self.tensor_bytes()))
            .ok_or_else(|| Error::ShapeOverflow {
                shape: shape.to_vec(),
            })
    }

    /// Writes the bytes of `weights` where the caller wants them.
    ///
    /// `bytes` has exactly [`bytes_for`](Self::bytes_for) the shape. Weights in f64 are rounded to f32
    /// first. The same bytes for any memory order, number of threads and machine. After an error about the
    /// values of weights, what is in `bytes` is of no use.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::Array2;
    /// use rarefy::quantize::BlockFormat;
    ///
    /// let weights = Array2::<f32>::ones((2, 64));
    /// let mut bytes = vec![0; BlockFormat::Q8_0.bytes_for(weights.shape())?];
    /// BlockFormat::Q8_0.encode_into(&weights, &mut bytes)?;
    /// assert_eq!(bytes[2..34], [127; 32]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`bytes_for`](Self::bytes_for), and
    ///
    /// * [`Error::WrongCount`]: not as many bytes as are needed.
    /// * [`Error::NotANumber`], [`Error::Infinite`]: the first weight that is not finite.
    /// * [`Error::ScaleOverflow`]: weights that are too large for the scale of their block, or in f64 too
    ///   large for an f32; names the block, counted in row-major order.
    pub fn encode_into<F: Float, D: Dimension>(
        self,
        weights: &ArrayRef<F, D>,
        bytes: &mut [u8],
    ) -> Result<()> {
        let expected = self.bytes_for(weights.shape())?;
        if bytes.len() != expected {
            return Err(Error::WrongCount {
                what: "bytes of blocks",
                given: bytes.len(),
                expected,
            });
        }
        self.encode_flat(&array::elements(weights), weights.shape(), bytes)
    }

    fn encode_flat<F: Float>(self, flat: &[F], shape: &[usize], bytes: &mut [u8]) -> Result<()> {
        let tensor_scale = match self {
            Self::Nvfp4 => tensor_scale(flat, shape)?,
            _ => 1.0,
        };
        let (blocks, tail) = bytes.split_at_mut(bytes.len() - self.tensor_bytes());
        if self == Self::Nvfp4 {
            tail.copy_from_slice(&tensor_scale.to_le_bytes());
        }
        self.codec()
            .encode(flat, blocks, tensor_scale)
            .map_err(|fault| match fault {
                Fault::NotFinite(place) => not_finite(flat, place, shape),
                Fault::Scale(block) => {
                    let block_len = self.block_len();
                    let weights = flat[block * block_len..][..block_len].iter();
                    Error::ScaleOverflow {
                        channel: block,
                        largest: weights.fold(0.0, |most, weight| most.max(weight.widen().abs())),
                    }
                }
            })
    }

    /// The scale of the tensor that these bytes end with; 1 where the format has none.
    pub(super) fn tensor_scale(self, bytes: &[u8]) -> f32 {
        match (self, bytes.last_chunk::<4>()) {
            (Self::Nvfp4, Some(last)) => f32::from_le_bytes(*last),
            _ => 1.0,
        }
    }

    /// Fails unless every scale in these bytes is a finite number.
    pub(super) fn check_scales(self, bytes: &[u8]) -> Result<()> {
        let tensor_scale = self.tensor_scale(bytes);
        if !(tensor_scale.is_finite() && tensor_scale >= 0.0) {
            return Err(Error::ScaleOutOfRange {
                index: 0,
                scale: tensor_scale,
            });
        }
        let scale = |block: &[u8]| match self.codec().scales {
            coded::Scales::Halves(places) => places
                .iter()
                .map(|&place| half_value([block[place], block[place + 1]]))
                .find(|scale| !scale.is_finite()),
            coded::Scales::Power => Some(power_of_two(block[0])).filter(|scale| scale.is_nan()),
            coded::Scales::E4M3 => (block[0] & 0x7F == 0x7F).then_some(f32::NAN),
        };
        let blocks = bytes.chunks_exact(self.block_bytes());
        match blocks
            .map(scale)
            .enumerate()
            .find_map(|(block, scale)| Some((block, scale?)))
        {
            None => Ok(()),
            Some((block, scale)) => Err(Error::not_finite(
                "scale of block",
                vec![block],
                scale.into(),
            )),
        }
    }
}

/// max|w| / (6 · 448), so that the largest block scale is the largest number of E4M3; at least the
/// smallest normal f32.
fn tensor_scale<F: Float>(flat: &[F], shape: &[usize]) -> Result<f32> {
    const CODES: f32 = 6.0 * 448.0;
    let spans = ranges::spans(flat, &Tiling::whole(flat.len()), Finite::Required)
        .map_err(|place| not_finite(flat, place, shape))?;
    let largest = spans.iter().fold(F::zero(), |largest, span| {
        largest.max(span.high).max(-span.low)
    });
    let largest = F::singles_of(&[largest])[0];
    let scale = (largest / CODES).max(f32::MIN_POSITIVE);
    // Rounded up, the scale may bring the largest f32 back as infinity.
    let returns = CODES * scale;
    Ok(if returns.is_infinite() {
        scale.next_down()
    } else {
        scale
    })
}
