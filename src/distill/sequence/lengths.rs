//! How long each sequence of a padded batch is, and what that makes of its rows.

use super::super::Reduction;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::shape;
use ndarray::{Array1, Array2};

/// How long each sequence of a padded batch is.
///
/// Padding comes after a sequence. Rows are `[batch · time]`, one sequence behind the other.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::Reduction;
/// use rarefy::distill::sequence::Lengths;
///
/// let lengths = Lengths::new([2, 0, 3], 3)?;
/// assert_eq!(lengths.mask().row(0), array![true, true, false]);
/// assert_eq!(lengths.token_weights::<f32>().sum(), 5.0);
/// assert_eq!(lengths.over_tokens(), Reduction::DividedBy(5.0));
/// // A sequence without a token has no mean, so it is none of the two that are averaged.
/// assert_eq!(lengths.over_sequences(), Reduction::DividedBy(2.0));
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lengths {
    lengths: Vec<usize>,
    time: usize,
}

impl Lengths {
    /// The lengths of sequences in a batch of `time` steps.
    ///
    /// # Errors
    ///
    /// [`Error::LengthOutOfRange`] if one is longer than the batch, [`Error::ShapeOverflow`] if the
    /// batch has more rows than can be counted.
    pub fn new(lengths: impl Into<Vec<usize>>, time: usize) -> Result<Self> {
        let lengths = lengths.into();
        shape::count(&[lengths.len(), time])?;
        if let Some(sequence) = lengths.iter().position(|&length| length > time) {
            return Err(Error::LengthOutOfRange {
                sequence,
                length: lengths[sequence],
                time,
            });
        }
        Ok(Self { lengths, time })
    }

    /// How many sequences there are.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// How many steps the batch has, padding included.
    pub const fn time(&self) -> usize {
        self.time
    }

    /// The length of each sequence.
    pub fn as_slice(&self) -> &[usize] {
        &self.lengths
    }

    /// How many steps are no padding.
    pub fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// How many sequences have at least one step.
    pub fn sequences(&self) -> usize {
        self.lengths.iter().filter(|&&length| length > 0).count()
    }

    /// Which steps are no padding, of shape `[batch, time]`.
    pub fn mask(&self) -> Array2<bool> {
        Array2::from_shape_fn((self.batch(), self.time), |(sequence, step)| {
            step < self.lengths[sequence]
        })
    }

    /// A weight of 1 for each row that is no padding, 0 for the others; of shape `[batch · time]`.
    pub fn token_weights<F: Float>(&self) -> Array1<F> {
        self.weights(|_| F::one())
    }

    /// A weight of 1 / length for each row that is no padding, 0 for the others; of shape
    /// `[batch · time]`. The rows of each sequence weigh 1 together.
    #[expect(clippy::cast_precision_loss, reason = "a length below 2⁵³")]
    pub fn sequence_weights<F: Float>(&self) -> Array1<F> {
        self.weights(|length| F::cast((length as f64).recip()))
    }

    fn weights<F: Float>(&self, of_row: impl Fn(usize) -> F) -> Array1<F> {
        let rows = self.lengths.iter().flat_map(|&length| {
            let weight = of_row(length);
            (0..self.time).map(move |step| if step < length { weight } else { F::zero() })
        });
        rows.collect()
    }

    /// Divides by the number of steps that are no padding: with
    /// [`token_weights`](Self::token_weights) the mean over tokens.
    ///
    /// For gradients that are summed over several batches, use
    /// [`Reduction::DividedBy`] with the sum of [`tokens`](Self::tokens) of them all, or a short batch
    /// counts as much as a long one. A batch of nothing but padding has no mean: the loss says so.
    #[expect(clippy::cast_precision_loss, reason = "a count below 2⁵³")]
    pub fn over_tokens(&self) -> Reduction {
        Reduction::DividedBy(self.tokens() as f64)
    }

    /// Divides by the number of sequences that have a step: with
    /// [`sequence_weights`](Self::sequence_weights) the mean over sequences of the mean over tokens.
    #[expect(clippy::cast_precision_loss, reason = "a count below 2⁵³")]
    pub fn over_sequences(&self) -> Reduction {
        Reduction::DividedBy(self.sequences() as f64)
    }

    /// Whether the row, of `[batch · time]`, is no padding.
    pub(super) fn contains(&self, row: usize) -> bool {
        let length = self.lengths.get(row / self.time.max(1));
        length.is_some_and(|&length| row % self.time.max(1) < length)
    }

    /// Fails unless the array, whose first axes are `[batch, time]`, has these.
    pub(super) fn check(&self, what: &'static str, batch: usize, time: usize) -> Result<()> {
        let ours = [self.batch(), self.time];
        shape::check_same(what, &[batch, time], "lengths for a batch", &ours)
    }
}

#[cfg(test)]
mod tests {
    use super::Lengths;
    use ndarray::array;

    #[test]
    fn weights_are_those_of_the_mask() {
        let lengths = Lengths::new(vec![3, 0, 1, 4], 4).unwrap();
        let mask = lengths.mask();
        assert_eq!((lengths.tokens(), lengths.sequences()), (8, 3));
        assert_eq!(mask.iter().filter(|&&valid| valid).count(), 8);
        let tokens = lengths.token_weights::<f64>();
        let sequences = lengths.sequence_weights::<f64>();
        for (row, &valid) in mask.iter().enumerate() {
            assert_eq!(tokens[row] == 1.0, valid);
            assert_eq!(sequences[row] > 0.0, valid);
            assert_eq!(lengths.contains(row), valid);
        }
        assert!(!lengths.contains(16));
        let third = 1.0 / 3.0;
        let right = array![third, third, third, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert_eq!(
            sequences
                .iter()
                .take(9)
                .copied()
                .collect::<ndarray::Array1<_>>(),
            right
        );
    }

    #[test]
    fn nothing_is_something() {
        let none = Lengths::new([], 7).unwrap();
        assert_eq!((none.batch(), none.tokens()), (0, 0));
        assert_eq!(none.token_weights::<f32>().len(), 0);
        let still = Lengths::new([0, 0], 0).unwrap();
        assert_eq!(still.mask().dim(), (2, 0));
        assert!(!still.contains(0));
    }

    #[test]
    fn lengths_beyond_the_batch_are_refused() {
        let error = Lengths::new([2, 4, 5], 3).unwrap_err().to_string();
        assert_eq!(error, "length of sequence 1 must lie in 0..=3, got 4");
        assert!(Lengths::new([0, 0, 0], usize::MAX / 2).is_err());
    }
}
