//! Random numbers that are a function of a seed and a place: no state, so neither the order of the work
//! nor the number of threads matters.
//!
//! The steps of SplitMix64 (Steele, Lea and Flood 2014, <https://doi.org/10.1145/2660193.2660195>).

/// 2⁻⁵³
const ULP: f64 = f64::EPSILON / 2.0;
/// The increment: 2⁶⁴ divided by the golden ratio, made odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A number in 0 < x ≤ 1, 53 random bits, for this seed and place.
pub(crate) fn uniform(seed: u64, place: u64) -> f64 {
    // The seed is stirred first: neighbouring seeds would else give the same numbers, moved by a place.
    let start = stir(seed.wrapping_add(STEP));
    let random = stir(start.wrapping_add(place.wrapping_add(1).wrapping_mul(STEP)));
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let number = ((random >> 11) + 1) as f64;
    number * ULP
}

const fn stir(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::{STEP, stir, uniform};

    #[test]
    fn the_steps_are_those_of_splitmix() {
        // The first numbers that the published generator gives for the seed 0.
        let numbers = [1, 2, 3].map(|n: u64| stir(n.wrapping_mul(STEP)));
        let published = [
            0xE220_A839_7B1D_CDAF,
            0x6E78_9E6A_A1B9_65F4,
            0x06C4_5D18_8009_454F,
        ];
        assert_eq!(numbers, published);
    }

    #[test]
    fn numbers_are_even_and_seeds_differ() {
        for seed in [0, 1, u64::MAX] {
            let numbers: Vec<f64> = (0..100_000).map(|place| uniform(seed, place)).collect();
            assert!(numbers.iter().all(|&x| 0.0 < x && x <= 1.0));
            let mean = numbers.iter().sum::<f64>() / 1e5;
            // Four deviations of the mean.
            assert!((mean - 0.5).abs() < 4.0 * 0.289 / 316.0, "{mean}");
            let next: Vec<f64> = (0..100_000)
                .map(|place| uniform(seed.wrapping_add(1), place))
                .collect();
            let product: f64 = numbers
                .iter()
                .zip(&next)
                .map(|(a, b)| (a - 0.5) * (b - 0.5))
                .sum();
            assert!((product / 1e5).abs() < 4.0 / 12.0 / 316.0, "{product}");
        }
    }
}
