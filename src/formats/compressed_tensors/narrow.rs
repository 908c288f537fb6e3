//! Values as bytes of the type that they are rounded to.

use crate::formats::round::round_into;
use crate::tensors::DType;

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
    let mut bytes = vec![0; values.len() * (dtype.bits() / 8)];
    round_into(values, dtype, &mut bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::narrow;
    use crate::tensors::DType;
    use half::{bf16, f16};

    /// The number of these bits, infinity as the number that would follow the largest.
    fn number(bits: u16, dtype: DType) -> f64 {
        let (number, beyond) = match dtype {
            DType::F16 => (f16::from_bits(bits).to_f64(), 65_536.0),
            _ => (bf16::from_bits(bits).to_f64(), 2.0_f64.powi(128)),
        };
        if number.is_finite() { number } else { beyond }
    }

    #[test]
    fn no_other_number_is_nearer() {
        let near = [0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0x8002, 0xFFFF];
        let values = (0..1_u32 << 15).flat_map(|upper| near.map(|lower| upper << 16 | lower));
        for value in values.map(f32::from_bits).filter(|value| !value.is_nan()) {
            assert_eq!(narrow(&[value], DType::F32).is_ok(), value.is_finite());
            for dtype in [DType::F16, DType::Bf16] {
                let largest = number(if dtype == DType::F16 { 0x7BFF } else { 0x7F7F }, dtype);
                let Ok(bytes) = narrow(&[value], dtype) else {
                    assert!(f64::from(value) > largest, "{value}");
                    continue;
                };
                let bits = u16::from_le_bytes([bytes[0], bytes[1]]);
                let far = |bits| (number(bits, dtype) - f64::from(value)).abs();
                for other in [bits.wrapping_sub(1), bits + 1] {
                    let even = far(other) == far(bits) && bits.is_multiple_of(2);
                    assert!(
                        far(other) > far(bits) || even || other > bits + 1,
                        "{value:e}"
                    );
                }
                let negative = narrow(&[-value], dtype).unwrap();
                assert_eq!([negative[0], negative[1] ^ 0x80], [bytes[0], bytes[1]]);
            }
        }
        assert_eq!(narrow(&[1.0, f32::INFINITY, f32::NAN], DType::F32), Err(1));
        assert_eq!(
            narrow(&[0.5, -2.0], DType::F32).unwrap(),
            [0, 0, 0, 0x3F, 0, 0, 0, 0xC0]
        );
    }
}
