//! From the least and the largest number of a tile to its scale and zero point.

use super::real::Real;

/// How a zero point is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Zero {
    /// It is this: the range is symmetric around 0.
    Fixed(i32),
    /// lowest − round_half_even(low ÷ s), then held within the codes.
    Rounded,
    /// lowest − low ÷ s, held within the codes, then rounded half to even.
    Held,
}

/// How scales and zero points are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The codes that there are.
    pub(crate) lowest: i32,
    pub(crate) highest: i32,
    pub(crate) zero: Zero,
    /// What the width of the range is divided by; where the zero point is fixed, the largest number.
    pub(crate) divisor: f64,
    /// Where the zero point is fixed, what the least number is divided by; the larger scale is taken.
    pub(crate) divisor_below: f64,
    /// The least scale, and what takes the place of a smaller one, if need be with another zero point.
    pub(crate) least: f32,
    pub(crate) instead: f32,
    pub(crate) instead_zero: Option<i32>,
    /// Whether each step is rounded to f32, as by those who compute in it.
    pub(crate) single: bool,
    /// Whether the scale is lowered until what the outermost codes mean is finite.
    pub(crate) finite: bool,
}

impl Fit {
    /// The scale and the zero point of numbers from `low` to `high`. The range is widened to hold 0. The scale is
    /// infinite if it does not fit an f32.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "scales are stored in f32, and where f32 is followed all is f32"
    )]
    pub(crate) fn parameters(&self, low: f64, high: f64) -> (f32, i32) {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let quotient = match self.zero {
            Zero::Fixed(_) => (high / self.divisor).max(-low / self.divisor_below),
            _ if self.single => f64::from(high as f32 - low as f32) / self.divisor,
            _ => (high - low) / self.divisor,
        };
        // Of two f32 this is one f32 division: the quotient in f64 has more than twice the digits, so rounding it
        // again gives the same (Figueroa 1995).
        let mut scale = quotient as f32;
        if scale < self.least {
            let zero = self.zero_point(low, f64::from(self.instead));
            return (self.instead, self.instead_zero.unwrap_or(zero));
        }
        // Who computes the scale in f64 has the zero point from it before it is rounded.
        let unrounded = self.zero == Zero::Held && !self.single;
        let precise = if unrounded {
            quotient
        } else {
            f64::from(scale)
        };
        let zero = self.zero_point(low, precise);
        let most = f64::from(f32::MAX);
        if self.finite && low >= -most && high <= most {
            // The quotient was rounded up, or one side has a code more than the other, and with it the outermost code
            // would come back as infinity. Only for numbers within a step of the largest there is.
            let codes = (self.lowest - zero).abs().max((self.highest - zero).abs());
            if self.reaches_infinity(scale, zero) {
                scale = scale.min((most / f64::from(codes)) as f32);
            }
            while self.reaches_infinity(scale, zero) {
                scale = scale.next_down();
            }
        }
        (scale, zero)
    }

    /// Below this scale no code comes back as infinity.
    pub(super) fn near(&self) -> f64 {
        let codes = f64::from(self.highest) - f64::from(self.lowest);
        f64::from(f32::MAX) / (codes + 1.0)
    }

    /// Whether [`plain`](Self::plain) says what [`parameters`](Self::parameters) does.
    pub(super) fn is_plain(&self) -> bool {
        self.zero == Zero::Rounded && !self.single && self.instead_zero.is_none()
    }

    /// [`parameters`](Self::parameters) without a branch, for a loop over tiles, and the scale before it is rounded: right
    /// where that is below [`near`](Self::near).
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "as in `parameters` and `zero_point`"
    )]
    pub(super) fn plain(&self, low: f64, high: f64) -> (f64, f32, i32) {
        let low = if low < 0.0 { low } else { 0.0 };
        let high = if high > 0.0 { high } else { 0.0 };
        let quotient = (high - low) / self.divisor;
        let scale = quotient as f32;
        let scale = if scale < self.least {
            self.instead
        } else {
            scale
        };
        let (lowest, highest) = (f64::from(self.lowest), f64::from(self.highest));
        let zero = lowest - (low / f64::from(scale)).rounded();
        let zero = if zero > highest { highest } else { zero };
        (quotient, scale, zero.nearest_even())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "codes have at most 16 bits, and their differences 17"
    )]
    fn reaches_infinity(&self, scale: f32, zero: i32) -> bool {
        let ends = [self.lowest - zero, self.highest - zero];
        scale.is_finite() && ends.iter().any(|&code| (code as f32 * scale).is_infinite())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "held within the codes before, and where f32 is followed all is f32"
    )]
    fn zero_point(&self, low: f64, scale: f64) -> i32 {
        let (lowest, highest) = (f64::from(self.lowest), f64::from(self.highest));
        let steps = if self.single {
            f64::from(low as f32 / scale as f32)
        } else {
            low / scale
        };
        match self.zero {
            Zero::Fixed(zero) => zero,
            Zero::Rounded => (lowest - steps.round_ties_even()).clamp(lowest, highest) as i32,
            Zero::Held if self.single => {
                let zero = (lowest as f32 - steps as f32).clamp(lowest as f32, highest as f32);
                zero.round_ties_even() as i32
            }
            Zero::Held => (lowest - steps).clamp(lowest, highest).round_ties_even() as i32,
        }
    }
}

