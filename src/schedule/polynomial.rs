//! A power of the steps that are left: fast first, then ever slower.
//!
//! ```text
//! value = to + (from − to) · (1 − p)ᵉ
//! ```
//!
//! Zhu and Gupta 2017, <https://arxiv.org/abs/1710.01878>, with e = 3 for gradual pruning: most weights
//! go early, while many are redundant.

use super::Schedule;
use super::ramp::{Ramp, check_positive};
use crate::error::Result;
use std::ops::RangeInclusive;

/// A power of the steps that are left.
///
/// TensorFlow Model Optimization: `PolynomialDecay`.
///
/// # Examples
///
/// ```
/// use rarefy::schedule::{Polynomial, Schedule};
///
/// let sparsity = Polynomial::cubic(0.0, 0.8, 0..=10)?;
/// assert!((sparsity.at(5) - 0.7).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct Polynomial {
    ramp: Ramp,
    power: f64,
}

impl Polynomial {
    /// From `from` at the first of `steps` to `to` at the last, with this power.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`](crate::Error::NumberOutOfRange) if a value is infinite or NaN or
    /// the power is not positive,
    /// [`Error::StepsNotAscending`](crate::Error::StepsNotAscending) if the range runs backwards.
    pub fn new(from: f64, to: f64, steps: RangeInclusive<u64>, power: f64) -> Result<Self> {
        check_positive("power", power)?;
        Ok(Self {
            ramp: Ramp::new(from, to, steps)?,
            power,
        })
    }

    /// With power 3, the usual one for sparsity.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn cubic(from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        Self::new(from, to, steps, 3.0)
    }
}

/// A schedule as it comes in, before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    ramp: Ramp,
    power: f64,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for Polynomial {
    type Error = crate::error::Error;

    fn try_from(Written { ramp, power }: Written) -> Result<Self> {
        check_positive("power", power)?;
        Ok(Self { ramp, power })
    }
}

impl Schedule for Polynomial {
    fn at(&self, step: u64) -> f64 {
        self.ramp.at(step, |from, to, p| {
            let left = power(1.0 - p, self.power);
            to * (1.0 - left) + from * left
        })
    }
}

/// A whole power by multiplication, so that sparsities, and with them masks, are the same on every
/// machine; the system's `pow` is not.
fn power(base: f64, exponent: f64) -> f64 {
    const MOST_FACTORS: f64 = 16.0;
    if exponent.fract() != 0.0 || exponent > MOST_FACTORS {
        return base.powf(exponent);
    }
    let mut product = 1.0;
    let mut factors = 0.0;
    while factors < exponent {
        product *= base;
        factors += 1.0;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::power;

    #[test]
    fn whole_powers_agree_with_the_systems() {
        for exponent in [1.0, 2.0, 3.0, 16.0, 17.0, 0.5] {
            for base in [0.0, 0.25, 0.9, 1.0_f64] {
                let right = base.powf(exponent);
                assert!(
                    (power(base, exponent) - right).abs() <= 1e-15 * right,
                    "{base}^{exponent}"
                );
            }
        }
    }
}
