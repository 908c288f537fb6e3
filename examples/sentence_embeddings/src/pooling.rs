//! One vector for a sentence out of one for each token.

use ndarray::{Array2, ArrayView2, Axis, s};
use std::ops::Range;

/// The mean of the tokens of each sentence, made as long as 1.
pub fn mean_of_length_one(tokens: ArrayView2<'_, f32>, sentences: &[Range<usize>]) -> Array2<f32> {
    let mut out = Array2::zeros((sentences.len(), tokens.ncols()));
    for (sentence, mut row) in sentences.iter().zip(out.rows_mut()) {
        let own = tokens.slice(s![sentence.clone(), ..]);
        // The mean's divisor goes with the length.
        row.assign(&own.sum_axis(Axis(0)));
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::mean_of_length_one;
    use ndarray::array;

    #[test]
    fn means_have_length_one() {
        let tokens = array![[3.0, 0.0], [3.0, 8.0], [0.0, -5.0]];
        let pooled = mean_of_length_one(tokens.view(), &[0..2, 2..3]);
        let right = array![[0.6, 0.8], [0.0, -1.0]];
        let off = (&pooled - &right).mapv(f32::abs);
        assert!(off.iter().all(|off| *off < 1e-6), "{pooled}");
    }
}
