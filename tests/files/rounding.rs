//! Floats that are stored in 16 bits are rounded once, and right.

use ndarray::Array1;
use rarefy::tensors::{DType, StoredTensor};

/// The halves of bits, rounded half to even: bf16 as it is defined.
fn upper(bits: u32) -> u16 {
    ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

#[test]
fn what_is_a_little_above_the_middle_goes_up() {
    // Above the middle of two numbers by a bit or two, which are the lowest of an f32.
    let near = [0x7FFF, 0x8000, 0x8001, 0x8002, 0x8007, 0x8008];
    let bits: Vec<u32> = (0..0x7F7F)
        .step_by(7)
        .flat_map(|high| near.map(|low| high << 16 | low))
        .collect();
    let values: Array1<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
    let right: Vec<u8> = bits
        .iter()
        .flat_map(|&bits| upper(bits).to_le_bytes())
        .collect();
    let stored = StoredTensor::of_floats(&values, DType::Bf16).unwrap();
    assert_eq!(stored.bytes(), right);
    let stored = StoredTensor::of_floats(&values.mapv(f64::from), DType::Bf16).unwrap();
    assert_eq!(stored.bytes(), right);

    // 1 + 2^-11 is the middle of 1 and the next f16; of f64s beside it each goes its way.
    let middle = 1.0 + 2.0_f64.powi(-11);
    let beside = Array1::from(vec![middle.next_down(), middle, middle.next_up()]);
    let stored = StoredTensor::of_floats(&beside, DType::F16).unwrap();
    assert_eq!(stored.bytes(), [0, 0x3C, 0, 0x3C, 1, 0x3C]);
}
