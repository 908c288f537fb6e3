//! Distillation of a language model's last layer, without all of its logits.
//!
//! ```text
//! z = hidden · projectionᵀ + bias                          for both networks
//! value = Σᵢ wᵢ · (soft · T² · KL(pᵢ ‖ qᵢ) + hard · (−ln softmax(z_student,i)[labelᵢ])) / N
//! G = d value / d z_student
//! d value / d hidden = G · projection,   d value / d projection = Gᵀ · hidden,   d value / d bias = Σᵢ Gᵢ
//! ```
//!
//! Logits of tokens × vocabulary are the largest array of all in training: 4096 tokens of 32 000
//! classes are 500 MiB for each network and 500 MiB for the gradient. Nothing needs them all at once.

mod batch;
mod gradient;
mod plan;
mod tiles;

pub use batch::{OutputLayer, StreamingBatch};
pub use gradient::{GradientBuffers, OutputLayerGradient};

use super::{LossValue, Reduction, TemperatureFactor};
use crate::distill::loss::check_temperature;
use crate::distill::loss::reduction::Shares;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::divergence::Side;
use crate::kernels::divergence::computes_in_f64;
use ndarray::{Array1, Array2};
use plan::Sizes;
use tiles::{Factors, Work};

const NAME: &str = "streaming distillation";

/// Forward KL divergence from hidden states and projections, mixed with cross-entropy if asked for,
/// in memory that does not grow with tokens × vocabulary.
///
/// | setting | meaning | default | range |
/// |---|---|---|---|
/// | `temperature` T | both networks' logits are divided by it in the soft loss | none | positive, finite |
/// | [`temperature_factor`](Self::temperature_factor) | multiply the soft loss by T²? | yes | |
/// | [`term_weights`](Self::term_weights) | how much the soft loss (teacher) and the hard one (labels) count | 1 and 0 | finite, not negative |
/// | [`reduction`](Self::reduction) | what the sum over tokens is divided by | the number of tokens | [`Reduction`] |
/// | [`memory_budget`](Self::memory_budget) | bytes to hold at most, beside inputs and gradients | 48 MiB | enough for one token |
///
/// ```text
/// value = Σᵢ wᵢ · (soft · T² · KL(softmax(z_teacher,i / T) ‖ softmax(z_student,i / T))
///                  + hard · (−ln softmax(z_student,i)[labelᵢ])) / N
/// ```
///
/// The numbers are those of [`KlDivergence`](super::KlDivergence) and
/// [`CrossEntropy`](super::CrossEntropy) over all logits, up to the rounding of sums. A term of weight 0
/// is not evaluated and needs no teacher, or no labels: with weights 0 and 1 this is the cross-entropy
/// of a language model without its logits.
///
/// Tokens go through in tiles of at most 256. The logits of a tile are computed, turned into their
/// gradient where they are, multiplied into the gradients that are asked for, and forgotten. How many
/// tokens make a tile follows from shapes and budget and never from the number of threads; nor do the
/// blocks of the products, so the same bits come out of any pool. Another budget may round otherwise.
/// So may another machine: products are ndarray's, which uses fused multiply-add where there is one.
/// Products, and so the gradients of hidden states and projection, are summed in `F`; values and the
/// gradient of the bias in f64.
///
/// The budget counts buffers and what threads hold while they work, not what a thread pool allocates
/// for itself. A smaller budget is slower, as the projection is read once for each tile.
///
/// Masked classes have a bias of −∞: see [`KlDivergence`](super::KlDivergence) for what becomes of them.
/// Liger kernels fuse the same steps on graphics cards: Hsu et al. 2024,
/// <https://arxiv.org/abs/2410.10989>.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use rarefy::distill::{OutputLayer, StreamingBatch, StreamingDistillation};
///
/// // Two tokens, three classes; the student is of width 1, the teacher of width 2.
/// let (hidden, projection) = (array![[0.5_f32], [1.0]], array![[1.0], [0.0], [-1.0]]);
/// let taught = array![[1.0, 0.0], [0.0, 1.0]];
/// let teacher_projection = array![[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]];
/// let batch = StreamingBatch::new(OutputLayer::new(&hidden, &projection))
///     .teacher(OutputLayer::new(&taught, &teacher_projection))
///     .labels(&[0, 1]);
/// let loss = StreamingDistillation::new(2.0).term_weights(0.7, 0.3).evaluate(batch)?;
/// assert!(loss.value > 0.0);
/// assert_eq!(loss.grad.hidden.dim(), (2, 1));
/// assert_eq!(loss.grad.projection.dim(), (3, 1));
/// assert!(loss.grad.bias.is_none());
/// # Ok::<(), rarefy::Error>(())
/// ```
///
/// # Errors
///
/// * [`Error::TemperatureOutOfRange`]: T is not in the range of [`KlDivergence`](crate::distill::KlDivergence).
/// * [`Error::NumberOutOfRange`]: the weight of a term, or what the loss is divided by.
/// * [`Error::MissingTarget`]: a term of positive weight lacks its teacher or its labels.
/// * [`Error::ShapeMismatch`]: parts that do not fit together; both are named.
/// * [`Error::NoLogits`]: no tokens or no classes.
/// * [`Error::WrongCount`], [`Error::LabelOutOfRange`]: labels.
/// * [`Error::WrongCount`], [`Error::RowWeightOutOfRange`], [`Error::NoWeight`]: weights of tokens.
/// * [`Error::BudgetTooSmall`]: not even one token fits; the message says what would do.
/// * [`Error::NotANumber`], [`Error::Infinite`]: hidden states, a projection or a bias are not finite
///   (but for a bias of −∞), or a logit overflows.
/// * [`Error::MaskedRow`]: every logit of a token is −∞.
/// * [`Error::InfiniteLoss`]: a gradient is asked for, and the student masks what the teacher or the
///   label allows. The value alone is then +∞.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamingDistillation {
    temperature: f64,
    factor: TemperatureFactor,
    reduction: Reduction,
    soft: f64,
    hard: f64,
    budget: usize,
}

