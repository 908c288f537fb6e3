//! Averages over training steps, exponentially weighted.
//!
//! ```text
//! average ← average + (1 − decay) · (weights − average)
//! ```

use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::real::Real;
use crate::shape;
use ndarray::{ArrayD, ArrayRef, Dimension, Zip};
use std::collections::BTreeMap;
use std::fmt;

/// Named tensors averaged over training steps, exponentially weighted: the weights of a teacher that
/// is the student's own past.
///
/// ```text
/// average = weights                                             at the first update
/// average = average + (1 − decay) · (weights − average)         at each later one
/// ```
///
/// Tarvainen and Valpola 2017, <https://arxiv.org/abs/1703.01780>. Averages are kept in f64 whatever the
/// weights are in: with a decay near 1 the steps are smaller than the last place of an f32, and an
/// average in f32 stands still. Equal weights leave it as it is, exactly.
///
/// The decay is given at each update, so that any [schedule](crate::schedule) can drive it.
///
/// PyTorch: `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn(decay)`.
///
/// # Examples
///
/// A decay that lets early averages forget sooner, as the paper has it:
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::Ema;
/// use rarefy::schedule::Schedule;
///
/// let decay = |step: u64| (1.0 - 1.0 / (step as f64 + 1.0)).min(0.999);
/// let mut teacher = Ema::new();
/// let mut weights = array![[0.0_f32, 8.0]];
/// for step in 0..4 {
///     weights += 1.0;
///     teacher.update("weights", &weights, decay.at(step))?;
/// }
/// // So far that is the plain mean.
/// assert_eq!(teacher.average::<f32>("weights")?, array![[2.5, 10.5]].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Ema {
    averages: BTreeMap<String, ArrayD<f64>>,
}

impl Ema {
    /// No averages yet: each name is taken as it is at its first update.
    pub const fn new() -> Self {
        Self {
            averages: BTreeMap::new(),
        }
    }

    /// Moves the average of this tensor towards its weights, or takes them if there is none yet.
    ///
    /// With decay 0 the average becomes the weights, with decay 1 it stays.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] if the decay is not in 0..=1; with the tensor's name
    /// [`Error::ShapeMismatch`] if it had another shape before, and [`Error::NotANumber`] or
    /// [`Error::Infinite`] if a weight is not finite. The average is unchanged then.
    pub fn update<F: Float, D: Dimension>(
        &mut self,
        name: &str,
        weights: &ArrayRef<F, D>,
        decay: f64,
    ) -> Result<()> {
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::NumberOutOfRange {
                what: "decay",
                must: "in 0..=1",
                value: decay,
            });
        }
        check_finite(weights).map_err(|error| error.in_tensor(name))?;
        match self.averages.get_mut(name) {
            None => {
                let average = weights.map(|weight| weight.widen()).into_dyn();
                self.averages.insert(name.to_owned(), average);
            }
            Some(average) => {
                shape::check_same("weights", weights.shape(), "average", average.shape())
                    .map_err(|error| error.in_tensor(name))?;
                let share = 1.0 - decay;
                Zip::from(average)
                    .and(&weights.view().into_dyn())
                    .for_each(|average, weight| {
                        let weight = weight.widen();
                        // Half the way twice, as the difference of two large numbers may overflow.
                        let half = share * (weight * 0.5 - *average * 0.5);
                        *average = if decay == 0.0 {
                            weight
                        } else {
                            *average + half + half
                        };
                    });
            }
        }
        Ok(())
    }

    /// The average of this tensor, rounded to `F`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] if the tensor was never updated.
    pub fn average<F: Float>(&self, name: &str) -> Result<ArrayD<F>> {
        Ok(self.get(name)?.mapv(F::cast))
    }

    /// Writes the average of this tensor, rounded to `F`, into `weights`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] if the tensor was never updated, [`Error::ShapeMismatch`] with its
    /// name if the shapes differ. `weights` is unchanged then.
    pub fn write<F: Float, D: Dimension>(
        &self,
        name: &str,
        weights: &mut ArrayRef<F, D>,
    ) -> Result<()> {
        let average = self.get(name)?;
        shape::check_same("array", weights.shape(), "average", average.shape())
            .map_err(|error| error.in_tensor(name))?;
        Zip::from(weights.view_mut().into_dyn())
            .and(average)
            .for_each(|weight, &average| *weight = F::cast(average));
        Ok(())
    }

    /// The names that have an average, in alphabetical order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.averages.keys().map(String::as_str)
    }

    fn get(&self, name: &str) -> Result<&ArrayD<f64>> {
        self.averages.get(name).ok_or_else(|| Error::UnknownName {
            what: "averaged tensor",
            name: name.to_owned(),
        })
    }
}

