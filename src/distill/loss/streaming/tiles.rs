//! The loop over tiles of tokens: logits, losses, gradients, and on to the next.

use super::plan::Plan;
use super::{GradientBuffers, OutputLayer};
use crate::distill::faults::error_of;
use crate::error::{Error, Result};
use crate::float::Float;
use crate::kernels::array;
use crate::kernels::divergence::{FaultyRow, RowAgainst, RowSource, Rows, Side, Store};
use crate::kernels::finite::all_finite;
use crate::kernels::parallel::{CHUNK, for_chunks_mut, map_chunks_mut};
use crate::kernels::product::product;
use crate::kernels::real::Real;
use ndarray::{Array2, s};

/// Classes of which one task sums the gradient of the bias.
const CLASSES_PER_TASK: usize = 1024;

/// What the values and gradients of a token are multiplied by, apart from its share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors<F> {
    pub(super) inverse_temperature: F,
    pub(super) soft: f64,
    pub(super) soft_gradient: f64,
    pub(super) hard: f64,
}

/// A checked batch and how it is cut.
pub(super) struct Work<'a, F> {
    pub(super) student: OutputLayer<'a, F>,
    /// If the soft loss is asked for.
    pub(super) teacher: Option<OutputLayer<'a, F>>,
    /// If the hard loss is asked for.
    pub(super) labels: Option<&'a [usize]>,
    pub(super) factors: Factors<F>,
    pub(super) shares: Vec<f64>,
    /// The tokens that are read, in order.
    pub(super) tokens: Vec<usize>,
    pub(super) plan: Plan,
}

/// Some rows of one side.
struct Tile<F> {
    side: Side,
    hidden: Array2<F>,
    logits: Array2<F>,
}

impl<F: Float> Tile<F> {
    fn new(side: Side, rows: usize, layer: &OutputLayer<'_, F>) -> Self {
        Self {
            side,
            hidden: Array2::zeros((rows, layer.hidden.ncols())),
            logits: Array2::zeros((rows, layer.projection.nrows())),
        }
    }

    /// Gathers the hidden states of these tokens and makes their logits.
    fn load(&mut self, layer: &OutputLayer<'_, F>, tokens: &[usize], tasks: usize) -> Result<()> {
        for (mut row, &token) in self.hidden.rows_mut().into_iter().zip(tokens) {
            row.assign(&layer.hidden.row(token));
        }
        let hidden = self.hidden.slice(s![..tokens.len(), ..]);
        let mut logits = self.logits.slice_mut(s![..tokens.len(), ..]);
        let projection = layer.projection.t();
        product(&hidden, &projection, Store::Write, logits.view_mut(), tasks);
        let bias = layer.bias.map(|bias| array::elements(bias));
        let bias = bias.as_deref();
        let classes = logits.ncols();
        let per_task = (CHUNK / classes).max(1);
        let faults = array::update(&mut logits, |logits| {
            map_chunks_mut(logits, per_task * classes, |task, logits| {
                let mut rows = logits.chunks_exact_mut(classes).enumerate();
                rows.find_map(|(row, logits)| {
                    let (class, value) = finish(logits, bias)?;
                    Some((task * per_task + row, class, value))
                })
            })
        });
        match faults.into_iter().flatten().next() {
            None => Ok(()),
            Some((row, class, value)) => {
                let what = match self.side {
                    Side::Student => "student logit",
                    Side::Teacher => "teacher logit",
                };
                Err(Error::not_finite(
                    what,
                    vec![tokens[row], class],
                    value.widen(),
                ))
            }
        }
    }
}

/// Adds the bias to a row of logits. Finds the first that is not finite where the bias is: a sum that
/// ran over, which must not pass for a masked class.
fn finish<F: Float>(logits: &mut [F], bias: Option<&[F]>) -> Option<(usize, F)> {
    if let Some(bias) = bias {
        for (logit, &bias) in logits.iter_mut().zip(bias) {
            *logit += bias;
        }
    }
    if all_finite(logits) {
        return None;
    }
    let masked = |class| bias.is_some_and(|bias: &[F]| bias[class] == F::neg_infinity());
    let right =
        |class, logit: F| logit.is_finite() || (logit == F::neg_infinity() && masked(class));
    let class = (0..logits.len()).find(|&class| !right(class, logits[class]))?;
    Some((class, logits[class]))
}

