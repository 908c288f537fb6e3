//! Keys of weights that are ranked by |w · f|, in one sweep and with a place for what is wrong.
//!
//! ```text
//! a weight that is zero: 0     else: bits of |w · f|, plus 1     NaN: above all others
//! ```
//!
//! [`Ranked`](super::ranked::Ranked) takes scores from anywhere and asks at every key from where. Here is but the one
//! formula, without branches, and a selection that looks for the largest key finds a NaN on its way.

use super::real::{Bits, Real};
use super::select::Keys;
use std::ops::Range;

/// Ranks weights by the magnitude of their products with given factors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Products<'a, F> {
    weights: &'a [F],
    factors: &'a [F],
}

impl<'a, F: Real> Products<'a, F> {
    pub(crate) fn new(weights: &'a [F], factors: &'a [F]) -> Self {
        assert_eq!(weights.len(), factors.len(), "one factor a weight");
        Self { weights, factors }
    }

    /// The largest key of a product that is a number; all above are NaN.
    pub(crate) fn limit() -> F::Bits {
        F::INFINITE.plus(1)
    }
}

impl<F: Real> Keys for Products<'_, F> {
    type Key = F::Bits;
    #[inline(always)]
    fn len(&self) -> usize {
        self.weights.len()
    }
    #[inline(always)]
    fn range(&self, range: Range<usize>) -> Self {
        Self {
            weights: &self.weights[range.clone()],
            factors: &self.factors[range],
        }
    }
    #[inline(always)]
    fn key(&self, index: usize) -> F::Bits {
        key(self.weights[index], self.factors[index])
    }
    #[inline(always)]
    fn fill(&self, start: usize, into: &mut [F::Bits]) {
        let pairs = self.weights[start..].iter().zip(&self.factors[start..]);
        for (to, (&weight, &factor)) in into.iter_mut().zip(pairs) {
            *to = key(weight, factor);
        }
    }
}

#[inline(always)]
fn key<F: Real>(weight: F, factor: F) -> F::Bits {
    let product = (weight * factor).magnitude();
    // Zero times infinity is NaN, and an error whatever the weight.
    let first = (weight == F::zero()) & (product <= F::INFINITE);
    if first {
        F::Bits::default()
    } else {
        product.plus(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Products;
    use crate::kernels::dispatch::forced;
    use crate::kernels::parallel::CHUNK;
    use crate::kernels::ranked::{NanPlace, Ranked, Source};
    use crate::kernels::real::Real;
    use crate::kernels::select::{Keys, keep_highest, keep_highest_below};

    const SPECIAL: [f64; 9] = [
        0.0,
        -0.0,
        1.0,
        -2.5,
        1e-300,
        1e300,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];

    fn pairs<F: Real>() -> (Vec<F>, Vec<F>) {
        let all = SPECIAL.iter().flat_map(|&w| SPECIAL.map(|f| (w, f)));
        all.map(|(w, f)| (F::narrow(w), F::narrow(f))).unzip()
    }

    fn check_order<F: Real>() {
        let (weights, factors) = pairs::<F>();
        let keys = Products::new(&weights, &factors);
        let slow = Ranked::new(&weights, Source::Product(&factors), NanPlace::Highest);
        for i in 0..weights.len() {
            let nan = (weights[i] * factors[i]).is_nan();
            assert_eq!(keys.key(i) > Products::<F>::limit(), nan, "{i}");
            for j in 0..weights.len() {
                let right = slow.key(i).cmp(&slow.key(j));
                let is_nan = |at: usize| (weights[at] * factors[at]).is_nan();
                // NaNs stand above all others in any order among themselves.
                if !(is_nan(i) && is_nan(j)) {
                    assert_eq!(keys.key(i).cmp(&keys.key(j)), right, "{i} and {j}");
                }
            }
        }
    }

    #[test]
    fn keys_order_as_those_of_any_source() {
        check_order::<f32>();
        check_order::<f64>();
    }

    #[test]
    fn masks_are_those_of_any_source() {
        forced::at_every_level(|level| {
            for len in [1, 64, 1000, CHUNK + 3, 3 * CHUNK] {
                let number = |i: usize, step: usize| ((i * step) % 4093) as f32 / 64.0 - 31.0;
                let weights: Vec<f32> = (0..len).map(|i| number(i, 7919)).collect();
                let mut factors: Vec<f32> = (0..len).map(|i| number(i, 104_729)).collect();
                let drops = [0, len / 3, len / 2, len];
                for drop in drops {
                    let keys = Products::new(&weights, &factors);
                    let slow = Ranked::new(&weights, Source::Product(&factors), NanPlace::Highest);
                    let words = keep_highest_below(&keys, drop, Products::<f32>::limit());
                    let right = Some(keep_highest(&slow, drop));
                    assert!(words == right, "{drop} of {len}, {level:?}");
                }
                factors[len / 2] = f32::NAN;
                for drop in drops {
                    let keys = Products::new(&weights, &factors);
                    let words = keep_highest_below(&keys, drop, Products::<f32>::limit());
                    assert!(words.is_none(), "NaN, {drop} of {len}, {level:?}");
                }
            }
        });
    }
}
