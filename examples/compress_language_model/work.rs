//! The trainings, one after the other: what each network starts from and learns by.

use crate::network::{Parameters, Size};
use crate::random;
use crate::settings::{Distillation, Settings, Training};
use crate::text::Corpus;
use crate::training::{Batch, Learner, Lessons, train};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rarefy::Result;
use rarefy::distill::{CrossEntropy, KlDivergence, WeightedSum};
use rarefy::prelude::*;
use rarefy::prune::{Magnitude, Unstructured};
use rarefy::schedule::Polynomial;
use std::ops::Range;

/// What every training needs.
pub struct Work<'a> {
    pub settings: Settings,
    pub corpus: &'a Corpus,
    pub seed: u64,
    bars: MultiProgress,
}

/// What was trained.
pub struct Networks {
    pub teacher: Parameters,
    pub student_hard: Parameters,
    pub student_distilled: Parameters,
    pub dense_continued: Parameters,
    pub pruned_50: Parameters,
    pub pruned_75: Parameters,
}

impl<'a> Work<'a> {
    pub fn new(settings: Settings, corpus: &'a Corpus, seed: u64) -> Self {
        Self {
            settings,
            corpus,
            seed,
            bars: MultiProgress::new(),
        }
    }

    pub fn networks(&self) -> Result<Networks> {
        let teacher = self.teacher()?;
        let student_hard =
            self.train_alone("student_hard", self.student(), self.settings.student_hard)?;
        let student_distilled = self.distilled(&teacher)?;

        let further = |name, from: &Parameters, sparsity| {
            self.train_with(
                name,
                &teacher,
                from.clone(),
                self.settings.further,
                sparsity,
            )
        };
        let dense_continued = further("dense_continued", &student_distilled, None)?;
        let pruned_50 = further("pruned_50", &student_distilled, Some(0.0..0.5))?;
        let pruned_75 = further("pruned_75", &pruned_50, Some(0.5..0.75))?;
        Ok(Networks {
            teacher,
            student_hard,
            student_distilled,
            dense_continued,
            pruned_50,
            pruned_75,
        })
    }

    /// The large network, trained.
    pub fn teacher(&self) -> Result<Parameters> {
        self.train_alone(
            "teacher",
            self.random_network(self.settings.teacher_size, random::TEACHER),
            self.settings.teacher,
        )
    }

    /// The small network before any training. All students start from these weights and see the same batches.
    fn student(&self) -> Parameters {
        self.random_network(self.settings.student_size, random::STUDENT)
    }

    /// The small network, trained by the large one.
    pub fn distilled(&self, teacher: &Parameters) -> Result<Parameters> {
        let training = self.settings.student_distilled;
        self.train_with("student_distilled", teacher, self.student(), training, None)
    }

    fn random_network(&self, (embedding, hidden): (usize, usize), stream: u64) -> Parameters {
        let mut random = random::numbers(self.seed, stream);
        let classes = self.corpus.classes();
        Parameters::random(
            Size {
                classes,
                embedding,
                hidden,
            },
            &mut random,
        )
    }

    /// On the labels of the text only.
    fn train_alone(
        &self,
        name: &'static str,
        weights: Parameters,
        training: Training,
    ) -> Result<Parameters> {
        let bar = self.bar(name);
        let mut learner = Learner::new(weights, training, self.seed);
        let lessons = self.lessons();
        train(
            &mut learner,
            None,
            CrossEntropy::new(),
            lessons,
            training,
            &bar,
            |_, _| Ok(()),
        )?;
        bar.finish();
        Ok(learner.weights)
    }

    /// From a teacher, and becoming sparser over the first two thirds of the steps if asked to.
    pub fn train_with(
        &self,
        name: &'static str,
        teacher: &dyn Teacher<f32, Batch>,
        weights: Parameters,
        training: Training,
        sparsity: Option<Range<f64>>,
    ) -> Result<Parameters> {
        let until = self.lessons().steps(training.epochs) * 2 / 3;
        let sparsity = sparsity
            .map(|range| Polynomial::cubic(range.start, range.end, 0..=until))
            .transpose()?;

        let bar = self.bar(name);
        let mut learner = Learner::new(weights, training, self.seed);
        let prune = |step: u64, learner: &mut Learner| match &sparsity {
            Some(sparsity)
                if step == until
                    || step < until && step.is_multiple_of(self.settings.prune_every) =>
            {
                learner.prune(&Unstructured::new(Magnitude, sparsity.at(step)))
            }
            _ => Ok(()),
        };
        train(
            &mut learner,
            Some(teacher),
            self.loss(),
            self.lessons(),
            training,
            &bar,
            prune,
        )?;
        bar.finish();
        Ok(learner.weights)
    }

    /// What a student of the teacher learns by.
    pub fn loss(&self) -> WeightedSum<f32> {
        let Distillation { temperature, hard } = self.settings.distillation;
        WeightedSum::new()
            .with("hard", hard, CrossEntropy::new())
            .with("soft", 1.0 - hard, KlDivergence::new(temperature))
    }

    pub fn lessons(&self) -> Lessons<'_> {
        Lessons {
            corpus: self.corpus,
            batch: self.settings.batch,
            seed: self.seed,
        }
    }

    pub fn bar(&self, name: &'static str) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:18} {bar:40} {percent:>3} % {elapsed}");
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name);
        bar
    }
}
