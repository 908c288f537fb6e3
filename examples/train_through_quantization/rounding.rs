//! One matrix on its way to few bits: floats of which the network only sees what their codes mean.

use crate::scalars::ScalarAdam;
use ndarray::{ArrayViewD, ArrayViewMutD};
use rarefy::Result;
use rarefy::quantize::{
    ErrorSearch, Linear, Lsq, PhasedQuantizer, QuantizationPhase, QuantizedTensor,
};

/// Ranges move slowly, and a search costs more than a step of so small a network.
const OBSERVE_EVERY: usize = 10;

/// Where scales come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// From the weights of the moment, and fixed at the end.
    Observed,
    /// Learned as the weights are.
    Learned,
}

/// Codes with the ranges that give the weights back with the least squared error.
pub fn rounded(linear: Linear, weights: &ArrayViewD<'_, f32>) -> Result<QuantizedTensor> {
    linear.quantize_with(weights, &linear.parameters(&ranges(linear, weights)?)?)
}

fn ranges(linear: Linear, weights: &ArrayViewD<'_, f32>) -> Result<Vec<(f64, f64)>> {
    let search = ErrorSearch::new(linear).norm(2.0).shrink(1.0);
    search.patience(usize::MAX).ranges(weights)
}

/// The rounding of one matrix.
pub struct Rounding {
    linear: Linear,
    way: Way,
}

enum Way {
    Observed(PhasedQuantizer),
    Learned { lsq: Lsq, adam: ScalarAdam },
}

impl Rounding {
    /// For a training of so many steps, which starts from these weights.
    pub fn new(
        linear: Linear,
        scales: Scales,
        weights: &ArrayViewD<'_, f32>,
        steps: usize,
    ) -> Result<Self> {
        let way = match scales {
            // A tenth to look, two thirds in all until ranges are held.
            Scales::Observed => {
                Way::Observed(PhasedQuantizer::new(linear, steps / 10, steps * 2 / 3))
            }
            Scales::Learned => {
                let start = linear.parameters(&ranges(linear, weights)?)?;
                Way::Learned {
                    adam: ScalarAdam::new(start.scales().len()),
                    lsq: Lsq::new(start),
                }
            }
        };
        Ok(Self { linear, way })
    }

    /// What the network sees of the weights.
    pub fn forward(&mut self, step: usize, weights: &mut ArrayViewMutD<'_, f32>) -> Result<()> {
        match &mut self.way {
            Way::Observed(phased) => {
                let moving = phased.phase(step) != QuantizationPhase::Frozen;
                if moving && step.is_multiple_of(OBSERVE_EVERY) || phased.parameters().is_none() {
                    let found = ranges(self.linear, &weights.view())?;
                    phased.observe(step, || found)?;
                }
                phased.forward_in_place(step, weights)
            }
            Way::Learned { lsq, .. } => lsq.forward_in_place(weights),
        }
    }

    /// From the gradient for what the network saw to that for the weights. Scales take their own step.
    pub fn backward(
        &mut self,
        step: usize,
        weights: &ArrayViewD<'_, f32>,
        gradient: &mut ArrayViewMutD<'_, f32>,
        learning_rate: f32,
    ) -> Result<()> {
        match &mut self.way {
            Way::Observed(phased) => phased.backward_in_place(step, weights, gradient),
            Way::Learned { lsq, adam } => {
                let learned = lsq.backward_in_place(weights, gradient)?;
                let mut scales = lsq.scales().to_vec();
                adam.step(&mut scales, learned.scales(), learning_rate);
                lsq.set(&scales, &[])
            }
        }
    }

    /// The codes that were trained for.
    pub fn convert(&self, weights: &ArrayViewD<'_, f32>) -> Result<QuantizedTensor> {
        match &self.way {
            Way::Observed(phased) => phased.convert(weights),
            Way::Learned { lsq, .. } => self.linear.quantize_with(weights, lsq.parameters()),
        }
    }
}
