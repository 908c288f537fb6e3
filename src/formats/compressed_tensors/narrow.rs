//! Values as bytes of the type that they are rounded to.

use crate::tensors::DType;
use half::{bf16, f16};

/// The values, each rounded once to the type of scales, half to even, as bytes; or the place of the first that is too
/// large for it.
pub(super) fn narrow(values: &[f32], dtype: DType) -> Result<Vec<u8>, usize> {
    // From here on a value rounds to infinity: half a step above the largest number.
    let limit = match dtype {
        DType::F16 => 65_520.0,
        DType::Bf16 => f32::from_bits(0x7F7F_8000),
        _ => f32::INFINITY,
    };
    // All at once first: this has no branch, and next to never finds one.
    let fits = |value: &f32| value.abs() < limit;
    if !values.iter().fold(true, |all, value| all & fits(value)) {
        return Err(values.iter().position(|value| !fits(value)).unwrap_or(0));
    }
    Ok(match dtype {
        DType::F16 => bytes(values, |value| f16::from_f32(value).to_le_bytes()),
        DType::Bf16 => bytes(values, |value| bf16::from_f32(value).to_le_bytes()),
        _ => bytes(values, f32::to_le_bytes),
    })
}

fn bytes<const N: usize>(values: &[f32], one: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * N];
    for (to, &value) in bytes.as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *to = one(value);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::narrow;
    use crate::tensors::{DType, StoredTensor};
    use ndarray::Array1;

    #[test]
    fn values_are_rounded_as_stored_tensors_are() {
        // All kinds of floats, and the neighbours of each.
        let values: Vec<f32> = (0..1 << 16)
            .flat_map(|upper: u32| {
                let bits = upper << 16;
                [
                    bits,
                    bits | 1,
                    bits | 0x7FFF,
                    bits | 0x8000,
                    bits | 0x8001,
                    bits | 0xFFFF,
                ]
            })
            .map(f32::from_bits)
            .collect();
        for dtype in [DType::F32, DType::F16, DType::Bf16] {
            let single = |&value: &f32| {
                let stored = StoredTensor::of_floats(&Array1::from(vec![value]), dtype);
                let narrowed = narrow(&[value], dtype);
                match stored {
                    Ok(stored) if value.is_finite() => {
                        assert_eq!(narrowed.unwrap(), stored.bytes())
                    }
                    _ => assert_eq!(narrowed, Err(0)),
                }
                value.is_finite() && narrow(&[value], dtype).is_ok()
            };
            let fit: Vec<f32> = values.iter().copied().filter(single).collect();
            let stored = StoredTensor::of_floats(&Array1::from(fit.clone()), dtype).unwrap();
            assert_eq!(narrow(&fit, dtype).unwrap(), stored.bytes());
            assert_eq!(narrow(&[1.0, f32::INFINITY, f32::NAN], dtype), Err(1));
        }
    }
}
