//! Which layouts there are, and what each can hold.

use super::encode::encode;
use super::module::Module;
use super::parts::Parts;
#[cfg(feature = "recipe")]
use super::parts::SHAPE;
use super::{CompressedWeights, FORMAT};
use crate::error::{Error, FileError, Result};
use crate::quantize::{Granularity, QuantizedTensor};
use crate::tensors::{DType, StoredTensor, TensorInfo, TensorSource};
use std::fmt;

/// How compressed-tensors stores the quantized weight of a module `m`: what `format` in `config.json` names.
///
/// Of a weight of `[N, K]` and codes of b bits, with N outputs and K inputs of a linear layer:
///
/// | layout | `format` | codes | beside them | holds |
/// |---|---|---|---|---|
/// | `PackQuantized` | `pack-quantized` | `m.weight_packed` I32 `[N, ⌈K·b ÷ 32⌉]` | `m.weight_shape` I64 `[2]` | integers of 1 to 8 bits |
/// | `IntQuantized` | `int-quantized` | `m.weight` I8 `[N, K]` | | the same |
/// | `FloatQuantized` | `float-quantized` | `m.weight` F8_E4M3 `[N, K]` | | E4M3 |
/// | `NaiveQuantized` | `naive-quantized` | as one of these two | | as these two |
/// | `Dense` | `dense` | none, weights are floats | | nothing quantized |
///
/// And scales: `m.weight_scale` F32, F16 or BF16, of shape `[1]` per tensor, `[N, 1]` per channel, `[N, K ÷ G]` in groups
/// of G along K, which must divide it, `[⌈N ÷ a⌉, ⌈K ÷ b⌉]` in blocks of `[a, b]`. And zero points, if weights are not
/// symmetric: `m.weight_zero_point`, packed along N as I32 `[⌈N·b ÷ 32⌉, K ÷ G]` in `PackQuantized`, where they must be per
/// channel or in groups, and else I8 of the shape of the scales.
///
/// A packed code is the code + 2ᵇ⁻¹. Codes of a row are one little-endian bit stream, filled up to words, as
/// compressed-tensors 0.20 has it. Where b does not divide 32 (3, 5, 6 and 7 bits) older versions left the rest of a word
/// empty, so such files are for the newer ones alone; what 1, 2, 4 and 8 bits are did not change.
///
/// Who loads it, as tests of ours have run: compressed-tensors 0.20 decompresses all of it. transformers 5.24 does too, but for
/// two limits of its own: packed weights with zero points load with `CompressedTensorsConfig(dequantize=True)` alone, and models
/// whose groups have several layouts without it alone. So symmetric weights, packed, of 4 or 8 bits, per channel or in groups,
/// are what most programs load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum CompressedLayout {
    /// Floats.
    Dense,
    /// Integers, packed into words.
    PackQuantized,
    /// Integers, a byte each, for layers that quantize their inputs to integers too.
    IntQuantized,
    /// Integers or floats, a byte each, whatever inputs are.
    NaiveQuantized,
    /// Floats of 8 bits, for layers that quantize their inputs too.
    FloatQuantized,
}