fn check_finite<F: Float, D: Dimension>(weights: &ArrayRef<F, D>) -> Result<()> {
    let bad = |weight: &F| !weight.is_finite();
    match weights.iter().enumerate().find(|(_, weight)| bad(weight)) {
        None => Ok(()),
        Some((place, weight)) => {
            let index = shape::index_of(place, weights.shape());
            Err(Error::not_finite("weight", index, weight.widen()))
        }
    }
}

// By hand, so that a log is not flooded.
impl fmt::Debug for Ema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes = self.averages.iter().map(|(name, a)| (name, a.shape()));
        f.debug_map().entries(shapes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Ema;
    use ndarray::{Array2, arr0, array, s};

    #[test]
    fn averages_agree_with_the_sum_over_all_updates() {
        // average = decayⁿ⁻¹ · w₁ + (1 − decay) · Σᵢ decayⁿ⁻ⁱ · wᵢ
        let (decay, steps) = (0.9_f64, 40);
        let weights = |step: i32| array![[f64::from(step).sin(), 1.0], [f64::from(step), -3.5]];
        let mut ema = Ema::new();
        let mut right = weights(1) * decay.powi(steps - 1);
        for step in 1..=steps {
            ema.update("w", &weights(step), decay).unwrap();
            if step > 1 {
                right = right + weights(step) * ((1.0 - decay) * decay.powi(steps - step));
            }
        }
        let average = ema.average::<f64>("w").unwrap();
        for (ours, right) in average.iter().zip(&right) {
            assert!((ours - right).abs() < 1e-13, "{ours} for {right}");
        }
        // What never changes is never rounded.
        assert_eq!((average[[0, 1]], average[[1, 1]]), (1.0, -3.5));
    }

    #[test]
    fn a_decay_near_one_does_not_stand_still_in_f32() {
        let mut ema = Ema::new();
        ema.update("w", &array![1.0_f32], 1.0 - 1e-9).unwrap();
        for _ in 0..1000 {
            ema.update("w", &array![2.0_f32], 1.0 - 1e-9).unwrap();
        }
        let moved = ema.average::<f64>("w").unwrap()[0] - 1.0;
        assert!((moved / 1e-6 - 1.0).abs() < 1e-5, "{moved:e}");
    }

    #[test]
    fn the_ends_of_the_decay_are_exact_and_nothing_overflows() {
        let mut ema = Ema::new();
        ema.update("w", &arr0(-f64::MAX), 0.5).unwrap();
        ema.update("w", &arr0(f64::MAX), 1.0).unwrap();
        assert_eq!(ema.average::<f64>("w").unwrap(), arr0(-f64::MAX).into_dyn());
        ema.update("w", &arr0(f64::MAX), 0.5).unwrap();
        assert_eq!(ema.average::<f64>("w").unwrap(), arr0(0.0).into_dyn());
        ema.update("w", &arr0(0.1), 0.0).unwrap();
        assert_eq!(ema.average::<f64>("w").unwrap(), arr0(0.1).into_dyn());
    }

    #[test]
    fn errors_change_nothing_and_views_are_read_as_their_copies() {
        let mut ema = Ema::new();
        let weights = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        ema.update("w", &weights.slice(s![.., ..;-2]), 0.5).unwrap();
        let before = ema.clone();
        let bad = array![[1.0_f32, f32::NAN], [0.0, 0.0]];
        let mut error = |weights: &Array2<f32>, decay| {
            let error = ema.update("w", weights, decay).unwrap_err();
            error.to_string()
        };
        assert_eq!(error(&bad, 0.5), r#"tensor "w": weight [0, 1] is NaN"#);
        assert_eq!(
            error(&Array2::zeros((2, 3)), 0.5),
            r#"tensor "w": shapes differ: weights [2, 3], average [2, 2]"#
        );
        for decay in [-0.1, 1.5, f64::NAN] {
            let says = format!("decay must be in 0..=1, got {decay}");
            assert_eq!(error(&Array2::zeros((2, 2)), decay), says);
        }
        assert_eq!(ema, before);
        let mut out = Array2::<f32>::zeros((2, 2));
        ema.write("w", &mut out).unwrap();
        assert_eq!(out, array![[3.0, 1.0], [6.0, 4.0]]);
        assert_eq!(
            ema.write("v", &mut out).unwrap_err().to_string(),
            r#"no averaged tensor is named "v""#
        );
        assert_eq!(format!("{ema:?}"), r#"{"w": [2, 2]}"#);
    }
}
