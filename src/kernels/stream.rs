//! Random numbers by counter: number i of a stream depends on the seed and on i alone.
//!
//! ```text
//! x = seed + (i + 1) · 0x9E3779B97F4A7C15
//! x = (x ⊕ x >> 30) · 0xBF58476D1CE4E5B9,   x = (x ⊕ x >> 27) · 0x94D049BB133111EB,   x ⊕ x >> 31
//! ```
//!
//! SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", with the
//! constants of Stafford's variant 13): the generator whose state is a counter. So neither threads nor
//! chunks change a draw, and any number can be had without those before it.

use super::real::Real;

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Sixty-four random bits: number `index` of the stream of `seed`.
#[inline(always)]
pub(crate) fn bits(seed: u64, index: u64) -> u64 {
    let mut x = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(GAMMA));
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// A number in 0..1: as many of the topmost bits as an F holds exactly.
#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    reason = "53 bits fit an f64, and 24 an f32"
)]
pub(crate) fn uniform<F: Real>(seed: u64, index: u64) -> F {
    let bits = bits(seed, index);
    if size_of::<F>() == 4 {
        F::narrow((bits >> 40) as f64 / (1_u64 << 24) as f64)
    } else {
        F::narrow((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// A seed for what is called `name`, from the seed of the whole: FNV-1a, then stirred.
pub(crate) fn named(seed: u64, name: &str) -> u64 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    bits(seed ^ hash, 0)
}

#[cfg(test)]
mod tests {
    use super::{bits, named, uniform};

    #[test]
    fn the_stream_is_the_published_one() {
        // The first outputs of the reference implementation for the seed 1234567.
        let expected = [
            6_457_827_717_110_365_317_u64,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (index, right) in expected.into_iter().enumerate() {
            assert_eq!(bits(1_234_567, index as u64), right);
        }
    }

    #[test]
    fn uniform_numbers_fill_the_unit_interval() {
        let count = 100_000;
        let mean = |numbers: &dyn Fn(u64) -> f64| (0..count).map(numbers).sum::<f64>() / 1e5;
        let single = mean(&|i| f64::from(uniform::<f32>(3, i)));
        let double = mean(&|i| uniform::<f64>(3, i));
        // Five standard errors of 0.2887 / √100 000.
        assert!((single - 0.5).abs() < 0.0046 && (double - 0.5).abs() < 0.0046);
        assert!((0..count).all(|i| (0.0..1.0).contains(&uniform::<f32>(3, i))));
        assert_ne!(named(1, "a"), named(1, "b"));
        assert_ne!(named(1, "a"), named(2, "a"));
    }
}