impl CompressedLayout {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Dense,
        Self::PackQuantized,
        Self::IntQuantized,
        Self::NaiveQuantized,
        Self::FloatQuantized,
    ];

    /// The name in `config.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::PackQuantized => "pack-quantized",
            Self::IntQuantized => "int-quantized",
            Self::NaiveQuantized => "naive-quantized",
            Self::FloatQuantized => "float-quantized",
        }
    }

    /// The layout of this name.
    ///
    /// # Examples
    ///
    /// ```
    /// use rarefy::formats::CompressedLayout;
    ///
    /// let layout = CompressedLayout::named("pack-quantized");
    /// assert_eq!(layout, Some(CompressedLayout::PackQuantized));
    /// assert_eq!(CompressedLayout::named("marlin-24"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|layout| layout.name() == name)
    }

    /// Whether this is the part of a weight that says its shape, the only one of which a block of rows has no part.
    #[cfg(feature = "recipe")]
    pub(crate) fn is_shape(name: &str) -> bool {
        let part = name.rsplit_once('.').map_or(name, |(_, part)| part);
        part == SHAPE
    }

    /// Which tensors the weight of a module becomes, without its codes: so a file can be planned before anything is
    /// quantized.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::Axis;
    /// use rarefy::formats::{CompressedLayout, CompressedWeights};
    /// use rarefy::quantize::{Granularity, Scheme};
    /// use rarefy::tensors::{DType, TensorInfo};
    ///
    /// let groups = Granularity::PerGroup { axis: Axis(1), size: 64 };
    /// let weights = CompressedWeights::new(Scheme::symmetric(4)?, groups)?;
    /// let infos = CompressedLayout::PackQuantized.infos("proj", &[96, 128], weights, DType::Bf16)?;
    /// assert_eq!(infos, [
    ///     TensorInfo::new("proj.weight_packed", DType::I32, [96, 16]),
    ///     TensorInfo::new("proj.weight_scale", DType::Bf16, [96, 2]),
    ///     TensorInfo::new("proj.weight_shape", DType::I64, [2]),
    /// ]);
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FileError::CannotHold`] if the layout cannot hold such weights, the shape has not two lengths, a group does not
    /// divide the second, or the scales are to be none of F32, F16 and BF16; [`Error::ShapeOverflow`].
    pub fn infos(
        self,
        module: &str,
        shape: &[usize],
        weights: CompressedWeights,
        scale_dtype: DType,
    ) -> Result<Vec<TensorInfo>> {
        let parts = Parts::plan(self, module, shape, weights, scale_dtype)?;
        Ok(parts.into_infos())
    }

    /// The tensors that [`infos`](Self::infos) promises for the same module, shape, weights and type of scales, with what
    /// `tensor` has in them. Codes, scales and zero points stay exactly what they are.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Array2, Axis};
    /// use rarefy::formats::{CompressedLayout, CompressedWeights};
    /// use rarefy::prelude::*;
    /// use rarefy::quantize::Linear;
    /// use rarefy::tensors::{DType, TensorMap};
    ///
    /// let weight = Array2::from_shape_fn((4, 64), |(i, j)| ((i * 64 + j) as f32).sin());
    /// let q = Linear::new(4).per_group(Axis(1), 32).quantize(&weight)?;
    /// let weights = CompressedWeights::of(&q)?;
    /// let layout = CompressedLayout::PackQuantized;
    /// let stored = TensorMap::new(layout.encode("proj", &q, weights, DType::F32)?)?;
    /// let back = layout.read(&stored, "proj", weights)?;
    /// assert_eq!((back.codes(), back.scales()), (q.codes(), q.scales()));
    /// # Ok::<(), rarefy::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`infos`](Self::infos), and [`FileError::CannotHold`] if the tensor is none of such weights: codes of other
    /// bits, another granularity, zero points where weights are said to be symmetric, a mask kept beside the codes; or if a
    /// scale is not exactly a number of the type that scales are to be stored in. Scales are never rounded here, as codes were
    /// made for those that they have: round them before quantizing.
    pub fn encode(
        self,
        module: &str,
        tensor: &QuantizedTensor,
        weights: CompressedWeights,
        scale_dtype: DType,
    ) -> Result<Vec<(String, StoredTensor)>> {
        let parts = Parts::plan(self, module, tensor.shape(), weights, scale_dtype)?;
        encode(self, parts, tensor, weights)
    }

    /// The quantized weight of a module of a checkpoint, without turning it into floats.
    ///
    /// Codes come as [`Scheme::symmetric_full_range`](crate::quantize::Scheme::symmetric_full_range),
    /// [`affine`](crate::quantize::Scheme::affine) or [`float`](crate::quantize::Scheme::float), those of one bit as
    /// [`unsigned`](crate::quantize::Scheme::unsigned).
    ///
    /// # Errors
    ///
    /// [`FileError::CannotHold`] as in [`infos`](Self::infos); [`FileError::NoTensor`], [`FileError::WrongDType`],
    /// [`FileError::WrongShape`] with the name of the tensor in the file that is missing or contradicts the others; those of
    /// [`QuantizedTensor::from_packed`] for scales that are no scales; and whatever reading can fail with.
    pub fn read(
        self,
        source: &dyn TensorSource,
        module: &str,
        weights: CompressedWeights,
    ) -> Result<QuantizedTensor> {
        let module = Module::find(self, source, module, weights)?;
        module.rows(source, 0..module.shape()[0])
    }

    /// Fails unless the layout holds such weights.
    pub(super) fn check(self, weights: CompressedWeights) -> Result<()> {
        let along_outputs = matches!(
            weights.granularity(),
            Granularity::PerChannel(_) | Granularity::PerGroup { .. }
        );
        let (what, must) = match self {
            Self::Dense => ("codes", "floats"),
            Self::PackQuantized if weights.is_float() => ("floats of 8 bits", "integers"),
            Self::PackQuantized if !weights.is_symmetric() && !along_outputs => (
                "zero points of a whole tensor or of blocks",
                "zero points per channel or in groups",
            ),
            Self::IntQuantized if weights.is_float() => ("floats of 8 bits", "integers"),
            Self::FloatQuantized if !weights.is_float() => ("integers", "floats of 8 bits"),
            _ => return Ok(()),
        };
        Err(cannot(self.name(), what, must))
    }
}

impl fmt::Display for CompressedLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A layout cannot hold something.
pub(super) fn cannot(format: &'static str, what: impl Into<String>, must: &'static str) -> Error {
    Error::File(FileError::CannotHold {
        format,
        what: what.into(),
        must,
    })
}

/// None of the layouts can hold something.
pub(super) fn no_layout(what: impl Into<String>, must: &'static str) -> Error {
    cannot(FORMAT, what, must)
}
