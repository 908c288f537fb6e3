//! The activation between the two layers of a feed-forward part.

use crate::exponential::exp;
use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;
use std::f32::consts::FRAC_1_SQRT_2;

/// x · Φ(x), Φ the share of a normal distribution that lies below x: GELU as BERT has it, not its approximation by tanh.
///
/// With z = |x| / √2 and t = 1 / (1 + 0.39 z) the share beyond is e^(−z²) · P(t) / 2. P is fitted by us, by least
/// squares made even, to some 10⁻⁸.
#[inline]
fn gelu(x: f32) -> f32 {
    const P: [f32; 6] = [
        -0.227_535_73,
        0.886_658_7,
        -0.635_391_23,
        0.649_552_17,
        0.091_391_29,
        0.235_324_77,
    ];
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.39 * z);
    let p = P.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    let beyond = 0.5 * p * exp(-z * z);
    x * if x < 0.0 { beyond } else { 1.0 - beyond }
}

/// Applies it to each number.
pub fn apply(mut x: ArrayViewMut2<'_, f32>) {
    x.axis_iter_mut(Axis(0))
        .into_par_iter()
        .for_each(|mut row| {
            row.iter_mut().for_each(|x| *x = gelu(*x));
        });
}

#[cfg(test)]
mod tests {
    use super::gelu;

    #[test]
    fn it_is_that_of_erf() {
        let mut worst = 0.0_f64;
        for step in -120_000..=120_000 {
            let x = 1e-4 * step as f32;
            let wide = f64::from(x);
            let right = wide * 0.5 * libm::erfc(-wide * std::f64::consts::FRAC_1_SQRT_2);
            worst = worst.max((f64::from(gelu(x)) - right).abs() / (1.0 + wide.abs()));
        }
        assert!(worst < 1e-7, "off by {worst:e}");
    }
}
