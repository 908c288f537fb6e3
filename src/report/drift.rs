//! How far a network's answers moved.

use crate::distill::KlDivergence;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::divergence::most_likely;
use ndarray::ArrayRef2;

/// How far the answers of a compressed network are from those of the original, over rows of logits.
///
/// | field | meaning | unit |
/// |---|---|---|
/// | `rows` | how many answers were compared | |
/// | `mean_kl` | mean of KL(original‖compressed) at temperature 1 | nats |
/// | `kl_99` | its 99th percentile: the smallest value that at least 99 % of rows do not exceed | nats |
/// | `top1_agreement` | share of rows with the same most likely class (the first on a tie) | |
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::report::Drift;
///
/// let original = array![[2.0_f32, 0.0], [0.0, 1.0]];
/// let compressed = array![[2.0_f32, 0.0], [1.0, 0.0]];
/// let drift = Drift::between(&original, &compressed)?;
/// assert_eq!(drift.top1_agreement, 0.5);
/// assert!(drift.mean_kl > 0.0 && drift.kl_99 >= drift.mean_kl);
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Drift {
    /// How many answers were compared.
    pub rows: usize,
    /// Mean of KL(original‖compressed), in nats.
    pub mean_kl: f64,
    /// 99th percentile of KL(original‖compressed), in nats.
    pub kl_99: f64,
    /// Share of rows with the same most likely class.
    pub top1_agreement: f64,
}

impl Drift {
    /// Compares logits of shape `[rows, classes]`.
    ///
    /// A class that the compressed network masks (−∞) and the original does not makes the divergence
    /// of that row infinite.
    ///
    /// # Errors
    ///
    /// Those of [`KlDivergence`], where the original is the teacher and the compressed network the
    /// student, except that an infinite divergence is a value here.
    #[expect(
        clippy::cast_precision_loss,
        reason = "ratios; counts above 2⁵³ do not occur"
    )]
    pub fn between<F: Float>(original: &ArrayRef2<F>, compressed: &ArrayRef2<F>) -> Result<Self> {
        let mut values = KlDivergence::new(1.0)
            .rows_between(compressed, original)?
            .to_vec();
        let rows = values.len();
        let mean_kl = values.iter().sum::<f64>() / rows as f64;
        values.sort_by(f64::total_cmp);
        // The nearest rank, in integers: the ⌈0.99 · rows⌉-th smallest.
        let rank = (rows * 99).div_ceil(100);
        let kl_99 = values
            .get(rank - 1)
            .copied()
            .ok_or_else(|| Error::NoLogits {
                shape: original.shape().to_vec(),
            })?;
        let classes = original.ncols();
        let first = most_likely(&array::elements(original), classes);
        let second = most_likely(&array::elements(compressed), classes);
        let agreeing = first.iter().zip(&second).filter(|(a, b)| a == b).count();
        Ok(Self {
            rows,
            mean_kl,
            kl_99,
            top1_agreement: agreeing as f64 / rows as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Drift;
    use ndarray::{Array2, array};

    #[test]
    fn nothing_moves_between_equals() {
        let logits = Array2::from_shape_fn((50, 7), |(i, j)| ((i * 3 + j * 5) % 11) as f64);
        let drift = Drift::between(&logits, &logits).unwrap();
        let still = Drift {
            rows: 50,
            mean_kl: 0.0,
            kl_99: 0.0,
            top1_agreement: 1.0,
        };
        assert_eq!(drift, still);
    }

    #[test]
    fn the_percentile_is_the_nearest_rank() {
        // 200 rows, three of which differ: the 198th smallest is the first of them.
        let original = Array2::<f64>::zeros((200, 2));
        let mut compressed = original.clone();
        for (row, logit) in [(3, 1.0), (70, 2.0), (150, 3.0)] {
            compressed[[row, 0]] = logit;
        }
        let drift = Drift::between(&original, &compressed).unwrap();
        let half = 0.5_f64;
        let softplus = (1.0 + 1.0_f64.exp()).ln();
        let right = half.ln() + softplus - half * 1.0;
        assert!((drift.kl_99 - right).abs() < 1e-12, "{drift:?}");
        assert_eq!(drift.top1_agreement, 1.0);
    }

    #[test]
    fn a_masked_class_is_an_infinite_value_and_bad_logits_are_errors() {
        let original = array![[0.0, 0.0]];
        let drift = Drift::between(&original, &array![[0.0, f64::NEG_INFINITY]]).unwrap();
        assert_eq!((drift.mean_kl, drift.kl_99), (f64::INFINITY, f64::INFINITY));
        let error = Drift::between(&original, &array![[0.0, f64::NAN]]).unwrap_err();
        assert_eq!(error.to_string(), "student logit [0, 1] is NaN");
        assert!(Drift::between(&original, &array![[0.0]]).is_err());
        let none = Array2::<f64>::zeros((0, 2));
        assert!(Drift::between(&none, &none).is_err());
    }
}
