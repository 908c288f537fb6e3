//! From a quantized tensor to the tensors of a file.

use super::layout::cannot;
use super::parts::Parts;
use super::weights::first_off_middle;
use super::{CompressedLayout, CompressedWeights};
use crate::error::{Error, FileError, Result};
use crate::formats::words::pack_rows;
use crate::kernels::pack;
use crate::quantize::QuantizedTensor;
use crate::tensors::{DType, StoredTensor, TensorInfo};
use ndarray::ArrayView1;

/// The tensors that were planned for `tensor`.
pub(super) fn encode(
    layout: CompressedLayout,
    parts: Parts,
    tensor: &QuantizedTensor,
    weights: CompressedWeights,
) -> Result<Vec<(String, StoredTensor)>> {
    check(layout, tensor, weights)?;
    let packed = layout == CompressedLayout::PackQuantized;
    let bits = weights.bits();
    let weight = match (packed, weights.is_float()) {
        (true, _) => {
            let columns = tensor.shape().last().copied().unwrap_or(0);
            pack_rows(&offset_codes(tensor), columns, bits)
        }
        (false, true) => tensor.packed().to_vec(),
        (false, false) => signed_bytes(offset_codes(tensor), bits),
    };
    let mut stored = vec![part(parts.weight, weight)?];
    let scales = scale_bytes(layout, tensor.scales(), parts.scale.dtype)?;
    stored.push(part(parts.scale, scales)?);
    if let Some(info) = parts.zero_point {
        let zeros = offset_zero_points(tensor);
        let bytes = if packed {
            pack_columns(&zeros, info.shape.get(1).copied().unwrap_or(0), bits)
        } else {
            signed_bytes(zeros, bits)
        };
        stored.push(part(info, bytes)?);
    }
    if let Some(info) = parts.shape {
        let lengths = tensor.shape().iter().map(|&length| length as u64);
        stored.push(part(info, lengths.flat_map(u64::to_le_bytes).collect())?);
    }
    Ok(stored)
}

fn part(info: TensorInfo, bytes: Vec<u8>) -> Result<(String, StoredTensor)> {
    let stored = StoredTensor::new(info.dtype, info.shape, bytes);
    match stored {
        Ok(stored) => Ok((info.name, stored)),
        Err(error) => Err(error.in_tensor(info.name)),
    }
}

/// Fails unless the tensor is one of such weights.
fn check(
    layout: CompressedLayout,
    tensor: &QuantizedTensor,
    weights: CompressedWeights,
) -> Result<()> {
    let wrong = |what: String, must| Err(cannot(layout.name(), what, must));
    if tensor.mask().is_some() {
        return wrong(
            "a mask beside the codes".to_owned(),
            "codes of which one means 0 exactly",
        );
    }
    let given = CompressedWeights::new(tensor.scheme(), tensor.granularity())?;
    if given.bits() != weights.bits() || given.is_float() != weights.is_float() {
        let kind = if given.is_float() {
            "floats"
        } else {
            "integers"
        };
        let what = format!("{kind} of {} bits", given.bits());
        return wrong(what, "codes of the bits and the kind that were planned");
    }
    if given.granularity() != weights.granularity() {
        let what = format!("scales {:?}", given.granularity());
        return wrong(what, "the granularity that was planned");
    }
    match first_off_middle(tensor) {
        Some(place) if weights.is_symmetric() => {
            let zero = tensor.zero_points()[place];
            let what = format!("the zero point {zero} of scale {place} in symmetric weights");
            wrong(what, "the middle code as every zero point")
        }
        _ => Ok(()),
    }
}

/// Codes + 2ᵇ⁻¹, or as they are where they are unsigned already.
fn offset_codes(tensor: &QuantizedTensor) -> Vec<u8> {
    let scheme = tensor.scheme();
    let mut codes = vec![0; tensor.len()];
    pack::unpack(tensor.packed(), scheme.bits(), &mut codes);
    if scheme.is_signed() {
        flip_signs(&mut codes, scheme.bits());
    }
    codes
}

/// The zero points + 2ᵇ⁻¹, or as they are; all of them the middle where there are none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a zero point is a code of at most 8 bits, of which these are the lower ones"
)]
fn offset_zero_points(tensor: &QuantizedTensor) -> Vec<u8> {
    let scheme = tensor.scheme();
    let middle = 1 << (scheme.bits() - 1);
    if !scheme.has_zero_points() {
        return vec![middle; tensor.scales().len()];
    }
    let offset = if scheme.is_signed() {
        i32::from(middle)
    } else {
        0
    };
    let zeros = tensor.zero_points().iter();
    zeros.map(|zero| (zero + offset) as u8).collect()
}

/// Two's complement of `bits` bits to codes + 2ᵇ⁻¹, and back.
pub(super) fn flip_signs(codes: &mut [u8], bits: u32) {
    let sign = 1 << (bits - 1);
    for code in codes {
        *code ^= sign;
    }
}

/// Codes − 2ᵇ⁻¹ as two's complement of a byte.
fn signed_bytes(mut codes: Vec<u8>, bits: u32) -> Vec<u8> {
    let middle = 1 << (bits - 1);
    for code in &mut codes {
        *code = code.wrapping_sub(middle);
    }
    codes
}

/// Words, as bytes, of codes that are packed along columns.
fn pack_columns(codes: &[u8], columns: usize, bits: u32) -> Vec<u8> {
    let Some(rows) = codes.len().checked_div(columns) else {
        return Vec::new();
    };
    let mut down = Vec::with_capacity(codes.len());
    for column in 0..columns {
        down.extend(codes.iter().skip(column).step_by(columns));
    }
    let packed = pack_rows(&down, rows, bits);
    let words = packed.as_chunks::<4>().0;
    let high = words.len() / columns;
    let mut bytes = Vec::with_capacity(packed.len());
    for row in 0..high {
        for column in 0..columns {
            bytes.extend_from_slice(&words[column * high + row]);
        }
    }
    bytes
}

/// Scales in this type, which must have them exactly.
fn scale_bytes(layout: CompressedLayout, scales: &[f32], dtype: DType) -> Result<Vec<u8>> {
    let inexact = |place: usize| {
        let what = format!("scale {place}, {:e}, as {dtype}", scales[place]);
        let must = "scales that their type has exactly: round them before quantizing";
        cannot(layout.name(), what, must)
    };
    match StoredTensor::of_floats(&ArrayView1::from(scales), dtype) {
        Ok(stored) => {
            let rounded = stored.floats::<f32>()?;
            let mut both = scales.iter().zip(&rounded);
            match both.position(|(scale, rounded)| scale != rounded) {
                None => Ok(stored.into_bytes()),
                Some(place) => Err(inexact(place)),
            }
        }
        Err(Error::File(FileError::TooLarge { index, .. })) => {
            Err(inexact(index.first().copied().unwrap_or(0)))
        }
        Err(error) => Err(error),
    }
}
