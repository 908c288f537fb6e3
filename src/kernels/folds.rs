//! What can be computed of a unit's values: sums, extremes, norms.
//!
//! ```text
//! ‖x‖ₙ = (Σ |x|ⁿ)^(1/n)     ‖x‖∞ = max |x|     ‖x‖₋∞ = min |x|     ‖x‖₀ = how many x are not 0
//! ```
//!
//! Powers other than 1 and 2 go through our own exponential and logarithm, whose bits are the same on
//! every machine, of values relative to the largest (for n < 0 the smallest): so nothing
//! overflows. Squares of an f64 can leave its range, and then they are relative too.

use super::real::Real;
use super::units::{Fold, Layout};

macro_rules! fold {
    ($(#[$doc:meta])* $name:ident, $start:expr, |$total:ident, $value:ident| $step:expr, |$a:ident, $b:ident| $merge:expr) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl<F: Real> Fold<F> for $name {
            const START: f64 = $start;
            #[inline(always)]
            fn step(&self, _: usize, $total: f64, value: F) -> f64 {
                let $value = value.widen();
                $step
            }
            #[inline(always)]
            fn merge(&self, $a: f64, $b: f64) -> f64 {
                $merge
            }
        }
    };
}

fold!(
    /// Σ x
    Sum, 0.0, |total, x| total + x, |a, b| a + b);
fold!(
    /// Σ |x|
    SumAbs, 0.0, |total, x| total + x.abs(), |a, b| a + b);
fold!(
    /// Σ x²
    SumSquares, 0.0, |total, x| total + x * x, |a, b| a + b);
fold!(
    /// max x
    Max, f64::NEG_INFINITY, |total, x| if x > total { x } else { total }, |a, b| if b > a { b } else { a });
fold!(
    /// max |x|
    MaxAbs, 0.0, |total, x| if x.abs() > total { x.abs() } else { total }, |a, b| if b > a { b } else { a });
fold!(
    /// min |x|
    MinAbs, f64::INFINITY, |total, x| if x.abs() < total { x.abs() } else { total }, |a, b| if b < a { b } else { a });
fold!(
    /// How many x are not zero.
    NonZero, 0.0, |total, x| total + f64::from(u8::from(x != 0.0)), |a, b| a + b);
fold!(
    /// How many x are NaN.
    NotNumbers, 0.0, |total, x| total + f64::from(u8::from(x.is_nan())), |a, b| a + b);

fold!(
    /// How many x are numbers and finite.
    Numbers, 0.0, |total, x| total + f64::from(u8::from(x.is_finite())), |a, b| a + b);

/// Another fold over those x that are numbers and finite.
pub(crate) struct OfNumbers<O>(pub(crate) O);

impl<F: Real, O: Fold<F>> Fold<F> for OfNumbers<O> {
    const START: f64 = O::START;
    #[inline(always)]
    fn step(&self, unit: usize, total: f64, value: F) -> f64 {
        let next = self.0.step(unit, total, value);
        if value.magnitude() < F::INFINITE {
            next
        } else {
            total
        }
    }
    #[inline(always)]
    fn merge(&self, a: f64, b: f64) -> f64 {
        self.0.merge(a, b)
    }
}

/// Σ (|x| / scale)ⁿ, with a scale for each unit.
struct Powers<'a> {
    order: f64,
    scales: &'a [f64],
}

impl<F: Real> Fold<F> for Powers<'_> {
    const START: f64 = 0.0;
    #[inline(always)]
    fn step(&self, unit: usize, total: f64, value: F) -> f64 {
        let ratio = value.widen().abs() / self.scales[unit];
        let power = if self.order == 2.0 {
            ratio * ratio
        } else {
            (ratio.logarithm() * self.order).exponential()
        };
        total + power
    }
    #[inline(always)]
    fn merge(&self, a: f64, b: f64) -> f64 {
        a + b
    }
}

