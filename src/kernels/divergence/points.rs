//! What each divergence adds for one class, and how that moves with the student.
//!
//! With p and q the probabilities of teacher and student and r = ln p − ln q, a divergence is Σ φ over
//! the classes. Its slope here is h = ∂φ/∂ ln q, up to a multiple of q, which is the same: the gradient
//! with respect to the student's logits is h − q·Σh, and that leaves no trace of a multiple of q.

use super::Side;
use crate::kernels::arithmetic::{Arithmetic, multiply_add};
use crate::kernels::real::Real;

/// A divergence of two distributions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// KL(p‖q)
    Forward,
    /// KL(q‖p)
    Reverse,
    /// β·KL(p‖m) + (1 − β)·KL(q‖m), m = β·p + (1 − β)·q, 0 < β < 1
    JensenShannon(f64),
    /// KL(p‖λ·p + (1 − λ)·q), 0 < λ < 1
    Skewed(f64),
    /// KL(q‖λ·q + (1 − λ)·p), 0 < λ < 1
    SkewedReverse(f64),
    /// ½ Σ |p − q|
    TotalVariation,
    /// (1 − Σ pᵅ q¹⁻ᵅ) / (α(1 − α)), 0 < α < 1
    Alpha(f64),
}

impl Kind {
    /// The side that must not rule out what the other allows, if there is one.
    pub(super) fn must_not_rule_out(self) -> Option<Side> {
        match self {
            Self::Forward => Some(Side::Student),
            Self::Reverse => Some(Side::Teacher),
            _ => None,
        }
    }
}

/// One class: the probabilities, and r, which is finite even where one of them is 0.
#[derive(Clone, Copy)]
pub(super) struct Point<F> {
    pub(super) p: F,
    pub(super) q: F,
    pub(super) r: F,
}

/// x · y, and 0 where x is, whatever y.
#[inline(always)]
fn times<F: Real>(x: F, y: F) -> F {
    if x > F::zero() { x * y } else { F::zero() }
}

/// ln((1 − share)·of + share·other) − ln of, exact where they are nearly equal. Not for of = 0.
#[inline(always)]
fn mixed<F: Real, A: Arithmetic>(of: F, other: F, share: F) -> F {
    let x = share * ((other - of) / of);
    // Where `of` is nearly nothing the quotient may overflow; what it is multiplied by is nothing.
    (if x < F::max_value() {
        x
    } else {
        F::max_value()
    })
    .quick_logarithm_1p::<A>()
}

/// Terms of the series that stands for the α-divergence of nearly equal probabilities.
pub(super) const TERMS: usize = 8;

/// (α − αⁿ)/n! for n = 2..10, highest n first.
pub(super) fn alpha_series<F: Real>(alpha: f64) -> [F; TERMS] {
    let mut series = [F::zero(); TERMS];
    let (mut power, mut factorial) = (alpha, 1.0);
    for (place, n) in series.iter_mut().rev().zip(2..10_u8) {
        power *= alpha;
        factorial *= f64::from(n);
        *place = F::narrow((alpha - power) / factorial);
    }
    series
}

impl<F: Real> Point<F> {
    #[inline(always)]
    pub(super) fn forward(self) -> [F; 2] {
        [times(self.p, self.r), -self.p]
    }

    #[inline(always)]
    pub(super) fn reverse(self) -> [F; 2] {
        let term = -times(self.q, self.r);
        [term, term]
    }

    #[inline(always)]
    pub(super) fn jensen_shannon<A: Arithmetic>(self, beta: F) -> [F; 2] {
        let Self { p, q, .. } = self;
        let rest = F::one() - beta;
        let student = -rest * times(q, mixed::<F, A>(q, p, beta));
        [
            -beta * times(p, mixed::<F, A>(p, q, rest)) + student,
            student,
        ]
    }

    #[inline(always)]
    pub(super) fn skewed<A: Arithmetic>(self, lambda: F) -> [F; 2] {
        let Self { p, q, .. } = self;
        let rest = F::one() - lambda;
        let mixture = lambda * p + rest * q;
        let slope = if mixture > F::zero() {
            -p * (rest * q / mixture)
        } else {
            F::zero()
        };
        [-times(p, mixed::<F, A>(p, q, rest)), slope]
    }

    #[inline(always)]
    pub(super) fn skewed_reverse<A: Arithmetic>(self, lambda: F) -> [F; 2] {
        let Self { p, q, .. } = self;
        let rest = F::one() - lambda;
        let mixture = lambda * q + rest * p;
        let value = -times(q, mixed::<F, A>(q, p, rest));
        let through_mixture = if mixture > F::zero() {
            q * (lambda * q / mixture)
        } else {
            F::zero()
        };
        [value, value - through_mixture]
    }

    #[inline(always)]
    pub(super) fn total_variation(self) -> [F; 2] {
        let difference = self.q - self.p;
        let half = F::from_single(0.5);
        let slope = if difference > F::zero() {
            half * self.q
        } else {
            -half * self.q
        };
        let slope = if difference == F::zero() {
            F::zero()
        } else {
            slope
        };
        [half * difference.abs(), slope]
    }

    #[inline(always)]
    pub(super) fn alpha<A: Arithmetic>(self, alpha: F, series: &[F; TERMS]) -> [F; 2] {
        let Self { p, q, r } = self;
        let rest = F::one() - alpha;
        // pᵅ q¹⁻ᵅ from the larger of the two, so that the exponential stays below 1.
        let (of, exponent) = if r > F::zero() {
            (p, -rest * r)
        } else {
            (q, alpha * r)
        };
        let product = of * exponent.softened::<A>(F::softening(1.0));
        // αp + (1 − α)q − pᵅq¹⁻ᵅ, which is never negative. For small r its digits cancel and its
        // series does not: q · Σ (α − αⁿ) rⁿ / n!, n ≥ 2.
        let direct = alpha * p + rest * q - product;
        let series = series
            .iter()
            .fold(F::zero(), |sum, &term| multiply_add::<A, F>(sum, r, term));
        let series = series * r * r;
        let near = r.abs() < F::from_single(0.25);
        let value = if near { q * series } else { direct };
        [value / (alpha * rest), -product / alpha]
    }
}
