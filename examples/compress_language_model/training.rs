//! How the networks learn: a user's own loop around `Teacher`, `Student` and `Distiller`.

use crate::adam::Adam;
use crate::network::{Parameters, Pass};
use crate::random;
use crate::settings::Training;
use crate::text::{CONTEXT, Corpus};
use indicatif::ProgressBar;
use ndarray::{Array2, Axis};
use ndarray_rand::rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rarefy::distill::{Distiller, Output, Target};
use rarefy::prelude::*;
use rarefy::{Mask, Result, schedule};

/// Contexts and the characters that follow them.
pub struct Batch {
    pub contexts: Array2<u8>,
    pub labels: Vec<usize>,
}

impl Batch {
    pub fn new(corpus: &Corpus, places: &[usize]) -> Self {
        let mut contexts = Array2::zeros((places.len(), CONTEXT));
        for (mut row, &place) in contexts.axis_iter_mut(Axis(0)).zip(places) {
            for (to, &code) in row.iter_mut().zip(corpus.context(place)) {
                *to = code;
            }
        }
        let labels = places.iter().map(|&place| corpus.label(place)).collect();
        Self { contexts, labels }
    }
}

/// A finished network that teaches.
impl Teacher<f32, Batch> for Parameters {
    fn teach(&self, batch: &Batch) -> Result<Output<f32>> {
        Ok(Output::from(self.logits(batch.contexts.view())))
    }
}

/// A network that learns: weights, optimiser, what the last forward pass left, masks to keep.
pub struct Learner {
    pub weights: Parameters,
    /// For each tensor by name, which weights stay; none at all while the network is dense.
    masks: Vec<(&'static str, Mask)>,
    learning_rate: f32,
    dropout: f32,
    adam: Adam,
    random: ChaCha8Rng,
    pass: Option<Pass>,
}

impl Learner {
    pub fn new(weights: Parameters, training: Training, seed: u64) -> Self {
        Self {
            adam: Adam::new(&weights, training.weight_decay),
            weights,
            masks: Vec::new(),
            learning_rate: 0.0,
            dropout: training.dropout,
            random: random::numbers(seed, random::DROPOUT),
            pass: None,
        }
    }

    /// Prunes every matrix and keeps it pruned from now on. Biases are few and stay.
    pub fn prune(&mut self, pruner: &dyn Pruner<f32>) -> Result<()> {
        self.masks.clear();
        for (name, mut weights) in self.weights.named_mut() {
            if weights.ndim() > 1 {
                self.masks.push((name, pruner.prune(&mut weights)?));
            }
        }
        Ok(())
    }

    fn apply_masks(&mut self) -> Result<()> {
        for (name, mut weights) in self.weights.named_mut() {
            if let Some((_, mask)) = self.masks.iter().find(|(masked, _)| *masked == name) {
                mask.apply(&mut weights)?;
            }
        }
        Ok(())
    }
}

impl Student<f32, Batch> for Learner {
    fn forward(&mut self, batch: &Batch) -> Result<Output<f32>> {
        let pass = self
            .weights
            .forward(&batch.contexts, self.dropout, &mut self.random);
        let logits = pass.logits();
        self.pass = Some(pass);
        Ok(Output::from(logits))
    }

    fn backward(&mut self, grad: &Output<f32>) -> Result<()> {
        if let Some(pass) = self.pass.take() {
            let gradient = self.weights.backward(&pass, &grad.logits);
            self.adam
                .step(&mut self.weights, &gradient, self.learning_rate);
            // Momentum moves pruned weights too; the masks take them back.
            self.apply_masks()?;
        }
        Ok(())
    }
}

/// A student that steps as far as it is told.
pub trait Paced: Student<f32, Batch> {
    fn set_learning_rate(&mut self, rate: f32);
}

impl Paced for Learner {
    fn set_learning_rate(&mut self, rate: f32) {
        self.learning_rate = rate;
    }
}

/// The text, how it is cut into batches, and in which order they come.
#[derive(Clone, Copy)]
pub struct Lessons<'a> {
    pub corpus: &'a Corpus,
    pub batch: usize,
    /// Two trainings with the same seed see the same batches in the same order.
    pub seed: u64,
}

impl Lessons<'_> {
    /// How many steps so many epochs are.
    pub fn steps(&self, epochs: usize) -> u64 {
        (epochs * self.corpus.training_places().len().div_ceil(self.batch)) as u64
    }
}

/// Trains a learner with a loss, and with a teacher if the loss asks for one. `before_step` may
/// change the learner: that is where pruning happens.
pub fn train<S: Paced, L: Loss<f32>>(
    learner: &mut S,
    teacher: Option<&dyn Teacher<f32, Batch>>,
    loss: L,
    lessons: Lessons<'_>,
    training: Training,
    bar: &ProgressBar,
    mut before_step: impl FnMut(u64, &mut S) -> Result<()>,
) -> Result<()> {
    let distiller = Distiller::new(loss);
    let steps = lessons.steps(training.epochs);
    let (last, warm) = (steps.saturating_sub(1), steps / 20);
    let highest = training.learning_rate;
    let rise = schedule::Linear::new(highest / 10.0, highest, 0..=warm)?;
    let fall = schedule::Cosine::new(highest, highest / 50.0, warm..=last)?;
    let rate = |step: u64| {
        if step < warm {
            rise.at(step)
        } else {
            fall.at(step)
        }
    };

    bar.set_length(steps);
    let mut order = random::numbers(lessons.seed, random::BATCHES);
    let mut places: Vec<usize> = lessons.corpus.training_places().collect();
    let mut step = 0;
    for _ in 0..training.epochs {
        places.shuffle(&mut order);
        for places in places.chunks(lessons.batch) {
            before_step(step, learner)?;
            learner.set_learning_rate(rate(step) as f32);
            let batch = Batch::new(lessons.corpus, places);
            let target = Target::new().labels(&batch.labels);
            match teacher {
                Some(teacher) => distiller.step(teacher, learner, &batch, target)?,
                None => distiller.learn(learner, &batch, target)?,
            };
            step += 1;
            bar.inc(1);
        }
    }
    Ok(())
}