impl<F: Float> Work<'_, F> {
    /// The value, and the gradients that are asked for.
    pub(super) fn run(&self, mut grads: GradientBuffers<'_, F>) -> Result<F> {
        let rows = self.plan.rows.min(self.tokens.len());
        let tasks = self.plan.product_tasks;
        let mut student = Tile::new(Side::Student, rows, &self.student);
        let mut teacher = self
            .teacher
            .map(|layer| (Tile::new(Side::Teacher, rows, &layer), layer));
        let asked = !grads.is_empty();
        let kept = if grads.hidden.is_some() { rows } else { 0 };
        let mut hidden_grad = Array2::zeros((kept, self.student.hidden.ncols()));
        let summed = grads.bias.as_ref().map_or(0, |bias| bias.len());
        let mut bias_sums = vec![0.0; summed];
        if let Some(grad) = &mut grads.hidden {
            grad.fill(F::zero());
        }
        if let (Some(grad), true) = (&mut grads.projection, self.tokens.is_empty()) {
            grad.fill(F::zero());
        }
        let mut value = 0.0;
        let mut store = Store::Write;
        for tokens in self.tokens.chunks(rows.max(1)) {
            let n = tokens.len();
            student.load(&self.student, tokens, tasks)?;
            if let Some((tile, layer)) = &mut teacher {
                tile.load(layer, tokens, tasks)?;
            }
            let taught = teacher
                .as_ref()
                .map(|(tile, _)| tile.logits.slice(s![..n, ..]));
            let taught = taught.as_ref().map(|logits| array::elements(logits));
            let mut logits = student.logits.slice_mut(s![..n, ..]);
            let values = array::update(&mut logits, |logits| {
                self.rows(tokens, logits, taught.as_deref(), asked)
            })?;
            value = values.iter().fold(value, |sum, value| sum + value);
            if !asked {
                continue;
            }
            // The logits have become their gradient.
            let gradient = student.logits.slice(s![..n, ..]);
            if let Some(grad) = &mut grads.hidden {
                let projection = self.student.projection.view();
                let mut tile = hidden_grad.slice_mut(s![..n, ..]);
                product(&gradient, &projection, Store::Write, tile.view_mut(), tasks);
                for (row, &token) in tile.rows().into_iter().zip(tokens) {
                    grad.row_mut(token).assign(&row);
                }
            }
            if let Some(grad) = &mut grads.projection {
                let hidden = student.hidden.slice(s![..n, ..]);
                product(&gradient.t(), &hidden, store, grad.view_mut(), tasks);
                store = Store::Add;
            }
            add_rows(&mut bias_sums, &array::elements(&gradient));
        }
        if let Some(grad) = &mut grads.bias {
            for (grad, &sum) in grad.iter_mut().zip(&bias_sums) {
                *grad = F::cast(sum);
            }
        }
        Ok(F::cast(value))
    }

    /// What each token adds to the value. If asked for, its logits become their gradient.
    fn rows(
        &self,
        tokens: &[usize],
        student: &mut [F],
        teacher: Option<&[F]>,
        asked: bool,
    ) -> Result<Vec<f64>> {
        let classes = student.len() / tokens.len();
        let per_task = tokens.len().div_ceil(self.plan.row_tasks);
        let parts = map_chunks_mut(student, per_task * classes, |task, student| {
            let mut gradient = vec![F::zero(); if asked { classes } else { 0 }];
            let rows = student.chunks_exact_mut(classes).enumerate();
            let one = |(row, student): (usize, &mut [F])| {
                let row = task * per_task + row;
                let teacher = teacher.map(|teacher| &teacher[row * classes..(row + 1) * classes]);
                let value = self.row(tokens[row], student, teacher, &mut gradient);
                value.map_err(|FaultyRow { fault, .. }| {
                    let row = tokens[row];
                    // The teacher's logits were found good when they were made.
                    error_of(FaultyRow { row, fault }, |_, class| student[class].widen())
                })
            };
            rows.map(one).collect::<Result<Vec<f64>>>()
        });
        let mut values = Vec::with_capacity(tokens.len());
        for part in parts {
            values.append(&mut part?);
        }
        Ok(values)
    }

    fn row(
        &self,
        token: usize,
        student: &mut [F],
        teacher: Option<&[F]>,
        gradient: &mut [F],
    ) -> Result<f64, FaultyRow> {
        let (share, factors) = (self.shares[token], self.factors);
        let soft = teacher.map(|teacher| RowAgainst::Logits {
            teacher,
            inverse_temperature: factors.inverse_temperature,
        });
        let hard = self.labels.map(|labels| RowAgainst::Label {
            label: labels[token],
            smoothing: F::zero(),
        });
        let terms = [
            (soft, factors.soft, factors.soft_gradient),
            (hard, factors.hard, factors.hard),
        ];
        let mut store = Store::Write;
        let mut value = 0.0;
        for (against, factor, gradient_factor) in terms {
            let Some(against) = against else { continue };
            let rows = Rows {
                student,
                classes: student.len(),
                against: |_| against,
            };
            let values = if gradient.is_empty() {
                rows.values(|_| true)?
            } else {
                let factor = F::cast(share * gradient_factor);
                let values = rows.gradient(&[factor], |_| true, store, gradient)?;
                store = Store::Add;
                values
            };
            value += values.iter().sum::<f64>() * (share * factor);
        }
        if !gradient.is_empty() {
            student.copy_from_slice(gradient);
        }
        Ok(value)
    }
}

/// Adds the sum over rows to `sums`, row by row, each class by one task.
fn add_rows<F: Float>(sums: &mut [f64], rows: &[F]) {
    let classes = sums.len();
    if classes == 0 {
        return;
    }
    for_chunks_mut(sums, CLASSES_PER_TASK, |task, sums| {
        let start = task * CLASSES_PER_TASK;
        for row in rows.chunks_exact(classes) {
            for (sum, g) in sums.iter_mut().zip(&row[start..]) {
                *sum += g.widen();
            }
        }
    });
}
