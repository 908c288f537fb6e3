//! What the code of one number is.

use super::fit::{Fit, Zero};
use super::real::Real;
use super::stream;

/// How a value is brought to the scale of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// x ÷ s, rounded once.
    Divide,
    /// x · (1 ÷ s), rounded twice: what PyTorch does.
    MultiplyByInverse,
}

/// Which of the two neighbours a scaled value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounded {
    /// The nearest, of two equally near ones the even one.
    HalfEven,
    /// The nearest, of two equally near ones the one further from 0.
    HalfAway,
    /// The upper one with the probability of the fraction: number i of the stream of this seed decides on value i.
    Stochastic(u64),
}

/// Everything that turns values into codes but the values and their scales.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coding {
    pub(crate) bits: u32,
    pub(crate) lowest: i32,
    pub(crate) highest: i32,
    pub(crate) scaling: Scaling,
    pub(crate) rounded: Rounded,
    /// Whether the zero point is added before rounding instead of after.
    pub(crate) shift_first: bool,
    pub(crate) known: Known,
}

/// What is known of the values before they are coded, and need not be asked of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Nothing,
    /// None is NaN.
    Finite,
    /// Scaled, they lie within the codes.
    Bounded,
}

impl Coding {
    /// Whether no scale of this fit leaves a value outside of the codes: the largest magnitude becomes the highest
    /// code, to which it is rounded from within a few units in the last place.
    pub(super) fn is_bounded_by(self, fit: Fit) -> bool {
        fit.zero == Zero::Fixed(0)
            && fit.divisor.to_bits() == f64::from(fit.highest).to_bits()
            && fit.lowest <= -fit.highest
            && (fit.lowest, fit.highest) == (self.lowest, self.highest)
            && self.scaling == Scaling::Divide
            && self.rounded == Rounded::HalfEven
    }
}

/// Scales, and a zero point for each or none.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    pub(crate) scales: &'a [f32],
    pub(crate) zero_points: &'a [i32],
}

/// What holds a code until it is packed: its low bits.
pub(super) trait Low: Copy {
    fn low_bits(code: i32) -> Self;
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the low bits of the code are what is stored"
)]
impl Low for u8 {
    #[inline(always)]
    fn low_bits(code: i32) -> Self {
        code as Self
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the low bits of the code are what is stored"
)]
impl Low for u16 {
    #[inline(always)]
    fn low_bits(code: i32) -> Self {
        code as Self
    }
}

/// One tile's scale and what goes with it, in the arithmetic of its values.
#[derive(Clone, Copy)]
pub(super) struct Step<F> {
    pub(super) scale: F,
    pub(super) inverse: F,
    /// What scaled values are held within.
    pub(super) lowest: F,
    pub(super) highest: F,
    /// What is added before rounding, and after.
    pub(super) shift: F,
    zero: i32,
}

impl<F: Real> Step<F> {
    #[inline(always)]
    pub(super) fn new(scale: f32, zero: i32, coding: Coding) -> Self {
        let scale = F::from_single(scale);
        let (before, after) = if coding.shift_first {
            (zero, 0)
        } else {
            (0, zero)
        };
        Self {
            scale,
            inverse: scale.recip(),
            lowest: F::from_integer(coding.lowest - after),
            highest: F::from_integer(coding.highest - after),
            shift: F::from_integer(before),
            zero: after,
        }
    }

    /// The value held within the codes, unless it is NaN.
    #[inline(always)]
    fn within(self, value: F) -> F {
        let value = if value > self.highest {
            self.highest
        } else {
            value
        };
        if value < self.lowest {
            self.lowest
        } else {
            value
        }
    }

    /// The value held within the codes; NaN is what means 0.
    #[inline(always)]
    pub(super) fn held(self, value: F) -> F {
        let value = self.within(value);
        if value.is_nan() { self.shift } else { value }
    }
}

#[inline(always)]
pub(super) fn stretch_codes<F: Real, C: Low>(
    (values, start): (&[F], usize),
    codes: &mut [C],
    steps: Steps<'_>,
    coding: Coding,
) {
    match coding {
        Coding {
            known: Known::Bounded,
            ..
        } => each(
            values,
            codes,
            (steps, coding),
            #[inline(always)]
            |_, x, step| (x / step.scale).nearest_even(),
        ),
        Coding {
            scaling: Scaling::Divide,
            rounded: Rounded::HalfEven,
            shift_first: false,
            known: Known::Finite,
            ..
        } => each(
            values,
            codes,
            (steps, coding),
            #[inline(always)]
            |_, x, step| step.within(x / step.scale).nearest_even() + step.zero,
        ),
        Coding {
            scaling: Scaling::Divide,
            rounded: Rounded::HalfEven,
            shift_first: false,
            ..
        } => each(
            values,
            codes,
            (steps, coding),
            #[inline(always)]
            |_, x, step| step.held(x / step.scale).nearest_even() + step.zero,
        ),
        Coding {
            scaling: Scaling::MultiplyByInverse,
            rounded: Rounded::HalfEven,
            shift_first: false,
            ..
        } => each(
            values,
            codes,
            (steps, coding),
            #[inline(always)]
            |_, x, step| step.held(x * step.inverse).nearest_even() + step.zero,
        ),
        _ => each(
            values,
            codes,
            (steps, coding),
            #[inline(always)]
            |index, x, step| {
                let scaled = match coding.scaling {
                    Scaling::Divide => x / step.scale,
                    Scaling::MultiplyByInverse => x * step.inverse,
                };
                round(
                    step.held(scaled + step.shift),
                    coding.rounded,
                    start + index,
                ) + step.zero
            },
        ),
    }
}

/// The code of a value that is held within the codes: |y| ≤ 2¹⁷.
#[inline(always)]
pub(super) fn round<F: Real>(value: F, rounded: Rounded, index: usize) -> i32 {
    let nearest = value.nearest_even();
    let half = F::from_single(0.5);
    // Both exact: the nearest integer is less than 1 away.
    let over = value - F::from_integer(nearest);
    match rounded {
        Rounded::HalfEven => nearest,
        Rounded::HalfAway => {
            let up = over == half && value > F::zero();
            let down = over == -half && value < F::zero();
            nearest + i32::from(up) - i32::from(down)
        }
        Rounded::Stochastic(seed) => {
            let (floor, fraction) = if over < F::zero() {
                (nearest - 1, over + F::one())
            } else {
                (nearest, over)
            };
            floor + i32::from(stream::uniform::<F>(seed, index as u64) < fraction)
        }
    }
}

#[inline(always)]
fn each<F: Real, C: Low>(
    values: &[F],
    codes: &mut [C],
    (steps, coding): (Steps<'_>, Coding),
    code: impl Fn(usize, F, Step<F>) -> i32,
) {
    let Steps {
        scales,
        zero_points,
    } = steps;
    if let [scale] = scales {
        let step = Step::new(*scale, zero_points.first().copied().unwrap_or(0), coding);
        for (index, (to, &value)) in codes.iter_mut().zip(values).enumerate() {
            *to = C::low_bits(code(index, value, step));
        }
    } else if zero_points.is_empty() {
        let pairs = codes.iter_mut().zip(values).zip(scales);
        for (index, ((to, &value), &scale)) in pairs.enumerate() {
            *to = C::low_bits(code(index, value, Step::new(scale, 0, coding)));
        }
    } else {
        let pairs = codes.iter_mut().zip(values).zip(scales).zip(zero_points);
        for (index, (((to, &value), &scale), &zero)) in pairs.enumerate() {
            *to = C::low_bits(code(index, value, Step::new(scale, zero, coding)));
        }
    }
}
