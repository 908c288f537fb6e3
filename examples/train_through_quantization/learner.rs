//! A network that learns with its matrices rounded.

use crate::adam::Adam;
use crate::network::{Parameters, Pass};
use crate::random;
use crate::rounding::{Rounding, Scales};
use crate::stored::Stored;
use crate::training::{Batch, Paced};
use rand_chacha::ChaCha8Rng;
use rarefy::Result;
use rarefy::distill::Output;
use rarefy::prelude::*;
use rarefy::quantize::Linear;

/// Weights in floats, and between them and the network a rounding for each matrix.
pub struct RoundingLearner {
    weights: Parameters,
    linear: Linear,
    roundings: Vec<(&'static str, Rounding)>,
    step: usize,
    learning_rate: f32,
    adam: Adam,
    random: ChaCha8Rng,
    /// The weights as the last forward saw them, and what it left.
    pass: Option<(Parameters, Pass)>,
}

impl RoundingLearner {
    pub fn new(weights: Parameters, linear: Linear, scales: Scales, steps: usize) -> Result<Self> {
        let matrices = weights.named().into_iter().filter(|(_, w)| w.ndim() > 1);
        let roundings = matrices
            .map(|(name, w)| Ok((name, Rounding::new(linear, scales, &w, steps)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            roundings,
            linear,
            adam: Adam::new(&weights, 0.0),
            weights,
            step: 0,
            learning_rate: 0.0,
            random: random::numbers(0, random::DROPOUT),
            pass: None,
        })
    }

    /// The codes that were trained for.
    pub fn convert(&self) -> Result<Stored> {
        Stored::quantized_by(&self.weights, |name, weights| {
            match self.roundings.iter().find(|(of, _)| *of == name) {
                Some((_, rounding)) => rounding.convert(&weights),
                None => self.linear.quantize(&weights),
            }
        })
    }
}

impl Student<f32, Batch> for RoundingLearner {
    fn forward(&mut self, batch: &Batch) -> Result<Output<f32>> {
        let mut rounded = self.weights.clone();
        for (name, mut weights) in rounded.named_mut() {
            if let Some((_, rounding)) = self.roundings.iter_mut().find(|(of, _)| *of == name) {
                rounding.forward(self.step, &mut weights)?;
            }
        }
        let pass = rounded.forward(&batch.contexts, 0.0, &mut self.random);
        let logits = pass.logits();
        self.pass = Some((rounded, pass));
        Ok(Output::from(logits))
    }

    fn backward(&mut self, grad: &Output<f32>) -> Result<()> {
        let Some((rounded, pass)) = self.pass.take() else {
            return Ok(());
        };
        let mut gradient = rounded.backward(&pass, &grad.logits);
        let (step, rate) = (self.step, self.learning_rate);
        let pairs = self.weights.named().into_iter().zip(gradient.named_mut());
        for ((name, weights), (_, mut gradient)) in pairs {
            if let Some((_, rounding)) = self.roundings.iter_mut().find(|(of, _)| *of == name) {
                rounding.backward(step, &weights, &mut gradient, rate)?;
            }
        }
        self.adam.step(&mut self.weights, &gradient, rate);
        self.step += 1;
        Ok(())
    }
}

impl Paced for RoundingLearner {
    fn set_learning_rate(&mut self, rate: f32) {
        self.learning_rate = rate;
    }
}
