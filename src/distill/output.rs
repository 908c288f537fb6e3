//! What a network says about a batch, and the gradient with respect to it.

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::scaled::add_scaled;
use crate::shape;
use ndarray::{Array2, ArrayD, Zip};
use std::collections::BTreeMap;
use std::fmt;

/// What a network says about a batch: logits, and inner activations by name if a loss wants them.
///
/// It is the one type of the training circle: both networks give it, the loss takes it, and the
/// gradient comes back in it, of the same shapes.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, Array3};
/// use rarefy::distill::Output;
///
/// let output = Output::from(Array2::<f32>::zeros((32, 10)))
///     .with_feature("hidden", Array3::zeros((32, 7, 64)));
/// assert_eq!(output.features["hidden"].shape(), [32, 7, 64]);
/// ```
#[derive(Clone, PartialEq)]
pub struct Output<F> {
    /// One row a prediction, one column a class, before any softmax.
    pub logits: Array2<F>,
    /// Inner activations by name.
    pub features: BTreeMap<String, ArrayD<F>>,
}

impl<F> Output<F> {
    /// The same with one more inner activation.
    #[must_use]
    pub fn with_feature<D: ndarray::Dimension>(
        mut self,
        name: impl Into<String>,
        values: ndarray::Array<F, D>,
    ) -> Self {
        self.features.insert(name.into(), values.into_dyn());
        self
    }
}

impl<F: Float> Output<F> {
    /// Zeros in the shapes of this output: a gradient to add to.
    #[must_use]
    pub fn zeros_like(&self) -> Self {
        self.like(Array2::zeros(self.logits.raw_dim()))
    }

    /// These logits, and zeros in the shapes of this output's features: the gradient that a loss over
    /// logits gives.
    #[must_use]
    pub fn like(&self, logits: Array2<F>) -> Self {
        let features = self.features.iter();
        let features = features.map(|(name, a)| (name.clone(), ArrayD::zeros(a.raw_dim())));
        Self {
            logits,
            features: features.collect(),
        }
    }

    /// Adds `scale` · `other`, part by part.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if the shapes differ, [`Error::FeatureMismatch`] if a feature is in
    /// one and not in the other. This output is then unchanged.
    pub fn add_scaled(&mut self, scale: F, other: &Self) -> Result<()> {
        self.check_like(other)?;
        let terms = array::elements(&other.logits);
        array::update(&mut self.logits, |sums| add_scaled(scale, &terms, sums));
        for (sum, term) in self.features.values_mut().zip(other.features.values()) {
            Zip::from(sum)
                .and(term)
                .for_each(|sum, &term| *sum += scale * term);
        }
        Ok(())
    }

    /// Fails unless this gradient has the shapes of `output`.
    pub(super) fn check_like(&self, output: &Self) -> Result<()> {
        let (ours, theirs) = (self.logits.shape(), output.logits.shape());
        shape::check_same("gradient", ours, "output", theirs)?;
        let names = self.features.keys().chain(output.features.keys());
        for name in names {
            match (self.features.get(name), output.features.get(name)) {
                (Some(ours), Some(theirs)) => {
                    shape::check_same(
                        "gradient of a feature",
                        ours.shape(),
                        "feature",
                        theirs.shape(),
                    )?;
                }
                _ => return Err(Error::FeatureMismatch { name: name.clone() }),
            }
        }
        Ok(())
    }
}

impl<F> From<Array2<F>> for Output<F> {
    fn from(logits: Array2<F>) -> Self {
        Self {
            logits,
            features: BTreeMap::new(),
        }
    }
}

impl<F> fmt::Debug for Output<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Shapes<'a, F>(&'a BTreeMap<String, ArrayD<F>>);
        impl<F> fmt::Debug for Shapes<'_, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map()
                    .entries(self.0.iter().map(|(name, a)| (name, a.shape())))
                    .finish()
            }
        }
        f.debug_struct("Output")
            .field("logits", &self.logits.shape())
            .field("features", &Shapes(&self.features))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Output;
    use ndarray::{Array1, array};

    #[test]
    fn adding_goes_part_by_part() {
        let term = Output::from(array![[1.0, 2.0]]).with_feature("hidden", array![3.0]);
        let mut sum = term.zeros_like();
        sum.add_scaled(2.0, &term).unwrap();
        assert_eq!(sum.logits, array![[2.0, 4.0]]);
        assert_eq!(sum.features["hidden"], array![6.0].into_dyn());
    }

    #[test]
    fn parts_that_do_not_match_are_named() {
        let plain = Output::from(array![[1.0, 2.0]]);
        let mut with = plain
            .clone()
            .with_feature("hidden", Array1::<f64>::zeros(3));
        let before = with.clone();
        let error = with.add_scaled(1.0, &plain).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"feature "hidden" is in one output and not in the other"#
        );
        assert_eq!(with, before);
        assert!(with.add_scaled(1.0, &Output::from(array![[1.0]])).is_err());
    }

    #[test]
    fn debug_is_short() {
        let output = Output::from(ndarray::Array2::<f32>::zeros((500, 1000)))
            .with_feature("hidden", Array1::zeros(9));
        let text = r#"Output { logits: [500, 1000], features: {"hidden": [9]} }"#;
        assert_eq!(format!("{output:?}"), text);
    }
}
