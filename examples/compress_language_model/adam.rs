//! The Adam optimiser (Kingma and Ba 2014), by hand.

use crate::network::Parameters;
use ndarray::Zip;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Adam with decoupled weight decay.
pub struct Adam {
    first: Parameters,
    second: Parameters,
    steps: i32,
    weight_decay: f32,
}

impl Adam {
    pub fn new(like: &Parameters, weight_decay: f32) -> Self {
        Self {
            first: like.zeros_like(),
            second: like.zeros_like(),
            steps: 0,
            weight_decay,
        }
    }

    pub fn step(&mut self, weights: &mut Parameters, gradient: &Parameters, learning_rate: f32) {
        self.steps += 1;
        let correction1 = 1.0 / (1.0 - BETA1.powi(self.steps));
        let correction2 = 1.0 / (1.0 - BETA2.powi(self.steps));
        let decay = 1.0 - learning_rate * self.weight_decay;
        let moments = self
            .first
            .named_mut()
            .into_iter()
            .zip(self.second.named_mut());
        let tensors = weights.named_mut().into_iter().zip(gradient.named());
        for (((_, w), (_, g)), ((_, m), (_, v))) in tensors.zip(moments) {
            Zip::from(w).and(g).and(m).and(v).for_each(|w, &g, m, v| {
                *m = BETA1 * *m + (1.0 - BETA1) * g;
                *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                let step = *m * correction1 / ((*v * correction2).sqrt() + EPSILON);
                *w = *w * decay - learning_rate * step;
            });
        }
    }
}
