//! The arithmetic of one coding on one value, without branches in the loop around it.

use super::coding::{self, Coding, Rounded, Scaling, Step};
use super::real::Real;

/// How one coding scales, rounds and shifts: a type for each that is common, so that its loop has no branches.
pub(super) trait Way: Copy + Sync {
    /// The value in steps, shifted by the zero point if that comes before rounding.
    fn scaled<F: Real>(self, value: F, step: Step<F>) -> F;
    /// The integer that value number `index` becomes.
    fn rounded<F: Real>(self, scaled: F, index: usize) -> i32;
    /// The shift taken back.
    fn back<F: Real>(self, code: F, step: Step<F>) -> F;
}

#[derive(Clone, Copy)]
struct Divided;

impl Way for Divided {
    #[inline(always)]
    fn scaled<F: Real>(self, value: F, step: Step<F>) -> F {
        value / step.scale
    }
    #[inline(always)]
    fn rounded<F: Real>(self, scaled: F, _: usize) -> i32 {
        scaled.nearest_even()
    }
    #[inline(always)]
    fn back<F: Real>(self, code: F, _: Step<F>) -> F {
        code
    }
}

#[derive(Clone, Copy)]
struct Multiplied;

impl Way for Multiplied {
    #[inline(always)]
    fn scaled<F: Real>(self, value: F, step: Step<F>) -> F {
        value * step.inverse
    }
    #[inline(always)]
    fn rounded<F: Real>(self, scaled: F, _: usize) -> i32 {
        scaled.nearest_even()
    }
    #[inline(always)]
    fn back<F: Real>(self, code: F, _: Step<F>) -> F {
        code
    }
}

/// Any coding, asked at each value.
#[derive(Clone, Copy)]
struct Asked(Coding);

impl Way for Asked {
    #[inline(always)]
    fn scaled<F: Real>(self, value: F, step: Step<F>) -> F {
        let scaled = match self.0.scaling {
            Scaling::Divide => value / step.scale,
            Scaling::MultiplyByInverse => value * step.inverse,
        };
        scaled + step.shift
    }
    #[inline(always)]
    fn rounded<F: Real>(self, scaled: F, index: usize) -> i32 {
        coding::round(scaled, self.0.rounded, index)
    }
    #[inline(always)]
    fn back<F: Real>(self, code: F, step: Step<F>) -> F {
        code - step.shift
    }
}

/// What is done once the way is known.
pub(super) trait WithWay {
    type Output;
    fn run<W: Way>(self, way: W) -> Self::Output;
}

/// Chooses the way of a coding.
#[inline(always)]
pub(super) fn with_way<T: WithWay>(coding: Coding, then: T) -> T::Output {
    match (coding.scaling, coding.rounded, coding.shift_first) {
        (Scaling::Divide, Rounded::HalfEven, false) => then.run(Divided),
        (Scaling::MultiplyByInverse, Rounded::HalfEven, false) => then.run(Multiplied),
        _ => then.run(Asked(coding)),
    }
}

/// In steps: the value that quantization gives, which is an integer, and the scaled value without its zero point
/// where no end of the range cut it off.
#[derive(Clone, Copy)]
pub(super) struct Scaled<F> {
    pub(super) inside: bool,
    pub(super) held: F,
    pub(super) exact: F,
}

/// What the gradients ask of one value. NaN is outside.
#[inline(always)]
pub(super) fn scaled<F: Real, W: Way>(value: F, step: Step<F>, way: W, index: usize) -> Scaled<F> {
    let exact = way.scaled(value, step);
    // One step wider than the codes: what is rounded there is outside, and nearer values are as they are.
    let (below, above) = (step.lowest - F::one(), step.highest + F::one());
    // Written so that NaN ends above.
    let wide = if exact < above { exact } else { above };
    let wide = if wide > below { wide } else { below };
    let code = F::from_integer(way.rounded(wide, index));
    let inside = code >= step.lowest && code <= step.highest;
    let held = if code > step.highest {
        step.highest
    } else {
        code
    };
    let held = if held < step.lowest {
        step.lowest
    } else {
        held
    };
    Scaled {
        inside,
        held: way.back(held, step),
        exact: way.back(exact, step),
    }
}
