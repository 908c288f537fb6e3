//! Scores weights by how much the loss depends on their being there.
//!
//! ```text
//! S ← decay · S + rate · |w · g|
//! ```
//!
//! One batch before training: Lee, Ajanthan and Torr 2019, <https://arxiv.org/abs/1810.02340>. Over many batches, as a
//! momentum, with decay 1 and rate 0.9: Intel Neural Compressor's `snip_momentum`.

use super::Importance;
use super::observed::Observed;
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::{ArrayD, ArrayRef, ArrayRefD, Dimension};
use std::fmt;

/// Scores weights by |w · g| over batches, newer ones against older by a decay.
///
/// Call [`observe`](Self::observe) once a batch, with weights and gradient of that batch; then it is an
/// [`Importance`]. What several workers saw is put together by [`merge`](Self::merge).
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::prelude::*;
/// use rarefy::prune::{Snip, Unstructured};
///
/// let mut weights = array![1.0, 2.0, 3.0];
/// let mut score = Snip::new();
/// score.observe(&weights, &array![-1.0, 1.0, 0.3])?;
/// score.observe(&weights, &array![-2.0, 1.0, -0.4])?;
/// Unstructured::new(&score, 1_usize).prune(&mut weights)?;
/// assert_eq!(weights, array![1.0, 2.0, 0.0]);
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Calibration`](crate::Error::Calibration) when used before the first batch,
/// [`Error::ShapeMismatch`] when used on weights of another shape.
#[derive(Clone, PartialEq)]
pub struct Snip {
    observed: Observed,
    decay: f64,
    rate: f64,
}

impl Snip {
    /// The plain sum of |w · g|: decay 1, rate 1.
    pub fn new() -> Self {
        Self {
            observed: Observed::default(),
            decay: 1.0,
            rate: 1.0,
        }
    }

    /// With this decay, in 0..=1, and this rate, positive and finite.
    ///
    /// # Errors
    ///
    /// [`Error::NumberOutOfRange`] if one is out of its range.
    pub fn momentum(decay: f64, rate: f64) -> Result<Self> {
        let check = |what, must, value, fits: bool| match fits {
            true => Ok(()),
            false => Err(Error::NumberOutOfRange { what, must, value }),
        };
        check("decay", "in 0..=1", decay, (0.0..=1.0).contains(&decay))?;
        let fits = rate > 0.0 && rate.is_finite();
        check("rate", "positive and finite", rate, fits)?;
        Ok(Self {
            observed: Observed::default(),
            decay,
            rate,
        })
    }

    /// Takes in the weights and the gradient of one batch.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if the shapes differ, or from those of earlier
    /// batches; [`Error::NotANumber`] if a product is NaN. What was observed before stays.
    pub fn observe<F: Float, D: Dimension>(
        &mut self,
        weights: &ArrayRef<F, D>,
        gradient: &ArrayRef<F, D>,
    ) -> Result<()> {
        let rate = self.rate;
        self.observed
            .add(weights, gradient, self.decay, |w, g| rate * (w * g).abs())
    }

    /// Takes in what another has observed, as if its batches followed.
    ///
    /// # Errors
    ///
    /// [`Error::ShapeMismatch`] if it observed weights of another shape.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        // Each later batch has faded the earlier ones once.
        let fade = (0..other.observed.batches).try_fold(1.0, |fade, _| match fade * self.decay {
            same if same == fade => Err(same),
            faded => Ok(faded),
        });
        let fade = fade.unwrap_or_else(|settled| settled);
        self.observed.merge(&other.observed, fade)
    }

    /// How many batches were observed.
    pub fn batches(&self) -> u64 {
        self.observed.batches
    }
}

impl Default for Snip {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Importance<F> for Snip {
    fn scores(&self, weights: &ArrayRefD<F>) -> Result<ArrayD<F>> {
        self.observed.scores("SNIP", weights, |sum, _| sum)
    }
}

impl fmt::Debug for Snip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.observed.debug("Snip", f)
    }
}
