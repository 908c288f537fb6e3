//! What kernels need of a float beyond arithmetic: its bits, a cheap rounding, an exponential.
//!
//! [`Sealed`] is public because [`Float`](crate::Float) builds on it, and cannot be named outside
//! because the module is private: that is what seals `Float`.

use super::arithmetic::Arithmetic;
use super::coding::{Coding, Steps};
use super::decode::{self, Stored};
use super::divergence::{self, Fault, RowAgainst, Scratch, Store};
use super::fit::Fit;
use super::fitted::{self, Trouble};
use super::keys::Magnitudes;
pub(crate) use super::ordinal::Bits;
use super::ranges::Finite;
use super::short_groups::{self, Pattern};
use super::tiling::Tiling;
use super::{encode, exp, log, logistic, select};
use std::borrow::Cow;
use std::fmt::Debug;

/// An f32 or an f64, seen from the machine room, without a single method: what has a receiver here
/// would be a method of every `F: Float` outside, beside the user's own.
#[doc(hidden)]
pub trait Sealed: num_traits::Float + Default + Debug + Send + Sync + 'static {
    /// The unsigned integer of the same width.
    type Bits: Bits;

    /// [`magnitude`](Real::magnitude) of infinity.
    const INFINITE: Self::Bits;

    /// The number that has this magnitude and no sign.
    fn from_magnitude(magnitude: Self::Bits) -> Self;

    /// The nearest value of this type.
    fn narrow(value: f64) -> Self;

    /// The same value in this type.
    fn from_single(value: f32) -> Self;

    /// The nearest value of this type; exact for |value| ≤ 2²⁴.
    fn from_integer(value: i32) -> Self;

    // Compiled once, with the crate, and not with every program that calls a generic function of it.
    #[doc(hidden)]
    fn value_of_row(
        student: &[Self],
        against: RowAgainst<'_, Self>,
        scratch: &mut Scratch<Self>,
    ) -> Result<f64, Fault>;
    #[doc(hidden)]
    fn gradient_of_row(
        student: &[Self],
        against: RowAgainst<'_, Self>,
        to: (Self, Store, &mut [Self]),
        scratch: &mut Scratch<Self>,
    ) -> Result<f64, Fault>;
    #[doc(hidden)]
    fn check_row(student: &[Self], against: RowAgainst<'_, Self>) -> Result<(), Fault>;
    #[doc(hidden)]
    fn select_magnitudes(weights: &[Self], drop: usize, limit: Self::Bits) -> Option<Vec<u64>>;

    // Values as f32, each rounded once, and back.
    #[doc(hidden)]
    fn singles_of(values: &[Self]) -> Cow<'_, [f32]>;
    #[doc(hidden)]
    fn fill_from_singles(values: &mut [Self], fill: &mut dyn FnMut(&mut [f32]));

    #[doc(hidden)]
    fn encode(
        values: &[Self],
        tiling: &Tiling,
        how: (Coding, Finite),
        steps: Steps<'_>,
        packed: &mut [u8],
    ) -> Result<(), usize>;
    #[doc(hidden)]
    fn fit_and_encode(
        values: &[Self],
        tiling: &Tiling,
        how: (Fit, Finite, Coding),
        to: (&mut [f32], &mut [i32], &mut [u8]),
    ) -> Result<(), Trouble>;
    #[doc(hidden)]
    fn decode(
        packed: &[u8],
        tiling: &Tiling,
        stored: Stored,
        steps: Steps<'_>,
        values: &mut [Self],
    );

    #[doc(hidden)]
    fn rank_magnitudes(weights: &[Self], pattern: Pattern, words: &mut [u64]) -> Self::Bits;

    #[doc(hidden)]
    fn magnitude_of(value: Self) -> Self::Bits;
    #[doc(hidden)]
    fn ordinal_of(value: Self) -> Self::Bits;
    #[doc(hidden)]
    fn widen_from(value: Self) -> f64;
    #[doc(hidden)]
    fn nearest_even_to(value: Self) -> i32;
    #[doc(hidden)]
    fn rounded_of(value: Self) -> Self;
    #[doc(hidden)]
    fn exponential_of(value: Self) -> Self;
    #[doc(hidden)]
    fn softening_of(inverse_temperature: f64) -> Self;
    #[doc(hidden)]
    fn hardened_of(softening: Self) -> f64;
    #[doc(hidden)]
    fn softened_of<A: Arithmetic>(difference: Self, softening: Self) -> Self;
    #[doc(hidden)]
    fn logarithm_of(value: Self) -> Self;
    #[doc(hidden)]
    fn logarithm_1p_of(value: Self) -> Self;
    #[doc(hidden)]
    fn quick_logarithm_1p_of<A: Arithmetic>(value: Self) -> Self;
    #[doc(hidden)]
    fn logistic_of<A: Arithmetic>(student: Self, teacher: Self, apart: Self) -> [Self; 2];
}