/// The norm of this order of each unit; 0 for a unit without values. The order is not NaN.
pub(crate) fn norms<F: Real, L: Layout>(layout: &L, values: &[F], order: f64) -> Vec<f64> {
    if values.is_empty() {
        return vec![0.0; layout.units()];
    }
    if order == 1.0 {
        return layout.fold(values, &SumAbs);
    }
    if order == 0.0 {
        return layout.fold(values, &NonZero);
    }
    if order == f64::INFINITY {
        return layout.fold(values, &MaxAbs);
    }
    if order == f64::NEG_INFINITY {
        return layout.fold(values, &MinAbs);
    }
    if order == 2.0 {
        let squares = layout.fold(values, &SumSquares);
        // 1e-270 leaves room for terms far below the sum. Squares of an f32 are always in range.
        let in_range = |&sum: &f64| (1e-270..=1e300).contains(&sum);
        if squares.iter().all(in_range) || size_of::<F>() == 4 {
            return squares.into_iter().map(f64::sqrt).collect();
        }
    }
    let scales = if order > 0.0 {
        layout.fold(values, &MaxAbs)
    } else {
        layout.fold(values, &MinAbs)
    };
    let powers = Powers {
        order,
        scales: &scales,
    };
    let sums = layout.fold(values, &powers);
    let root = |sum: f64| {
        if order == 2.0 {
            sum.sqrt()
        } else {
            (sum.logarithm() / order).exponential()
        }
    };
    scales
        .iter()
        .zip(sums)
        .map(|(&scale, sum)| {
            // 0/0 and ∞/∞ above are no numbers; these two norms are known without them.
            if scale == 0.0 || scale == f64::INFINITY {
                scale
            } else {
                scale * root(sum)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::norms;
    use crate::kernels::units::Slices;

    const WHOLE: Slices = Slices {
        outer: 1,
        count: 1,
        inner: 5,
    };

    #[test]
    fn every_order_is_its_formula() {
        let values = [0.5_f64, -2.0, 3.5, 1.25, -0.75];
        for order in [
            1.0, 2.0, 3.0, 0.5, 0.1, 4.0, 2.5, 17.0, -1.0, -2.0, -0.5, 100.0,
        ] {
            let right: f64 = values.iter().map(|x| x.abs().powf(order)).sum();
            let right = right.powf(1.0 / order);
            let ours = norms(&WHOLE, &values, order)[0];
            let error = (ours - right).abs() / right;
            assert!(error < 1e-13, "order {order}: {ours}, {right}");
        }
        assert_eq!(norms(&WHOLE, &values, f64::INFINITY), [3.5]);
        assert_eq!(norms(&WHOLE, &values, f64::NEG_INFINITY), [0.5]);
        assert_eq!(norms(&WHOLE, &[0.0, 1.0, -0.0, 2.0, 3.0], 0.0), [3.0]);
    }

    #[test]
    fn nothing_overflows_or_vanishes() {
        for scale in [1e-320, 1e-200, 1e200, 1e307] {
            let values = [3.0, 0.0, 4.0, 0.0, 0.0].map(|x| x * scale);
            for (order, right) in [(2.0, 5.0 * scale), (3.0, 91.0_f64.cbrt() * scale)] {
                let ours = norms(&WHOLE, &values, order)[0];
                assert!((ours / right - 1.0).abs() < 1e-3, "{order} {scale}: {ours}");
            }
        }
        let mut values = [1.0, 2.0, f64::INFINITY, 0.5, 3.0];
        for order in [0.5, 2.0, 3.0] {
            assert_eq!(norms(&WHOLE, &values, order), [f64::INFINITY], "{order}");
        }
        let ours = norms(&WHOLE, &values, -1.0)[0];
        assert!((ours - 1.0 / (1.0 + 0.5 + 2.0 + 1.0 / 3.0)).abs() < 1e-13);
        values[0] = 0.0;
        assert_eq!(norms(&WHOLE, &values, -1.0), [0.0]);
        assert_eq!(norms(&WHOLE, &[0.0; 5], 2.5), [0.0]);
    }
}
