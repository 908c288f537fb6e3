//! The same share of what is left, round after round.
//!
//! ```text
//! sparsity after i of m rounds = 1 − (1 − S)^(i/m)
//! share of what is left that each round prunes = 1 − (1 − S)^(1/m)
//! ```

use super::Schedule;
use crate::error::{Error, Result};
use std::num::NonZeroU32;

/// Iterative pruning: the same share of what is left in each round, so that the last round reaches the
/// target exactly.
///
/// As a [`Schedule`] its steps are rounds: 0 before the first, the target from the last on. It is made
/// of multiplications alone, so that sparsities, and with them masks, are the same on every machine.
///
/// # Examples
///
/// ```
/// use rarefy::schedule::{Rounds, Schedule};
///
/// let rounds = Rounds::new(0.875, 3)?;
/// assert_eq!(rounds.each(), 0.5);
/// assert_eq!([0, 1, 2, 3, 4].map(|round| rounds.at(round)), [0.0, 0.5, 0.75, 0.875, 0.875]);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "Written")
)]
pub struct Rounds {
    target: f64,
    rounds: NonZeroU32,
    /// What a round leaves of what was there.
    #[cfg_attr(feature = "serde", serde(skip))]
    left: f64,
}

impl Rounds {
    /// To the sparsity `target` in so many rounds.
    ///
    /// # Errors
    ///
    /// [`Error::AmountOutOfRange`] unless the target lies in 0..=1, [`Error::NumberOutOfRange`] if
    /// there are no rounds.
    pub fn new(target: f64, rounds: u32) -> Result<Self> {
        if !(0.0..=1.0).contains(&target) {
            return Err(Error::AmountOutOfRange { amount: target });
        }
        let Some(rounds) = NonZeroU32::new(rounds) else {
            return Err(Error::NumberOutOfRange {
                what: "number of rounds",
                must: "at least 1",
                value: 0.0,
            });
        };
        Ok(Self {
            target,
            rounds,
            left: root(1.0 - target, rounds.get()),
        })
    }

    /// The sparsity after the last round.
    pub const fn target(&self) -> f64 {
        self.target
    }

    /// How many rounds there are.
    pub const fn rounds(&self) -> u32 {
        self.rounds.get()
    }

    /// The share of what is left that each round prunes: the amount for `prune::compound`.
    pub fn each(&self) -> f64 {
        1.0 - self.left
    }
}

impl Schedule for Rounds {
    fn at(&self, round: u64) -> f64 {
        match u32::try_from(round) {
            Ok(round) if round < self.rounds.get() => 1.0 - power(self.left, round),
            _ => self.target,
        }
    }
}

/// Rounds as they come in, before they are checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Written {
    target: f64,
    rounds: u32,
}

#[cfg(feature = "serde")]
impl TryFrom<Written> for Rounds {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        Self::new(written.target, written.rounds)
    }
}

/// The number whose power is `value`, 0 ≤ `value` ≤ 1: halves the interval until it is one float wide.
fn root(value: f64, degree: u32) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if power(middle, degree) < value {
            low = middle;
        } else {
            high = middle;
        }
    }
    // `high` is the first whose power reaches the value; the one below may be nearer.
    let error = |x| (power(x, degree) - value).abs();
    if error(low) < error(high) { low } else { high }
}

/// A whole power by squares.
fn power(mut base: f64, mut exponent: u32) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product *= base;
        }
        base *= base;
        exponent /= 2;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::Rounds;
    use crate::schedule::Schedule;

    #[test]
    fn rounds_are_the_formula_and_end_at_the_target() {
        for target in [0.0, 0.1, 0.5, 0.8, 0.99, 1.0] {
            for rounds in [1, 2, 3, 7, 20, 1000] {
                let schedule = Rounds::new(target, rounds).unwrap();
                let m = f64::from(rounds);
                let right = 1.0 - (1.0 - target).powf(1.0 / m);
                assert!(
                    (schedule.each() - right).abs() < 1e-12,
                    "{target} in {rounds}"
                );
                let values: Vec<f64> = (0..=u64::from(rounds) + 2)
                    .map(|round| schedule.at(round))
                    .collect();
                assert!(values.is_sorted(), "{values:?}");
                assert_eq!(values[0], 0.0);
                assert_eq!(values[rounds as usize], target);
                for (round, value) in values.iter().take(rounds as usize).enumerate() {
                    let right = 1.0 - (1.0 - target).powf(round as f64 / m);
                    assert!(
                        (value - right).abs() < 1e-10,
                        "{target} at {round} of {rounds}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_has_no_rounds_says_why() {
        let text = |target, rounds| Rounds::new(target, rounds).unwrap_err().to_string();
        assert_eq!(text(1.5, 2), "amount must lie in 0..=1, got 1.5");
        assert_eq!(text(f64::NAN, 2), "amount must lie in 0..=1, got NaN");
        assert_eq!(text(0.5, 0), "number of rounds must be at least 1, got 0");
    }
}