/// The methods of [`Sealed`], for use inside the crate.
pub(crate) trait Real: Sealed {
    /// The magnitude as an integer that orders as |x| does: −0 equals +0, infinity is the largest
    /// number, and NaN lies above infinity.
    #[inline(always)]
    fn magnitude(self) -> Self::Bits {
        Self::magnitude_of(self)
    }

    /// An integer that orders as the value does, with −0 equal to +0. Not for NaN.
    #[inline(always)]
    fn ordinal(self) -> Self::Bits {
        Self::ordinal_of(self)
    }

    /// The same value as an f64.
    #[inline(always)]
    fn widen(self) -> f64 {
        Self::widen_from(self)
    }

    /// Rounds to the nearest integer, ties to even. Right for |self| ≤ 2²¹, garbage beyond.
    #[inline(always)]
    fn nearest_even(self) -> i32 {
        Self::nearest_even_to(self)
    }

    /// Rounds to the nearest integer, ties to even, and stays a float. Right for |self| ≤ 2²¹, garbage beyond.
    #[inline(always)]
    fn rounded(self) -> Self {
        Self::rounded_of(self)
    }

    /// e to this power, within the error that `exp` states.
    #[inline(always)]
    fn exponential(self) -> Self {
        Self::exponential_of(self)
    }

    /// What a difference of logits is multiplied by before [`softened`](Self::softened), from 1/T.
    #[inline(always)]
    fn softening(inverse_temperature: f64) -> Self {
        Self::softening_of(inverse_temperature)
    }

    /// The 1/T that a factor made by [`softening`](Self::softening) stands for after its rounding.
    #[inline(always)]
    fn hardened(self) -> f64 {
        Self::hardened_of(self)
    }

    /// exp(this/T) for this ≤ 0, within the error that `exp` states.
    #[inline(always)]
    fn softened<A: Arithmetic>(self, softening: Self) -> Self {
        Self::softened_of::<A>(self, softening)
    }

    /// The natural logarithm, within the error that `log` states.
    #[inline(always)]
    fn logarithm(self) -> Self {
        Self::logarithm_of(self)
    }

    /// The natural logarithm of 1 + this, within the error that `log` states.
    #[inline(always)]
    fn logarithm_1p(self) -> Self {
        Self::logarithm_1p_of(self)
    }

    /// The same where 1 + this is a positive number and neither tiny nor infinite, quicker.
    #[inline(always)]
    fn quick_logarithm_1p<A: Arithmetic>(self) -> Self {
        Self::quick_logarithm_1p_of::<A>(self)
    }

    /// The KL of two logistic probabilities and its slope, as `logistic` has it: from this logit of a
    /// student, that of its teacher, and their difference, student less teacher.
    #[inline(always)]
    fn logistic<A: Arithmetic>(self, teacher: Self, apart: Self) -> [Self; 2] {
        Self::logistic_of::<A>(self, teacher, apart)
    }
}

impl<F: Sealed> Real for F {}

