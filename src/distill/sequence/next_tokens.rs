//! What a causal language model should say: at each step the token that comes next.
//!
//! ```text
//! label[b, t] = token[b, t + 1]        for t + 1 < lengthᵦ
//! ```

use super::Lengths;
use crate::error::Result;
use ndarray::ArrayRef2;

/// The labels of a causal language model: at each step the token that comes next.
///
/// The logits stay as they are, one row a step; no copy of them without the last step is needed. The
/// last token of a sequence predicts nothing, so [`lengths`](Self::lengths) are one less than those of
/// the tokens, and its row and those of padding have label 0 and weight 0. So tokens that mean
/// padding may have any number.
///
/// PyTorch: `cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())` with padding at
/// `ignore_index`.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use rarefy::distill::sequence::{Lengths, NextTokens};
/// use rarefy::distill::{CrossEntropy, Loss, Output, Target};
///
/// let padding = usize::MAX;
/// let tokens = array![[5, 3, 1], [2, 4, padding]];
/// let next = NextTokens::new(&tokens, &Lengths::new([3, 2], 3)?)?;
/// assert_eq!(next.labels, [3, 1, 0, 4, 0, 0]);
/// assert_eq!(next.lengths, Lengths::new([2, 1], 3)?);
///
/// let student = Output::from(Array2::<f64>::zeros((2 * 3, 6)));
/// let weights = next.lengths.token_weights();
/// let target = Target::new().labels(&next.labels).weights(&weights);
/// let loss = CrossEntropy::new().reduction(next.lengths.over_tokens());
/// assert!((loss.value(&student, target)? - 6.0_f64.ln()).abs() < 1e-12);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NextTokens {
    /// The token that comes next, one a row of `[batch · time]`; 0 where none does.
    pub labels: Vec<usize>,
    /// How many steps of each sequence have a next token.
    pub lengths: Lengths,
}

impl NextTokens {
    /// The labels of tokens of shape `[batch, time]`.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if the lengths are of a batch of another
    /// shape.
    pub fn new(tokens: &ArrayRef2<usize>, lengths: &Lengths) -> Result<Self> {
        let (batch, time) = tokens.dim();
        lengths.check("tokens", batch, time)?;
        let mut labels = vec![0; batch * time];
        let shorter: Vec<usize> = lengths
            .as_slice()
            .iter()
            .map(|length| length.saturating_sub(1))
            .collect();
        let rows = labels.chunks_exact_mut(time.max(1));
        for ((labels, tokens), &length) in rows.zip(tokens.rows()).zip(&shorter) {
            let next = tokens.iter().skip(1).take(length);
            for (label, &token) in labels.iter_mut().zip(next) {
                *label = token;
            }
        }
        let lengths = Lengths::new(shorter, time)?;
        Ok(Self { labels, lengths })
    }
}

#[cfg(test)]
mod tests {
    use super::{Lengths, NextTokens};
    use ndarray::{Array2, array};

    #[test]
    fn any_layout_and_any_length() {
        let tokens = array![[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]];
        let lengths = Lengths::new([4, 0, 1], 4).unwrap();
        let next = NextTokens::new(&tokens, &lengths).unwrap();
        assert_eq!(next.labels, [2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(next.lengths.as_slice(), [3, 0, 0]);
        let fortran = tokens.t().as_standard_layout().into_owned();
        assert_eq!(NextTokens::new(&fortran.t(), &lengths).unwrap(), next);
    }

    #[test]
    fn a_batch_of_another_shape_is_refused() {
        let lengths = Lengths::new([1, 1], 4).unwrap();
        let error = NextTokens::new(&Array2::zeros((2, 3)), &lengths).unwrap_err();
        assert_eq!(
            error.to_string(),
            "shapes differ: tokens [2, 3], lengths for a batch [2, 4]"
        );
        let still = Lengths::new([0, 0], 0).unwrap();
        let next = NextTokens::new(&Array2::zeros((2, 0)), &still).unwrap();
        assert!(next.labels.is_empty());
    }
}
