//! e to the power of x, in operations that the compiler makes vectors of.
//!
//! The standard library's calls a function for each number, and the softmax and GELU of a small network would then take
//! as long as its linear layers do with eight bits.

/// eˣ for x of at most 0, off by at most some 2⁻²² of itself; 0 below -87, where it is less than the smallest normal f32.
#[inline]
pub fn exp(x: f32) -> f32 {
    /// Adding it rounds to an integer and leaves that in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has so few bits that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let held = x.max(-87.0);
    let shifted = held * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = held - power * LN_2[0] - power * LN_2[1];
    // Taylor's series; |rest| is at most ln 2 / 2.
    let terms = [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let fraction = terms
        .iter()
        .fold(1.0 / 5040.0, |sum: f32, term| sum * rest + term);
    // 2ᵖ: the power becomes the exponent's bits. What lies above them is shifted out.
    let two = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { fraction * two }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn it_is_that_of_f64() {
        let mut worst = 0.0_f64;
        for step in 0..870_000 {
            let x = -1e-4 * step as f32;
            let right = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - right).abs() / right);
        }
        assert!(worst < 2.5e-7, "off by {worst:e}");
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(exp(0.0), 1.0, "no change");
        assert_eq!(exp(-100.0), 0.0, "nothing left");
        assert_eq!(exp(f32::NEG_INFINITY), 0.0, "masked");
    }
}