/// What differs by type. The exponentials of a softmax: in f32 a shorter polynomial, in f64 the only one there is.
macro_rules! softened {
    (powers_of_two, $exp:path) => {
        fn singles_of(values: &[Self]) -> Cow<'_, [f32]> {
            Cow::Borrowed(values)
        }

        fn fill_from_singles(values: &mut [Self], fill: &mut dyn FnMut(&mut [f32])) {
            fill(values);
        }

        #[inline(always)]
        fn softening_of(inverse_temperature: f64) -> Self {
            exp::softening_f32(inverse_temperature)
        }

        #[inline(always)]
        fn hardened_of(softening: Self) -> f64 {
            exp::hardened_f32(softening)
        }

        #[inline(always)]
        fn softened_of<A: Arithmetic>(difference: Self, softening: Self) -> Self {
            exp::softened_f32::<A>(difference, softening)
        }
    };
    (as_it_is, $exp:path) => {
        fn singles_of(values: &[Self]) -> Cow<'_, [f32]> {
            Cow::Owned(values.iter().map(|&value| value as f32).collect())
        }

        fn fill_from_singles(values: &mut [Self], fill: &mut dyn FnMut(&mut [f32])) {
            let mut singles = vec![0.0; values.len()];
            fill(&mut singles);
            for (value, single) in values.iter_mut().zip(singles) {
                *value = single.into();
            }
        }

        #[inline(always)]
        fn softening_of(inverse_temperature: f64) -> Self {
            inverse_temperature
        }

        #[inline(always)]
        fn hardened_of(softening: Self) -> f64 {
            softening
        }

        #[inline(always)]
        fn softened_of<A: Arithmetic>(difference: Self, softening: Self) -> Self {
            $exp(difference * softening)
        }
    };
}

macro_rules! real {
    (
        $float:ty, $bits:ty, $signed:ty, $magic:expr, $exp:path, $softened:tt, $ln:path, $ln_1p:path,
        $quick:ident, $logistic:ident
    ) => {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            clippy::cast_lossless,
            reason = "reinterpreting bits and rounding to nearest, one macro for both widths"
        )]
        impl Sealed for $float {
            type Bits = $bits;

            fn value_of_row(
                student: &[Self],
                against: RowAgainst<'_, Self>,
                scratch: &mut Scratch<Self>,
            ) -> Result<f64, Fault> {
                divergence::row_value(student, against, scratch)
            }

            fn gradient_of_row(
                student: &[Self],
                against: RowAgainst<'_, Self>,
                (factor, store, gradient): (Self, Store, &mut [Self]),
                scratch: &mut Scratch<Self>,
            ) -> Result<f64, Fault> {
                divergence::row_gradient(student, against, factor, store, gradient, scratch)
            }

            fn check_row(student: &[Self], against: RowAgainst<'_, Self>) -> Result<(), Fault> {
                divergence::find_fault(student, against)
            }

            fn rank_magnitudes(weights: &[Self], pattern: Pattern, words: &mut [u64]) -> $bits {
                short_groups::rank(weights, Real::magnitude, pattern, words)
            }

            fn select_magnitudes(weights: &[Self], drop: usize, limit: $bits) -> Option<Vec<u64>> {
                select::select(&Magnitudes(weights), drop, limit)
            }

            fn encode(
                values: &[Self],
                tiling: &Tiling,
                how: (Coding, Finite),
                steps: Steps<'_>,
                packed: &mut [u8],
            ) -> Result<(), usize> {
                encode::encode(values, tiling, how, steps, packed)
            }

            fn fit_and_encode(
                values: &[Self],
                tiling: &Tiling,
                (fit, finite, coding): (Fit, Finite, Coding),
                (scales, zero_points, packed): (&mut [f32], &mut [i32], &mut [u8]),
            ) -> Result<(), Trouble> {
                let to = (scales, zero_points);
                fitted::fit_and_encode(values, tiling, (fit, finite), coding, to, packed)
            }

            fn decode(
                packed: &[u8],
                tiling: &Tiling,
                stored: Stored,
                steps: Steps<'_>,
                values: &mut [Self],
            ) {
                decode::decode(packed, tiling, stored, steps, values);
            }

            const INFINITE: $bits = <$float>::INFINITY.to_bits();

            #[inline(always)]
            fn magnitude_of(value: Self) -> $bits {
                value.to_bits() & (<$bits>::MAX >> 1)
            }

            #[inline(always)]
            fn ordinal_of(value: Self) -> $bits {
                // Adding zero turns −0 into +0. Then flip all bits of a negative number, and only
                // the sign of any other: the order of the bits becomes the order of the values.
                let bits = (value + 0.0).to_bits();
                let negative = (bits as $signed >> (<$bits>::BITS - 1)) as $bits;
                bits ^ (negative | (1 << (<$bits>::BITS - 1)))
            }

            #[inline(always)]
            fn from_magnitude(magnitude: $bits) -> Self {
                Self::from_bits(magnitude)
            }

            #[inline(always)]
            fn narrow(value: f64) -> Self {
                value as $float
            }

            #[inline(always)]
            fn from_single(value: f32) -> Self {
                value as $float
            }

            #[inline(always)]
            fn from_integer(value: i32) -> Self {
                value as $float
            }

            #[inline(always)]
            fn widen_from(value: Self) -> f64 {
                value as f64
            }

            #[inline(always)]
            fn nearest_even_to(value: Self) -> i32 {
                // Around 1.5 · 2^(mantissa bits) floats are one apart, so this addition rounds to
                // an integer as every addition rounds, half to even, and leaves it in the low bits.
                // One addition on any instruction set, where a rounding instruction needs SSE4.1.
                const MAGIC: $float = $magic;
                (value + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()) as i32
            }

            #[inline(always)]
            fn rounded_of(value: Self) -> Self {
                // As above.
                const MAGIC: $float = $magic;
                (value + MAGIC) - MAGIC
            }

            #[inline(always)]
            fn exponential_of(value: Self) -> Self {
                $exp(value)
            }

            softened!($softened, $exp);

            #[inline(always)]
            fn logarithm_of(value: Self) -> Self {
                $ln(value)
            }

            #[inline(always)]
            fn logarithm_1p_of(value: Self) -> Self {
                $ln_1p(value)
            }

            #[inline(always)]
            fn quick_logarithm_1p_of<A: Arithmetic>(value: Self) -> Self {
                log::$quick::<A>(value)
            }

            #[inline(always)]
            fn logistic_of<A: Arithmetic>(student: Self, teacher: Self, apart: Self) -> [Self; 2] {
                logistic::$logistic::<A>(student, teacher, apart)
            }
        }
    };
}

