//! Small pieces that several families share: roundings that become vectors, extremes, nibbles.

/// Around this number floats are one apart, so adding it rounds as every addition does, half to even,
/// and leaves the integer in the low bits. One addition on any instruction set.
pub(super) const MAGIC: f32 = 12_582_912.0;

/// The nearest integer, ties to even; for |value| ≤ 2²¹.
#[inline(always)]
pub(super) fn even(value: f32) -> f32 {
    (value + MAGIC) - MAGIC
}

/// The nearest integer, ties away from zero; for |value| ≤ 2²¹.
#[inline(always)]
pub(super) fn away(value: f32) -> f32 {
    let rounded = even(value);
    let half = 0.5_f32.copysign(value);
    // The difference is exact. A tie that went to zero is half a unit away, in the direction of the sign.
    if value - rounded == half {
        rounded + (half + half)
    } else {
        rounded
    }
}

/// The largest integer that is not above; for 0 ≤ value ≤ 2²¹.
#[inline(always)]
pub(super) fn floor(value: f32) -> f32 {
    let rounded = even(value);
    if rounded > value {
        rounded - 1.0
    } else {
        rounded
    }
}

/// The low byte of an integer, −128 to 255.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low byte is the code, in two's complement"
)]
pub(super) fn byte(integer: f32) -> u8 {
    (integer + MAGIC).to_bits() as u8
}

/// 1 ÷ d, or 0 where that is no number to multiply by.
#[inline(always)]
pub(super) fn inverse(d: f32) -> f32 {
    let inverse = d.recip();
    if inverse.abs() < f32::INFINITY {
        inverse
    } else {
        0.0
    }
}

/// The largest magnitude. For finite values.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let bits = values.iter().map(|value| value.to_bits() & (u32::MAX >> 1));
    f32::from_bits(bits.fold(0, u32::max))
}

/// The smallest and the largest value. For finite values.
#[inline(always)]
pub(super) fn extremes(values: &[f32; 32]) -> (f32, f32) {
    let (mut least, mut most) = ([0.0; 16], [0.0; 16]);
    for lane in 0..16 {
        let (a, b) = (values[lane], values[lane + 16]);
        least[lane] = if b < a { b } else { a };
        most[lane] = if b > a { b } else { a };
    }
    let mut width = 8;
    while width > 0 {
        for lane in 0..width {
            let (a, b) = (least[lane], least[lane + width]);
            least[lane] = if b < a { b } else { a };
            let (a, b) = (most[lane], most[lane + width]);
            most[lane] = if b > a { b } else { a };
        }
        width /= 2;
    }
    (least[0], most[0])
}

/// The value of the largest magnitude with its sign; of several the first.
#[inline(always)]
pub(super) fn signed_largest(values: &[f32; 32]) -> f32 {
    let (least, most) = extremes(values);
    if most == -least {
        let first = values.iter().find(|value| value.abs() == most);
        return first.copied().unwrap_or(0.0);
    }
    if most > -least { most } else { least }
}

/// Codes of four bits, value j in the low half of byte j, value j + N in the high half.
#[inline(always)]
pub(super) fn join<const N: usize>(low: &[u8; N], high: &[u8; N]) -> [u8; N] {
    let mut bytes = [0; N];
    for ((byte, low), high) in bytes.iter_mut().zip(low).zip(high) {
        *byte = low & 15 | high << 4;
    }
    bytes
}

/// Both halves of a block of 32.
#[inline(always)]
pub(super) fn halves(codes: &[u8; 32]) -> (&[u8; 16], &[u8; 16]) {
    let (halves, _) = codes.as_chunks::<16>();
    (&halves[0], &halves[1])
}

#[cfg(test)]
mod tests {
    use super::{away, byte, even, extremes, floor, inverse, largest, signed_largest};

    #[test]
    fn roundings_are_the_standard_librarys() {
        for quarter in -1100..1100 {
            let exact = quarter as f32 / 4.0;
            for x in [exact, exact.next_up(), exact.next_down()] {
                assert_eq!(even(x), x.round_ties_even(), "{x}");
                assert_eq!(away(x), x.round(), "{x}");
                if x >= 0.0 {
                    assert_eq!(floor(x), x.floor(), "{x}");
                }
            }
        }
        for integer in -128..=255 {
            assert_eq!(byte(integer as f32), integer as u8);
        }
    }

    #[test]
    fn an_inverse_is_a_number() {
        assert_eq!(
            (inverse(0.0), inverse(-0.0), inverse(1e-45)),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(inverse(-0.25), -4.0);
    }

    #[test]
    fn extremes_are_found_at_every_place() {
        for place in 0..32 {
            for extreme in [9.0, -9.0] {
                let mut values: [f32; 32] = std::array::from_fn(|i| (i as f32 - 15.0) / 2.0);
                values[place] = extreme;
                let by_order = |a: &&f32, b: &&f32| a.total_cmp(b);
                let right = (
                    *values.iter().min_by(by_order).unwrap(),
                    *values.iter().max_by(by_order).unwrap(),
                );
                assert_eq!(extremes(&values), right);
                assert_eq!(signed_largest(&values), extreme);
                assert_eq!(largest(&values), 9.0);
                values[31 - place] = -extreme;
                let first = values.iter().find(|value| value.abs() == 9.0).unwrap();
                assert_eq!(signed_largest(&values), *first);
            }
        }
        assert_eq!(signed_largest(&[0.0; 32]), 0.0);
    }
}
