//! Layer normalisation.

use ndarray::{Array1, ArrayView2, ArrayViewMut2, Axis, Zip};

/// Gives each row mean 0 and variance 1, then a scale and a shift of its own to each column.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    pub scale: Array1<f32>,
    pub shift: Array1<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

impl LayerNorm {
    /// Writes the normalised sum of both to `x`.
    pub fn add_and_normalise(&self, mut x: ArrayViewMut2<'_, f32>, y: ArrayView2<'_, f32>) {
        Zip::from(x.axis_iter_mut(Axis(0)))
            .and(y.axis_iter(Axis(0)))
            .par_for_each(|mut row, added| {
                row += &added;
                let count = row.len() as f32;
                row -= row.sum() / count;
                let variance = row.dot(&row) / count;
                row *= 1.0 / (variance + self.epsilon).sqrt();
                row *= &self.scale;
                row += &self.shift;
            });
    }
}

#[cfg(test)]
mod tests {
    use super::LayerNorm;
    use ndarray::array;

    #[test]
    fn rows_have_the_mean_and_the_variance_that_were_given() {
        let norm = LayerNorm {
            scale: array![2.0, 2.0, 2.0, 2.0],
            shift: array![1.0, 1.0, 1.0, 1.0],
            epsilon: 0.0,
        };
        let mut x = array![[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 8.0, 8.0]];
        norm.add_and_normalise(x.view_mut(), array![[1.0; 4], [1.0; 4]].view());
        let step = 2.0 / 1.25_f32.sqrt();
        let right = [-1.5, -0.5, 0.5, 1.5].map(|places| 1.0 + places * step);
        for (x, right) in x.row(0).iter().zip(right) {
            assert!((x - right).abs() < 1e-6, "{x} for {right}");
        }
        assert_eq!(x.row(1), array![-1.0, -1.0, 3.0, 3.0], "the second row");
    }
}
