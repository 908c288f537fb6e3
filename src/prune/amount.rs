//! How much to prune.

use crate::error::{Error, Result};

/// How much of a tensor to prune: a share of its weights, or how many.
///
/// Made from an `f64` or a `usize`. Not from an `f32`: 0.3 as an f32 is 0.30000001, and some tensors
/// would lose one weight more.
///
/// The amount is what is zero *afterwards*, counted over the whole tensor. Weights that are zero
/// already count first, so pruning twice with 0.3 gives 0.3, not 0.51.
///
/// # Examples
///
/// ```
/// use rarefy::prune::Amount;
///
/// assert_eq!(Amount::from(0.3).count(5)?, 2);
/// assert_eq!(Amount::from(0.5).count(5)?, 2); // 2.5 rounds to even, as in PyTorch
/// assert_eq!(Amount::from(4_usize).count(5)?, 4);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Amount {
    /// A share of the weights, in 0..=1.
    Fraction(f64),
    /// So many weights.
    Count(usize),
}

impl Amount {
    /// How many of `len` weights that is.
    ///
    /// ```text
    /// count = round_half_even(fraction · len), in f64
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::AmountOutOfRange`] for a fraction below 0, above 1 or NaN;
    /// [`Error::CountOutOfRange`] for a count above `len`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length; the rounding of lengths above 2⁵³ is PyTorch's too"
    )]
    pub fn count(self, len: usize) -> Result<usize> {
        match self {
            Self::Fraction(amount) if (0.0..=1.0).contains(&amount) => {
                Ok(((amount * len as f64).round_ties_even() as usize).min(len))
            }
            Self::Fraction(amount) => Err(Error::AmountOutOfRange { amount }),
            Self::Count(count) if count <= len => Ok(count),
            Self::Count(count) => Err(Error::CountOutOfRange { count, len }),
        }
    }
}

impl From<f64> for Amount {
    fn from(fraction: f64) -> Self {
        Self::Fraction(fraction)
    }
}

impl From<usize> for Amount {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn fractions_round_half_to_even_in_f64() {
        // Amount, weights, and the count that torch.nn.utils.prune takes.
        let counts = [
            (0.1, 5, 0),
            (0.3, 5, 2),
            (0.5, 5, 2),
            (0.35, 10, 4),
            (0.45, 10, 4),
            (0.25, 10, 2),
            (0.7, 5, 4),
            (0.1, 25, 2),
            (0.29, 100, 29),
            (0.57, 100, 57),
            (0.0, 7, 0),
            (1.0, 7, 7),
            (0.5, 0, 0),
        ];
        for (amount, len, count) in counts {
            assert_eq!(
                Amount::from(amount).count(len).unwrap(),
                count,
                "{amount} of {len}"
            );
        }
    }

    #[test]
    fn amounts_out_of_range_say_so() {
        let message = |amount: Amount| amount.count(5).unwrap_err().to_string();
        assert_eq!(message(1.3.into()), "amount must lie in 0..=1, got 1.3");
        assert_eq!(message((-0.1).into()), "amount must lie in 0..=1, got -0.1");
        assert_eq!(
            message(f64::NAN.into()),
            "amount must lie in 0..=1, got NaN"
        );
        let count = message(6_usize.into());
        assert_eq!(
            count,
            "count must lie in 0..=5, the number of weights, got 6"
        );
    }
}