impl StreamingDistillation {
    /// The divergence at this temperature, averaged over tokens, times T², without labels.
    pub const fn new(temperature: f64) -> Self {
        Self {
            temperature,
            factor: TemperatureFactor::Squared,
            reduction: Reduction::MeanOverRows,
            soft: 1.0,
            hard: 0.0,
            budget: 48 << 20,
        }
    }

    /// The same with another reduction.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// The same with or without T².
    #[must_use]
    pub const fn temperature_factor(mut self, factor: TemperatureFactor) -> Self {
        self.factor = factor;
        self
    }

    /// The same with other weights of the soft loss (against the teacher) and the hard one (against
    /// the labels).
    #[must_use]
    pub const fn term_weights(mut self, soft: f64, hard: f64) -> Self {
        self.soft = soft;
        self.hard = hard;
        self
    }

    /// The same with another limit, in bytes, on what is held beside inputs and gradients.
    #[must_use]
    pub const fn memory_budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The value, and the gradients with respect to all parts of the student's layer, in new memory.
    ///
    /// # Errors
    ///
    /// See [`StreamingDistillation`].
    pub fn evaluate<F: Float>(
        &self,
        batch: StreamingBatch<'_, F>,
    ) -> Result<LossValue<F, OutputLayerGradient<F>>> {
        // All errors but those of single tokens come before memory is asked for.
        let work = self.work(&batch, true)?;
        let student = batch.student;
        let mut grad = OutputLayerGradient {
            hidden: Array2::zeros(student.hidden.raw_dim()),
            projection: Array2::zeros(student.projection.raw_dim()),
            bias: student.bias.map(|bias| Array1::zeros(bias.raw_dim())),
        };
        let buffers = GradientBuffers {
            hidden: Some(&mut grad.hidden),
            projection: Some(&mut grad.projection),
            bias: grad.bias.as_deref_mut(),
        };
        let value = work.run(buffers)?;
        Ok(LossValue { value, grad })
    }

    /// The value; the gradients that are asked for replace what is in their buffers.
    ///
    /// # Errors
    ///
    /// See [`StreamingDistillation`]; [`Error::ShapeMismatch`] if a buffer has not the shape of its
    /// part. On [`Error::MaskedRow`], [`Error::InfiniteLoss`] or a logit that overflows, the buffers
    /// may have been written to: nothing is known of a token before its turn comes. On any other error
    /// they are as they were.
    pub fn evaluate_into<F: Float>(
        &self,
        batch: StreamingBatch<'_, F>,
        grads: GradientBuffers<'_, F>,
    ) -> Result<F> {
        let work = self.work(&batch, !grads.is_empty())?;
        grads.check_like(&batch.student)?;
        work.run(grads)
    }

    /// The value alone. Where it is infinite it is returned, since no gradient is asked for.
    ///
    /// # Errors
    ///
    /// See [`StreamingDistillation`].
    pub fn value<F: Float>(&self, batch: StreamingBatch<'_, F>) -> Result<F> {
        self.evaluate_into(batch, GradientBuffers::new())
    }

    fn work<'a, F: Float>(
        &self,
        batch: &StreamingBatch<'a, F>,
        gradient: bool,
    ) -> Result<Work<'a, F>> {
        let factors = self.factors()?;
        let Shares { shares, reads } = batch.check(self.reduction)?;
        let need = |part| Error::MissingTarget { loss: NAME, part };
        let teacher = if self.soft > 0.0 {
            Some(batch.teacher.ok_or_else(|| need("teacher"))?)
        } else {
            None
        };
        let labels = if self.hard > 0.0 {
            Some(batch.labels.ok_or_else(|| need("labels"))?)
        } else {
            None
        };
        let (tokens, classes) = batch.dim();
        let sizes = Sizes {
            tokens,
            classes,
            student_width: batch.student.hidden.ncols(),
            teacher_width: teacher.map(|teacher| teacher.hidden.ncols()),
            element: size_of::<F>(),
            hard: labels.is_some(),
            gradient,
            wide: teacher.is_some() && computes_in_f64::<F>(factors.inverse_temperature),
        };
        let plan = sizes.plan(self.budget)?;
        let nothing = teacher.is_none() && labels.is_none();
        let read = (0..tokens).filter(|&token| reads[token] && !nothing);
        let tokens: Vec<usize> = read.collect();
        batch.student.check_numbers(Side::Student, &tokens)?;
        if let Some(teacher) = teacher {
            teacher.check_numbers(Side::Teacher, &tokens)?;
        }
        Ok(Work {
            student: batch.student,
            teacher,
            labels,
            factors,
            shares,
            tokens,
            plan,
        })
    }

    fn factors<F: Float>(&self) -> Result<Factors<F>> {
        let temperature = self.temperature;
        check_temperature::<F>(temperature)?;
        let inverse_temperature = F::cast(temperature.recip());
        for value in [self.soft, self.hard] {
            if !(0.0..f64::INFINITY).contains(&value) {
                return Err(Error::NumberOutOfRange {
                    what: "weight of a term",
                    must: "finite and not negative",
                    value,
                });
            }
        }
        let soft = match self.factor {
            TemperatureFactor::Squared => self.soft * temperature * temperature,
            TemperatureFactor::One => self.soft,
        };
        Ok(Factors {
            inverse_temperature,
            soft,
            soft_gradient: soft * temperature.recip(),
            hard: self.hard,
        })
    }
}
