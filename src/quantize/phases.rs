//! From floats to codes in the course of a training: watch, train with rounding, hold still, convert.

use super::{FakeQuantizer, Linear, Parameters, QuantizedTensor};
use crate::error::{Error, Result};
use crate::float::Float;
use ndarray::{ArrayRef, Dimension};

/// What a step of training does about quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum QuantizationPhase {
    /// Ranges are taken note of; values stay floats.
    Observe,
    /// Ranges still move; values are rounded to what codes mean.
    Train,
    /// Ranges stay; values are rounded. Also the time to hold the statistics of a batch norm.
    Frozen,
}

/// Takes one tensor of a model through the phases of quantization-aware training, by the caller's own count of steps.
///
/// | steps | phase | [`observe`](Self::observe) | [`forward_in_place`](Self::forward_in_place) |
/// |---|---|---|---|
/// | 0 .. train from | [`Observe`](QuantizationPhase::Observe) | takes ranges | leaves values |
/// | train from .. freeze from | [`Train`](QuantizationPhase::Train) | takes ranges | rounds values |
/// | freeze from .. | [`Frozen`](QuantizationPhase::Frozen) | is not asked | rounds values |
///
/// [`convert`](Self::convert) makes codes, at any time. The ranges come from the caller, who may take them from
/// weights themselves or keep an average; the [`Linear`] says what becomes of them. Its stochastic rounding would draw
/// the same in each step: for training choose another.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::quantize::{Linear, PhasedQuantizer};
///
/// let mut phased = PhasedQuantizer::new(Linear::new(8), 1, 2);
/// let (mut low, mut high) = (0.0_f64, 0.0_f64);
/// for step in 0..4 {
///     let mut x = array![0.3_f32 * step as f32, -1.27];
///     phased.observe(step, || {
///         low = x.iter().fold(low, |low, &x| low.min(x.into()));
///         high = x.iter().fold(high, |high, &x| high.max(x.into()));
///         vec![(low, high)]
///     })?;
///     let before = x.clone();
///     phased.forward_in_place(step, &mut x)?;
///     let mut gradient = array![1.0, 1.0];
///     phased.backward_in_place(step, &before, &mut gradient)?;
/// }
/// let q = phased.convert(&array![0.5_f32, -1.27])?;
/// assert_eq!(q.codes(), array![50, -127].into_dyn());
/// # Ok::<(), rarefy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PhasedQuantizer {
    linear: Linear,
    train_from: usize,
    freeze_from: usize,
    fake: Option<FakeQuantizer>,
}

impl PhasedQuantizer {
    /// Rounds from step `train_from` on, and holds the ranges from step `freeze_from` on. Where that is not later,
    /// there is no step between.
    pub const fn new(linear: Linear, train_from: usize, freeze_from: usize) -> Self {
        Self {
            linear,
            train_from,
            freeze_from,
            fake: None,
        }
    }

    /// What this step does.
    pub const fn phase(&self, step: usize) -> QuantizationPhase {
        if step < self.train_from {
            QuantizationPhase::Observe
        } else if step < self.freeze_from {
            QuantizationPhase::Train
        } else {
            QuantizationPhase::Frozen
        }
    }

    /// Scales and zero points, if ranges were observed.
    pub const fn parameters(&self) -> Option<&Parameters> {
        match &self.fake {
            Some(fake) => Some(fake.parameters()),
            None => None,
        }
    }

    /// Asks for the ranges of this step, one for each scale, unless they are frozen. Frozen without any, it asks.
    ///
    /// # Errors
    ///
    /// Those of [`Linear::parameters`]; the ranges are then as they were.
    pub fn observe<R: AsRef<[(f64, f64)]>>(
        &mut self,
        step: usize,
        ranges: impl FnOnce() -> R,
    ) -> Result<()> {
        if self.phase(step) == QuantizationPhase::Frozen && self.fake.is_some() {
            return Ok(());
        }
        let parameters = self.linear.parameters(ranges().as_ref())?;
        self.fake = Some(self.linear.fake_quantizer(parameters));
        Ok(())
    }

    /// The values of this step, where they are: rounded to what codes mean, or left alone in the first phase.
    ///
    /// # Errors
    ///
    /// Those of [`FakeQuantizer`], and [`Error::WrongCount`] if there are no ranges yet.
    pub fn forward_in_place<F: Float, D: Dimension>(
        &self,
        step: usize,
        values: &mut ArrayRef<F, D>,
    ) -> Result<()> {
        match self.phase(step) {
            QuantizationPhase::Observe => Ok(()),
            _ => self.observed()?.forward_in_place(values),
        }
    }

    /// Turns the gradient for what [`forward_in_place`](Self::forward_in_place) gave in this step into that for the
    /// values before it.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn backward_in_place<F: Float, D: Dimension, E: Dimension>(
        &self,
        step: usize,
        values: &ArrayRef<F, D>,
        gradient: &mut ArrayRef<F, E>,
    ) -> Result<()> {
        match self.phase(step) {
            QuantizationPhase::Observe => Ok(()),
            _ => self.observed()?.backward_in_place(values, gradient),
        }
    }

    /// The values as codes, with the ranges that were observed last.
    ///
    /// # Errors
    ///
    /// Those of [`Linear::quantize_with`], and [`Error::WrongCount`] if there are no ranges yet.
    pub fn convert<F: Float, D: Dimension>(
        &self,
        values: &ArrayRef<F, D>,
    ) -> Result<QuantizedTensor> {
        let parameters = self.observed()?.parameters();
        self.linear.quantize_with(values, parameters)
    }

    fn observed(&self) -> Result<&FakeQuantizer> {
        self.fake.as_ref().ok_or(Error::WrongCount {
            what: "observed ranges",
            given: 0,
            expected: 1,
        })
    }
}