real!(
    f32,
    u32,
    i32,
    12_582_912.0,
    exp::exp_f32,
    powers_of_two,
    log::ln_f32,
    log::ln_1p_f32,
    quick_ln_1p_f32,
    logistic_f32
);
real!(
    f64,
    u64,
    i64,
    6_755_399_441_055_744.0,
    exp::exp_f64,
    as_it_is,
    log::ln_f64,
    log::ln_1p_f64,
    quick_ln_1p_f64,
    logistic_f64
);

#[cfg(test)]
mod tests {
    use super::{Real, Sealed};

    const ASCENDING: [f32; 9] = [
        f32::NEG_INFINITY,
        f32::MIN,
        -1.0,
        -1e-45,
        0.0,
        1e-45,
        1.0,
        f32::MAX,
        f32::INFINITY,
    ];

    #[test]
    fn ordinals_order_as_values_do() {
        for pair in ASCENDING.windows(2) {
            assert!(pair[0].ordinal() < pair[1].ordinal(), "{pair:?}");
            assert!(
                f64::from(pair[0]).ordinal() < f64::from(pair[1]).ordinal(),
                "{pair:?}"
            );
        }
        assert_eq!((-0.0_f32).ordinal(), 0.0_f32.ordinal());
        assert_eq!((-0.0_f64).ordinal(), 0.0_f64.ordinal());
    }

    #[test]
    fn magnitudes_order_as_absolute_values_do() {
        assert_eq!((-0.0_f32).magnitude(), 0.0_f32.magnitude());
        assert_eq!((-3.5_f64).magnitude(), 3.5_f64.magnitude());
        assert!(f32::INFINITY.magnitude() < f32::NAN.magnitude());
        assert!((-f32::NAN).magnitude() > f32::INFINITE);
        assert_eq!(f64::NEG_INFINITY.magnitude(), f64::INFINITE);
    }

    #[test]
    fn rounding_is_half_to_even_over_the_whole_range_of_codes() {
        for quarter in -2_000_000..=2_000_000 {
            let value = f64::from(quarter) / 4.0;
            let right = value.round_ties_even();
            assert_eq!(f64::from(value.nearest_even()), right, "{value}");
            assert_eq!(f64::from((value as f32).nearest_even()), right, "{value}");
            assert_eq!(value.rounded(), right, "{value}");
            assert_eq!(f64::from((value as f32).rounded()), right, "{value}");
        }
    }
}
