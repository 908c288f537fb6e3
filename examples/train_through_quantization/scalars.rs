//! Adam for a row of numbers, scales for one.

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-12;

pub struct ScalarAdam {
    moments: Vec<(f64, f64)>,
    steps: i32,
}

impl ScalarAdam {
    pub fn new(count: usize) -> Self {
        Self {
            moments: vec![(0.0, 0.0); count],
            steps: 0,
        }
    }

    pub fn step(&mut self, values: &mut [f32], gradient: &[f64], learning_rate: f32) {
        self.steps += 1;
        let correction1 = 1.0 / (1.0 - BETA1.powi(self.steps));
        let correction2 = 1.0 / (1.0 - BETA2.powi(self.steps));
        for ((value, g), (m, v)) in values.iter_mut().zip(gradient).zip(&mut self.moments) {
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            let step = *m * correction1 / ((*v * correction2).sqrt() + EPSILON);
            *value -= learning_rate * step as f32;
        }
    }
}
