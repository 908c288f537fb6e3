//! What was tuned, all in one place.
//!
//! Chosen on the validation split (`--validation`), never on the test part. Both students take the
//! same start, batches, steps, optimiser and learning rate. Dropout and weight decay were chosen for
//! each from the same values, because what helps one hurts the other: without them the student of
//! hard labels learns the text by heart, while to the distilled one they are only noise on top of a
//! teacher that is smooth already.

use crate::text::Split;

/// How one network is trained.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    pub epochs: usize,
    /// The highest; it rises over the first twentieth of the steps and falls along a cosine.
    pub learning_rate: f64,
    /// The share of hidden units that are off in each step.
    pub dropout: f32,
    /// AdamW's.
    pub weight_decay: f32,
}

/// What the soft part of the loss looks like.
#[derive(Clone, Copy, Debug)]
pub struct Distillation {
    pub temperature: f64,
    /// The weight of the hard labels; the teacher has the rest.
    pub hard: f64,
}

/// All settings.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Examples a step.
    pub batch: usize,
    /// Width of an embedding and of the hidden layer.
    pub teacher_size: (usize, usize),
    pub student_size: (usize, usize),
    pub teacher: Training,
    pub student_hard: Training,
    pub student_distilled: Training,
    pub distillation: Distillation,
    /// What the distilled student gets on top, with and without a mask.
    pub further: Training,
    /// Steps between two masks while pruning.
    pub prune_every: u64,
}

impl Settings {
    pub fn new(split: Split) -> Self {
        let mut settings = Self {
            batch: 128,
            teacher_size: (48, 512),
            student_size: (16, 80),
            teacher: Training {
                epochs: 24,
                learning_rate: 0.006,
                dropout: 0.7,
                weight_decay: 0.1,
            },
            student_hard: Training {
                epochs: 24,
                learning_rate: 0.016,
                dropout: 0.15,
                weight_decay: 0.05,
            },
            student_distilled: Training {
                epochs: 24,
                learning_rate: 0.016,
                dropout: 0.0,
                weight_decay: 0.0,
            },
            distillation: Distillation {
                temperature: 1.0,
                hard: 0.2,
            },
            further: Training {
                epochs: 16,
                learning_rate: 0.016,
                dropout: 0.0,
                weight_decay: 0.0,
            },
            prune_every: 20,
        };
        if split == Split::Quick {
            for training in [
                &mut settings.teacher,
                &mut settings.student_hard,
                &mut settings.student_distilled,
                &mut settings.further,
            ] {
                training.epochs = 3;
            }
            settings.prune_every = 5;
        }
        settings
    }
}
