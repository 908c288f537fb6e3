//! Floats as bytes of the type that they are rounded to.

use crate::kernels::halves;
use crate::tensors::DType;
use half::bf16;

/// Writes values, each rounded once to F16, BF16 or F32, half to even; what is too large becomes infinite. There is room for
/// as many.
pub(super) fn round_into(values: &[f32], dtype: DType, bytes: &mut [u8]) {
    match dtype {
        DType::F16 => halves::narrow_bytes(values, bytes.as_chunks_mut().0),
        DType::Bf16 => {
            for (bytes, &value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
                *bytes = bf16::from_f32(value).to_le_bytes();
            }
        }
        _ => {
            for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
                *bytes = value.to_le_bytes();
            }
        }
    }
}