/// Fails with the first tile whose scale does not fit an f32.
pub(super) fn check_scales(scales: &[f32]) -> Result<(), usize> {
    match scales.iter().position(|scale| scale.is_infinite()) {
        Some(tile) => Err(tile),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fit, Zero};

    fn affine(single: bool) -> Fit {
        Fit {
            lowest: -128,
            highest: 127,
            zero: Zero::Rounded,
            divisor: 255.0,
            divisor_below: 255.0,
            least: f32::MIN_POSITIVE,
            instead: f32::MIN_POSITIVE,
            instead_zero: None,
            single,
            finite: true,
        }
    }

    #[test]
    fn a_range_holds_zero_and_a_code_means_it() {
        for single in [false, true] {
            let fit = affine(single);
            assert_eq!(fit.parameters(-1.0, 1.55), (0.01, -28));
            assert_eq!(fit.parameters(0.5, 2.55), (0.01, -128));
            assert_eq!(fit.parameters(-2.55, -0.5), (0.01, 127));
            assert_eq!(fit.parameters(0.0, 0.0), (f32::MIN_POSITIVE, -128));
        }
    }

    #[test]
    fn the_outermost_codes_come_back_finite() {
        let most = f64::from(f32::MAX);
        for (low, high) in [
            (0.0, most),
            (-most, 0.0),
            (-most, most),
            (-most / 3.0, most),
        ] {
            let fit = affine(false);
            let (scale, zero) = fit.parameters(low, high);
            for code in [-128, 127] {
                let back = (code - zero) as f32 * scale;
                assert!(back.is_finite(), "{low} to {high}: {back}");
            }
        }
        assert_eq!(affine(false).parameters(0.0, 1e300).0, f32::INFINITY);
    }

    #[test]
    fn a_scale_that_is_too_small_is_replaced() {
        let fit = Fit {
            instead: 1.0,
            instead_zero: Some(0),
            ..affine(false)
        };
        assert_eq!(fit.parameters(-1e-40, 1e-40), (1.0, 0));
    }

    #[test]
    fn the_form_without_branches_says_the_same() {
        for (lowest, highest) in [(-128, 127), (0, 15), (-32768, 32767), (0, 1)] {
            let fit = Fit {
                lowest,
                highest,
                divisor: f64::from(highest - lowest),
                ..affine(false)
            };
            assert!(fit.is_plain() && !affine(true).is_plain());
            for i in 0..2000 {
                let (low, high) = (f64::from(i * 37 % 601 - 450), f64::from(i * 53 % 997 - 300));
                let (low, high) = (low.min(high), low.max(high));
                for unit in [1.0, 1e-3, 1e30, 1e-36, 1e-41] {
                    let (low, high) = (low * unit, high * unit);
                    let (quotient, scale, zero) = fit.plain(low, high);
                    assert!(quotient < fit.near(), "not near the largest float");
                    assert_eq!((scale, zero), fit.parameters(low, high), "{low} {high}");
                }
            }
        }
    }

    #[test]
    fn holding_before_rounding_differs_from_holding_after() {
        let held = Fit {
            zero: Zero::Held,
            ..affine(true)
        };
        // lowest − low ÷ s = −128 + 2.5: to even here, and minus the even 2 there.
        for (low, high) in [(-2.5, 252.5), (-3.5, 251.5)] {
            let even = -128 + if low == -2.5 { 2 } else { 4 };
            assert_eq!(held.parameters(low, high), (1.0, even));
            assert_eq!(affine(true).parameters(low, high), (1.0, even));
        }
        // With an odd lowest code they part.
        let narrow = |zero| Fit {
            lowest: -127,
            divisor: 254.0,
            zero,
            ..affine(true)
        };
        assert_eq!(narrow(Zero::Held).parameters(-2.5, 251.5), (1.0, -124));
        assert_eq!(narrow(Zero::Rounded).parameters(-2.5, 251.5), (1.0, -125));
    }
}
